"""What holds for every loss of the registry: transformations, forms of the inputs, masks, degenerate images, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax.losses import LOSSES
from tests.golden import quick_jit
from tests.losses.cases import (
    COUNT,
    EACH,
    OF_TWO_CLASSES,
    ONE_OF_EACH,
    SHAPE,
    batch,
    evaluate,
    holes,
    loss,
    maps,
)
from tests.thorough import some

each_loss = pytest.mark.parametrize("name", some(LOSSES, ONE_OF_EACH))
each_loss_and_channels = pytest.mark.parametrize(("name", "channels"), some(EACH, ONE_OF_EACH))


# Their derivatives are written out.
OWN_GRADIENTS = ("ce", "rmi", "cldice", "scnp", "cwmi", "bounded_cwmi")
# Of the pixels. Label borders have a distance of 0, ABW has no weight on some of them, centrelines lie far from most, and
# few are the worst.
LOOKED_AT = {"abw": 0.6, "boundary": 0.6, "skeleton_recall": 0.2, "scnp": 0.2}


def assert_near(result, expected, rtol=1e-9):
    result, expected = np.asarray(result), np.asarray(expected)
    assert_allclose(result, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def split(tree, *leading):
    return jax.tree.map(lambda array: array.reshape(*leading, *array.shape[1:]), tree)


# One of each kind, for each operation is a program of its own.
@pytest.mark.parametrize("name", ["ce", "dice", "rmi", "cldice", "scnp", "skeleton_recall", "hausdorff_dt", "cwmi"])
def test_jit_is_eager(x64, name):
    logits, labels = batch()
    eager = loss(name)(logits, labels, where=holes(), reduction="none", **maps(name, labels))
    compiled, _, _ = evaluate(name, logits, labels, holes(), maps(name, labels))
    assert_allclose(compiled, eager, rtol=1e-9, atol=1e-12)


@each_loss
def test_a_batch_is_its_images_one_by_one_and_on_two_devices(x64, name):
    assert jax.device_count() >= 2
    logits, labels = batch()
    single = jax.value_and_grad(lambda logits, labels, given: loss(name)(logits, labels, **given))
    mapped = quick_jit(jax.pmap(jax.vmap(single)))(*split((logits, labels, maps(name, labels)), 2, -1))
    values, gradients = (np.asarray(of_two).reshape(COUNT, *of_two.shape[2:]) for of_two in mapped)
    each, mean, gradient = evaluate(name, logits, labels)
    assert_near(each, values)
    assert_near(mean, values.mean())
    assert_near(gradient, gradients / COUNT)


@each_loss
def test_all_leading_axes_are_kept_or_averaged(x64, name):
    logits, labels = batch()
    expected, mean, _ = evaluate(name, logits, labels)

    def run(logits, labels, given):
        return [loss(name)(logits, labels, reduction=reduction, **given) for reduction in ("none", "mean")]

    each, result = quick_jit(run)(*split((logits, labels, maps(name, labels)), 2, 1, 4))
    assert each.shape == (2, 1, 4)
    assert_near(each.ravel(), expected)
    assert result.shape == ()
    assert_near(result, mean)


@each_loss_and_channels
def test_gradient_is_that_of_finite_differences(x64, name, channels):
    """Along random directions. No logit crosses 0, where a prediction changes sides, by a step."""
    logits, labels = batch(channels)
    where = holes()
    _, _, gradient = evaluate(name, logits, labels, where)
    rng, step = np.random.default_rng(0), 1e-5
    for _ in range(2):
        direction = rng.standard_normal(logits.shape)
        ahead, behind = (evaluate(name, logits + sign * step * direction, labels, where)[1] for sign in (1, -1))
        scale = np.linalg.norm(gradient)
        assert_allclose(np.vdot(gradient, direction), (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("name", some(LOSSES, OWN_GRADIENTS))
def test_second_derivative_is_that_of_finite_differences_of_the_gradient(x64, name):
    """Of reverse mode alone, along a direction, and of two steps of clDice's skeletons, whose loop is what matters."""
    logits, labels = (array[:1] for array in batch())
    given = maps(name, labels)
    function = functools.partial(loss(name), **({"iterations": 1} if name == "cldice" else {}))
    direction = np.random.default_rng(0).standard_normal(logits.shape)

    @quick_jit
    def slope_and_its_gradient(logits):
        gradient = jax.grad(lambda logits: function(logits, labels, **given))
        return jax.value_and_grad(lambda logits: jnp.vdot(gradient(logits), direction))(logits)

    _, gradient = slope_and_its_gradient(logits)
    step = 1e-5
    other = np.cos(3 * logits)
    ahead, behind = (slope_and_its_gradient(logits + sign * step * other)[0] for sign in (1, -1))
    scale = np.linalg.norm(gradient)
    assert scale > 1e-9
    assert_allclose(np.vdot(gradient, other), (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-5 * scale)


@each_loss
def test_two_channels_are_one_channel_of_their_difference(x64, name):
    logits, labels = batch()
    first = 3 * np.cos(logits)
    expected, _, of_difference = evaluate(name, logits, labels, holes())
    each, _, gradient = evaluate(name, np.concatenate([first, first + logits], axis=-1), labels, holes())
    assert_near(each, expected)
    assert_near(gradient, np.concatenate([-of_difference, of_difference], axis=-1))


@each_loss
def test_one_hot_probabilities_are_classes(name):
    channels = 1 if name in OF_TWO_CLASSES else 3
    logits, labels = batch(channels, dtype=np.float32)
    given = maps(name, labels, channels)
    one_hot = labels.astype(np.float32) if channels == 1 else np.eye(channels, dtype=np.float16)[labels]
    run = quick_jit(lambda logits, labels, given: loss(name)(logits, labels, reduction="none", **given))
    expected, _, _ = evaluate(name, logits, labels)
    assert_allclose(run(logits, one_hot, given), expected, rtol=1e-5, atol=1e-7)


@each_loss
def test_half_precision_is_widened(name):
    channels, dtype = (1, jnp.float16) if name in OF_TWO_CLASSES else (3, jnp.bfloat16)
    logits, labels = batch(channels, dtype=np.float32)
    half = jnp.asarray(logits).astype(dtype)
    given = maps(name, labels, channels)
    run = quick_jit(lambda logits: jax.value_and_grad(lambda logits: loss(name)(logits, labels, **given))(logits))
    value, gradient = run(half)
    _, expected, of_rounded = evaluate(name, np.asarray(half.astype(np.float32)), labels)
    assert value.dtype == np.float32
    assert gradient.dtype == dtype
    assert_allclose(value, expected, rtol=1e-6)
    assert_near(gradient.astype(np.float32), of_rounded, rtol=float(jnp.finfo(dtype).eps))


@each_loss_and_channels
@pytest.mark.parametrize("hidden", [np.nan, np.inf, 1e30])
def test_what_is_masked_does_not_leak(name, channels, hidden):
    logits, labels = batch(channels, dtype=np.float32)
    where = holes()
    given = maps(name, np.where(where, labels, 0), channels)
    each, mean, gradient = evaluate(name, logits, np.where(where, labels, 0), where, given)

    def covered(values):
        seen = where.reshape(where.shape + (1,) * (values.ndim - where.ndim))
        return np.where(seen, values, hidden if values.dtype != bool else True).astype(values.dtype)

    masked = evaluate(
        name, covered(logits), np.where(where, labels, 255), where, {key: covered(given[key]) for key in given}
    )
    assert_array_equal(masked[0], each)
    assert_array_equal(masked[1], mean)
    assert_array_equal(masked[2], gradient)
    assert_array_equal(gradient[~where], 0)
    assert np.any(gradient != 0, axis=-1)[where].mean() > LOOKED_AT.get(name, 0.95)


@each_loss_and_channels
def test_a_logit_that_is_not_a_number_is_not_hidden(name, channels):
    logits, labels = batch(channels, dtype=np.float32)
    broken = logits.copy()
    broken[1, 5, 7] = np.nan
    each, mean, _ = evaluate(name, broken, labels)
    expected, _, _ = evaluate(name, logits, labels)
    assert np.isnan(each[1])
    assert np.isnan(mean)
    others = np.arange(len(labels)) != 1
    assert_array_equal(np.asarray(each)[others], np.asarray(expected)[others])


def assert_limit(name, infinite, large, labels, given):
    """Loss and gradient of infinite logits are those of large ones; Skea-topo, which asks for a margin, has no bound."""
    each, mean, gradient = evaluate(name, infinite, labels, given=given)
    expected, expected_mean, of_large = evaluate(name, large, labels, given=given)
    if name == "skea_topo":
        expected, expected_mean = np.full_like(expected, np.inf), np.inf
    assert_allclose(each, expected, rtol=1e-6)
    assert_allclose(mean, expected_mean, rtol=1e-6)
    assert_near(gradient, of_large, rtol=1e-6)


@each_loss_and_channels
def test_infinite_logits_on_the_right_side_have_the_limit_of_large_ones(name, channels):
    """On a third of the rows, or everywhere against a class that no pixel has."""
    logits, labels = batch(channels, dtype=np.float32)
    labels %= 2
    given = maps(name, labels, channels)
    infinite = logits.copy()
    if channels == 1:
        infinite[:, ::3] = np.where(labels == 1, np.inf, -np.inf)[:, ::3, :, None]
    else:
        infinite[..., 2] = -np.inf
    large = np.clip(infinite, np.float32(-1e4), np.float32(1e4))
    assert_limit(name, infinite, large, labels, given)


@each_loss
def test_two_channels_may_be_infinitely_far_apart(x64, name):
    """A finite one and an infinite one, two infinite ones, and two finite ones whose difference is not."""
    logits, labels = batch()
    sides = 2.0 * labels - 1
    two = np.concatenate([-logits, logits], axis=-1)
    large = two.copy()
    huge = np.finfo(np.float64).max
    for rows, (first, second) in {0: (-np.inf, 0), 5: (0, np.inf), 9: (-np.inf, np.inf), 14: (-huge, huge)}.items():
        side = sides[:, rows]
        two[:, rows] = np.where(side[..., None] > 0, (first, second), (second, first))
        large[:, rows] = np.stack([-side, side], axis=-1) * 1e4
    assert_limit(name, two, large, labels, maps(name, labels))


@each_loss_and_channels
def test_a_wholly_masked_image_has_no_loss_and_no_part_in_the_mean(name, channels):
    logits, labels = batch(channels, dtype=np.float32)
    where = holes()
    each, mean, gradient = evaluate(name, logits, labels, where)
    others = np.arange(COUNT) != 1
    assert each[1] == 0
    assert_array_equal(gradient[1], 0)
    assert_allclose(mean, each[others].mean(), rtol=1e-6)
    assert np.abs(each[others]).min() > 1e-3


@each_loss_and_channels
def test_everything_masked_has_loss_and_gradient_0(name, channels):
    logits = np.full((COUNT, *SHAPE, channels), np.nan, np.float32)
    labels = np.full((COUNT, *SHAPE), 255)
    each, mean, gradient = evaluate(name, logits, labels, np.zeros(labels.shape, bool))
    assert_array_equal(each, 0)
    assert mean == 0
    assert_array_equal(gradient, 0)


SMALL = (2, 12, 14)


@each_loss
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(spatial_dims=4), ValueError, "4"),
        (dict(logits=np.zeros((*SMALL, 1), int)), TypeError, "floating point, got int"),
        (dict(logits=np.zeros(SMALL[1:], np.float32)), ValueError, r"\[\.\.\., H, W, C\] .*\(12, 14\)"),
        (dict(labels=np.zeros((2, 12, 13), int)), ValueError, r"\(2, 12, 14\), got \(2, 12, 13\)"),
        (dict(labels=np.full(SMALL, 2)), ValueError, r"0\.\.1 for 1 channel.*got 2\.\.2"),
        (dict(labels=np.full(SMALL, 1.5)), ValueError, r"within 0\.\.1, got 1\.5\.\.1\.5"),
        (dict(where=np.ones(SMALL, int)), TypeError, "where must be bool, got int"),
        (dict(where=np.ones(SMALL[1:], bool)), ValueError, r"\(2, 12, 14\), got \(12, 14\)"),
    ],
)
def test_wrong_arguments_are_named(name, change, error, message):
    labels = np.zeros(SMALL, int)
    arguments = dict(logits=np.zeros((*SMALL, 1), np.float32), labels=labels) | maps(name, labels)
    with pytest.raises(error, match=message):
        loss(name)(**arguments | change)


@each_loss
def test_an_unknown_reduction_is_named(name):
    logits, labels = batch(dtype=np.float32)
    with pytest.raises(ValueError, match="reduction must be one of 'mean', 'none', got 'sum'"):
        jax.eval_shape(functools.partial(loss(name), reduction="sum", **maps(name, labels)), logits, labels)
