"""Keeps the runs of comparisons in docs/study, and draws from them tables of docs/results.md and README, and figures.

Two commands, from the root of the repository:

    python -m docs.figures.study collect drive-narrow=runs/compare-drive-narrow isbi2012-narrow=runs/compare-isbi2012-narrow
    python -m docs.figures.study draw

`collect` adds all complete runs of a comparison's folder to those that are kept, and replaces those that it has again.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from docs.figures.study_charts import draw_scores, draw_terms
from docs.figures.study_runs import BACKGROUND, OURS, ROOT, SETS, TERMS_OF, collect, read
from train.reports.differences import differences
from train.reports.page import verdict
from train.reports.results import Part, Row
from train.reports.tables import cell, class_columns, is_best, scores_of
from train.scores import SCORES, TABLE_1, Score

PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md")
COLUMNS = tuple(score for score in SCORES if score.name != "ARE")

RECENT = ("skeleton_recall:dice_ce_weight=1", "scnp")
"""Losses of 2024 to 2026, each with Dice and cross entropy."""
LOSSES = ("ce", "dice", "rmi", "dice_ce", "cwmi", OURS)
"""Rows of the tables of sets of two classes, trained from two seeds; the recent ones from one."""
LOSSES_OF_MANY = ("ce", "dice_ce", "rmi", "cwmi", OURS, *RECENT)
"""Rows of those of more, trained from one."""
TWO, MANY = ("drive-narrow", "isbi2012-narrow"), ("drive-av", "camvid", "hippocampus")
"""Sets of two classes, and of more."""
SEEDS = (0, 1)
"""From which losses were trained on sets of two classes."""
LONG = ("ce", "cwmi", OURS)
"""Losses that were trained for 1000 steps."""
FACTORS = (
    "cwmi:levels=2",
    "cwmi:levels=3",
    "cwmi:levels=5",
    "cwmi:orientations=2",
    "cwmi:orientations=8",
    "cwmi:complex_valued=false",
    "cwmi:ce_weight=5",
    "cwmi:ce_weight=20",
    "cwmi:ce_weight=100",
    "cwmi:class_weights=none",
    "cwmi:loss.cross_entropy_epochs=0",
    "cwmi:loss.cross_entropy_epochs=2",
    "cwmi:model.norm=group",
    "cwmi:optimizer.clip_norm=0",
)
"""The paper's loss with one setting changed, of it or of its training."""


class Table(NamedTuple):
    """A table of a page, with a row for each loss, or for each class and loss.

    Attributes:
        set: of its runs.
        losses: its rows, variants too.
        columns: its scores, those of them that the runs have.
        reference: loss that the others are tested against; "" for a table of scores.
        seeds: of its runs.
        folds: likewise.
        of_classes: scores that it has of each class, in the place of the columns.
    """

    set: str
    losses: Sequence[str] = LOSSES
    columns: Sequence[Score] = COLUMNS
    reference: str = ""
    seeds: Sequence[int] = SEEDS
    folds: Sequence[int] = (0, 1, 2)
    of_classes: Sequence[str] = ()

    def rows(self, of_set: Mapping[str, Row]) -> list[Row]:
        """Its rows, of all rows of the set."""
        return [
            replace(
                row,
                runs={
                    part: run for part, run in row.runs.items() if part.seed in self.seeds and part.fold in self.folds
                },
            )
            for row in (of_set[loss] for loss in self.losses)
        ]

    def lines(self, of_set: Mapping[str, Row]) -> list[list[str]]:
        """Its lines, header first."""
        rows = self.rows(of_set)
        if self.of_classes:
            return _of_classes(self, rows)
        columns = scores_of(rows, self.columns)
        return _tests(self, rows, columns) if self.reference else _scores(self, rows, columns)


class Course(NamedTuple):
    """A table of how trainings of fold 0 of a set of two classes went, seed by seed.

    Attributes:
        set: of its runs.
        losses: its rows.
    """

    set: str
    losses: Sequence[str] = TERMS_OF

    def lines(self, of_set: Mapping[str, Row]) -> list[list[str]]:
        """Its lines, header first."""
        headings = (
            f"{what}, seed {seed}" for what in ("background at the end", "lowest validation mIoU") for seed in SEEDS
        )
        lines = _header([SETS[self.set]], list(headings))
        for loss in self.losses:
            of_seeds = [of_set[loss].runs[Part(seed, 0)].result for seed in SEEDS]
            values = [float(result[name]) for name in ("background", "lowest_validation") for result in of_seeds]
            lines.append([f"`{loss}`", *(f"{value:.2f}" for value in values)])
        return lines


TABLES: dict[str, Table | Course] = {
    **{name: Table(name) for name in TWO},
    **{f"{name}, tests": Table(name, reference=OURS) for name in TWO},
    **{f"{name}, training": Course(name) for name in TWO},
    **{f"{name}, recent": Table(name, ("dice_ce", OURS, *RECENT), seeds=(0,)) for name in TWO},
    **{f"{name}, recent, tests": Table(name, (OURS, *RECENT), reference=OURS, seeds=(0,)) for name in TWO},
    **{
        f"{name}, one at a time": Table(
            name,
            ("cwmi", *FACTORS, OURS, f"{OURS}:class_weights=balanced"),
            columns=(*COLUMNS, BACKGROUND),
            seeds=(0,),
            folds=(0,),
        )
        for name in TWO
    },
    **{name: Table(name, LOSSES_OF_MANY, seeds=(0,)) for name in MANY},
    **{f"{name}, tests": Table(name, LOSSES_OF_MANY, reference=OURS, seeds=(0,)) for name in MANY},
    **{f"{name}, classes": Table(name, LOSSES_OF_MANY, seeds=(0,), of_classes=("IoU", "clDice")) for name in MANY},
    "drive-1000": Table("drive-1000", LONG, seeds=(0,)),
    "drive-1000, tests": Table("drive-1000", LONG, reference=OURS, seeds=(0,)),
    "drive-narrow, the paper's scores": Table("drive-narrow", ("ce", "dice", "rmi", "cwmi", OURS), columns=TABLE_1),
}
"""Name of a table, as `<!-- table NAME -->` above its place has it -> what it holds."""


def main() -> None:
    """Collects, or draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    collecting = commands.add_parser("collect", help="reads the folders of comparisons")
    collecting.add_argument("folders", nargs="+", metavar="SET=FOLDER", help=f"SET is one of {', '.join(SETS)}")
    commands.add_parser("draw", help="draws tables and figures")
    arguments = parser.parse_args()
    if arguments.command == "collect":
        for name, _, folder in (text.partition("=") for text in arguments.folders):
            if name not in SETS:
                parser.error(f"no set {name!r}; there are {', '.join(SETS)}")
            print(f"{name}: {collect(name, Path(folder))} runs of {folder}")
    else:
        rows = {name: read(name) for name in SETS}
        draw_scores({name: Table(name).rows(rows[name]) for name in TWO}, ROOT / "docs" / "study.png")
        draw_terms(ROOT / "docs" / "terms.png")
        for page in PAGES:
            page.write_text(with_tables(page.read_text(encoding="utf-8"), rows), encoding="utf-8")


def with_tables(text: str, rows: Mapping[str, Mapping[str, Row]]) -> str:
    """A page with each table as the runs have it, in the place of the one below its mark.

    Args:
        text: of the page.
        rows: set -> variant of a loss -> its row.
    """

    def replaced(found: re.Match[str]) -> str:
        table = TABLES[found[1]]
        lines = "".join(f"| {' | '.join(line)} |\n" for line in table.lines(rows[table.set]))
        return f"<!-- table {found[1]} -->\n\n{lines}\n"

    return re.sub(r"<!-- table (.*) -->\n\n(?:\|.*\n)*\n?", replaced, text)


def _scores(table: Table, rows: Sequence[Row], columns: Sequence[Score]) -> list[list[str]]:
    """Means and deviations over folds and seeds."""
    lines = _header([SETS[table.set]], [score.heading for score in columns])
    for row in rows:
        cells = [_bold(cell(row, score), is_best(row, rows, score)) for score in columns]
        lines.append([f"`{row.loss}`", *cells])
    return lines


def _tests(table: Table, rows: Sequence[Row], columns: Sequence[Score]) -> list[list[str]]:
    """The reference against each other loss: bold where a paired test finds it better, in brackets where worse."""
    lines = _header([f"{SETS[table.set]}, `{table.reference}` against"], [score.heading for score in columns])
    found = {(d.row.loss, d.column.name): d for d in differences(rows, columns, table.reference)}
    for row in rows:
        if row.loss == table.reference:
            continue
        cells = []
        for score in columns:
            difference = found[row.loss, score.name]
            value = score.shown(-difference.test.difference, sign="+")
            cells.append({"worse": f"**{value}**", "better": f"({value})"}.get(verdict(difference), value))
        lines.append([f"`{row.loss}`", *cells])
    return lines


def _of_classes(table: Table, rows: Sequence[Row]) -> list[list[str]]:
    """A line for each class and score, a column for each loss; over the images that have the class."""
    lines = _header([SETS[table.set], "score"], [f"`{row.loss}`" for row in rows])
    for name, columns in class_columns(rows).items():
        for column in columns:
            if column.of_class in table.of_classes:
                cells = [_bold(cell(row, column), is_best(row, rows, column)) for row in rows]
                lines.append([name, column.of_class, *cells])
    return lines


def _header(names: Sequence[str], numbers: Sequence[str]) -> list[list[str]]:
    return [[*names, *numbers], [*["---"] * len(names), *["---:"] * len(numbers)]]


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


if __name__ == "__main__":
    main()
