"""The paper's Table 1 from the folders of finished runs, in Markdown and in CSV; nothing is trained or changed here.

A row is a network and a loss, a column a score: its mean over the test images of a fold, then mean and sample standard
deviation over the folds, and over the seeds where there are several.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from train.reports.results import Part, Row
from train.reports.significance import PairedTest, holm, paired_t_test
from train.scores import SCORES, TABLE_1, Score

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


def scores_of(rows: Sequence[Row], wanted: Sequence[Score] = SCORES) -> list[Score]:
    """Those of the wanted scores that every run has."""
    runs = [run for row in rows for run in row.runs.values()]
    return [score for score in wanted if all(score.name in run.result["mean"] for run in runs)]


def over_folds(row: Row, column: Score) -> tuple[float, float] | None:
    """Mean and sample standard deviation over folds and seeds (NaN for one run); None where one failed."""
    if row.failed:
        return None
    values = [run.result["mean"][column.name] for run in row.runs.values()]
    with np.errstate(invalid="ignore"):  # a score that is infinite in one fold has no deviation
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def cell(row: Row, column: Score) -> str:
    """A score as tables show it."""
    score = over_folds(row, column)
    if score is None:
        return "-"
    mean, deviation = (f"{value:.{column.digits}f}" for value in score)
    return mean if np.isnan(score[1]) else f"{mean} ± {deviation}"


def is_best(row: Row, rows: Sequence[Row], column: Score) -> bool:
    """Whether no other row has a better mean, as far as the table shows it; where all rows are alike, none is best."""
    scores = {other.name: over_folds(other, column) for other in rows}
    means = {key: round(score[0], column.digits) for key, score in scores.items() if score and np.isfinite(score[0])}
    best = (max if column.higher else min)(means.values(), default=float("nan"))
    return len(set(means.values())) > 1 and means.get(row.name) == best


def seconds(row: Row) -> str:
    """Whole seconds of training, mean over the runs; "-" where one failed or did not say."""
    of_folds = [run.result["seconds"] for run in row.runs.values()]
    return "-" if row.failed or None in of_folds else f"{np.mean(of_folds):.0f}"


def part_name(part: Part, rows: Sequence[Row]) -> str:
    """Fold and, where there are several, seed, in words."""
    several = len({part.seed for row in rows for part in row.parts}) > 1
    return f"fold {part.fold}, seed {part.seed}" if several else f"fold {part.fold}"


def note(rows: Sequence[Row]) -> str:
    """What the numbers of the table are, in words."""
    parts = sorted({part for row in rows for part in row.parts})
    seeds = len({part.seed for part in parts})
    folds = len({part.fold for part in parts})
    images = {name for row in rows for run in row.runs.values() for name in run.images}
    over = f"over {folds} folds" if folds > 1 else f"of fold {parts[0].fold} alone"
    if seeds > 1:
        over += f" and {seeds} seeds"
    if len(parts) == 1:
        over += ", so without a spread"
    spread = "Mean ± sample standard deviation" if len(parts) > 1 else "Mean"
    return (
        f"{spread} {over} ({len(images)} test images). ↑ more is better, ↓ less is better; "
        "best in bold. VI in bits, HD (modified Hausdorff) in pixels. Seconds: training of one fold."
    )


def failures(rows: Sequence[Row]) -> list[str]:
    """A sentence for each run that failed."""
    return [
        f"{row.model} with {row.loss}, {part_name(part, rows)}: {reason}"
        for row in rows
        for part, reason in row.failed.items()
    ]


def markdown(rows: Sequence[Row]) -> str:
    """Table 1 in Markdown, with a line on what it shows.

    Args:
        rows: as returned by `read_rows`.

    Returns:
        Text that ends with a newline.
    """
    header = ["loss", "network", *(column.heading for column in TABLE_1), "seconds"]
    lines = [header, ["---", "---", *["---:"] * (len(TABLE_1) + 1)]]
    for row in rows:
        scores = [f"**{cell(row, m)}**" if is_best(row, rows, m) else cell(row, m) for m in TABLE_1]
        lines.append([row.loss, row.model, *scores, seconds(row)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    failed = "".join(f"\n- failed: {sentence}" for sentence in failures(rows))
    return f"{table}\n\n{note(rows)}\n" + (f"{failed}\n" if failed else "")


def csv_text(rows: Sequence[Row]) -> str:
    """All scores in full precision: a line for each seed and fold, then `mean` and `deviation` over them.

    Args:
        rows: as returned by `read_rows`.

    Returns:
        CSV with a header; empty cells where a run failed.
    """
    columns = scores_of(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["loss", "network", "seed", "fold", *(column.name for column in columns), "seconds", "best_epoch", "images"]
    )
    for row in rows:
        for part in row.parts:
            values: list[Any] = [""] * (len(columns) + 3)
            if part in row.runs:
                result = row.runs[part].result
                values = [result["mean"][column.name] for column in columns]
                values += [result["seconds"], result["best_epoch"], result["images"]]
            writer.writerow([row.loss, row.model, part.seed, part.fold, *values])
        for number, name in enumerate(("mean", "deviation")):
            scores = [over_folds(row, column) for column in columns]
            values = ["" if score is None or np.isnan(score[number]) else score[number] for score in scores]
            writer.writerow([row.loss, row.model, "", name, *values, "", "", ""])
    return text.getvalue()


def images_csv_text(rows: Sequence[Row]) -> str:
    """The scores of every test image of every complete run, in full precision, from which all else can be computed."""
    columns = scores_of(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["loss", "network", "seed", "fold", "image", *(column.name for column in columns)])
    for row in rows:
        for part, run in sorted(row.runs.items()):
            for name, scores in run.images.items():
                values = [scores[column.name] for column in columns]
                writer.writerow([row.loss, row.model, part.seed, part.fold, name, *values])
    return text.getvalue()


def differences(
    rows: Sequence[Row], columns: Sequence[Score] = TABLE_1, reference: str = REFERENCE_LOSS
) -> list[Difference]:
    """Paired t-tests over the test images of all folds: each loss against the reference, with the same network.

    Of several seeds an image's mean score counts, once. Rows with a run that failed are left out.

    Args:
        rows: as returned by `read_rows`.
        columns: which scores.
        reference: loss that the others are compared with; the first one where it is not there.

    Returns:
        The tests in the order of rows and columns; p-values are corrected for the number of them all.
    """
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
    return [float(np.mean(of_seeds)) for of_seeds in scores.values()]
