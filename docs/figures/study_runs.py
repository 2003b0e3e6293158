"""The runs of the study: what a comparison's folder holds is added to files of docs/study, and read back as rows.

A file for each set has a line for every test image of every run, with all its scores, those of classes too. `RUNS` has one
for every run: its time, and what its log says of probabilities and of validation. `TERMS` has what runs of fold 0 and seed 0
of `TERMS_IN` logged of the terms of their loss, of losses in `TERMS_OF`.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from train.reports.results import Part, Row, Run, RunKey
from train.runs.folder import RunFolder
from train.runs.logs import read_metrics
from train.scores import BY_CLASS, VALIDATION, Score, mean_of
from train.variants import parse_variant

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "study"
RUNS, TERMS = FOLDER / "runs.csv", FOLDER / "terms.csv"

SETS = {
    "drive-narrow": "DRIVE",
    "drive-1000": "DRIVE, 1000 steps",
    "isbi2012-narrow": "ISBI 2012",
    "drive-av": "arteries and veins",
    "camvid": "CamVid",
    "hippocampus": "hippocampus",
}
"""Sets of the study -> the names of their data."""

OURS = "bounded_cwmi"
TERMS_OF = ("cwmi", OURS)
"""Losses whose terms are drawn."""
TERMS_IN = "drive-narrow"
"""The set that they are drawn of."""

BACKGROUND = Score("background", mean_of, higher=False, digits=2, in_table_1=False)
"""The mean probability of class 1 on the background of training crops, at the end of runs that log it."""

_RUN = ("loss", "network", "seed", "fold")
_LOOKS = 3
"""The last ones at training crops, of which mean probabilities are means."""


def collect(name: str, comparison: Path) -> int:
    """Adds the complete runs of a comparison to those of a set; those that are there already are replaced.

    Args:
        name: in `SETS`.
        comparison: the folder of `train.compare`.

    Returns:
        How many runs it found.
    """
    images, runs, terms = [], [], []
    found = list(_complete_runs(comparison))
    for run, own in found:
        images += [
            {
                **own,
                "image": image,
                **{score: f"{value:.7g}" for score, value in scores.items() if not math.isnan(value)},
            }
            for image, scores in run.read_scores("test").items()
        ]
        runs.append({"set": name, **own, **_facts(run)})
        if name == TERMS_IN and own["loss"] in TERMS_OF and (own["seed"], own["fold"]) == ("0", "0"):
            terms += [{**own, **line} for line in _terms(run)]
    _add(FOLDER / f"{name}.csv", images, _RUN)
    _add(RUNS, runs, ("set", *_RUN))
    _add(TERMS, terms, _RUN)
    return len(found)


def read(name: str) -> dict[str, Row]:
    """The runs of a set.

    Args:
        name: in `SETS`.

    Returns:
        Name of a variant of a loss -> its row.
    """
    facts = {tuple(line[key] for key in _RUN): line for line in lines(RUNS) if line["set"] == name}
    scores: dict[tuple[str, ...], dict[str, dict[str, float]]] = {}
    for line in lines(FOLDER / f"{name}.csv"):
        known = {key: float(text or "nan") for key, text in line.items() if key not in (*_RUN, "image")}
        scores.setdefault(tuple(line[key] for key in _RUN), {})[line["image"]] = known
    rows: dict[str, dict[Part, Run]] = {}
    for of_run, images in scores.items():
        loss, network, seed, fold = of_run
        part = Part(int(seed), int(fold))
        result = {**facts[of_run], **_means(images)}
        if result[BACKGROUND.name]:
            result["mean"][BACKGROUND.name] = float(result[BACKGROUND.name])
        rows.setdefault(loss, {})[part] = Run(RunKey(network, loss, part, RunFolder(Path())), {}, result, images)
    return {loss: Row("unet", loss, dict(sorted(of_loss.items())), {}) for loss, of_loss in rows.items()}


def lines(path: Path) -> list[dict[str, str]]:
    """Those of a file of the study; none where it is not there yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _complete_runs(comparison: Path) -> Iterator[tuple[RunFolder, dict[str, str]]]:
    """Those of a comparison, whichever of its commands made them, with loss, network, seed and fold."""
    for path in sorted(comparison.iterdir()):
        name = re.fullmatch(r"(unet)-(.+?)(?:-seed(\d+))?-fold(\d+)", path.name)
        if name and RunFolder(path).is_complete:
            loss = parse_variant(name[2].replace(",", ":", 1)).name
            yield RunFolder(path), {"loss": loss, "network": name[1], "seed": name[3] or "0", "fold": name[4]}


def _facts(run: RunFolder) -> dict[str, Any]:
    """Time and best epoch of a run, mean probabilities at its end, and its lowest validation from the second epoch on."""
    result, logged = run.read_result(), list(read_metrics(run))
    facts = {key: result[key] for key in ("seconds", "best_epoch", "length_unit")}
    facts["seconds"] = round(facts["seconds"])
    for side in ("background", "foreground"):
        looks = [line[f"probability/{side}"] for line in logged if f"probability/{side}" in line][-_LOOKS:]
        facts[side] = f"{mean_of(looks):.3f}" if looks else ""
    chosen_by = f"validation/{VALIDATION[0]}"
    validated = [line[chosen_by] for line in logged if chosen_by in line and line["epoch"] >= 2]
    return {**facts, "lowest_validation": f"{min(validated):.3f}"}


def _terms(run: RunFolder) -> Iterator[dict[str, str]]:
    """What a run logged of its terms, a line a value."""
    for logged in read_metrics(run):
        if "information/gradient_norm" in logged:
            for name, value in logged.items():
                if name not in ("step", "epoch"):
                    yield {"step": str(logged["step"]), "name": name, "value": f"{value:.6g}"}


def _means(images: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """What a run's result tells of its images' scores."""
    names = next(iter(images.values()))
    values = {name: [of_image[name] for of_image in images.values()] for name in names}
    known = {name: sum(not math.isnan(value) for value in of_name) for name, of_name in values.items()}
    overlap = f"{BY_CLASS[0].of_class} "
    return {
        "mean": {name: mean_of(of_name) for name, of_name in values.items() if known[name]},
        "images_with": {name.removeprefix(overlap): known[name] for name in names if name.startswith(overlap)},
    }


def _add(path: Path, new: Sequence[Mapping[str, Any]], key: Sequence[str]) -> None:
    """Writes a file again with lines of further runs; those of a run that was there before are replaced."""
    if not new:
        return
    replaced = {tuple(line[name] for name in key) for line in new}
    kept = [line for line in lines(path) if tuple(line[name] for name in key) not in replaced]
    written = sorted([*kept, *new], key=lambda line: tuple(line[name] for name in key))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file, list(dict.fromkeys(name for line in written for name in line)), lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(written)
