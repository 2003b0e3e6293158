"""The functions of the package on arrays that are spread over devices; its losses are in `losses/test_meshes.py`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from numpy.testing import assert_allclose

from cwmi_jax import (
    cwmi_loss,
    reconstruct,
    steerable_pyramid,
    wavelet_conditional_log_det,
    wavelet_distance,
    wavelet_gain,
    wavelet_mutual_information,
)
from cwmi_jax.metrics import confusion_matrix
from tests.golden import images, quick_jit, sigmoid, volume
from tests.thorough import crossed, thorough
from tests.versions import KINDS, collectives, make_mesh, shard_map, transformed

SETTINGS = dict(levels=2, orientations=2)
SMALL = dict(levels=1, orientations=1)
"""Where each operation is a program of its own."""
each_kind = pytest.mark.parametrize("kind", KINDS)


def pair(batch=4, height=17, width=20):
    labels, logits = images(height, width, batch)
    return labels.astype(np.float32), sigmoid(logits).astype(np.float32)


def assert_same(result, expected, rtol=1e-5):
    for got, want in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max())


FUNCTIONS = {
    "conditional": functools.partial(wavelet_conditional_log_det, **SETTINGS),
    "information": functools.partial(wavelet_mutual_information, **SETTINGS),
    "gain": functools.partial(wavelet_gain, levels=SETTINGS["levels"]),
    "noisy": functools.partial(wavelet_mutual_information, noise=0.1, **SETTINGS),
    "distance": functools.partial(wavelet_distance, kind="l1", **SETTINGS),
    "pyramid": lambda y, p: steerable_pyramid(y * p, **SETTINGS),
    "reconstruction": lambda y, p: reconstruct(steerable_pyramid(y + p, **SETTINGS)),
}


@crossed("name, kind", [*FUNCTIONS], KINDS)
def test_values_and_gradients_stay_on_their_devices(name, kind):
    y, p = pair()

    def run(y, p):
        value = FUNCTIONS[name](y, p)
        total = lambda p: sum(jnp.sum(jnp.abs(leaf) ** 2) for leaf in jax.tree.leaves(FUNCTIONS[name](y, p)))  # noqa: E731
        return value, jax.grad(total)(p)

    expected = quick_jit(run)(y, p)
    split = NamedSharding(make_mesh(kind), PartitionSpec("data"))
    arguments = jax.device_put((y, p), split)
    program = quick_jit(run).lower(*arguments).compile()
    result = program(*arguments)
    assert_same(result, expected, rtol=1e-4)
    assert collectives(program) <= {"all-reduce"}
    assert {shape[0] for shape in transformed(program)} == {1}
    for leaf in jax.tree.leaves(result):
        assert leaf.sharding.is_equivalent_to(split, leaf.ndim)


def loss_and_gradient(logits, labels, **settings):
    return jax.value_and_grad(lambda logits: cwmi_loss(logits, labels, **SETTINGS | settings))(logits)


@crossed(
    "spread, kind",
    [((4,), (("data", "copy"),)), ((4,), ("data",)), ((2, 2), ("data", "copy")), ((3, 4), (None, ("data", "copy")))],
    KINDS,
)
def test_several_axes_of_the_mesh_and_of_the_batch(spread, kind):
    shape, spec = spread
    labels, logits = images(17, 20, int(np.prod(shape)))
    labels, logits = labels.reshape(*shape, 17, 20), logits.reshape(*shape, 17, 20, 1).astype(np.float32)
    expected = quick_jit(loss_and_gradient)(logits, labels)
    split = NamedSharding(make_mesh(kind, (2, 2), ("data", "copy")), PartitionSpec(*spec))
    arguments = jax.device_put((logits, labels), split)
    if spec == (None, ("data", "copy")):  # Images that are neighbours in memory lie on different devices.
        run = quick_jit(jax.vmap(loss_and_gradient))
        expected = quick_jit(jax.vmap(loss_and_gradient))(logits, labels)
    else:
        run = quick_jit(loss_and_gradient)
    program = run.lower(*arguments).compile()
    result = program(*arguments)
    assert_same(result, expected)
    assert result[1].sharding.is_equivalent_to(split, logits.ndim)
    assert collectives(program) == {"all-reduce"}


@each_kind
def test_vmapped_over_an_axis_that_devices_share(kind):
    """One value an image, as for gradients per example."""
    labels, logits = images(17, 20, 4)
    logits = logits[..., None].astype(np.float32)
    expected = quick_jit(jax.vmap(loss_and_gradient))(logits, labels)
    split = NamedSharding(make_mesh(kind), PartitionSpec("data"))
    program = quick_jit(jax.vmap(loss_and_gradient)).lower(*jax.device_put((logits, labels), split)).compile()
    assert_same(program(*jax.device_put((logits, labels), split)), expected)
    if kind == "Auto" or hasattr(jax.lax, "pcast"):  # JAX before 0.8 gathers a mapped explicit axis.
        assert not collectives(program)


@each_kind
def test_volumes_with_weights_and_masks_that_are_numpy_arrays(kind):
    labels, logits = (np.stack(arrays) for arrays in zip(*(volume(8, 9, 12, seed) for seed in range(4)), strict=True))
    logits, where = logits[..., None].astype(np.float32), labels >= 0
    where[:, :2] = False
    settings = dict(spatial_dims=3, levels=1, orientations=3, where=where, class_weights=np.float32([1, 2]))
    expected = quick_jit(functools.partial(loss_and_gradient, **settings))(logits, labels)
    split = NamedSharding(make_mesh(kind), PartitionSpec("data"))
    arguments = jax.device_put(logits, split)
    program = quick_jit(functools.partial(loss_and_gradient, labels=labels, **settings)).lower(arguments).compile()
    assert_same(program(arguments), expected)
    assert collectives(program) == {"all-reduce"}
    assert [shape[0] for shape in transformed(program)] == [1, 1, 1]


@crossed(
    "kind, spec, shape",
    KINDS,
    [("data", "space"), (None, None, ("data", "space")), ("data", None, "space")],
    [(4, 16, 20), (4, 12, 16, 8)],
)
def test_images_that_are_spread_themselves_are_gathered(kind, spec, shape):
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 2, shape), rng.normal(size=(*shape, 1)).astype(np.float32)
    settings = dict(spatial_dims=len(shape) - 1, levels=1, orientations=3)
    expected = quick_jit(functools.partial(loss_and_gradient, **settings))(logits, labels)
    split = NamedSharding(make_mesh(kind, (2, 2), ("data", "space")), PartitionSpec(*spec))
    arguments = jax.device_put((logits, labels), split)
    program = quick_jit(functools.partial(loss_and_gradient, **settings)).lower(*arguments).compile()
    assert_same(program(*arguments), expected)
    assert "all-gather" in collectives(program)
    assert {shape[1:-1] for shape in transformed(program)} == {shape[1:-1]}


@each_kind
def test_without_jit(kind):
    labels, logits = images(17, 20, 4)
    logits = logits[..., None].astype(np.float32)
    expected = quick_jit(functools.partial(loss_and_gradient, **SMALL))(logits, labels)
    mesh = make_mesh(kind)
    split = NamedSharding(mesh, PartitionSpec("data"))
    arguments = jax.device_put((logits, labels), split)
    if kind == "Auto":
        assert_same(cwmi_loss(*arguments, **SMALL), expected[0])
    else:
        with jax.set_mesh(mesh):  # JAX asks for it.
            result = loss_and_gradient(*arguments, **SMALL)
        assert_same(result, expected)
        assert result[1].sharding.is_equivalent_to(split, logits.ndim)
    with pytest.raises(ValueError, match=r"labels must lie within 0\.\.1 .* got 0\.\.2"):
        cwmi_loss(arguments[0], 2 * arguments[1])


@thorough
def test_shard_map_without_jit():
    labels, logits = images(17, 20, 4)
    logits = logits[..., None].astype(np.float32)
    split = PartitionSpec("data")

    def local(logits, labels):
        value, gradient = loss_and_gradient(logits, labels, **SMALL)
        return jax.lax.pmean(value, "data"), gradient / 4

    mapped = shard_map(local, make_mesh("Auto"), (split, split), (PartitionSpec(), split))
    assert_same(mapped(logits, labels), quick_jit(functools.partial(loss_and_gradient, **SMALL))(logits, labels))


@each_kind
def test_counts_of_pixels(kind):
    labels, logits = images(17, 20, 4)
    count = jax.jit(functools.partial(confusion_matrix, num_classes=2))
    split = NamedSharding(make_mesh(kind), PartitionSpec("data"))
    counts = count(*jax.device_put((logits[..., None].astype(np.float32), labels), split))
    expected = [[np.sum((labels == i) & ((logits > 0) == j)) for j in (0, 1)] for i in (0, 1)]
    np.testing.assert_array_equal(counts, expected)
