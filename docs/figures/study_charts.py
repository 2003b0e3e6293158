"""The figures of the study, from its runs in docs/study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from docs.figures.study_runs import OURS, SETS, TERMS, TERMS_OF, lines
from train.reports.results import Row
from train.reports.tables import over_folds
from train.scores import SCORES, Score

INK, ACCENT = "#1b2a41", "#d55e00"


def draw_scores(rows: Mapping[str, Sequence[Row]], path: Path) -> None:
    """A chart for each set and score: rings for runs, a bar for their mean; better is right."""
    shown = [metric for metric in SCORES if metric.name in ("mIoU", "VI", "ARI", "Betti error", "clDice")]
    figure = Figure(figsize=(11, 2.4 * len(rows)), dpi=130, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    for line, (name, of_set) in zip(axes, rows.items(), strict=True):
        names = [row.loss for row in of_set]
        for axis, metric in zip(line, shown, strict=True):
            _chart(axis, of_set, metric)
            axis.set_yticks(range(len(names)), names if axis is line[0] else [], color=INK)
        line[0].set_ylabel(SETS[name], color=INK)
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
    """Over a run: gradients of both terms, where they pull, probabilities and gains, of each loss that has them."""
    logged = lines(TERMS)
    panels = {
        "gradient's norm": {"information/gradient_norm": ACCENT, "cross_entropy/gradient_norm": INK},
        "pull on foreground": {"information/pull_on_foreground": ACCENT, "cross_entropy/pull_on_foreground": INK},
        "pull on background": {"information/pull_on_background": ACCENT, "cross_entropy/pull_on_background": INK},
        "mean probability": {"probability/foreground": ACCENT, "probability/background": INK},
        "best gain, by level": {f"gain/level_{level}": str(0.15 * level) for level in range(1, 5)},
    }
    figure = Figure(figsize=(13, 2.6 * len(TERMS_OF)), dpi=130, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(TERMS_OF), len(panels), squeeze=False, sharex=True)
    for row, loss in zip(axes, TERMS_OF, strict=True):
        for axis, (title, curves) in zip(row, panels.items(), strict=True):
            for curve, colour in curves.items():
                points = [
                    (int(p["step"]), float(p["value"])) for p in logged if (p["loss"], p["name"]) == (loss, curve)
                ]
                term, _, value = curve.partition("/")
                label = value if term in ("gain", "probability") else term
                axis.plot(*zip(*points, strict=True), color=colour, label=label.replace("_", " "), linewidth=1.6)
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
