"""Scores of components: golden figures, scikit-image's and scikit-learn's, pairs counted by SciPy, and by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import comb
from scipy.stats.contingency import crosstab
from skimage import metrics as skimage_metrics
from skimage.measure import label as number
from sklearn.metrics import adjusted_rand_score

from cwmi_jax.metrics import adapted_rand_error, adjusted_rand_index, variation_of_information
from tests.golden import figures
from tests.metrics.masks import PAIRS, golden_pairs, random_pairs

VOLUMES = random_pairs(20, (9, 11, 10))


def components(mask):
    """Of class 0, as the authors number them."""
    return number(mask.astype(int), background=1, connectivity=1).ravel()


@pytest.mark.parametrize(("metric", "name"), [(variation_of_information, "vi"), (adjusted_rand_index, "ari")])
def test_scores_are_those_of_the_authors_code(metric, name):
    expected = [case["metrics"][name] for case in figures("metrics_and_weight_maps")]
    assert_allclose([metric(*pair) for pair in golden_pairs()], expected, rtol=1e-9)


each_set = pytest.mark.parametrize("pairs", [PAIRS, VOLUMES], ids=["images", "volumes"])


def holes(shape):
    """A band across and scattered pixels."""
    where = np.random.default_rng(0).random(shape) < 0.95
    where[..., shape[-1] // 3 : shape[-1] // 2] = False
    return where


def with_and_without_void(pairs):
    """Both masks, and the arguments of a metric beside them."""
    for prediction, label in pairs:
        for where in (np.ones(label.shape, bool), holes(label.shape)):
            yield prediction, label, where, dict(where=where, spatial_dims=label.ndim)


@each_set
def test_variation_of_information_is_scikit_image_s(pairs):
    """Of the pixels that the reference puts into a component."""
    for prediction, label, where, settings in with_and_without_void(pairs):
        score = variation_of_information(prediction, label, **settings)
        if label[where].all():
            assert score == 10
            continue
        labels = components(label | ~where), components(prediction | ~where)
        expected = skimage_metrics.variation_of_information(*labels, ignore_labels=(0,)).sum()
        assert_allclose(score, expected, rtol=1e-9, atol=1e-12)


@each_set
def test_adjusted_rand_index_is_scikit_learn_s(pairs):
    """Of the pixels that are not void."""
    for prediction, label, where, settings in with_and_without_void(pairs):
        expected = adjusted_rand_score(*(components(mask | ~where)[where.ravel()] for mask in (label, prediction)))
        assert_allclose(adjusted_rand_index(prediction, label, **settings), expected, rtol=1e-9, atol=1e-12)


@each_set
def test_adapted_rand_error_is_the_challenge_s_f_score_of_pairs(pairs):
    """On SciPy's contingency tables, without the column of the prediction's class 1."""
    for prediction, label, where, settings in with_and_without_void(pairs):
        score = adapted_rand_error(prediction, label, **settings)
        if label[where].all():
            assert score == 0
            continue
        counted = (~label & where).ravel()
        segments, regions = (components(mask | ~where)[counted] for mask in (prediction, label))
        (_, columns), table = crosstab(regions, segments)
        right = comb(table[:, columns > 0], 2).sum()
        either = comb(table.sum(axis=1), 2).sum() + comb(table[:, columns > 0].sum(axis=0), 2).sum()
        expected = 1 - 2 * right / either if either else 0
        assert_allclose(score, expected, rtol=1e-9, atol=1e-12)


def wall(*columns):
    mask = np.zeros((4, 9), int)
    mask[:, list(columns)] = 1
    return mask


EMPTY, FULL = np.zeros((4, 9), int), np.ones((4, 9), int)


@pytest.mark.parametrize(
    ("prediction", "label", "variation", "adjusted", "adapted"),
    [
        (EMPTY, EMPTY, 0, 1, 0),
        (FULL, FULL, 10, 1, 0),
        (EMPTY, FULL, 10, 1, 0),
        # One component of 36 pixels, which the prediction calls membrane: one component too, but no pair of pixels.
        (FULL, EMPTY, 0, 1, 1),
        (wall(4), wall(4), 0, 1, 0),
        # Halves of 16 pixels become one: a bit. Of 496 pairs 240 are right.
        (EMPTY, wall(4), 1, 0, 1 - 2 * 240 / (240 + 496)),
        # And the other way round: 16, 16 and the wall's 4 pixels, which pair with none: 240 of 630 pairs.
        (wall(4), EMPTY, 2 * 4 / 9 * np.log2(9 / 4) + 1 / 9 * np.log2(9), 0, 1 - 2 * 240 / (240 + 630)),
        # The reference is class 1 everywhere: ten bits, and one component against three.
        (wall(4), FULL, 10, 0, 0),
    ],
)
def test_small_masks_worked_out_by_hand(prediction, label, variation, adjusted, adapted):
    assert_allclose(variation_of_information(prediction, label), variation, rtol=1e-12, atol=1e-12)
    assert_allclose(adjusted_rand_index(prediction, label), adjusted, rtol=1e-12, atol=1e-12)
    assert_allclose(adapted_rand_error(prediction, label), adapted, rtol=1e-12, atol=1e-12)


RAND_OF_VOID = (160 - 240 * 160 / 496) / ((240 + 160) / 2 - 240 * 160 / 496)


@pytest.mark.parametrize(
    ("prediction", "label", "variation", "adjusted", "adapted"),
    [
        # Void parts two halves of 16 pixels, whatever the masks hold there.
        (wall(4), EMPTY, 0, 1, 0),
        (EMPTY, wall(4), 0, 1, 0),
        # A wall made up leaves 4, 4 and 8 of a half: 3/2 bits. Of 240 pairs in the halves 120 + 6 + 28 are left, and to the
        # adjusted index, of 496 pairs, the 6 of the wall.
        (wall(4, 6), EMPTY, 1.5 / 2, RAND_OF_VOID, 1 - 2 * 154 / (240 + 154)),
        # A wall missed joins 8 and 4 of 28 pixels: 154 pairs are 66 + 120.
        (
            EMPTY,
            wall(2),
            (8 * np.log2(12 / 8) + 4 * np.log2(12 / 4)) / 28,
            RAND_OF_VOID,
            1 - 2 * 154 / (154 + 186),
        ),
        # All that is seen of the reference is class 1.
        (EMPTY, wall(0, 1, 2, 3, 5, 6, 7, 8), 10, 0, 0),
    ],
)
def test_small_masks_with_a_void_column_worked_out_by_hand(prediction, label, variation, adjusted, adapted):
    settings = dict(where=wall(4) == 0)
    assert_allclose(variation_of_information(prediction, label, **settings), variation, rtol=1e-12, atol=1e-12)
    assert_allclose(adjusted_rand_index(prediction, label, **settings), adjusted, rtol=1e-12, atol=1e-12)
    assert_allclose(adapted_rand_error(prediction, label, **settings), adapted, rtol=1e-12, atol=1e-12)


def test_a_diagonal_wall_separates():
    """Class 0 is 4-connected, so one pixel wide is enough."""
    diagonal = np.eye(8, dtype=int)
    assert_allclose(variation_of_information(EMPTY[:1].repeat(8, 0)[:, :8], diagonal), 1, rtol=1e-12)


def test_components_without_pairs_are_right():
    """A chessboard: class 0 is single pixels, and the prediction is the same, or calls all membrane, or none."""
    board = np.indices((9, 9)).sum(axis=0) % 2
    assert adapted_rand_error(board, board) == 0
    assert adjusted_rand_index(board, board) == 1
    assert adapted_rand_error(np.ones_like(board), board) == 0
    assert adapted_rand_error(np.zeros_like(board), board) == 1
