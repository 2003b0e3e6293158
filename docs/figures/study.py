"""Puts the runs of comparisons into docs/study.csv, and draws from it tables of docs/results.md and README, and figures.

docs/study.csv has a line for every test image of every complete run in the folder of a comparison, whichever of its commands
made it. Two commands, from the root of the repository:

    python -m docs.figures.study collect drive-narrow=runs/compare-drive-narrow isbi2012-narrow=runs/compare-isbi2012-narrow
    python -m docs.figures.study draw

`collect` also keeps what the runs of fold 0 logged of the terms of CWMI losses, in docs/study-terms.csv, for docs/terms.png.
"""

import argparse
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from train.reports.differences import differences
from train.reports.page import verdict
from train.reports.results import Part, Row, Run, RunKey
from train.reports.tables import cell, is_best, over_folds
from train.runs.folder import RunFolder
from train.runs.logs import read_metrics
from train.scores import SCORES, TABLE_1, Score
from train.variants import parse_variant

ROOT = Path(__file__).parents[2]
CSV, TERMS_CSV = ROOT / "docs" / "study.csv", ROOT / "docs" / "study-terms.csv"
PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md")
COLUMNS = tuple(score for score in SCORES if score.name != "ARE")
ARE = next(score for score in SCORES if score.name == "ARE")

PRESETS = {"drive-narrow": "DRIVE", "isbi2012-narrow": "ISBI 2012"}
"""Presets of the study -> the names of their data."""

OURS = "bounded_cwmi"
LOSSES = ("ce", "dice", "rmi", "dice_ce", "cwmi", OURS)
"""Rows of the tables of seed 0."""
SEVERAL = ("ce", "cwmi", OURS)
"""Losses that were trained from several seeds."""
SEEDS = (0, 1)

INK, ACCENT = "#1b2a41", "#d55e00"


class Table(NamedTuple):
    """A table of a page, with a row for each loss.

    Attributes:
        preset: of its runs.
        columns: its scores.
        reference: loss that the others are tested against; "" for a table of scores.
        losses: its rows.
        seeds: of its runs.
    """

    preset: str
    columns: Sequence[Score] = COLUMNS
    reference: str = ""
    losses: Sequence[str] = LOSSES
    seeds: Sequence[int] = (0,)

    def rows(self, of_preset: Mapping[str, Row]) -> list[Row]:
        """Its rows, of all rows of the preset."""
        return [
            replace(row, runs={part: run for part, run in row.runs.items() if part.seed in self.seeds})
            for row in (of_preset[loss] for loss in self.losses)
        ]


TABLES = {
    **{preset: Table(preset) for preset in PRESETS},
    **{f"{preset}, tests": Table(preset, reference=OURS) for preset in PRESETS},
    **{f"{preset}, seeds": Table(preset, losses=SEVERAL, seeds=SEEDS) for preset in PRESETS},
    **{f"{preset}, seeds, tests": Table(preset, reference=OURS, losses=SEVERAL, seeds=SEEDS) for preset in PRESETS},
    "drive-narrow, the paper's scores": Table("drive-narrow", columns=TABLE_1, losses=SEVERAL, seeds=SEEDS),
}
"""Name of a table, as `<!-- table NAME -->` above its place has it -> what it holds."""


def main() -> None:
    """Collects, or draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    collecting = commands.add_parser("collect", help="reads the folders of comparisons")
    collecting.add_argument("folders", nargs="+", metavar="PRESET=FOLDER")
    commands.add_parser("draw", help="draws tables and figures")
    arguments = parser.parse_args()
    if arguments.command == "collect":
        collect([(preset, Path(folder)) for preset, _, folder in (text.partition("=") for text in arguments.folders)])
    else:
        rows = {preset: read(preset) for preset in PRESETS}
        draw_scores(rows, ROOT / "docs" / "study.png")
        draw_terms(ROOT / "docs" / "terms.png")
        for page in PAGES:
            page.write_text(with_tables(page.read_text(encoding="utf-8"), rows), encoding="utf-8")


def collect(folders: Sequence[tuple[str, Path]]) -> None:
    """Writes both CSV files from the folders of comparisons."""
    lines: list[dict[str, Any]] = []
    terms: list[dict[str, Any]] = []
    for preset, folder in folders:
        for run, loss, part in _complete_runs(folder):
            own = {"preset": preset, "loss": loss, "network": "unet", "seed": part.seed, "fold": part.fold}
            lines += [
                {**own, "image": line.pop("name"), **{c.name: line[c.name] for c in (*COLUMNS, ARE)}}
                for line in _lines(run.path / "test.csv")
            ]
            if loss in LOSSES and part == (0, 0):
                terms += _terms(preset, run, loss)
    for path, content in ((CSV, lines), (TERMS_CSV, terms)):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, content[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(content)
        print(f"{path.relative_to(ROOT)}: {len(content)} lines")


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _complete_runs(folder: Path) -> list[tuple[RunFolder, str, Part]]:
    """Those of a comparison, with loss, seed and fold, in the order of these."""
    found = []
    for path in folder.iterdir():
        name = re.fullmatch(r"unet-(.+?)(?:-seed(\d+))?-fold(\d+)", path.name)
        if name and RunFolder(path).is_complete:
            loss = parse_variant(name[1].replace(",", ":", 1)).name
            found.append((RunFolder(path), loss, Part(int(name[2] or 0), int(name[3]))))
    return sorted(found, key=lambda run: (_place(run[1]), run[2]))


def _place(loss: str) -> tuple[int, str]:
    """The losses of the tables in their order, then variants."""
    return (LOSSES.index(loss) if loss in LOSSES else len(LOSSES)), loss


def _terms(preset: str, run: RunFolder, loss: str) -> Iterable[dict[str, Any]]:
    """What a run logged of its terms, a line a value."""
    for logged in read_metrics(run):
        if "information/gradient_norm" not in logged:
            continue
        for name, value in logged.items():
            if name not in ("step", "epoch"):
                yield {"preset": preset, "loss": loss, "step": logged["step"], "name": name, "value": f"{value:.6g}"}


def read(preset: str) -> dict[str, Row]:
    """The rows of a preset by the names of their losses."""
    scores: dict[tuple[str, Part], dict[str, dict[str, float]]] = {}
    for line in _lines(CSV):
        if line["preset"] == preset:
            of_run = line["loss"], Part(int(line["seed"]), int(line["fold"]))
            scores.setdefault(of_run, {})[line["image"]] = {c.name: float(line[c.name]) for c in COLUMNS}
    runs: dict[str, dict[Part, Run]] = {}
    for (loss, part), images in scores.items():
        mean = {c.name: float(np.mean([of_image[c.name] for of_image in images.values()])) for c in COLUMNS}
        key = RunKey("unet", loss, part, RunFolder(Path()))
        runs.setdefault(loss, {})[part] = Run(key, {}, {"mean": mean}, images)
    return {loss: Row("unet", loss, of_loss, {}) for loss, of_loss in runs.items()}


def with_tables(text: str, rows: dict[str, dict[str, Row]]) -> str:
    """A page with each table as the CSV has it, in the place of the one below its mark."""

    def replace(found: re.Match[str]) -> str:
        table = TABLES[found[1]]
        of_table = table.rows(rows[table.preset])
        lines = tests(of_table, table) if table.reference else scores(of_table, table)
        return f"<!-- table {found[1]} -->\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)

    return re.sub(r"<!-- table (.*) -->\n\n(?:\|.*\n)*", replace, text)


def scores(rows: Sequence[Row], table: Table) -> list[list[str]]:
    """Means and deviations over folds."""
    lines = [
        [PRESETS[table.preset], *(score.heading for score in table.columns)],
        ["---", *["---:"] * len(table.columns)],
    ]
    for row in rows:
        cells = [
            f"**{cell(row, score)}**" if is_best(row, rows, score) else cell(row, score) for score in table.columns
        ]
        lines.append([f"`{row.loss}`", *cells])
    return lines


def tests(rows: Sequence[Row], table: Table) -> list[list[str]]:
    """The reference against each other loss: bold where a paired test finds it better, in brackets where worse."""
    lines = [[f"{PRESETS[table.preset]}, `{table.reference}` against", *(score.heading for score in table.columns)]]
    lines.append(["---", *["---:"] * len(table.columns)])
    found = {(d.row.loss, d.column.name): d for d in differences(rows, table.columns, table.reference)}
    for row in rows:
        if row.loss == table.reference:
            continue
        cells = []
        for score in table.columns:
            difference = found[row.loss, score.name]
            value = score.shown(-difference.test.difference, sign="+")
            cells.append({"worse": f"**{value}**", "better": f"({value})"}.get(verdict(difference), value))
        lines.append([f"`{row.loss}`", *cells])
    return lines


def draw_scores(rows: dict[str, dict[str, Row]], path: Path) -> None:
    """A chart for each preset and score: rings for folds, a bar for their mean; better is right."""
    shown = [metric for metric in COLUMNS if metric.name in ("mIoU", "VI", "ARI", "Betti error", "clDice")]
    figure = Figure(figsize=(11, 2.4 * len(rows)), dpi=130, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    for line, (preset, of_preset) in zip(axes, rows.items(), strict=True):
        of_seed = Table(preset).rows(of_preset)
        names = [row.loss for row in of_seed]
        for axis, metric in zip(line, shown, strict=True):
            _chart(axis, of_seed, metric)
            axis.set_yticks(range(len(names)), names if axis is line[0] else [], color=INK)
        line[0].set_ylabel(PRESETS[preset], color=INK)
    canvas.print_png(path)


def _chart(axis: Any, rows: Sequence[Row], metric: Score) -> None:
    for place, row in enumerate(rows):
        colour = ACCENT if row.loss == OURS else INK
        values = [run.result["mean"][metric.name] for run in row.runs.values()]
        axis.plot(values, [place] * len(values), "o", mfc="none", mec=colour, ms=5)
        mean = over_folds(row, metric)
        if mean is not None:
            axis.plot([mean[0]], [place], "|", color=colour, ms=14, mew=2.5)
    axis.set_title(metric.heading, fontsize=10, color=INK)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    if not metric.higher:
        axis.invert_xaxis()
    axis.tick_params(labelsize=8, colors=INK, left=False)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.grid(axis="y", color="#d0d7de", linewidth=0.6)


def draw_terms(path: Path) -> None:
    """Over a run: gradients of both terms, where they pull, probabilities and gains, of the paper's loss and of ours."""
    lines = [line for line in _lines(TERMS_CSV) if line["preset"] == "drive-narrow"]
    losses = [loss for loss in ("cwmi", OURS) if any(line["loss"] == loss for line in lines)]
    panels = {
        "gradient's norm": {"information/gradient_norm": ACCENT, "cross_entropy/gradient_norm": INK},
        "pull on foreground": {"information/pull_on_foreground": ACCENT, "cross_entropy/pull_on_foreground": INK},
        "pull on background": {"information/pull_on_background": ACCENT, "cross_entropy/pull_on_background": INK},
        "mean probability": {"probability/foreground": ACCENT, "probability/background": INK},
        "best gain, by level": {f"gain/level_{level}": str(0.15 * level) for level in range(1, 5)},
    }
    figure = Figure(figsize=(13, 2.6 * len(losses)), dpi=130, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(losses), len(panels), squeeze=False, sharex=True)
    for row, loss in zip(axes, losses, strict=True):
        for axis, (title, curves) in zip(row, panels.items(), strict=True):
            for name, colour in curves.items():
                points = [(int(p["step"]), float(p["value"])) for p in lines if p["loss"] == loss and p["name"] == name]
                label = name.partition("/")[0].replace("_", " ") if "level" not in name and "prob" not in name else ""
                label = label or name.partition("/")[2].replace("_", " ")
                axis.plot(*zip(*points, strict=True), color=colour, label=label, linewidth=1.6)
            axis.set_title(title, fontsize=10, color=INK)
            axis.tick_params(labelsize=8, colors=INK)
            axis.spines[["top", "right"]].set_visible(False)
            if "norm" in title:
                axis.set_yscale("log")
            if axis in axes[0]:
                axis.legend(fontsize=7, frameon=False)
        row[0].set_ylabel(loss, color=INK)
    for axis in axes[-1]:
        axis.set_xlabel("step", fontsize=9, color=INK)
    canvas.print_png(path)


if __name__ == "__main__":
    main()
