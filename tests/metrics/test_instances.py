"""Scores of components: golden figures, entropies and pairs of pixels counted by scikit-learn and SciPy, and by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import comb
from scipy.stats import entropy
from scipy.stats.contingency import crosstab
from skimage.measure import label as number
from sklearn.metrics import mutual_info_score

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


@pytest.mark.parametrize("pairs", [PAIRS, VOLUMES], ids=["images", "volumes"])
def test_variation_of_information_is_entropies_less_mutual_information(pairs):
    for prediction, label in pairs:
        score = variation_of_information(prediction, label, spatial_dims=label.ndim)
        if label.all():
            assert score == 10
            continue
        counted = ~label.ravel()
        a, b = components(label)[counted], components(prediction)[counted]
        bits = entropy(np.bincount(a), base=2) + entropy(np.bincount(b), base=2)
        expected = bits - 2 * mutual_info_score(a, b) / np.log(2)
        assert_allclose(score, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("pairs", [PAIRS, VOLUMES], ids=["images", "volumes"])
def test_adjusted_rand_index_is_hubert_s_and_arabie_s(pairs):
    """Equation 5 of their paper on SciPy's contingency tables; 0/0 is two partitions without or with all pairs."""
    for prediction, label in pairs:
        table = crosstab(components(label), components(prediction)).count
        together, rows, columns = (comb(n, 2).sum() for n in (table, table.sum(axis=1), table.sum(axis=0)))
        by_chance = rows * columns / comb(table.sum(), 2)
        most = (rows + columns) / 2
        expected = (together - by_chance) / (most - by_chance) if most != by_chance else 1
        score = adjusted_rand_index(prediction, label, spatial_dims=label.ndim)
        assert_allclose(score, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("pairs", [PAIRS, VOLUMES], ids=["images", "volumes"])
def test_adapted_rand_error_is_the_challenge_s_f_score_of_pairs(pairs):
    """On SciPy's contingency tables, without the column of the prediction's class 1."""
    for prediction, label in pairs:
        score = adapted_rand_error(prediction, label, spatial_dims=label.ndim)
        if label.all():
            assert score == 0
            continue
        counted = ~label.ravel()
        (_, segments), table = crosstab(components(label)[counted], components(prediction)[counted])
        right = comb(table[:, segments > 0], 2).sum()
        either = comb(table.sum(axis=1), 2).sum() + comb(table[:, segments > 0].sum(axis=0), 2).sum()
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
