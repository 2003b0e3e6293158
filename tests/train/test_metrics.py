"""Scores against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from train.metrics import confusion, mean_dice, mean_iou


@pytest.fixture
def masks():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, (5, 7, 9)), (rng.random((5, 7, 9)) < 0.3).astype(int)


def test_scores_equal_those_of_scikit_learn(masks):
    predictions, labels = masks
    counts = confusion(predictions, labels)
    for index in range(len(labels)):
        true, predicted = labels[index].ravel(), predictions[index].ravel()
        np.testing.assert_array_equal(counts[index], confusion_matrix(true, predicted))
        assert mean_iou(counts)[index] == pytest.approx(jaccard_score(true, predicted, average="macro"), abs=1e-15)
        assert mean_dice(counts)[index] == pytest.approx(f1_score(true, predicted, average="macro"), abs=1e-15)


def test_masked_pixels_do_not_count(masks):
    predictions, labels = masks
    where = np.random.default_rng(1).random(labels.shape) < 0.6
    counts = confusion(predictions, labels, where)
    for index, kept in enumerate(where):
        expected = jaccard_score(labels[index][kept], predictions[index][kept], average="macro")
        assert mean_iou(counts)[index] == pytest.approx(expected, abs=1e-15)


def test_class_absent_from_both_counts_one():
    empty = np.zeros((1, 4, 4), int)
    counts = confusion(empty, empty)
    assert mean_iou(counts)[0] == 1.0 and mean_dice(counts)[0] == 1.0
    one_wrong = empty.copy()
    one_wrong[0, 0, 0] = 1
    counts = confusion(one_wrong, empty)
    assert mean_iou(counts)[0] == pytest.approx((15 / 16 + 0) / 2)
    assert mean_dice(counts)[0] == pytest.approx((30 / 31 + 0) / 2)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"got \(1, 2, 2\), \(1, 2, 3\) and \(1, 2, 3\)"):
        confusion(np.zeros((1, 2, 2)), np.zeros((1, 2, 3)))
