"""Each loss against a reference on the same test images, in every score of a comparison."""

from collections.abc import Sequence
from typing import NamedTuple

from train.reports.results import Row
from train.reports.significance import PairedTest, holm, paired_t_test
from train.reports.tables import scores_of
from train.scores import TABLE_1, Score, mean_of

REFERENCE_LOSS = "ce"
"""What the other losses are compared with, if it is there."""


class Difference(NamedTuple):
    """A loss against the reference, in one score, over the test images of all folds; seeds are averaged first.

    Attributes:
        row: the loss.
        reference: the row that it is compared with, of the same network.
        column: which score.
        test: its differences are row minus reference.
        corrected: p-value after Holm's correction for all tests of the report.
    """

    row: Row
    reference: Row
    column: Score
    test: PairedTest
    corrected: float


def differences(
    rows: Sequence[Row], columns: Sequence[Score] | None = None, reference: str = REFERENCE_LOSS
) -> list[Difference]:
    """Paired t-tests over the test images of all folds: each loss against the reference, with the same network.

    Of several seeds an image's mean score counts, once. Rows with a run that failed are left out.

    Args:
        rows: as returned by `read_rows`.
        columns: which scores; None for those of Table 1.
        reference: loss that the others are compared with; the first one where it is not there.

    Returns:
        The tests in the order of rows and columns; p-values are corrected for the number of them all.
    """
    columns = scores_of(rows, TABLE_1) if columns is None else columns
    pairs = []
    for model in dict.fromkeys(row.model for row in rows):
        whole = [row for row in rows if row.model == model and not row.failed]
        first = next((row for row in whole if row.loss == reference), whole[0] if whole else None)
        pairs += [(row, first) for row in whole if first is not None and row is not first]
    found = [
        (row, first, column, paired_t_test(_images(row, first, column), _images(first, first, column)))
        for row, first in pairs
        for column in columns
    ]
    corrected = holm([test.p for *_, test in found])
    return [Difference(*parts, p) for parts, p in zip(found, corrected, strict=True)]


def _images(row: Row, order: Row, column: Score) -> list[float]:
    """Scores of all test images, means over seeds, in the order of `order`."""
    scores: dict[str, list[float]] = {name: [] for run in order.runs.values() for name in run.images}
    for run in row.runs.values():
        for name, of_image in run.images.items():
            scores[name].append(of_image[column.name])
    return [mean_of(of_seeds) for of_seeds in scores.values()]
