"""Distances: golden figures, SciPy's distance transform, scikit-image's borders in SciPy's trees, and by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree
from skimage.metrics import hausdorff_distance
from skimage.segmentation import find_boundaries

from cwmi_jax.metrics import hausdorff95, modified_hausdorff
from tests.golden import figures
from tests.metrics.masks import PAIRS, golden_pairs, random_pairs

BOTH = [
    (prediction, label)
    for prediction, label in PAIRS + random_pairs(20, (9, 11, 10))
    if prediction.any() and label.any()
]


def test_modified_hausdorff_is_that_of_the_authors_code():
    expected = [case["metrics"]["modified_hausdorff"] for case in figures("metrics_and_weight_maps")]
    assert_allclose([modified_hausdorff(*pair) for pair in golden_pairs()], expected, rtol=1e-9)


each_spacing = pytest.mark.parametrize("spacing", [None, (2.5, 0.7, 1.3)], ids=["pixels", "oblong"])


def settings(label, spacing):
    return dict(spatial_dims=label.ndim, spacing=None if spacing is None else spacing[: label.ndim])


def test_modified_hausdorff_is_scikit_image_s():
    for prediction, label in BOTH:
        score = modified_hausdorff(prediction, label, spatial_dims=label.ndim)
        assert_allclose(score, hausdorff_distance(prediction, label, method="modified"), rtol=1e-12)


@each_spacing
def test_modified_hausdorff_is_the_mean_of_a_distance_transform(spacing):
    for prediction, label in BOTH:
        sampling = None if spacing is None else spacing[: label.ndim]
        missed = distance_transform_edt(~prediction, sampling)[label].mean()
        made_up = distance_transform_edt(~label, sampling)[prediction].mean()
        score = modified_hausdorff(prediction, label, **settings(label, spacing))
        assert_allclose(score, max(missed, made_up), rtol=1e-12)


@each_spacing
def test_hausdorff95_is_that_of_border_pixels_in_a_tree(spacing):
    for prediction, label in BOTH:
        borders = [np.argwhere(find_boundaries(np.pad(mask, 1), mode="inner")) for mask in (prediction, label)]
        borders = borders if spacing is None else [border * spacing[: label.ndim] for border in borders]
        distances = [KDTree(there).query(here)[0] for here, there in (borders, borders[::-1])]
        score = hausdorff95(prediction, label, **settings(label, spacing))
        assert_allclose(score, np.percentile(np.concatenate(distances), 95), rtol=1e-12)


def test_a_mask_that_is_empty_is_the_diagonal_away():
    empty, full, point = np.zeros((3, 30, 40), bool)
    full[:], point[7, 9] = True, True
    for metric in (modified_hausdorff, hausdorff95):
        scores = metric([empty, full, full, empty, point], [empty, full, empty, point, point])
        assert_allclose(scores, [0, 0, 50, 50, 0])
        assert metric(np.zeros((2, 3, 6), int), np.ones((2, 3, 6), int), spatial_dims=3) == 7
        # In millimetres it is 3 x 4 x 12.
        assert metric(np.zeros((2, 4, 6), int), np.ones((2, 4, 6), int), spatial_dims=3, spacing=(1.5, 1, 2)) == 13


@pytest.mark.parametrize(
    ("prediction", "label", "modified", "percentile"),
    [
        ([[1, 0], [0, 0]], [[0, 1], [0, 0]], 1, 1),
        # 3 and 4 pixels apart.
        (np.pad([[1]], ((0, 3), (0, 4))), np.pad([[1]], ((3, 0), (4, 0))), 5, 5),
        # Distances 1, 0 there and 0, 3 back: means 1/2 and 3/2; 0.95 of the way from rank 0 to 3 of 0, 0, 1, 3.
        ([[1, 1, 0, 0, 0]], [[0, 1, 0, 0, 1]], 1.5, 1 + 0.85 * 2),
        # Solid and hollow have the same border; of the 9 pixels inside 8 are one pixel from it, the middle two.
        (np.ones((5, 5), int), np.pad(np.zeros((3, 3), int), 1, constant_values=1), (8 * 1 + 2) / 25, 0),
    ],
)
def test_small_masks_worked_out_by_hand(prediction, label, modified, percentile):
    assert_allclose(modified_hausdorff(prediction, label), modified, rtol=1e-12)
    assert_allclose(hausdorff95(prediction, label), percentile, rtol=1e-12)


@pytest.mark.parametrize(
    ("prediction", "label", "where", "modified", "percentile"),
    [
        # The pixel that is 3 away, or that is missed there, is void.
        ([[1, 1, 0, 0, 1]], [[0, 1, 0, 0, 0]], [[1, 1, 1, 1, 0]], 0.5, 0.9),
        ([[0, 1, 0, 0, 0]], [[1, 1, 0, 0, 1]], [[1, 1, 1, 1, 0]], 0.5, 0.9),
        # Void across the label's only row: what is on the other side is as far as it was.
        ([[1, 0, 0, 0, 0]], [[0, 1, 1, 1, 1]], [[1, 0, 0, 0, 1]], 4, 4),
        # A square of 5 x 5 whose rim is void, as annotators leave it: the border of either mask is the ring beside it.
        (np.ones((5, 5), int), np.ones((5, 5), int), np.pad(np.ones((3, 3), int), 1), 0, 0),
        # All that the prediction found is void: the diagonal.
        ([[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]], [[1, 0, 0, 0]] * 3, [[1, 1, 1, 0]] * 3, 5, 5),
    ],
)
def test_small_masks_with_void_pixels_worked_out_by_hand(prediction, label, where, modified, percentile):
    where = np.array(where, bool)
    assert_allclose(modified_hausdorff(prediction, label, where=where), modified, rtol=1e-12)
    assert_allclose(hausdorff95(prediction, label, where=where), percentile, rtol=1e-12)


def test_pixels_beside_void_are_border():
    """A label of three rows, whose upper half alone is annotated; the prediction stops a row short of void."""
    label, prediction = np.zeros((2, 8, 9), int)
    label[2:8], prediction[2:3] = 1, 1
    where = np.ones((8, 9), bool)
    where[4:] = False
    # Rows 2 and 3 of the label and row 2 of the prediction are border: 9 of 27 distances are 1.
    assert hausdorff95(prediction, label, where=where) == 1


@pytest.mark.parametrize("metric", [modified_hausdorff, hausdorff95])
def test_a_point_in_millimetres(metric):
    """3 rows of 2 mm and 4 columns of 2 mm away, or one slice of 5 mm."""
    here, there = np.zeros((2, 4, 5), int)
    here[0, 0] = there[3, 4] = 1
    assert metric(here, there, spacing=[2, 2]) == 10
    volumes = np.eye(2, dtype=int)[..., None, None]
    assert metric(*volumes, spatial_dims=3, spacing=np.array([5, 1, 1])) == 5
