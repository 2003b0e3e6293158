"""Distance transforms against scipy's, and the two losses that take them."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import distance_transform_edt

from cwmi_jax.losses import boundary, hausdorff_dt
from cwmi_jax.losses._distance_transform import boundary_distance, distance_transform, signed_distance
from cwmi_jax.weight_maps import signed_distance_map
from tests.golden import images, quick_jit, sigmoid, softmax, volume
from tests.losses.cases import batch, evaluate, holes, maps

SHAPES = [(19, 26), (40, 3), (7, 9, 8)]
KINDS = ("random", "dense", "sparse", "one outside", "one inside", "corner", "empty", "full")


@functools.cache
def masks(shape):
    """One of each kind, `[kinds, *shape]`."""
    rng = np.random.default_rng(0)
    result = np.stack([rng.random(shape) < share for share in (0.5, 0.95, 0.03, 1, 0, 1, 0, 1)])
    middle = tuple(side // 3 for side in shape)
    result[KINDS.index("one outside")][middle] = False
    result[KINDS.index("one inside")][middle] = True
    result[KINDS.index("corner")][tuple(side - 1 for side in shape)] = False
    return result


SPACING = (2.5, 0.7, 1.3)
each_spacing = pytest.mark.parametrize("spacing", [None, SPACING], ids=["pixels", "oblong"])


def lengths(shape, spacing):
    """Those of the axes of an image."""
    return (1.0,) * len(shape) if spacing is None else spacing[: len(shape)]


def distances(mask, spacing=None):
    """By scipy, in the precision that the transform has; infinite where there is nothing to be far from."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    return distance_transform_edt(mask, lengths(mask.shape, spacing)).astype(np.float32)


@functools.cache
def transformed(shape, spacing):
    """Of all masks: distance, signed distance, distance to the boundary."""
    functions = (distance_transform, signed_distance, boundary_distance)
    return quick_jit(lambda masks: [f(masks, lengths(shape, spacing)) for f in functions])(masks(shape))


def assert_exact(result, expected, spacing):
    """To the last bit of whole squares, to within two roundings of others."""
    assert result.dtype == np.float32
    assert_allclose(result, expected, rtol=0 if spacing is None else 2.5e-7)


each_mask = pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=["19x26", "40x3", "7x9x8"])


@each_spacing
@each_mask
@each_shape
def test_distances_are_scipy_s(shape, kind, spacing):
    result, mask = transformed(shape, spacing)[0][kind], masks(shape)[kind]
    assert_exact(result, distances(mask, spacing), spacing)
    if KINDS[kind] == "full":
        assert np.isposinf(result).all()


@each_spacing
@each_mask
@each_shape
def test_signed_distances_are_those_of_the_weight_map(shape, kind, spacing):
    expected = signed_distance_map(masks(shape)[kind], spacing=lengths(shape, spacing))
    assert_allclose(transformed(shape, spacing)[1][kind], expected, rtol=1e-6, atol=1e-6)


def to_the_boundary(mask, spacing=None):
    """0 where there is none."""
    inside, outside = distances(mask, spacing), distances(~mask, spacing)
    return np.nan_to_num(np.where(mask, inside, outside), posinf=0)


@each_spacing
@each_mask
@each_shape
def test_distances_to_the_boundary_are_scipy_s(shape, kind, spacing):
    assert_exact(transformed(shape, spacing)[2][kind], to_the_boundary(masks(shape)[kind], spacing), spacing)


def test_distances_of_a_long_image():
    mask = np.ones((1, 5, 3000), bool)
    mask[0, 2, 0] = False
    for turned in (mask, mask.swapaxes(1, 2)):
        result = quick_jit(lambda mask: distance_transform(mask, (1.0, 1.0)))(turned)
        assert_array_equal(result[0], distances(turned[0]))


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_distances_in_any_unit(unit):
    mask = masks(SHAPES[0])
    result = quick_jit(lambda mask: distance_transform(mask, (2 * unit, unit)))(mask)
    expected = quick_jit(lambda mask: distance_transform(mask, (2.0, 1.0)))(mask)
    assert_allclose(result, unit * expected.astype(float), rtol=1e-6)


def hausdorff_of(p, label, alpha=2.0, spacing=None):
    """Of one class: probability and label, each `[*shape]`."""
    far = sum(to_the_boundary(mask > 0.5, spacing).astype(float) ** alpha for mask in (p, label))
    return (p - label) ** 2 * far


@pytest.mark.parametrize("channels", [1, 3])
def test_hausdorff_weighs_errors_by_distances_to_both_boundaries(x64, channels):
    """Masked pixels are outside."""
    logits, labels = batch(channels)
    where = holes()
    each, _, _ = evaluate("hausdorff_dt", logits, labels, where)
    p = sigmoid(logits) if channels == 1 else softmax(logits)
    g = labels[..., None] if channels == 1 else np.eye(3)[labels]
    for i in range(len(labels)):
        terms = [hausdorff_of(p[i, ..., c] * where[i], g[i, ..., c] * where[i]) for c in range(channels)]
        expected = np.mean([term.sum() for term in terms]) / max(where[i].sum(), 1)
        assert_allclose(each[i], expected, rtol=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 3])
def test_hausdorff_s_exponent(alpha):
    labels, logits = images(20, 24, 2)
    run = quick_jit(functools.partial(hausdorff_dt, alpha=alpha, reduction="none"))
    expected = [hausdorff_of(*pair, alpha).mean() for pair in zip(sigmoid(logits), labels, strict=True)]
    assert_allclose(run(logits[..., None].astype(np.float32), labels), expected, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_boundary_is_the_mean_of_probability_times_signed_distance(x64, channels):
    logits, labels = batch(channels)
    where = holes()
    each, _, _ = evaluate("boundary", logits, labels, where)
    p = sigmoid(logits) if channels == 1 else softmax(logits)
    for i in np.flatnonzero(where.any(axis=(1, 2))):
        seen = labels[i] * where[i]
        classes = [seen == c for c in range(channels)] if channels > 1 else [seen == 1]
        phi = np.stack([distance_transform_edt(~mask) + (1 - distance_transform_edt(mask)) * mask for mask in classes])
        expected = np.mean([(phi[c] * p[i, ..., c])[where[i]].mean() for c in range(channels)])
        assert_allclose(each[i], expected, rtol=1e-9)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_boundary_without_a_map_computes_it(channels):
    logits, labels = batch(max(channels, 2) if channels > 1 else 1, dtype=np.float32)
    given = maps("boundary", labels, channels)

    @quick_jit
    def results(logits, labels, given):
        none = dict(reduction="none")
        return boundary(logits, labels, **given, **none), boundary(logits, labels, **none)

    with_map, without = results(logits, labels, given)
    assert_allclose(without, with_map, rtol=1e-5, atol=1e-6)
    assert np.abs(with_map).min() > 1e-2


def test_probable_labels_are_inside_above_one_half():
    logits, labels = batch(dtype=np.float32)
    sure = labels.astype(np.float32)
    probable = np.where(labels == 1, 0.51, 0.5).astype(np.float32)

    @quick_jit
    def results(logits, labels):
        return boundary(logits, labels, reduction="none")

    assert_allclose(results(logits, probable), results(logits, sure), rtol=1e-6)


@each_spacing
def test_volumes(x64, spacing):
    label, logits = volume(7, 8, 9)
    p = sigmoid(logits)

    @quick_jit
    def results(logits, label, phi):
        solid = dict(spatial_dims=3)
        return [
            boundary(logits, label, **solid, spacing=spacing),
            boundary(logits, label, distance_map=phi, **solid),
            hausdorff_dt(logits, label, **solid, spacing=spacing),
        ]

    phi = signed_distance_map(label, spacing=spacing)
    expected = [(phi * p).mean(), (phi * p).mean(), hausdorff_of(p, label, spacing=spacing).mean()]
    assert_allclose(results(logits[..., None], label, phi), expected, rtol=1e-6)


@pytest.mark.parametrize("loss", [boundary, hausdorff_dt])
def test_a_label_without_a_boundary_says_nothing_of_its_own(loss):
    """And neither does a prediction that is all outside."""
    labels = np.stack([np.zeros((9, 8), int), np.ones((9, 8), int)])
    run = quick_jit(functools.partial(loss, reduction="none"))
    assert_array_equal(run(np.full((2, 9, 8, 1), -2, np.float32), labels), 0)


@pytest.mark.parametrize(
    ("channels", "given", "error", "message"),
    [
        (1, np.zeros((2, 8, 9, 1)), ValueError, r"distance_map must have the shape \(2, 8, 9\), got \(2, 8, 9, 1\)"),
        (2, np.zeros((2, 8, 9, 2)), ValueError, r"distance_map must have the shape \(2, 8, 9\), got \(2, 8, 9, 2\)"),
        (3, np.zeros((2, 8, 9)), ValueError, r"distance_map must have the shape \(2, 8, 9, 3\), got \(2, 8, 9\)"),
        (1, np.zeros((2, 8, 9), np.complex64), TypeError, "distance_map must be real, got complex64"),
    ],
)
def test_wrong_maps_are_named(channels, given, error, message):
    with pytest.raises(error, match=message):
        boundary(np.zeros((2, 8, 9, channels), np.float32), np.zeros((2, 8, 9), int), distance_map=given)
