"""The paper's Table 1 from the folders of finished runs, in Markdown and in CSV; nothing is trained or changed here.

A row is a network and a loss, a column a score: its mean over the test images of a fold, then mean and sample standard
deviation over the folds, and over the seeds where there are several.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from train.reports.results import Part, Row
from train.scores import BY_CLASS, SCORES, TABLE_1, Score, deviation_of, mean_of


def label(row: Row, rows: Iterable[Row]) -> str:
    """Short name of a row: its loss, and its network where there are several."""
    return row.loss if len({other.model for other in rows}) == 1 else f"{row.loss} {row.model}"


def class_names(rows: Sequence[Row]) -> list[str]:
    """The classes that have scores by themselves, where there are more than two."""
    return list(dict.fromkeys(name for row in rows for run in row.runs.values() for name in run.images_with))


def length_unit(rows: Sequence[Row]) -> str:
    """The unit of scores that are lengths; all of them where runs differ."""
    units = {run.result.get("length_unit", "pixels") for row in rows for run in row.runs.values()}
    return " or ".join(sorted(units))


def class_headings(rows: Sequence[Row]) -> list[str]:
    """Headings of the scores that classes have by themselves, in the order of `BY_CLASS`."""
    unit = length_unit(rows)
    return [score.in_unit(unit).class_label for score in BY_CLASS]


def class_columns(rows: Sequence[Row]) -> dict[str, list[Score]]:
    """The columns of each of those classes; class 0 has those of overlap alone."""
    names, unit = class_names(rows), length_unit(rows)
    found: dict[str, list[Score]] = {name: [] for name in names}
    for score in BY_CLASS:
        for name, column in score.in_unit(unit).by_class(names):
            found[name].append(column)
    return found


class ClassLine(NamedTuple):
    """The scores of a class by a loss.

    Attributes:
        name: the class's.
        row: the loss.
        images: how many test images have the class, in their label or in what was predicted with any of the seeds.
        cells: its scores as tables show them, in the order of `BY_CLASS`, and whether each is best of all losses.
    """

    name: str
    row: Row
    images: int
    cells: list[tuple[str, bool]]


def class_lines(rows: Sequence[Row]) -> list[ClassLine]:
    """Class by class, the scores of every row; none where there are two classes."""
    lines = []
    for name, columns in class_columns(rows).items():
        for row in rows:
            images = _images_with(row, columns[0])
            cells = [(cell(row, column), is_best(row, rows, column)) for column in columns]
            cells += [("", False)] * (len(BY_CLASS) - len(cells))
            lines.append(ClassLine(name, row, len(images), cells))
    return lines


def _images_with(row: Row, column: Score) -> set[str]:
    """Names of the test images that have the score in a run; several seeds test the same ones."""
    return {
        name
        for run in row.runs.values()
        for name, scores in run.images.items()
        if not np.isnan(scores.get(column.name, np.nan))
    }


def scores_of(rows: Sequence[Row], wanted: Sequence[Score] = SCORES) -> list[Score]:
    """Those of the wanted scores that every run has, lengths in the unit of the runs."""
    runs, unit = [run for row in rows for run in row.runs.values()], length_unit(rows)
    return [score.in_unit(unit) for score in wanted if all(score.name in run.result["mean"] for run in runs)]


def over_folds(row: Row, column: Score) -> tuple[float, float] | None:
    """Mean and sample standard deviation over folds and seeds that have the score (NaN for one run).

    None where a run failed, or none has it: a class that is in no image.
    """
    values = [run.result["mean"][column.name] for run in row.runs.values() if column.name in run.result["mean"]]
    if row.failed or not values:
        return None
    return mean_of(values), deviation_of(values) if len(values) > 1 else float("nan")


def cell(row: Row, column: Score) -> str:
    """A score as tables show it."""
    score = over_folds(row, column)
    if score is None:
        return "-"
    mean, deviation = (column.shown(value) for value in score)
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
    bits = "VI in bits, " if "VI" in [score.name for score in scores_of(rows)] else ""
    over = f"over {folds} folds" if folds > 1 else f"of fold {parts[0].fold} alone"
    if seeds > 1:
        over += f" and {seeds} seeds"
    if len(parts) == 1:
        over += ", so without a spread"
    spread = "Mean ± sample standard deviation" if len(parts) > 1 else "Mean"
    return (
        f"{spread} {over} ({len(images)} test images). ↑ more is better, ↓ less is better; "
        f"best in bold. {bits}HD (modified Hausdorff) in {length_unit(rows)}. "
        "Seconds: training of one fold."
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
    columns = scores_of(rows, TABLE_1)
    lines = [["loss", "network", *(column.heading for column in columns), "seconds"]]
    for row in rows:
        scores = [_bold(cell(row, column), is_best(row, rows, column)) for column in columns]
        lines.append([row.loss, row.model, *scores, seconds(row)])
    text = f"{_table(lines, names=2)}\n\n{note(rows)}\n"
    if of_classes := class_lines(rows):
        lines = [["class", "loss", "network", "images", *class_headings(rows)]]
        for line in of_classes:
            cells = [_bold(*shown) for shown in line.cells]
            lines.append([line.name, line.row.loss, line.row.model, str(line.images), *cells])
        text += f"\nBy class, over the images that have it:\n\n{_table(lines, names=3)}\n"
    failed = "".join(f"\n- failed: {sentence}" for sentence in failures(rows))
    return text + (f"{failed}\n" if failed else "")


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _table(lines: Sequence[Sequence[str]], *, names: int) -> str:
    """Markdown of a header and lines; the first columns are names, the others numbers."""
    header, *others = lines
    rule = [*["---"] * names, *["---:"] * (len(header) - names)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *others))


def csv_text(rows: Sequence[Row]) -> str:
    """All scores in full precision: a line for each seed and fold, then `mean` and `deviation` over them.

    Args:
        rows: as returned by `read_rows`.

    Returns:
        CSV with a header; empty cells where a run failed.
    """
    columns = _all_columns(rows)
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
                values = [result["mean"].get(column.name, "") for column in columns]
                values += [result["seconds"], result["best_epoch"], result["images"]]
            writer.writerow([row.loss, row.model, part.seed, part.fold, *values])
        for number, name in enumerate(("mean", "deviation")):
            scores = [over_folds(row, column) for column in columns]
            values = ["" if score is None or np.isnan(score[number]) else score[number] for score in scores]
            writer.writerow([row.loss, row.model, "", name, *values, "", "", ""])
    return text.getvalue()


def _all_columns(rows: Sequence[Row]) -> list[Score]:
    return [*scores_of(rows), *(column for columns in class_columns(rows).values() for column in columns)]


def images_csv_text(rows: Sequence[Row]) -> str:
    """The scores of every test image of every complete run, in full precision, from which all else can be computed."""
    columns = _all_columns(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["loss", "network", "seed", "fold", "image", *(column.name for column in columns)])
    for row in rows:
        for part, run in sorted(row.runs.items()):
            for name, scores in run.images.items():
                known = {column: value for column, value in scores.items() if not np.isnan(value)}
                values = [known.get(column.name, "") for column in columns]
                writer.writerow([row.loss, row.model, part.seed, part.fold, name, *values])
    return text.getvalue()
