"""Mean IoU and mean Dice against scikit-learn, and by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import f1_score, jaccard_score

from cwmi_jax.metrics import mean_dice, mean_iou
from tests.golden import class_images, figures
from tests.metrics.masks import PAIRS, golden_pairs

SCORES = [(mean_iou, jaccard_score), (mean_dice, f1_score)]


@pytest.mark.parametrize(("metric", "name"), [(mean_iou, "miou"), (mean_dice, "mdice")])
def test_scores_are_those_of_the_authors_code(metric, name):
    expected = [case["metrics"][name] for case in figures("metrics_and_weight_maps")]
    assert_allclose([metric(*pair) for pair in golden_pairs()], expected, rtol=1e-9)


@pytest.mark.parametrize(("metric", "of_sklearn"), SCORES)
def test_scores_are_scikit_learn_s(metric, of_sklearn):
    for prediction, label in PAIRS:
        expected = of_sklearn(label.ravel(), prediction.ravel(), labels=[0, 1], average="macro", zero_division=1.0)
        assert_allclose(metric(prediction, label), expected, rtol=1e-12)


@pytest.mark.parametrize(("metric", "of_sklearn"), SCORES)
def test_masked_classes_are_scikit_learn_s_of_what_is_left(metric, of_sklearn):
    label, logits = class_images(40, 32, 5)
    prediction = logits.argmax(axis=-1)
    label[label == 3], prediction[prediction == 3] = 1, 2
    where = np.random.default_rng(0).random(label.shape) < 0.6
    expected = of_sklearn(label[where], prediction[where], labels=range(5), average="macro", zero_division=1.0)
    hidden = np.where(where, label, 255).astype(np.uint8)
    assert_allclose(metric(prediction, hidden, num_classes=5, where=where), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("prediction", "label", "where", "iou", "dice"),
    [
        ([[1, 1, 0, 0]], [[1, 0, 0, 0]], None, (1 / 2 + 2 / 3) / 2, (2 / 3 + 4 / 5) / 2),
        ([[0, 0, 0, 0]], [[0, 0, 0, 0]], None, 1, 1),
        ([[1, 1, 1, 1]], [[1, 1, 1, 1]], None, 1, 1),
        ([[1, 1, 1, 1]], [[0, 0, 0, 0]], None, 0, 0),
        ([[0, 0, 0, 1]], [[0, 0, 0, 0]], None, (3 / 4 + 0) / 2, (6 / 7 + 0) / 2),
        ([[0, 0, 0, 1]], [[0, 0, 0, 0]], [[True, True, True, False]], 1, 1),
        ([[0, 1, 0, 1]], [[1, 0, 1, 0]], [[False] * 4], 1, 1),
    ],
)
def test_small_masks_worked_out_by_hand(prediction, label, where, iou, dice):
    assert_allclose(mean_iou(prediction, label, where=where), iou, rtol=1e-12)
    assert_allclose(mean_dice(prediction, label, where=where), dice, rtol=1e-12)


def test_each_image_of_a_masked_batch_has_its_own_score():
    rng = np.random.default_rng(0)
    predictions, labels = rng.integers(0, 3, (2, 2, 3, 5, 7))
    where = rng.random(labels.shape) < 0.7
    for metric in (mean_iou, mean_dice):
        scores = metric(predictions, labels, num_classes=3, where=where)
        assert scores.shape == (2, 3)
        singles = [
            [metric(predictions[i, j], labels[i, j], num_classes=3, where=where[i, j]) for j in range(3)]
            for i in range(2)
        ]
        assert_array_equal(scores, singles)
        assert len(np.unique(scores)) == 6


@pytest.mark.parametrize("metric", [mean_iou, mean_dice])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(labels=np.full((4, 4), 255)), ValueError, r"labels must lie within 0\.\.1, got 255 in 16 of 16 pixels"),
        (dict(num_classes=1), ValueError, "num_classes must be 2 or more, got 1"),
    ],
)
def test_wrong_arguments_are_named(metric, change, error, message):
    arguments = dict(predictions=np.zeros((4, 4), int), labels=np.ones((4, 4), int))
    with pytest.raises(error, match=message):
        metric(**arguments | change)
