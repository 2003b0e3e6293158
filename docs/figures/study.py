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
from docs.figures.study_runs import BACKGROUND, OURS, ROOT, SETS, collect, read
from train.reports.differences import differences
from train.reports.page import verdict
from train.reports.results import Row
from train.reports.tables import cell, class_headings, class_lines, is_best, scores_of
from train.scores import SCORES, TABLE_1, Score

PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md")
COLUMNS = tuple(score for score in SCORES if score.name != "ARE")

BINARY = {"drive-narrow": (0, 1), "isbi2012-narrow": (0,)}
"""Sets of two classes -> seeds from which all losses were trained."""
LOSSES = ("ce", "dice", "rmi", "dice_ce", "cwmi", OURS)
"""Rows of their tables."""
MANY = {"camvid": ("ce", "dice_ce", "cwmi"), "hippocampus": ("ce", "dice_ce", "cwmi", OURS)}
"""Sets of more -> rows of their tables."""
TRAINED_OTHERWISE = (
    "cwmi:class_weights=none",
    "cwmi:loss.cross_entropy_epochs=0",
    "cwmi:loss.cross_entropy_epochs=2",
    "cwmi:model.norm=group",
    "cwmi:optimizer.clip_norm=0",
)
FACTORS = {
    "drive-narrow": (
        "cwmi:levels=2",
        "cwmi:levels=3",
        "cwmi:levels=5",
        "cwmi:orientations=2",
        "cwmi:orientations=8",
        "cwmi:complex_valued=false",
        "cwmi:ce_weight=5",
        "cwmi:ce_weight=20",
        "cwmi:ce_weight=100",
        *TRAINED_OTHERWISE,
    ),
    "isbi2012-narrow": ("cwmi:complex_valued=false", "cwmi:ce_weight=20", *TRAINED_OTHERWISE),
}
"""Set -> the paper's loss with one setting changed, of it or of its training."""
SEVERAL = ("ce", "cwmi", OURS)
"""Those that were trained from several seeds on all sets."""


class Table(NamedTuple):
    """A table of a page, with a row for each loss, or for each class and loss.

    Attributes:
        set: of its runs.
        losses: its rows, variants too.
        columns: its scores, those of them that the runs have.
        reference: loss that the others are tested against; "" for a table of scores.
        seeds: of its runs.
        folds: likewise.
        by_class: whether it has the scores of the classes.
    """

    set: str
    losses: Sequence[str] = LOSSES
    columns: Sequence[Score] = COLUMNS
    reference: str = ""
    seeds: Sequence[int] = (0, 1)
    folds: Sequence[int] = (0, 1, 2)
    by_class: bool = False

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
        if self.by_class:
            return _of_classes(rows)
        columns = scores_of(rows, self.columns)
        return _tests(self, rows, columns) if self.reference else _scores(self, rows, columns)


TABLES = {
    **{name: Table(name, seeds=seeds) for name, seeds in BINARY.items()},
    **{f"{name}, tests": Table(name, seeds=seeds, reference=OURS) for name, seeds in BINARY.items()},
    "isbi2012-narrow, seeds": Table("isbi2012-narrow", losses=SEVERAL),
    "isbi2012-narrow, seeds, tests": Table("isbi2012-narrow", losses=SEVERAL, reference=OURS),
    **{name: Table(name, losses, seeds=(0,), folds=(0,)) for name, losses in MANY.items()},
    **{f"{name}, classes": Table(name, losses, seeds=(0,), folds=(0,), by_class=True) for name, losses in MANY.items()},
    **{
        f"{name}, one at a time": Table(
            name, losses=("cwmi", *factors, OURS), columns=(*COLUMNS, BACKGROUND), seeds=(0,), folds=(0,)
        )
        for name, factors in FACTORS.items()
    },
    "drive-1000": Table("drive-1000", losses=SEVERAL, seeds=(0,), folds=(0,)),
    "drive-1000, tests": Table("drive-1000", losses=SEVERAL, reference=OURS, seeds=(0,), folds=(0,)),
    "drive-narrow, the paper's scores": Table(
        "drive-narrow", losses=("ce", "dice", "rmi", "cwmi", OURS), columns=TABLE_1
    ),
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
        draw_scores({name: TABLES[name].rows(rows[name]) for name in BINARY}, ROOT / "docs" / "study.png")
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


def _of_classes(rows: Sequence[Row]) -> list[list[str]]:
    """Class by class the scores of every loss, over the images that have the class."""
    lines = _header(["class", "loss"], ["images", *class_headings(rows)])
    for line in class_lines(rows):
        lines.append([line.name, f"`{line.row.loss}`", str(line.images), *(_bold(*shown) for shown in line.cells)])
    return lines


def _header(names: Sequence[str], numbers: Sequence[str]) -> list[list[str]]:
    return [[*names, *numbers], [*["---"] * len(names), *["---:"] * len(numbers)]]


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


if __name__ == "__main__":
    main()
