"""Where charts have their ends, and what lies where in them."""

import pytest

from tests.train.reports.fake_runs import rows_of
from train.reports.charts import axis, chart
from train.scores import SCORES

SCORE = {score.name: score for score in SCORES}


@pytest.mark.parametrize(
    ("name", "low", "high", "ends"),
    [
        ("mIoU", 0.5, 0.7, (0.5, 0.7)),
        ("mIoU", 0.789, 0.79, (0.7845, 0.7945)),
        ("mIoU", 0.999, 1.0, (0.99, 1.0)),
        ("HD", 0.0, 0.02, (0.0, 0.1)),
        ("HD", 3.0, 3.0, (2.95, 3.05)),
        ("Betti error", 2.0, 2.1, (1.55, 2.55)),
    ],
)
def test_the_ends_are_ten_steps_of_the_last_digit_apart(name, low, high, ends):
    assert axis(SCORE[name], low, high) == pytest.approx(ends)


def test_values_that_are_nearly_alike_lie_side_by_side(tmp_path):
    """Folds of .788 and .790: two tenths of the chart lie between them, and its ends say how little that is."""
    drawn = chart(rows_of(tmp_path, {("unet", "ce"): [[0.788], [0.79]]}), SCORE["mIoU"])
    (line,) = drawn["lines"]
    width = drawn["right"] - drawn["left"]
    first, second = (float(place) for place in line["rings"])
    assert second - first == pytest.approx(0.2 * width, abs=0.2)
    assert float(line["bar"]) == pytest.approx(drawn["left"] + width / 2, abs=0.2)
    assert drawn["ends"] == ["0.784", "0.794"]


def test_better_is_right(tmp_path):
    rows = rows_of(tmp_path, {("unet", "ce"): [{"VI": [1.0]}], ("unet", "dice"): [{"VI": [3.0]}]})
    drawn = chart(rows, SCORE["VI"])
    better, worse = (float(line["rings"][0]) for line in drawn["lines"])
    assert (worse, better) == (drawn["left"], drawn["right"]) and drawn["ends"] == ["3.00", "1.00"]
