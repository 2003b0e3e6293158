"""The folders of finished runs, read and checked: only runs that differ in what is compared can be compared."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from train.config import SHOWN_ONLY, flat_settings, from_json, to_json
from train.variants import parse_variant

SCORES = ("mIoU", "mDice", "VI", "ARI", "HD")
"""Scores of the paper's Table 1, which every result has."""

_OF_A_PART = (*SHOWN_ONLY, "data.fold", "seed")
_OF_A_ROW = (*_OF_A_PART, "model.name", "loss.")


class Part(NamedTuple):
    """Which of the runs of a row.

    Attributes:
        seed: of the split, the weights and the batches.
        fold: which part of the images was tested.
    """

    seed: int
    fold: int


class RunKey(NamedTuple):
    """Which run.

    Attributes:
        model: name of the network.
        loss: name of the variant, see `train.variants`; often that of a loss.
        part: seed and fold.
        folder: of the run.
    """

    model: str
    loss: str
    part: Part
    folder: Path


class Run(NamedTuple):
    """A complete run, as it is in its folder.

    Attributes:
        key: which.
        settings: dotted name -> value.
        result: of `result.json`.
        images: name of each test image -> its scores.
    """

    key: RunKey
    settings: dict[str, Any]
    result: dict[str, Any]
    images: dict[str, dict[str, float]]


class Row(NamedTuple):
    """All folds and seeds of one network with one variant of a loss.

    Attributes:
        model: name of the network.
        loss: name of the variant.
        runs: by seed and fold; those that failed are left out.
        failed: seed and fold -> why.
    """

    model: str
    loss: str
    runs: dict[Part, Run]
    failed: dict[Part, str]

    @property
    def parts(self) -> list[Part]:
        """Seeds and folds, in order, of all runs, also of those that failed."""
        return sorted({*self.runs, *self.failed})


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a run by dotted names, today's defaults where an older run did not know a setting.

    Raises:
        ValueError: `config.json` is missing or is not one of ours.
    """
    try:
        return flat_settings(to_json(from_json(json.loads((folder / "config.json").read_text(encoding="utf-8")))))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"cannot read {folder / 'config.json'}: {error}") from error


def differing(before: Mapping[str, Any], now: Mapping[str, Any], but: Sequence[str] = SHOWN_ONLY) -> list[str]:
    """What differs between two runs, apart from the settings `but`, of which "loss." is all those of the loss.

    Returns:
        "name is X and not Y" for each.
    """
    groups = tuple(name for name in but if name.endswith("."))
    names = [name for name in now if before.get(name) != now[name] and name not in but and not name.startswith(groups)]
    return [f"{name} is {now[name]!r} and not {before.get(name)!r}" for name in names]


def is_complete(folder: Path) -> bool:
    """Whether a run has been trained and tested."""
    return (folder / "result.json").exists()


def read_rows(keys: Sequence[RunKey], failed: Mapping[Path, str]) -> list[Row]:
    """Reads runs and checks that they can be compared.

    Args:
        keys: the runs, in the order of the table.
        failed: folder -> why its run has no result; the table says so instead of refusing.

    Returns:
        The rows, in the order of their first runs.

    Raises:
        ValueError: a run is missing or damaged, or differs from the others in its settings or test images.
    """
    missing = [key.folder for key in keys if key.folder not in failed and not is_complete(key.folder)]
    if missing:
        raise ValueError(f"no result of {', '.join(map(str, missing))}; train and test there first")
    own = {name for key in keys for name in parse_variant(key.loss).settings}
    rows: dict[tuple[str, str], Row] = {}
    first: Run | None = None
    for key in keys:
        row = rows.setdefault((key.model, key.loss), Row(key.model, key.loss, {}, {}))
        if key.folder in failed:
            row.failed[key.part] = failed[key.folder]
            continue
        run = row.runs[key.part] = _read_run(key)
        first = first or run
        _check_alike(first, run, (*_OF_A_ROW, *own))
        _check_alike(next(iter(row.runs.values())), run, _OF_A_PART)
    _check_images(list(rows.values()))
    return list(rows.values())


def _read_run(key: RunKey) -> Run:
    folder = key.folder
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        found = (result["model"], result["loss"], Part(result["seed"], result["fold"]))
        with (folder / "test.csv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        images = {line["name"]: {name: float(line[name]) for name in line if name != "name"} for line in lines}
        expected = result["images"]
        lacking = [name for name in SCORES if not all(name in scores for scores in (result["mean"], *images.values()))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"cannot read the result in {folder}: {type(error).__name__}: {error}") from error
    if lacking:
        raise ValueError(f"the result in {folder} lacks {', '.join(lacking)}")
    if found != (key.model, parse_variant(key.loss).loss, key.part):
        model, loss, part = found
        raise ValueError(
            f"{folder} holds {model} with {loss}, fold {part.fold}, seed {part.seed}, and not what its name says"
        )
    if not len(images) == len(lines) == expected:
        raise ValueError(
            f"{folder / 'test.csv'} must name {expected} images, got {len(images)} names in {len(lines)} lines"
        )
    return Run(key, read_settings(folder), result, images)


def _check_alike(first: Run, run: Run, but: Sequence[str]) -> None:
    differences = differing(first.settings, run.settings, but)
    if differences:
        raise ValueError(f"{run.key.folder} and {first.key.folder} cannot be compared: {', '.join(differences)}")


def _check_images(rows: Sequence[Row]) -> None:
    tested: dict[Part, Run] = {}
    for run in (run for row in rows for run in row.runs.values()):
        first = tested.setdefault(run.key.part, run)
        odd = sorted(first.images.keys() ^ run.images.keys())
        if odd:
            raise ValueError(f"{run.key.folder} and {first.key.folder} were not tested on the same images: {odd[0]!r}")


def shared_settings(rows: Sequence[Row]) -> dict[str, Any]:
    """The settings that all runs have in common, by dotted names; the first fold's `data.fold` is no setting of theirs."""
    runs = [run for row in rows for run in row.runs.values()]
    first = runs[0].settings if runs else {}
    hidden = ("output", "data.fold")
    return {
        name: value
        for name, value in first.items()
        if name not in hidden and all(run.settings[name] == value for run in runs)
    }


def own_settings(row: Row, shared: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a row that not all runs share, but for its network."""
    run = next(iter(row.runs.values()), None)
    settings = run.settings if run else {}
    hidden = (*_OF_A_PART, "model.name")
    return {name: value for name, value in settings.items() if name not in shared and name not in hidden}
