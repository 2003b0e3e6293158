"""Charts of the page, fold by fold: rings for folds and a bar for their mean, a line for each row; better is right."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.reports.results import Row
from train.reports.tables import label, over_folds
from train.scores import Score

LEAST_STEPS = 10
"""Of the last digit that is shown, across a chart."""


def chart(rows: Sequence[Row], column: Score) -> dict[str, Any] | None:
    """Where everything lies in the chart of a score; None where no value is finite.

    Args:
        rows: as returned by `train.reports.results.read_rows`.
        column: the score.
    """
    values = {row.name: [run.result["mean"][column.name] for run in row.runs.values()] for row in rows}
    finite = [value for of_row in values.values() for value in of_row if np.isfinite(value)]
    if not finite:
        return None
    low, high = axis(column, min(finite), max(finite))
    longest = max(len(label(row, rows)) for row in rows)
    left, line = 24 + 6.3 * longest, 22
    right = max(310.0, left + 120)

    def place(value: float) -> str:
        along = (value - low) / (high - low)
        return f"{left + (right - left) * (along if column.higher else 1 - along):.1f}"

    lines = []
    for number, row in enumerate(rows):
        mean = over_folds(row, column)
        lines.append(
            {
                "label": label(row, rows),
                "y": 38 + line * number,
                "rings": [place(value) for value in values[row.name] if np.isfinite(value)],
                "bar": place(mean[0]) if mean and np.isfinite(mean[0]) else None,
            }
        )
    ends = (low, high) if column.higher else (high, low)
    return {
        "column": column,
        "left": left,
        "right": right,
        "bottom": 30 + line * len(rows),
        "lines": lines,
        "ends": [column.shown(end) for end in ends],
    }


def axis(column: Score, low: float, high: float) -> tuple[float, float]:
    """The ends of a chart: around all values, and so far apart that values which tables show as alike lie side by side.

    Args:
        column: the score.
        low: the least value.
        high: the greatest.
    """
    least = LEAST_STEPS * 10.0**-column.digits
    if high - low >= least:
        return low, high
    middle = (low + high) / 2
    low, high = middle - least / 2, middle + least / 2
    # No score is better than that of a perfect prediction.
    beyond = max(high - 1, 0.0) if column.higher else min(low, 0.0)
    return low - beyond, high - beyond
