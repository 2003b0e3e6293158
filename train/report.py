"""The paper's Table 1 from the folders of finished runs, in Markdown and in CSV; nothing is trained or changed here.

A row is a network and a loss, a column a score: its mean over the test images of a fold, then mean and sample standard
deviation over the folds.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from train.results import Row
from train.significance import PairedTest, holm, paired_t_test


class Metric(NamedTuple):
    """A column.

    Attributes:
        name: in `result.json` and `test.csv`.
        higher: whether more is better.
        digits: after the point in tables.
        unit: "" for none.
    """

    name: str
    higher: bool
    digits: int
    unit: str = ""

    @property
    def heading(self) -> str:
        """Name with the direction in which it gets better."""
        return f"{self.name} {'↑' if self.higher else '↓'}"


TABLE_1 = (
    Metric("mIoU", True, 3),
    Metric("mDice", True, 3),
    Metric("VI", False, 2, "bits"),
    Metric("ARI", True, 3),
    Metric("HD", False, 2, "pixels"),
)
FURTHER = (
    Metric("HD95", False, 2, "pixels"),
    Metric("Betti error", False, 1),
    Metric("clDice", True, 3),
    Metric("ARE", False, 3),
)
"""Columns that are not in the paper's table."""

REFERENCE_LOSS = "ce"
"""What the other losses are compared with, if it is there."""


class Difference(NamedTuple):
    """A loss against the reference, in one metric, over the test images of all folds.

    Attributes:
        row: the loss.
        reference: the row that it is compared with, of the same network.
        metric: which.
        test: of row minus reference.
        corrected: p-value after Holm's correction for all tests of the report.
    """

    row: Row
    reference: Row
    metric: Metric
    test: PairedTest
    corrected: float


def metrics_of(rows: Sequence[Row], metrics: Sequence[Metric]) -> list[Metric]:
    """Those of the metrics that every run has."""
    runs = [run for row in rows for run in row.runs.values()]
    return [metric for metric in metrics if all(metric.name in run.result["mean"] for run in runs)]


def over_folds(row: Row, metric: Metric) -> tuple[float, float] | None:
    """Mean and sample standard deviation over folds (NaN for one fold); None where a fold failed."""
    if row.failed:
        return None
    values = [run.result["mean"][metric.name] for run in row.runs.values()]
    with np.errstate(invalid="ignore"):  # a score that is infinite in one fold has no deviation
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def cell(row: Row, metric: Metric) -> str:
    """A score as tables show it."""
    score = over_folds(row, metric)
    if score is None:
        return "-"
    mean, deviation = (f"{value:.{metric.digits}f}" for value in score)
    return mean if np.isnan(score[1]) else f"{mean} ± {deviation}"


def is_best(row: Row, rows: Sequence[Row], metric: Metric) -> bool:
    """Whether no other row has a better mean, as far as the table shows it; where all rows are alike, none is best."""
    scores = {id(other): over_folds(other, metric) for other in rows}
    means = {key: round(score[0], metric.digits) for key, score in scores.items() if score and np.isfinite(score[0])}
    best = (max if metric.higher else min)(means.values(), default=float("nan"))
    return len(set(means.values())) > 1 and means.get(id(row)) == best


def seconds(row: Row) -> str:
    """Whole seconds of training, mean over folds; "-" where a fold failed or did not say."""
    of_folds = [run.result["seconds"] for run in row.runs.values()]
    return "-" if row.failed or None in of_folds else f"{np.mean(of_folds):.0f}"


def note(rows: Sequence[Row]) -> str:
    """What the numbers of the table are, in words."""
    folds = sorted({fold for row in rows for fold in (*row.runs, *row.failed)})
    images = {run.key.fold: len(run.images) for row in rows for run in row.runs.values()}
    over = f"over {len(folds)} folds" if len(folds) > 1 else f"of fold {folds[0]} alone, so without a spread"
    spread = "Mean ± sample standard deviation" if len(folds) > 1 else "Mean"
    return (
        f"{spread} {over} ({sum(images.values())} test images). ↑ more is better, ↓ less is better; "
        "best in bold. VI in bits, HD (modified Hausdorff) in pixels. Seconds: training of one fold."
    )


def failures(rows: Sequence[Row]) -> list[str]:
    """A sentence for each run that failed."""
    return [
        f"{row.model} with {row.loss}, fold {fold}: {reason}" for row in rows for fold, reason in row.failed.items()
    ]


def markdown(rows: Sequence[Row]) -> str:
    """Table 1 in Markdown, with a line on what it shows.

    Args:
        rows: of `read_rows`.

    Returns:
        Text that ends with a newline.
    """
    header = ["loss", "network", *(metric.heading for metric in TABLE_1), "seconds"]
    lines = [header, ["---", "---", *["---:"] * (len(TABLE_1) + 1)]]
    for row in rows:
        scores = [f"**{cell(row, m)}**" if is_best(row, rows, m) else cell(row, m) for m in TABLE_1]
        lines.append([row.loss, row.model, *scores, seconds(row)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    failed = "".join(f"\n- failed: {sentence}" for sentence in failures(rows))
    return f"{table}\n\n{note(rows)}\n" + (f"{failed}\n" if failed else "")


def csv_text(rows: Sequence[Row]) -> str:
    """All scores in full precision: a line for each fold, then `mean` and `deviation` over the folds.

    Args:
        rows: of `read_rows`.

    Returns:
        CSV with a header; empty cells where a fold failed.
    """
    metrics = metrics_of(rows, (*TABLE_1, *FURTHER))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["loss", "network", "fold", *(metric.name for metric in metrics), "seconds", "best_epoch", "images"]
    )
    for row in rows:
        for fold in sorted({*row.runs, *row.failed}):
            values: list[Any] = [""] * (len(metrics) + 3)
            if fold in row.runs:
                result = row.runs[fold].result
                values = [result["mean"][metric.name] for metric in metrics]
                values += [result["seconds"], result["best_epoch"], result["images"]]
            writer.writerow([row.loss, row.model, fold, *values])
        for part, name in enumerate(("mean", "deviation")):
            scores = [over_folds(row, metric) for metric in metrics]
            values = ["" if score is None or np.isnan(score[part]) else score[part] for score in scores]
            writer.writerow([row.loss, row.model, name, *values, "", "", ""])
    return text.getvalue()


def differences(rows: Sequence[Row]) -> list[Difference]:
    """Paired t-tests over the test images of all folds: each loss against the reference, with the same network.

    The reference is cross entropy, or else the first loss; rows with a fold that failed are left out.

    Args:
        rows: of `read_rows`.

    Returns:
        The tests in the order of rows and metrics; p-values are corrected for the number of them all.
    """
    pairs = []
    for model in dict.fromkeys(row.model for row in rows):
        whole = [row for row in rows if row.model == model and not row.failed]
        reference = next((row for row in whole if row.loss == REFERENCE_LOSS), whole[0] if whole else None)
        pairs += [(row, reference) for row in whole if reference is not None and row is not reference]
    found = [
        (row, reference, metric, paired_t_test(_images(row, reference, metric), _images(reference, reference, metric)))
        for row, reference in pairs
        for metric in TABLE_1
    ]
    corrected = holm([test.p for *_, test in found])
    return [Difference(*parts, p) for parts, p in zip(found, corrected, strict=True)]


def _images(row: Row, order: Row, metric: Metric) -> list[float]:
    """Scores of all test images, in the order of `order`."""
    return [row.runs[fold].images[name][metric.name] for fold, run in order.runs.items() for name in run.images]
