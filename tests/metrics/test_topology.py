"""Betti numbers against scikit-image's Euler numbers, clDice against scikit-learn's precision, and both by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import hmean
from skimage.measure import euler_number
from skimage.measure import label as number
from skimage.morphology import skeletonize
from sklearn.metrics import precision_score

from cwmi_jax._thinning import centrelines
from cwmi_jax.metrics import betti_error, cldice_score
from tests.metrics.masks import PAIRS, golden_pairs, random_pairs

# Odd sides, because a box of even ones is thinned to nothing.
VOLUMES = random_pairs(20, (9, 11, 13))


def betti_numbers(mask):
    """From Euler numbers alone: components - holes, and what the background of a padded volume says of its foreground."""
    components = number(mask, connectivity=mask.ndim).max()
    if mask.ndim == 2:
        return components, components - euler_number(mask, connectivity=2)
    # The background's components are 1 + cavities, its tunnels the foreground's, its cavities the foreground's components.
    outside = ~np.pad(mask, 1)
    cavities = number(outside, connectivity=1).max() - 1
    tunnels = 1 + cavities + components - euler_number(outside, connectivity=1)
    return components, tunnels, cavities


@pytest.mark.parametrize("pairs", [PAIRS, VOLUMES], ids=["images", "volumes"])
def test_betti_error_is_that_of_euler_numbers(pairs):
    scores = [betti_error(*pair, spatial_dims=pair[1].ndim) for pair in pairs]
    expected = [sum(abs(a - b) for a, b in zip(*map(betti_numbers, pair), strict=True)) for pair in pairs]
    assert_allclose(scores, expected)
    assert len(set(expected)) > 4


def ring(side):
    return np.pad(np.zeros((side - 2,) * 2, int), 1, constant_values=1)


@pytest.mark.parametrize(
    ("mask", "numbers"),
    [
        (np.zeros((5, 5), int), 0),
        (np.ones((5, 5), int), 1),
        (np.pad(ring(3), 1), 1 + 1),
        # A hole where the image ends is one as well, as long as the ring is closed.
        (ring(5), 1 + 1),
        (ring(5)[1:], 1),
        # A ring that is closed over its corners alone.
        (np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]), 1 + 1),
        # Two holes that touch at a corner are two.
        (np.pad([[0, 1], [1, 0]], 1, constant_values=1), 1 + 2),
        (np.eye(6, dtype=int), 1),
        # A ring in a ring.
        (np.pad(np.pad(ring(3), 1), 1, constant_values=1), 2 + 2),
    ],
)
def test_components_and_holes_worked_out_by_hand(mask, numbers):
    assert betti_error(mask, np.zeros_like(mask)) == betti_error(np.zeros_like(mask), mask) == numbers


@pytest.mark.parametrize(
    ("volume", "numbers"),
    [
        (np.ones((4, 4, 4), int), 1),
        (np.pad(ring(4)[None], 1), 1 + 1),
        (np.pad(np.zeros((2, 2, 2), int), 1, constant_values=1), 1 + 1),
        # The frame of a cube: twelve edges make five tunnels.
        (sum(np.ix_(*[[1, 0, 0, 1]] * 3)) >= 2, 1 + 5),
        (np.stack([np.eye(4, dtype=int), np.zeros((4, 4), int), np.eye(4, dtype=int)]), 2),
    ],
    ids=["solid", "ring", "shell", "frame", "two"],
)
def test_tunnels_and_cavities_worked_out_by_hand(volume, numbers):
    assert betti_error(np.zeros_like(volume), volume, spatial_dims=3) == numbers


def test_components_and_holes_do_not_cancel():
    two_dots, one_ring = np.zeros((2, 7, 7), int)
    two_dots[1, 1], two_dots[5, 5], one_ring[2:5, 2:5] = 1, 1, ring(3)
    assert betti_error(two_dots, one_ring) == 1 + 1


def test_void_pixels_are_background_of_both_masks():
    """A ring with a void pixel in it is open; what is made up within void is not seen."""
    closed, where = np.pad(ring(5), 1), np.ones((7, 7), bool)
    where[1, 3] = False
    assert betti_error(closed, np.zeros_like(closed), where=where) == 1
    opened = closed.copy()
    opened[1, 3] = 0
    assert betti_error(opened, closed) == 1 and betti_error(opened, closed, where=where) == 0


@pytest.mark.parametrize("pairs", [PAIRS, VOLUMES], ids=["images", "volumes"])
def test_cldice_is_the_harmonic_mean_of_scikit_learn_s_precisions(pairs):
    for prediction, label in pairs:
        score = cldice_score(prediction, label, spatial_dims=label.ndim)
        if not (prediction.any() and label.any()):
            assert score == (not prediction.any() and not label.any())
            continue
        precision, sensitivity = (
            precision_score(mask.ravel(), centrelines(other).ravel())
            for mask, other in ((label, prediction), (prediction, label))
        )
        assert_allclose(score, hmean([precision, sensitivity]), rtol=1e-12)


def test_cldice_hardly_depends_on_the_skeleton():
    for prediction, label in golden_pairs():
        shares = [
            mask[skeletonize(other, method="lee").astype(bool)].mean()
            for mask, other in ((label, prediction), (prediction, label))
        ]
        assert_allclose(cldice_score(prediction, label), hmean(shares), atol=0.03)


def test_cldice_worked_out_by_hand():
    vessel, half, beside, empty = np.zeros((4, 9, 20), int)
    vessel[4], half[4, :5], beside[6] = 1, 1, 1
    cross = vessel.copy()
    cross[:, 10] = 1
    scores = cldice_score([vessel, half, vessel, cross, beside], [vessel, vessel, half, vessel, vessel])
    # Half of it: all right, a quarter found. The cross: 28 pixels, 8 wrong.
    assert_allclose(scores, [1, 0.4, 0.4, hmean([20 / 28, 1]), 0], rtol=1e-12)
    assert_allclose(cldice_score([empty, vessel, empty], [vessel, empty, empty]), [0, 0, 1])


def test_cldice_of_a_vessel_that_is_void_in_part():
    vessel, half = np.zeros((2, 9, 20), int)
    vessel[4], half[4, :5] = 1, 1
    where = np.ones(vessel.shape, bool)
    where[:, 10:] = False
    # Half of what is seen is found. Without void it was a quarter.
    assert_allclose(cldice_score([half, vessel], [vessel, half], where=[where, where]), 2 / 3, rtol=1e-12)


def test_cldice_of_a_missed_tube_that_is_thinned_to_nothing():
    """Beside one that is found: two centrelines of nearly the same length, of which one is covered."""
    label = np.zeros((16, 16, 16), int)
    label[:, 2:5, 2:5] = label[:, 9:13, 9:13] = 1
    found = label.copy()
    found[:, 9:13, 9:13] = 0
    assert not skeletonize(label)[:, 9:13, 9:13].any()
    assert cldice_score(label, label, spatial_dims=3) == 1
    assert cldice_score(found, label, spatial_dims=3) == pytest.approx(2 * (16 / 30) / (1 + 16 / 30))


def test_cldice_of_a_cube_that_is_thinned_to_nothing():
    cube = np.pad(np.ones((2, 2, 2), int), 2)
    assert not skeletonize(cube).any()
    half = cube.copy()
    half[2] = 0
    assert cldice_score(cube, cube, spatial_dims=3) == 1
    assert 0 < cldice_score(half, cube, spatial_dims=3) < 1
