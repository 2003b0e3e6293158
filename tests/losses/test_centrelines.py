"""clDice against scipy's erosions and dilations, it and cbDice on tubes drawn by hand, and the gradient of ties."""

import functools

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from cwmi_jax.losses import dice_cbdice, dice_cldice, skeleton_recall
from cwmi_jax.losses._morphology import extremum
from cwmi_jax.weight_maps import tubed_skeleton
from tests.golden import quick_jit, sigmoid, softmax, volume
from tests.losses.cases import batch, evaluate, holes

SURE = 1e3


def eroded(image):
    cross = ndimage.generate_binary_structure(image.ndim, 1)
    return ndimage.minimum_filter(image, footprint=cross, mode="constant", cval=np.inf)


def removed(image):
    opened = ndimage.maximum_filter(eroded(image), size=3, mode="constant", cval=-np.inf)
    return np.maximum(image - opened, 0)


def skeleton(image, iterations):
    """As the authors write it: what is found is added to what is not there yet."""
    found = removed(image)
    for _ in range(iterations):
        image = eroded(image)
        found += np.maximum(removed(image) * (1 - found), 0)
    return found


def cldice_of(p, g, alpha=0.5, iterations=10, smooth=1.0):
    """Of one class, its probability and its label."""
    s_p, s_g = skeleton(p, iterations), skeleton(g, iterations)
    precision = ((s_p * g).sum() + smooth) / (s_p.sum() + smooth)
    sensitivity = ((s_g * p).sum() + smooth) / (s_g.sum() + smooth)
    overlap = (2 * (p * g).sum() + smooth) / (p.sum() + g.sum() + smooth)
    return (1 - alpha) * (1 - overlap) + alpha * (1 - 2 / (1 / precision + 1 / sensitivity))


def run(logits, labels, **settings):
    return quick_jit(functools.partial(dice_cldice, **settings))(logits, labels)


def test_two_classes_compare_class_1(x64):
    logits, labels = batch()
    where = holes()
    each, _, _ = evaluate("cldice", logits, labels, where)
    p, g = where * sigmoid(logits[..., 0]), where * labels.astype(float)
    expected = [cldice_of(*pair) for pair in zip(p, g, strict=True)]
    expected[1] = 0
    assert_allclose(each, expected, rtol=1e-9)


def test_of_three_classes_those_of_the_foreground_are_each_compared_with_the_rest(x64):
    logits, labels = batch(3)
    each, _, _ = evaluate("cldice", logits, labels)
    p, g = (np.moveaxis(array, -1, 1) for array in (softmax(logits), np.eye(3)[labels]))
    expected = [np.mean([cldice_of(p[i, c], g[i, c]) for c in (1, 2)]) for i in range(len(labels))]
    assert_allclose(each, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "settings", [dict(iterations=0), dict(iterations=2, smooth=30.0), dict(alpha=0.0), dict(alpha=0.8)]
)
def test_options(x64, settings):
    logits, labels = batch(count=2)
    expected = [cldice_of(sigmoid(z[..., 0]), y.astype(float), **settings) for z, y in zip(logits, labels, strict=True)]
    assert_allclose(run(logits, labels, reduction="none", **settings), expected, rtol=1e-9)


def test_volumes(x64):
    label, logits = volume(10, 11, 12)
    result = run(logits[..., None], label, iterations=3, spatial_dims=3)
    assert_allclose(result, cldice_of(sigmoid(logits), label.astype(float), iterations=3), rtol=1e-9)


def tubes():
    """A tube of 3 x 32 pixels; the same without 2 columns; and its middle row alone."""
    whole = np.zeros((24, 32), int)
    whole[10:13] = 1
    broken, thin = whole.copy(), np.zeros_like(whole)
    broken[:, 15:17] = 0
    thin[11] = 1
    return whole, broken, thin


def test_a_broken_tube_costs_more_than_a_thin_one():
    """clDice misses 2 of 32 pixels of the centreline, Dice 6 of 96 pixels or 64 of 96."""
    whole, *predictions = tubes()
    logits = SURE * (2 * np.stack(predictions)[..., None] - 1).astype(np.float32)
    labels = np.stack([whole, whole])
    sensitivity = (32 - 2 + 1) / (32 + 1)
    of_centrelines = [1 - 2 * sensitivity / (1 + sensitivity), 0]
    of_areas = [1 - (2 * 90 + 1) / (90 + 96 + 1), 1 - (2 * 32 + 1) / (32 + 96 + 1)]
    assert_allclose(run(logits, labels, alpha=1.0, reduction="none"), of_centrelines, rtol=1e-5, atol=1e-6)
    assert_allclose(run(logits, labels, alpha=0.0, reduction="none"), of_areas, rtol=1e-5)
    assert of_centrelines[0] > of_centrelines[1]
    assert of_areas[0] < of_areas[1]


def test_a_false_branch_costs_its_centreline():
    """10 pixels beside 32 lie off the label."""
    whole, *_ = tubes()
    branched = whole.copy()
    branched[0:10, 20] = 1
    precision = (32 + 1) / (32 + 10 + 1)
    logits = SURE * (2 * branched[..., None] - 1).astype(np.float32)
    result = run(logits, whole, alpha=1.0)
    # Where it leaves the tube the skeleton has a pixel more or less.
    assert_allclose(result, 1 - 2 * precision / (1 + precision), atol=0.02)


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, lambda image: np.rot90(image, 2), np.transpose])
def test_gradient_of_a_symmetric_image_is_symmetric(turn):
    """Its few levels make ties in nearly every window."""
    i = np.abs(np.arange(24) - 11.5)
    label = (((i[:, None] - 6) ** 2 + (i - 6) ** 2) < 16).astype(int) | (i[:, None] < 2) | (i < 2)
    levels = np.round(np.cos(i / 2)[:, None] * np.cos(i / 2) * 2).astype(np.float32)
    assert_allclose(levels, turn(levels))
    gradient = np.asarray(cldice_gradient(levels[..., None], label))[..., 0]
    assert np.abs(gradient).max() > 1e-4
    assert_allclose(gradient, turn(gradient), rtol=1e-4, atol=1e-6 * np.abs(gradient).max())


@quick_jit
def cldice_gradient(logits, labels):
    return jax.grad(lambda logits: dice_cldice(logits, labels, alpha=1.0, iterations=3))(logits)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shape", [(9, 11), (6, 7, 8)])
def test_each_extremum_s_gradient_is_shared_by_the_pixels_that_attain_it(x64, shape, sign):
    """One pixel's cotangent at a time, with ties: equal shares of it, at those places alone."""
    image = np.random.default_rng(0).integers(0, 3, shape).astype(float)
    offsets = tuple(offset for offset in np.ndindex(*[3] * len(shape)))
    offsets = tuple(tuple(step - 1 for step in offset) for offset in offsets)
    value, vjp = jax.vjp(lambda image: extremum(image[None, None], offsets, sign)[0, 0], image)
    vjp = quick_jit(vjp)
    padded = np.pad(image, 1, constant_values=-sign * np.inf)
    for place in [(0, 0, 0), (4, 5, 3), (5, 6, 7), (3, 0, 2)]:
        at = place[: len(shape)]
        window = tuple(slice(i, i + 3) for i in at)
        best = padded[window].max() if sign > 0 else padded[window].min()
        assert value[at] == best
        ties = np.zeros(padded.shape)
        ties[window] = padded[window] == best
        expected = (ties / ties.sum())[(slice(1, -1),) * len(shape)]
        cotangent = np.zeros(shape)
        cotangent[at] = 1
        assert_allclose(vjp(cotangent)[0], expected, rtol=1e-12)


def cbdice(predictions, label, **settings):
    """Of predictions that are certain, without Dice and nearly without the smoothing."""
    logits = SURE * (2 * np.stack(predictions)[..., None] - 1).astype(np.float32)
    run = quick_jit(functools.partial(dice_cbdice, alpha=1.0, smooth=1e-4, reduction="none", **settings))
    return run(logits, np.stack([label] * len(predictions)))


def test_a_tube_out_of_place_costs_as_much_of_its_radius():
    """A band of 15 rows is 8 pixels deep. Moved by 1 to 3, it is as many less deep on the other's centreline."""
    label = np.zeros((32, 24), int)
    label[8:23] = 1
    result = cbdice([np.roll(label, rows, axis=0) for rows in range(4)], label)
    assert_allclose(result, np.arange(4) / 8, rtol=1e-4, atol=1e-6)


def test_thin_tubes_count_as_much_as_thick_ones():
    """Of two bands, of 15 rows and of 3, the thin one is lost: half of the centrelines, by their length."""
    label = np.zeros((40, 24), int)
    label[4:19], label[28:31] = 1, 1
    thick = label.copy()
    thick[28:31] = 0
    precision, sensitivity = 1, 1 / 2
    expected = 1 - 2 * precision * sensitivity / (precision + sensitivity)
    assert_allclose(cbdice([thick, label], label), [expected, 0], rtol=1e-4, atol=1e-6)


def test_a_tube_of_oblong_pixels_is_as_deep_as_its_millimetres():
    """Moved by 1 of 15 rows; the columns' length plays no part, nor does a unit."""
    label = np.zeros((32, 24), int)
    label[8:23] = 1
    moved = [np.roll(label, 1, axis=0)]
    for spacing in [(1.0, 3.0), (0.1, 0.3), (2.0, 1.0)]:
        assert_allclose(cbdice(moved, label, spacing=spacing), 1 / 8, rtol=1e-4)
    # A disc is as deep as its nearest side.
    label = np.zeros((40, 40), int)
    label[10:29, 15:24] = 1
    moved = [np.roll(label, 2, axis=1)]
    assert cbdice(moved, label, spacing=(0.1, 1.0)) < cbdice(moved, label)


def test_cbdice_leaves_what_is_predicted_below_one_half(x64):
    logits, labels = batch(count=2)
    gradient = quick_jit(jax.grad(lambda logits: dice_cbdice(logits, labels, alpha=1.0)))(logits)
    assert_array_equal(gradient[logits < 0], 0)
    assert np.mean(gradient[logits > 0] != 0) > 0.3


@pytest.mark.parametrize("loss", [dice_cldice, dice_cbdice])
@pytest.mark.parametrize("smooth", [0, -1.0, np.nan])
def test_smooth_is_positive(loss, smooth):
    with pytest.raises(ValueError, match=f"smooth must be finite and positive, got {smooth}"):
        loss(np.zeros((8, 8, 1), np.float32), np.zeros((8, 8), int), smooth=smooth)


def test_skeleton_recall_asks_for_no_class_that_smoothed_labels_lack():
    labels = np.zeros((2, 32, 32), int)
    labels[:, 10:13] = 1
    tube = np.stack([tubed_skeleton(label) for label in labels])
    found = 20 * np.eye(3, dtype=np.float32)[labels] - 10
    smoothed = 0.9 * np.eye(3, dtype=np.float32)[labels] + np.float32(0.1 / 3)
    assert float(skeleton_recall(found, labels, tubed_skeleton=tube)) < 1e-6
    assert float(skeleton_recall(found, smoothed, tubed_skeleton=tube)) < 1e-6
    assert float(skeleton_recall(-found, smoothed, tubed_skeleton=tube)) > 0.49
