"""The table of scores."""

import numpy as np
import pytest

from cwmi_jax.metrics import betti_error, mean_dice, modified_hausdorff
from cwmi_jax.metrics import mean_iou as mean_iou_of_metrics
from train.scores import FURTHER, SCORES, TABLE_1, VALIDATION, deviation_of, mean_iou, mean_of, score_image

SKY, POLE, CAR = "sky", "pole", "car"


def scored(predicted, label, names, where=None, spacing=None):
    where = np.ones(label.shape, bool) if where is None else where
    return score_image(predicted, label, where=where, class_names=names, spacing=spacing)


def test_the_paper_s_scores_come_first():
    assert [score.name for score in TABLE_1] == ["mIoU", "mDice", "VI", "ARI", "HD"]
    assert (*TABLE_1, *FURTHER) == SCORES
    assert set(VALIDATION) <= {score.name for score in SCORES}


def test_two_classes_are_one_foreground():
    rng = np.random.default_rng(0)
    label, predicted = rng.random((2, 5, 9, 8)) > 0.6
    scores = scored(predicted.astype(int), label.astype(int), ("0", "1"))
    assert list(scores) == [score.name for score in SCORES]
    assert scores["mIoU"] == pytest.approx(mean_iou_of_metrics(predicted, label, spatial_dims=3))
    assert scores["mDice"] == pytest.approx(mean_dice(predicted, label, spatial_dims=3))
    assert scores["HD"] == modified_hausdorff(predicted, label, spatial_dims=3)
    assert scores["Betti error"] == betti_error(predicted, label, spatial_dims=3)


def test_more_classes_are_scored_one_by_one_and_averaged():
    label, predicted = np.zeros((2, 12, 12), int)
    label[2, 3], predicted[2, 7] = 1, 1  # 4 pixels apart
    label[8, 3], predicted[8, 3] = 2, 2
    predicted[8, 9] = 2  # 6 pixels from the other
    scores = scored(predicted, label, (SKY, POLE, CAR))
    assert (scores["HD pole"], scores["HD car"]) == (4, 3)
    assert (scores["Betti error pole"], scores["Betti error car"]) == (0, 1)
    assert scores["HD"] == 3.5 and scores["Betti error"] == 0.5
    assert [scores[f"IoU {name}"] for name in (SKY, POLE, CAR)] == pytest.approx([140 / 143, 0, 1 / 2])
    assert scores["Dice car"] == pytest.approx(2 / 3)
    assert scores["mIoU"] == pytest.approx((140 / 143 + 1 / 2) / 3)
    assert "HD sky" not in scores


def test_the_components_of_the_first_of_several_classes_mean_nothing():
    label = np.arange(36).reshape(6, 6) % 3
    scores = scored(label, label, (SKY, POLE, CAR))
    assert not {"VI", "ARI", "ARE"} & scores.keys()


def test_a_class_that_nobody_has_is_left_out_and_one_made_up_is_wrong():
    label = np.zeros((6, 6), int)
    label[2] = 1
    predicted = label.copy()
    predicted[5, 5] = 2
    scores = scored(predicted, label, (SKY, POLE, CAR, "bus"))
    assert np.isnan([scores[f"{score} bus"] for score in ("IoU", "Dice", "HD", "HD95", "Betti error", "clDice")]).all()
    assert scores["IoU car"] == scores["Dice car"] == scores["clDice car"] == 0
    assert scores["HD car"] == pytest.approx(np.hypot(6, 6))  # The diagonal, for a mask that is empty.
    assert scores["mIoU"] == pytest.approx((29 / 30 + 1 + 0) / 3)
    assert scores["clDice"] == 0.5
    nothing = scored(0 * label, 0 * label, (SKY, POLE, CAR))
    assert nothing["mIoU"] == 1 and np.isnan(nothing["clDice"])


def test_what_is_not_known_counts_for_nothing():
    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 3, (2, 20, 20))
    where = rng.random((20, 20)) < 0.7
    other = np.where(where, predicted, rng.integers(0, 3, (20, 20)))
    for names in ((SKY, POLE, CAR), (SKY, POLE)):
        classes = len(names)
        first, second = (scored(p % classes, label % classes, names, where) for p in (predicted, other))
        assert first == second
        assert first != scored(predicted % classes, label % classes, names)
    counted = (predicted == label)[where].mean()
    assert np.isclose(first["mDice"], scored(predicted % 2, label % 2, names, where)["mDice"]) and counted < 1


def test_lengths_are_those_of_the_spacing():
    label, predicted = np.zeros((2, 8, 8), int)
    label[1, 2], predicted[4, 2] = 1, 1
    assert scored(predicted, label, ("0", "1"))["HD"] == 3
    assert scored(predicted, label, ("0", "1"), spacing=(2.5, 1.0))["HD"] == 7.5
    assert scored(predicted, label, ("0", "1"), spacing=(2.5, 1.0))["HD95"] == 7.5


def test_the_first_score_alone():
    label, predicted = np.random.default_rng(1).integers(0, 4, (2, 9, 9))
    where = label != 3
    names = ("a", "b", "c", "d")
    assert mean_iou(predicted, label, where=where, classes=4) == scored(predicted, label, names, where)["mIoU"]
    assert (
        mean_iou(predicted % 2, label % 2, where=where, classes=2)
        == scored(predicted % 2, label % 2, names[:2], where)["mIoU"]
    )


def test_means_leave_out_what_is_not_there():
    assert mean_of([1, np.nan, 3]) == 2 and np.isnan(mean_of([np.nan]))
    assert deviation_of([1, np.nan, 3]) == pytest.approx(np.sqrt(2))
    assert deviation_of([4, np.nan]) == 0 and np.isnan(deviation_of([np.nan]))


def test_better_is_where_the_function_says():
    """A perfect prediction against a wrong one."""
    label = np.zeros((16, 16), int)
    label[4:12, 7:9] = 1
    label[8] = 1
    perfect, other = (scored(np.roll(label, shift, axis=1), label, ("0", "1")) for shift in (0, 3))
    for score in SCORES:
        assert (perfect[score.name] >= other[score.name]) == score.higher or perfect[score.name] == other[score.name]
