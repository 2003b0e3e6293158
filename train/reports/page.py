"""The comparison as one HTML page that needs no other file: for a browser, a phone, or a printer."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from train.config import data_title
from train.reports.charts import chart
from train.reports.differences import Difference, differences
from train.reports.results import Part, Row, own_settings, shared_settings
from train.reports.significance import LEVEL
from train.reports.tables import (
    cell,
    class_headings,
    class_lines,
    failures,
    is_best,
    label,
    note,
    part_name,
    scores_of,
    seconds,
)
from train.scores import FURTHER, TABLE_1, Score

EXAMPLES = 3
"""Images of which the page shows the panels of every run."""

FEW_IMAGES = 20
"""Below this number of pairs the page warns of what a t-test can tell."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_NETWORKS = {"unet": "U-Net", "attention_unet": "Attention U-Net"}


def page(rows: Sequence[Row], command: str = "") -> str:
    """The table, the scores of each fold, the tests, examples and the settings.

    Args:
        rows: as returned by `read_rows`; their folders hold the panels.
        command: that made the runs; "" for none.

    Returns:
        HTML.
    """
    shared = shared_settings(rows)
    tests = differences(rows)
    table_1, further = scores_of(rows, TABLE_1), scores_of(rows, FURTHER)
    losses = list(dict.fromkeys(row.loss for row in rows))
    models = [_NETWORKS.get(model, model) for model in dict.fromkeys(row.model for row in rows)]
    dataset = _data_title(rows)
    seeds = len({part.seed for row in rows for part in row.parts})
    fewest = min((found.test.n for found in tests), default=FEW_IMAGES)
    return _TEMPLATES.get_template("page.html").render(
        title=f"{len(losses)} losses on {dataset}" if len(losses) > 1 else f"{losses[0]} on {dataset}",
        subtitle=f"{', '.join(losses)}; {', '.join(models)}",
        failures=failures(rows),
        table_1=table_1,
        score_lines=_score_lines(rows, table_1),
        note=note(rows),
        further=further,
        further_lines=_score_lines(rows, further),
        class_header=["class", "loss", "network", "images", *class_headings(rows)],
        class_lines=_class_lines(rows),
        charts=[drawn for column in table_1 if (drawn := chart(rows, column))],
        fold_header=_fold_header([*table_1, *further]),
        fold_lines=_fold_lines(rows, [*table_1, *further]),
        verdicts=_verdicts(tests),
        test_header=["losses", "score", "mean difference", "95 % interval", "n", "p", "p, Holm", "verdict"],
        test_lines=_test_lines(tests),
        few_images=fewest if fewest < FEW_IMAGES else 0,
        several_seeds=seeds > 1,
        cautions=_cautions(rows, tests, seeds=seeds),
        examples=_examples(rows),
        command=command,
        settings=[(name, _plain(value)) for name, value in shared.items() if name != "data.dataset"],
        own_settings=_own_settings(rows, shared),
    )


def _data_title(rows: Sequence[Row]) -> str:
    """The data by their name; where they have moved since, by that of the first run."""
    settings = next((run.settings for row in rows for run in row.runs.values()), {})
    return data_title(settings.get("data.dataset", "no data"), settings.get("data.source", ""))


def _score_lines(rows: Sequence[Row], columns: Sequence[Score]) -> list[dict[str, Any]]:
    def shown(row: Row, column: Score) -> dict[str, Any]:
        mean, _, deviation = cell(row, column).partition(" ± ")
        return {"mean": mean, "deviation": deviation, "best": is_best(row, rows, column)}

    return [{"row": row, "cells": [shown(row, column) for column in columns], "seconds": seconds(row)} for row in rows]


def _class_lines(rows: Sequence[Row]) -> list[list[str]]:
    return [
        [
            line.name,
            line.row.loss,
            line.row.model,
            str(line.images),
            *(Markup("<b>{}</b>").format(text) if best else text for text, best in line.cells),
        ]
        for line in class_lines(rows)
    ]


def _fold_header(columns: Sequence[Score]) -> list[str]:
    headings = [column.heading for column in columns]
    return ["loss", "network", "seed", "fold", *headings, "seconds", "best epoch", "images"]


def _fold_lines(rows: Sequence[Row], columns: Sequence[Score]) -> list[list[str]]:
    lines = []
    for row in rows:
        for part in row.parts:
            run = row.runs.get(part)
            values = ["-"] * (len(columns) + 3)
            if run is not None:
                values = [column.shown(run.result["mean"][column.name]) for column in columns]
                took = run.result["seconds"]
                values += ["-" if took is None else f"{took:.0f}", str(run.result["best_epoch"]), str(len(run.images))]
            lines.append([row.loss, row.model, str(part.seed), str(part.fold), *values])
    return lines


def verdict(found: Difference) -> str:
    """What a test says: "better", "worse", "no difference found", or "no test possible"."""
    if np.isnan(found.corrected):
        return "no test possible"
    if found.corrected >= LEVEL:
        return "no difference found"
    return "better" if (found.test.difference > 0) == found.column.higher else "worse"


def _verdicts(tests: Sequence[Difference]) -> list[dict[str, Any]]:
    """For each row the scores of each verdict."""
    rows = [found.row for found in tests]
    why = {"no test possible": " (too few images, or the same difference in all)"}
    sentences = []
    for name in dict.fromkeys(row.name for row in rows):
        own = [found for found in tests if found.row.name == name]
        parts = []
        for said in ("better", "worse", "no difference found", "no test possible"):
            names = [found.column.name for found in own if verdict(found) == said]
            if names:
                strong = said in ("better", "worse")
                parts.append({"said": said, "names": _and(names), "strong": strong, "why": why.get(said, "")})
        sentences.append({"label": label(own[0].row, rows), "reference": own[0].reference.loss, "parts": parts})
    return sentences


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _test_lines(tests: Sequence[Difference]) -> list[list[str]]:
    rows = [found.row for found in tests]
    lines = []
    for found in tests:
        column, test = found.column, found.test
        lines.append(
            [
                f"{label(found.row, rows)} against {found.reference.loss}",
                column.heading,
                column.shown(test.difference, 1, "+"),
                "-" if np.isnan(test.p) else f"{column.shown(test.low, 1, '+')} to {column.shown(test.high, 1, '+')}",
                str(test.n),
                _p(test.p),
                _p(found.corrected),
                Markup("<b>{}</b>").format(said) if (said := verdict(found)) in ("better", "worse") else said,
            ]
        )
    return lines


def _p(value: float) -> str:
    if np.isnan(value):
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _cautions(rows: Sequence[Row], tests: Sequence[Difference], *, seeds: int) -> list[str]:
    if not tests:
        return []
    count = sum(not np.isnan(found.corrected) for found in tests)
    spread = "the spread over seeds and folds" if seeds > 1 else "runs with other seeds, and in the spread over folds"
    texts = [
        f"Two-sided paired t-tests over the test images of all folds, each image with itself"
        f"{', its scores averaged over the seeds first' if seeds > 1 else ''}. Holm's p is corrected for "
        f"the {count} tests of this table, and counts as a difference below {LEVEL:g}; intervals are not corrected. "
        "No difference found does not say that there is none.",
        "The tests take images as independent. Those of a fold share one trained network, and folds share training "
        "images, so the tests speak of these networks on more such images. Whether a loss is better when everything is "
        f"trained anew shows in {spread}.",
    ]
    runs = [run for row in rows for run in row.runs.values()]
    if any(run.settings["data.blocks"] for run in runs):
        texts.append("The images are neighbours in a volume and look alike: they weigh less than their number says.")
    if any(run.settings["data.groups"] for run in runs):
        texts.append(
            "Images of one group, such as a patient's, look alike: they weigh less than their number says, "
            "and that of the groups says more."
        )
    return texts


def examples(rows: Sequence[Row]) -> list[tuple[Part, str]]:
    """Images of which every complete run of their fold has a panel: the first of each fold, then the second, and so on.

    Args:
        rows: as returned by `read_rows`.

    Returns:
        Seed and fold, and name, of at most `EXAMPLES` images.
    """
    common: dict[Part, list[str]] = {}
    for part in sorted({part for row in rows for part in row.runs}):
        folders = [row.runs[part].key.folder for row in rows if part in row.runs]
        common[part] = sorted(set.intersection(*(set(folder.panels()) for folder in folders)))
    ranked = sorted((rank, part, name) for part, names in common.items() for rank, name in enumerate(names))
    return [(part, name) for _, part, name in ranked[:EXAMPLES]]


def _examples(rows: Sequence[Row]) -> list[dict[str, Any]]:
    shown, columns = [], scores_of(rows, TABLE_1)
    for part, name in examples(rows):
        figures = []
        for row in rows:
            if part not in row.runs:
                continue
            run = row.runs[part]
            scores = run.images.get(name, {})
            figures.append(
                {
                    "label": label(row, rows),
                    "scores": ", ".join(f"{c.label} {c.shown(scores[c.name])}" for c in columns if c.name in scores),
                    "content": base64.b64encode(run.key.folder.panels()[name].read_bytes()).decode(),
                }
            )
        shown.append({"title": f"{name} ({part_name(part, rows)})", "name": name, "figures": figures})
    return shown


def _own_settings(rows: Sequence[Row], shared: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for row in rows:
        own = {name: value for name, value in own_settings(row, shared).items() if name != "loss.name" and value != {}}
        if own:
            lines.append((label(row, rows), ", ".join(f"{name} {_plain(value)}" for name, value in own.items())))
    return lines


def _plain(value: Any) -> str:
    """A setting as people write it."""
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_plain(option)}" for name, option in value.items()) or "none"
    if isinstance(value, list):
        return " x ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "none"
