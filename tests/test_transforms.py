"""Gradients against finite differences, and the loss under JAX's transformations, on two devices and in blocks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_vjp
from numpy.testing import assert_allclose

from cwmi_jax import _spectral_sums, cwmi_loss, wavelet_conditional_log_det, wavelet_mutual_information
from tests.golden import class_images, images, quick_jit, sigmoid, volume
from tests.thorough import crossed
from tests.versions import collectives, make_mesh, shard_map, transformed

SETTINGS = dict(levels=2, orientations=3)
SHORT = dict(levels=1, orientations=2)


def binary(height=17, width=24, batch=2):
    labels, logits = images(height, width, batch)
    return logits[..., None], labels


def two_channels():
    logits, labels = binary()
    return np.concatenate([0.3 * logits, logits], axis=-1), labels


def multi_class():
    labels, logits = class_images(16, 20, 3)
    return logits, labels


def solid():
    labels, logits = volume(8, 9, 12)
    return logits[..., None], labels


def value_and_gradient(logits, labels, **settings):
    return jax.value_and_grad(lambda logits: cwmi_loss(logits, labels, **settings))(logits)


def assert_same(result, expected, rtol=1e-9):
    for got, want in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        got, want = np.asarray(got), np.asarray(want)
        assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max())


def check(function, *arguments):
    """Reverse mode against central differences along a random direction, in float64."""
    compiled = quick_jit(jax.value_and_grad(function, argnums=tuple(range(len(arguments)))))

    def vjp(*arguments):
        value, gradients = compiled(*arguments)
        return value, lambda cotangent: tuple(cotangent * gradient for gradient in gradients)

    check_vjp(lambda *arguments: compiled(*arguments)[0], vjp, arguments, eps=1e-4, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "settings"),
    [
        (binary, dict(complex_valued=True)),
        (binary, dict(complex_valued=False)),
        (two_channels, dict(levels=1, class_weights=None)),
        (multi_class, dict(levels=1, class_weights=[1.0, 0.5, 2.0])),
        (multi_class, dict(levels=1, complex_valued=False)),
        (solid, dict(spatial_dims=3, levels=1)),
        (solid, dict(spatial_dims=3, levels=1, orientations=6, complex_valued=False)),
    ],
)
def test_gradient_of_the_loss_with_respect_to_logits(x64, inputs, settings):
    logits, labels = inputs()
    check(lambda logits: cwmi_loss(logits, labels, **SETTINGS | settings), jnp.asarray(logits))


def test_gradient_of_the_loss_under_a_mask(x64):
    logits, labels = binary()
    where = np.ones(labels.shape, bool)
    where[:, 3:8, 5:] = False
    check(lambda logits: cwmi_loss(logits, labels, where=where, **SETTINGS), jnp.asarray(logits))


@pytest.mark.parametrize("inputs", [binary, multi_class], ids=["binary", "multi_class"])
def test_gradient_of_the_loss_with_respect_to_probable_labels(x64, inputs):
    logits, _ = inputs()
    random = np.random.default_rng(0).uniform(0.1, 0.9, logits.shape)
    labels = random if logits.shape[-1] == 1 else random / random.sum(axis=-1, keepdims=True)
    check(lambda labels: cwmi_loss(logits, labels, class_weights=None, **SETTINGS), jnp.asarray(labels))


@crossed(
    "function, complex_valued, noise",
    [wavelet_mutual_information, wavelet_conditional_log_det],
    [True, False],
    [0.05, 0],
)
def test_gradient_of_the_information_with_respect_to_both_images(x64, function, complex_valued, noise):
    logits, labels = binary()
    y = labels + 0.1 * np.random.default_rng(0).standard_normal(labels.shape)
    weights = np.array([[1.0, -0.7]])

    def total(y, p):
        levels = function(y, p, complex_valued=complex_valued, noise=noise, **SETTINGS)
        return jnp.sum(levels * weights)

    check(total, jnp.asarray(y), jnp.asarray(sigmoid(logits[..., 0])))


def test_jit_is_eager():
    logits, labels = binary(48, 40)
    function = functools.partial(value_and_gradient, levels=1, orientations=1)
    logits = logits.astype(np.float32)
    assert_same(jax.jit(function)(logits, labels), function(logits, labels), rtol=1e-5)


def test_a_batch_is_its_images_one_by_one(x64):
    logits, labels = binary(batch=3)
    loss = functools.partial(cwmi_loss, **SHORT)
    single = quick_jit(jax.value_and_grad(loss))
    ones = [single(z, y) for z, y in zip(logits, labels, strict=True)]
    values, gradients = (np.stack(parts) for parts in zip(*ones, strict=True))
    assert_same(quick_jit(jax.vmap(jax.value_and_grad(loss)))(logits, labels), (values, gradients))
    assert_same(quick_jit(jax.value_and_grad(loss))(logits, labels), (values.mean(), gradients / 3))


def test_rematerialised_gradient_is_the_same(x64):
    logits, labels = binary()
    loss = functools.partial(cwmi_loss, labels=labels, **SHORT)
    remat = quick_jit(jax.value_and_grad(jax.checkpoint(loss)))
    assert_same(remat(logits), quick_jit(jax.value_and_grad(loss))(logits))


def small_blocks(monkeypatch, entries):
    """Blocks of few rows on a CPU alone, so that programs hold versions for several platforms."""
    monkeypatch.setitem(_spectral_sums._BLOCK_ENTRIES, "cpu", entries)
    jax.clear_caches()


@pytest.mark.parametrize("how", ["pmap", "shard_map", "jit"])
def test_two_devices_are_one_in_blocks_of_rows_too(x64, monkeypatch, how):
    logits, labels = binary(batch=4)
    expected = quick_jit(functools.partial(value_and_gradient, **SHORT))(logits, labels)
    if how != "pmap":
        small_blocks(monkeypatch, 500)
    mesh, split = make_mesh("Auto", (2,), ("batch",)), PartitionSpec("batch")

    def local(logits, labels):
        value, gradient = value_and_gradient(logits, labels, **SHORT)
        return jax.lax.pmean(value, "batch"), gradient / 2

    if how == "pmap":
        mapped = quick_jit(jax.pmap(local, axis_name="batch"))
        values, gradients = mapped(*(x.reshape(2, -1, *x.shape[1:]) for x in (logits, labels)))
        result = values[0], gradients.reshape(logits.shape)
    elif how == "shard_map":
        result = quick_jit(shard_map(local, mesh, (split, split), (PartitionSpec(), split)))(logits, labels)
    else:
        arguments = jax.device_put((logits, labels), NamedSharding(mesh, split))
        program = quick_jit(lambda *inputs: value_and_gradient(*inputs, **SHORT)).lower(*arguments).compile()
        assert collectives(program) == {"all-reduce"}
        result = program(*arguments)
    assert_same(result, expected)


def test_parameters_shared_by_two_devices_have_the_gradient_of_one(x64):
    """The parameters are whole on each device, as in training under pmap, and the mean is over the batch."""
    logits, labels = binary(batch=4)

    def loss(gain, logits, labels):
        return cwmi_loss(gain * logits, labels, **SHORT)

    expected = quick_jit(jax.value_and_grad(loss))(1.5, logits, labels)

    def local(logits, labels):
        return jax.lax.pmean(jax.value_and_grad(lambda gain: loss(gain, logits, labels))(1.5), "batch")

    mapped = quick_jit(jax.pmap(local, axis_name="batch"))
    assert_same([part[0] for part in mapped(*(x.reshape(2, 2, *x.shape[1:]) for x in (logits, labels)))], expected)


@pytest.mark.parametrize(
    ("inputs", "settings"),
    [
        (functools.partial(binary, 37, 45), dict(orientations=2)),
        (functools.partial(binary, 38, 44), dict(complex_valued=False)),
        (solid, dict(levels=1, spatial_dims=3)),
        (binary, dict(orientations=2, spacing=(3, 1))),
        (solid, dict(spatial_dims=3, spacing=(2.5, 1, 1))),
    ],
)
def test_blocks_of_rows_are_the_whole(x64, monkeypatch, inputs, settings):
    function = functools.partial(value_and_gradient, **SETTINGS | settings)
    expected = quick_jit(function)(*inputs())
    small_blocks(monkeypatch, 300)
    program = jax.make_jaxpr(lambda *inputs: function(*inputs))(*inputs())
    loops = [equation.params["length"] for equation in equations(program.jaxpr) if equation.primitive.name == "scan"]
    # A row each, of the level with all of them.
    assert max(loops) == inputs()[1].shape[-2 if function.keywords.get("spatial_dims", 2) == 2 else -3]
    assert_same(quick_jit(lambda *inputs: function(*inputs))(*inputs()), expected)


def equations(jaxpr):
    """Every equation of a program, those of its loops and calls included."""
    for equation in jaxpr.eqns:
        yield equation
        for parameter in jax.tree.leaves(
            equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr")
        ):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


@pytest.mark.parametrize(
    ("inputs", "change"),
    [(binary, {}), (binary, dict(spacing=(3, 1))), (multi_class, {}), (solid, dict(spatial_dims=3))],
)
def test_a_value_takes_two_transforms_and_a_gradient_a_third(inputs, change):
    logits, labels = inputs()
    settings = dict(SETTINGS, levels=1) | change

    def count(function):
        # What the compiler is left with: the gradient in the labels is written down too, and dropped.
        program = quick_jit(functools.partial(function, labels=labels, **settings)).lower(logits).compile()
        return len(transformed(program))

    assert count(cwmi_loss) == 2
    assert count(value_and_gradient) == 3


@crossed("inputs, complex_valued, entries", [binary, two_channels, multi_class, solid], [True, False], [500, 2**16])
def test_every_product_keeps_full_precision(monkeypatch, inputs, complex_valued, entries):
    """The default would be TF32 on GPUs and bfloat16 on TPUs, which a CPU's results do not show."""
    small_blocks(monkeypatch, entries)
    logits, labels = inputs()
    settings = dict(SETTINGS, levels=1, complex_valued=complex_valued, spatial_dims=3 if inputs is solid else 2)
    program = jax.make_jaxpr(functools.partial(value_and_gradient, **settings))(logits.astype(np.float32), labels)
    found = list(equations(program.jaxpr))
    products = [equation for equation in found if equation.primitive.name == "dot_general"]
    assert len(products) >= 5
    highest = jax.lax.Precision.HIGHEST
    assert [equation.params["precision"] for equation in products] == [(highest, highest)] * len(products)
    assert not any(equation.primitive.name.startswith("conv_general") for equation in found)
