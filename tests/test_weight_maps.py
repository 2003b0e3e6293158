"""Weight maps and skeletons: golden figures, plain references one component at a time, masks worked by hand, errors."""

import pathlib
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.measure import label
from skimage.morphology import skeletonize

from cwmi_jax._thinning import centrelines
from cwmi_jax.weight_maps import (
    abw_weight_map,
    signed_distance_map,
    skeleton_aware_weight_map,
    skeletons,
    tubed_skeleton,
    unet_weight_map,
)
from tests.golden import figures, images

CASES = figures("metrics_and_weight_maps")
ALL = [unet_weight_map, abw_weight_map, skeleton_aware_weight_map, skeletons, signed_distance_map]
OF_VOLUMES = [unet_weight_map, abw_weight_map, signed_distance_map]
OF_IMAGES = [skeleton_aware_weight_map, skeletons]
ISBI = pathlib.Path(__file__).parents[2] / "shared" / "data" / "ISBI2012" / "labels"


def golden_mask(case):
    labels, _ = images(case["height"], case["width"], case["batch_index"] + 1, case["seed"])
    return labels[case["batch_index"]]


def golden_name(case):
    return f"{case['height']}x{case['width']}-image{case['batch_index']}"


def blobs(shape, seed, *, scale=1.5, foreground=0.4):
    """Smooth noise, cut where `foreground` of it is class 1."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), scale)
    return noise < np.quantile(noise, foreground)


def membranes(shape, seed, *, scale=3.0, foreground=0.3):
    """Thin lines where smooth noise is near its median."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), scale)
    return np.abs(noise) < np.quantile(np.abs(noise), foreground)


def chessboard(side):
    return np.indices((side, side)).sum(axis=0) % 2 == 1


def corner(shape):
    """All class 1 but for one pixel."""
    mask = np.ones(shape, bool)
    mask[(0,) * len(shape)] = False
    return mask


MASKS = {
    **{f"noise{100 * p:.0f}": np.random.default_rng(int(100 * p)).random((31, 26)) < p for p in (0.1, 0.4, 0.7, 0.95)},
    **{f"blobs{seed}": blobs((40, 33), seed) for seed in range(4)},
    **{f"membranes{seed}": membranes((48, 56), seed) for seed in range(4)},
    "chessboard": chessboard(26),
    "corner": corner((9, 7)),
    "one row": np.array([[0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1]], bool),
    "one column": np.array([[1, 0, 0, 1, 1, 1, 0, 1, 1]], bool).T,
}
VOLUMES = {f"volume{seed}": blobs((9, 12, 10), seed, scale=1.0) for seed in range(3)}
each_mask = pytest.mark.parametrize("name", MASKS)
each_mask_and_volume = pytest.mark.parametrize("name", [*MASKS, *VOLUMES])


def components(mask):
    """Each component of class 0 on the whole image, by scikit-image."""
    numbered, count = label(mask.astype(int), background=1, connectivity=1, return_num=True)
    return [numbered == i for i in range(1, count + 1)]


each_spacing = pytest.mark.parametrize("spacing", [None, (2.5, 0.7, 1.3)], ids=["pixels", "oblong"])


def lengths(mask, spacing):
    """Those of the mask's axes."""
    return (1.0,) * mask.ndim if spacing is None else spacing[: mask.ndim]


def given(mask, spacing):
    """The argument of a map."""
    return None if spacing is None else lengths(mask, spacing)


def all_distances(a, b, spacing=None):
    """From every pixel of `a` to every pixel of `b`."""
    return cdist(*(np.argwhere(mask) * lengths(mask, spacing) for mask in (a, b)))


def sorted_distances(mask, spacing=None):
    """Of each pixel of class 1 to every component, `[pixels, components]`, a transform of the whole image for each."""
    sampling = lengths(mask, spacing)
    each = [ndimage.distance_transform_edt(~component, sampling)[mask] for component in components(mask)]
    return np.sort(np.stack(each, axis=-1), axis=-1)


def same(a, b):
    assert a.dtype == b.dtype
    assert_array_equal(a, b)


# Golden figures


def check_figures(array, expected):
    height, width = array.shape
    places = [(3, 5), (height // 2, width // 3), (height - 2, width - 7), (height // 4, width // 2)]
    assert_allclose([array[place] for place in places], expected["samples"], rtol=1e-9)
    result = [array.sum(), array.max(), array.min(), np.linalg.norm(array)]
    assert_allclose(result, [expected[name] for name in ("sum", "max", "min", "l2")], rtol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=golden_name)
def test_unet_map_is_that_of_the_authors_code(case):
    mask = golden_mask(case)
    assert len(components(mask)) == case["background_components"]
    check_figures(unet_weight_map(mask), case["unet_weight_map"])


@pytest.mark.parametrize("case", CASES, ids=golden_name)
def test_abw_map_is_that_of_the_authors_code(case):
    """Which keeps A0, and only that, in float32, so that its figures are as near as 1e-9 to ours once rounded so."""
    weights, expected = abw_weight_map(golden_mask(case)), case["abw_weight_map"]
    check_figures(weights[..., 0].astype(np.float32).astype(float), expected["background"])
    check_figures(weights[..., 1], expected["object"])


@pytest.mark.parametrize("case", CASES, ids=golden_name)
def test_skeleton_aware_map_is_that_of_the_authors_code(case):
    weights, expected = skeleton_aware_weight_map(golden_mask(case)), case["skeleton_aware_weight"]
    check_figures(weights[..., 0], expected["background"])
    check_figures(weights[..., 1], expected["border"])


@pytest.mark.parametrize("case", CASES, ids=golden_name)
def test_skeletons_are_those_of_the_authors_code(case):
    result, expected = skeletons(golden_mask(case)).astype(float), case["skeletons"]
    check_figures(result[..., 0], expected["background_dilated"])
    check_figures(result[..., 1], expected["foreground"])


# One component at a time


@each_spacing
@each_mask_and_volume
def test_unet_map_is_that_of_a_transform_of_each_component(name, spacing):
    mask = (MASKS | VOLUMES)[name]
    distances = sorted_distances(mask, spacing)
    if distances.shape[1] < 2:
        distances = np.full((len(distances), 2), np.inf)
    expected = np.zeros(mask.shape)
    expected[mask] = 3 * np.exp(-(distances[:, :2].sum(axis=1) ** 2) / 128)
    assert_allclose(unet_weight_map(mask, w0=3, sigma=8, spacing=given(mask, spacing)), expected, rtol=1e-12)


@pytest.mark.parametrize("index", [3, 17])
def test_unet_map_of_real_membranes(index):
    files = sorted(ISBI.glob("*.png"))
    if not files:
        pytest.skip("no ISBI 2012 labels in ../shared/data")
    plt = pytest.importorskip("matplotlib.pyplot")
    mask = plt.imread(files[index])[:200, 100:340] == 0
    distances = sorted_distances(mask)
    assert distances.shape[1] > 20
    expected = 10 * np.exp(-(distances[:, :2].sum(axis=1) ** 2) / 50)
    assert_allclose(unet_weight_map(mask)[mask], expected, rtol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 4, 6, 7, 20, 21, 252, 253])
def test_unet_map_of_a_row_of_components(count):
    """Of width 1 and 5 apart, the borders of which are 4 wide: d1 + d2 = 5 all over them, whatever their number."""
    mask = np.arange(5 * count - 4)[None] % 5 != 0
    expected = np.where(mask, 10 * np.exp(-25 / 50), 0)
    assert_allclose(unet_weight_map(mask), expected, rtol=1e-14)


@each_spacing
@each_mask_and_volume
def test_abw_map_is_that_of_the_definition(name, spacing):
    mask = (MASKS | VOLUMES)[name]
    a0, a1 = np.ones(mask.shape), 7.0 * mask
    for component in components(mask):
        d = all_distances(component, mask, spacing).min(axis=1)
        s = d.max() / 2.58
        a0[component] += 4 * np.exp(-0.5 * ((d.max() - d) / s) ** 2)
        a1[component] += 4 * np.exp(-0.5 * (d / s) ** 2)
    result = abw_weight_map(mask, w0=4, boundary_offset=7, spacing=given(mask, spacing))
    assert_allclose(result, np.stack([a0, a1], axis=-1), rtol=1e-12)


@each_spacing
@each_mask
def test_weights_near_skeletons_are_those_of_the_definition(name, spacing):
    """Where several pixels of a skeleton are nearest, of one of them."""
    mask = MASKS[name]
    lowest, highest = np.zeros(mask.shape), np.zeros(mask.shape)
    for component in components(mask):
        skeleton = skeletonize(component, method="lee").astype(bool)
        assert skeleton.any()
        d1 = all_distances(skeleton, mask, spacing).min(axis=1)
        distances = all_distances(component, skeleton, spacing)
        d0 = distances.min(axis=1, keepdims=True)
        each = np.maximum(0, 1 - d0 / d1)
        nearest = distances <= d0 * (1 + 1e-12)
        lowest[component] = np.min(each, axis=1, where=nearest, initial=2)
        highest[component] = np.max(each, axis=1, where=nearest, initial=-1)
    u0 = skeleton_aware_weight_map(mask, spacing=given(mask, spacing))[..., 0]
    assert (u0 >= lowest - 1e-12).all()
    assert (u0 <= highest + 1e-12).all()


@each_spacing
@each_mask
def test_weights_on_class_1_are_those_of_the_definition(name, spacing):
    mask = MASKS[name]
    distances = sorted_distances(mask, spacing)
    if distances.shape[1] == 1:
        distances = np.repeat(distances, 2, axis=1)
    largest = ndimage.distance_transform_edt(mask, lengths(mask, spacing)).max()
    u1 = 1 + (2 * largest - distances[:, 0] - distances[:, 1]) / (2 * largest)
    expected = np.zeros(mask.shape)
    expected[mask] = np.clip(u1, 0, None)
    u1 = skeleton_aware_weight_map(mask, spacing=given(mask, spacing))[..., 1]
    assert_allclose(u1, expected, rtol=1e-12, atol=1e-12)


@each_mask
def test_skeletons_are_those_of_each_component_by_itself(name):
    mask = MASKS[name]
    height, width = mask.shape
    background = np.zeros((height + 2, width + 2), bool)
    for component in components(mask):
        for i, j in np.argwhere(skeletonize(component, method="lee")):
            background[i : i + 3, j : j + 3] = True
    expected = np.stack([background[1:-1, 1:-1], skeletonize(mask, method="lee").astype(bool)], axis=-1)
    same(skeletons(mask), expected)


def test_components_that_touch_at_a_corner_do_not_see_each_other():
    """Together their skeleton would be a diagonal line; a square of 3 x 3 by itself leaves its middle row."""
    mask = np.ones((9, 9), bool)
    mask[1:4, 1:4] = mask[4:7, 4:7] = False
    expected = np.zeros((9, 9), bool)
    expected[1:4, :5] = expected[4:7, 3:8] = True
    same(skeletons(mask)[..., 0], expected)


@each_spacing
@each_mask_and_volume
def test_signed_distance_is_that_of_all_pairs_of_pixels(name, spacing):
    mask = (MASKS | VOLUMES)[name]
    expected = np.empty(mask.shape)
    pairs = all_distances(~mask, mask, spacing)
    expected[~mask], expected[mask] = pairs.min(axis=1), min(lengths(mask, spacing)) - pairs.min(axis=0)
    assert_allclose(signed_distance_map(mask, spacing=given(mask, spacing)), expected, rtol=1e-12, atol=1e-12)


# By hand


@each_mask_and_volume
def test_tubed_skeleton_is_within_two_steps_of_the_skeleton(name):
    mask = {**MASKS, **VOLUMES}[name]
    skeleton = centrelines(mask)
    expected = np.zeros(mask.shape, bool)
    if skeleton.any():
        inside = np.argwhere(mask)
        steps = cdist(inside, np.argwhere(skeleton), "cityblock").min(axis=1)
        expected[tuple(inside[steps <= 2].T)] = True
    assert_array_equal(tubed_skeleton(mask), expected)


@pytest.mark.parametrize("width", range(1, 8))
def test_tubes_of_any_width_in_a_volume_have_a_centreline(width):
    """In the middle of an odd one, in one of the four middles of an even one; Lee's thinning deletes the latter."""
    mask = np.zeros((20, 12, 12), bool)
    mask[:, 2 : 2 + width, 2 : 2 + width] = True
    lines = centrelines(mask)
    _, row, column = np.nonzero(lines)
    middles = {2 + (width - 1) // 2, 2 + width // 2}
    assert set(row) <= middles and set(column) <= middles
    assert lines.any(axis=(1, 2)).sum() >= 20 - width
    assert skeletonize(mask).any() == (width % 2 == 1)


def test_every_component_of_a_volume_has_a_centreline():
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.normal(size=(32, 32, 32)), 1.5) > 0.12
    components, count = ndimage.label(mask, np.ones((3, 3, 3)))
    lines = centrelines(mask)
    assert not (lines & ~mask).any()
    assert len(np.unique(components[lines])) == count
    scikit = skeletonize(mask)
    assert len(np.unique(components[scikit])) < count
    kept = np.isin(components, np.unique(components[scikit]))
    assert_array_equal(lines & kept, scikit)


def test_tubed_skeleton_of_classes_goes_on_where_one_follows_another():
    """A band of 11 rows, half of it class 1 and half class 2: its centre, two pixels to each side, goes through."""
    labels = np.zeros((15, 40), int)
    labels[2:13, :20], labels[2:13, 20:] = 1, 2
    tube = tubed_skeleton(labels)
    assert_array_equal(tube[:, 15:25].T, 10 * [5 * [False] + 5 * [True] + 5 * [False]])
    assert not (tubed_skeleton(labels == 1) | tubed_skeleton(labels == 2))[7, 18:22].all()
    assert_array_equal(tubed_skeleton(7 * labels), tube)


def test_an_empty_foreground_has_no_tubed_skeleton():
    assert not tubed_skeleton(np.zeros((5, 6), int)).any()


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros((4, 4)), TypeError, "labels must be bool or integers, got float64; compare it, as in `labels > 0.5`"),
        (np.zeros(4, int), ValueError, r"labels must be \[H, W\] or \[D, H, W\], got the shape \(4,\)"),
        (np.zeros((0, 4), int), ValueError, r"got the shape \(0, 4\)"),
    ],
)
def test_wrong_labels_are_named(labels, error, message):
    with pytest.raises(error, match=message):
        tubed_skeleton(labels)


def test_unet_map_worked_out_by_hand():
    """Two single pixels; the right one is at (2, 4)."""
    mask = np.ones((3, 6), bool)
    mask[0, 0] = mask[2, 4] = False
    weights = unet_weight_map(mask, w0=2, sigma=3)
    assert weights[0, 0] == weights[2, 4] == 0
    assert_allclose(weights[0, 3], 2 * np.exp(-((3 + np.sqrt(5)) ** 2) / 18), rtol=1e-14)
    assert_allclose(weights[2, 5], 2 * np.exp(-((1 + np.sqrt(29)) ** 2) / 18), rtol=1e-14)


def test_skeleton_aware_map_worked_out_by_hand():
    """A row of 5 is its own skeleton; a square of 3 x 3 leaves its middle row, whose middle is 2 from class 1."""
    mask = np.ones((7, 11), bool)
    mask[2:5, 1:4] = False
    mask[3, 5:10] = False
    weights = skeleton_aware_weight_map(mask)
    assert_allclose(weights[3, 5:10, 0], 1)
    assert_allclose(weights[2:5, 1:4, 0], [[0, 0.5, 0], [1, 1, 1], [0, 0.5, 0]])
    deepest = np.sqrt(10)
    corner_sum = np.hypot(2, 1) + np.hypot(3, 5)
    assert_allclose(weights[3, 4, 1], 1 + (2 * deepest - 2) / (2 * deepest), rtol=1e-14)
    assert_allclose(weights[0, 0, 1], max(0, 1 + (2 * deepest - corner_sum) / (2 * deepest)), rtol=1e-14)


def test_weights_on_class_1_are_not_negative():
    """D = 1. The second pixel has d1 = d2 = 1; the last has d1 = 1 and d2 = 9, and 1 + (2 - 1 - 9) / 2 would be -3."""
    weights = skeleton_aware_weight_map([[0, 1, 0, 0, 0, 0, 0, 0, 0, 1]])
    same(weights[0, :, 1], np.array([0.0, 1, 0, 0, 0, 0, 0, 0, 0, 0]))


def test_distances_in_millimetres_worked_out_by_hand():
    """Rows 3 mm apart and columns 4 mm wide: the corner of a rectangle of class 1 is 5 mm from the pixel beside it."""
    mask = np.zeros((3, 4), bool)
    mask[1:, 2:] = True
    assert_allclose(
        signed_distance_map(mask, spacing=[3, 4]), [[np.hypot(3, 8), 5, 3, 3], [8, 4, 0, 0], [8, 4, -1, -3]], rtol=1e-14
    )
    # A wall 2 rows thick: its rows are 3 and 6 mm from the two components, whatever a column is.
    wall = np.array([[0], [1], [1], [0]], bool).repeat(5, axis=1)
    assert_allclose(unet_weight_map(wall, sigma=9, spacing=(3, 7))[1:3], 10 * np.exp(-1 / 2), rtol=1e-14)


@pytest.mark.parametrize(
    "function",
    [abw_weight_map, skeleton_aware_weight_map],
    ids=lambda function: function.__name__,
)
def test_relative_maps_have_no_unit(function):
    mask = MASKS["membranes0"]
    assert_allclose(function(mask, spacing=(2, 2)), function(mask), rtol=1e-14)
    assert_allclose(function(mask, spacing=(0.75, 0.25)), function(mask, spacing=(3, 1)), rtol=1e-12)
    assert not np.allclose(function(mask, spacing=(3, 1)), function(mask))


# Masks that lack something


def test_no_class_1():
    mask = np.zeros((5, 6), bool)
    same(unet_weight_map(mask), np.zeros((5, 6)))
    assert_allclose(abw_weight_map(mask), np.broadcast_to([11, 10 * np.exp(-3.3282)], (5, 6, 2)), rtol=1e-14)
    same(skeleton_aware_weight_map(mask), np.broadcast_to([1.0, 0.0], (5, 6, 2)))
    result = skeletons(mask)
    assert result[..., 0].any()
    assert not result[..., 1].any()
    same(signed_distance_map(mask), np.zeros((5, 6)))


def test_no_component():
    mask = np.ones((5, 6), bool)
    same(unet_weight_map(mask), np.zeros((5, 6)))
    same(abw_weight_map(mask), np.broadcast_to([1.0, 30.0], (5, 6, 2)))
    same(skeleton_aware_weight_map(mask), np.broadcast_to([0.0, 1.0], (5, 6, 2)))
    result = skeletons(mask)
    assert not result[..., 0].any()
    assert result[..., 1].any()
    same(signed_distance_map(mask), np.zeros((5, 6)))


def test_one_component():
    """Class 0 on the left: d1 = 1, 2, 3 in the columns of class 1, D = 3, and d2 = d1 or infinite."""
    mask = np.zeros((4, 6), bool)
    mask[:, 3:] = True
    same(unet_weight_map(mask), np.zeros((4, 6)))
    assert_allclose(skeleton_aware_weight_map(mask)[:, 3:, 1], np.tile([5 / 3, 4 / 3, 1], (4, 1)), rtol=1e-14)
    assert_allclose(signed_distance_map(mask), np.tile([3.0, 2, 1, 0, -1, -2], (4, 1)))
    r = np.array([1, 2 / 3, 1 / 3])
    a0, a1 = 1 + 10 * np.exp(-3.3282 * (1 - r) ** 2), 10 * np.exp(-3.3282 * r**2)
    assert_allclose(abw_weight_map(mask)[:, :3], np.tile(np.stack([a0, a1], axis=-1), (4, 1, 1)), rtol=1e-14)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
def test_one_pixel(function, value):
    expected = {
        unet_weight_map: [0, 0],
        abw_weight_map: [(11, 10 * np.exp(-3.3282)), (1, 30)],
        skeleton_aware_weight_map: [(1, 0), (0, 1)],
        skeletons: [(1, 0), (0, 1)],
        signed_distance_map: [0, 0],
    }
    assert_allclose(function([[value]])[0, 0], expected[function][value], rtol=1e-14)


@pytest.mark.parametrize("function", OF_VOLUMES, ids=lambda function: function.__name__)
def test_a_volume_of_one_slice_is_an_image(function):
    mask = MASKS["membranes0"]
    same(function(mask[None])[0], function(mask))


@pytest.mark.parametrize("function", OF_VOLUMES, ids=lambda function: function.__name__)
def test_volumes_of_one_class(function):
    for mask in (np.zeros((2, 3, 4), bool), np.ones((2, 3, 4), bool)):
        same(function(mask)[1], function(mask[0]))


# Arguments


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
def test_forms_of_masks_agree_and_are_not_written_to(function):
    mask = MASKS["blobs1"]
    expected = function(mask)
    assert expected.dtype == (bool if function is skeletons else np.float64)
    forms = [mask.astype(np.uint8), mask.astype(np.int64), mask.tolist(), jnp.asarray(mask), np.asfortranarray(mask)]
    for form in forms:
        same(function(form), expected)
    frozen = mask.astype(np.int32)
    frozen.flags.writeable = False
    same(function(frozen), expected)


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.zeros((4, 4)), TypeError, "bool or integers, got float64; .*mask > 0.5"),
        (np.zeros((4, 4), complex), TypeError, "got complex128"),
        (np.zeros(4, bool), ValueError, r"mask must be \[H, W\].*\(4,\)"),
        (np.zeros((2, 3, 4, 4), bool), ValueError, r"\(2, 3, 4, 4\)"),
        (np.zeros((0, 4), bool), ValueError, r"\(0, 4\)"),
        (np.array([[0, 255]], np.uint8), ValueError, "0 and 1 alone, got 255; .*mask == 255"),
        (np.array([[0, -1, 7, 1]]), ValueError, "0 and 1 alone, got -1, 7;"),
    ],
)
def test_wrong_masks_are_named(function, mask, error, message):
    with pytest.raises(error, match=message):
        function(mask)


@pytest.mark.parametrize("function", OF_IMAGES, ids=lambda function: function.__name__)
def test_skeletons_are_of_images_alone(function):
    with pytest.raises(ValueError, match=r"\[H, W\] \(this is not defined for volumes\), got the shape \(2, 3, 4\)"):
        function(np.zeros((2, 3, 4), bool))


@pytest.mark.parametrize("sigma", [0, -1.0, np.nan, np.inf])
def test_sigma_is_positive(sigma):
    with pytest.raises(ValueError, match=f"sigma must be finite and positive, got {sigma}"):
        unet_weight_map(MASKS["blobs0"], sigma=sigma)


def test_without_scikit_image(monkeypatch):
    mask = MASKS["blobs0"]
    monkeypatch.setitem(sys.modules, "skimage.morphology", None)
    for function in (*OF_IMAGES, tubed_skeleton):
        with pytest.raises(ImportError, match="pip install scikit-image"):
            function(mask)
    for function in OF_VOLUMES:
        assert function(mask).any()
