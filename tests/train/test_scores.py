"""The table of scores."""

import numpy as np

from cwmi_jax.metrics import modified_hausdorff
from train.scores import FURTHER, SCORES, TABLE_1, VALIDATION


def test_the_paper_s_scores_come_first():
    assert [score.name for score in TABLE_1] == ["mIoU", "mDice", "VI", "ARI", "HD"]
    assert (*TABLE_1, *FURTHER) == SCORES
    assert set(VALIDATION) <= {score.name for score in SCORES}


def test_a_score_of_a_foreground_is_the_mean_over_the_classes_but_the_first():
    label, predicted = np.zeros((2, 12, 12), int)
    label[2, 3], predicted[2, 7] = 1, 1  # 4 pixels apart
    label[8, 3], predicted[8, 3] = 2, 2
    predicted[8, 9] = 2  # 6 pixels from the other
    (score,) = (score for score in SCORES if score.name == "HD")
    assert score.of_image(predicted, label, 3) == np.mean([4, 3])
    assert score.of_image(predicted, label, 3) == np.mean(
        [modified_hausdorff(predicted == c, label == c) for c in (1, 2)]
    )


def test_better_is_where_the_function_says():
    """A perfect prediction against a wrong one."""
    label = np.zeros((16, 16), int)
    label[4:12, 7:9] = 1
    label[8] = 1
    wrong = np.roll(label, 3, axis=1)
    for score in SCORES:
        perfect, other = score.of_image(label, label, 2), score.of_image(wrong, label, 2)
        assert perfect >= other if score.higher else perfect <= other, score.name
