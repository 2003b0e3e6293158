"""The folders of finished runs, read and checked: only runs that differ in what is compared can be compared."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from train.runs.folder import RunFolder
from train.scores import VALIDATION
from train.settings import SHOWN_ONLY, differing
from train.variants import parse_variant

_OF_A_PART = (*SHOWN_ONLY, "data.fold", "seed")
_OF_A_ROW = (*_OF_A_PART, "model.name", "loss.")


class Part(NamedTuple):
    """Which of the runs of a row.

    Attributes:
        seed: what the split, the weights and the batches were drawn from.
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
        folder: the run's.
    """

    model: str
    loss: str
    part: Part
    folder: RunFolder


class Run(NamedTuple):
    """A complete run, as it is in its folder.

    Attributes:
        key: which.
        settings: dotted name -> value.
        result: means of the scores, and what else the test tells.
        images: name of each test image -> its scores.
    """

    key: RunKey
    settings: dict[str, Any]
    result: dict[str, Any]
    images: dict[str, dict[str, float]]

    @property
    def images_with(self) -> dict[str, int]:
        """Of more than two classes, in how many test images each is; none of two."""
        return self.result.get("images_with", {})


@dataclasses.dataclass(frozen=True)
class Row:
    """All folds and seeds of one network with one variant of a loss.

    Attributes:
        model: name of the network.
        loss: name of the variant.
        runs: by seed and fold; those that failed are left out.
        failed: seed and fold -> why.
    """

    model: str
    loss: str
    runs: Mapping[Part, Run]
    failed: Mapping[Part, str]

    @property
    def name(self) -> tuple[str, str]:
        """Network and variant, which tell rows apart."""
        return self.model, self.loss

    @property
    def parts(self) -> list[Part]:
        """Seeds and folds, in order, of all runs, also of those that failed."""
        return sorted({*self.runs, *self.failed})


def read_rows(keys: Sequence[RunKey], failed: Mapping[RunKey, str]) -> list[Row]:
    """Reads runs and checks that they can be compared.

    Args:
        keys: the runs, in the order of the table.
        failed: run -> why it has no result; the table says so instead of refusing.

    Returns:
        The rows, in the order of their first runs.

    Raises:
        ValueError: a run is missing or damaged, or differs from the others in its settings or test images.
    """
    missing = [str(key.folder) for key in keys if key not in failed and not key.folder.is_complete]
    if missing:
        raise ValueError(f"no result of {', '.join(missing)}; train and test there first")
    runs = [_read_run(key) for key in keys if key not in failed]
    own = {name for key in keys for name in parse_variant(key.loss).settings}
    for run in runs[1:]:
        _check_alike(runs[0], run, (*_OF_A_ROW, *own))
    rows = []
    for model, loss in dict.fromkeys((key.model, key.loss) for key in keys):
        of_row = {run.key.part: run for run in runs if (run.key.model, run.key.loss) == (model, loss)}
        for run in of_row.values():
            _check_alike(next(iter(of_row.values())), run, _OF_A_PART)
        reasons = {key.part: why for key, why in failed.items() if (key.model, key.loss) == (model, loss)}
        rows.append(Row(model, loss, of_row, reasons))
    _check_images(runs)
    return rows


def _read_run(key: RunKey) -> Run:
    folder = key.folder
    try:
        result = folder.read_result()
        found = (result["model"], result["loss"], Part(result["seed"], result["fold"]))
        images = folder.read_scores("test")
        expected = result["images"]
        names = dict.fromkeys([VALIDATION[0], *result["mean"]])
        lacking = [name for name in names if not all(name in scores for scores in (result["mean"], *images.values()))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"cannot read the result in {folder}: {type(error).__name__}: {error}") from error
    if lacking:
        raise ValueError(f"the result in {folder} lacks {', '.join(lacking)}")
    if found != (key.model, parse_variant(key.loss).loss, key.part):
        model, loss, part = found
        raise ValueError(
            f"{folder} holds {model} with {loss}, fold {part.fold}, seed {part.seed}, and not what its name says"
        )
    if len(images) != expected:
        raise ValueError(f"test.csv of {folder} must name {expected} images, got {len(images)}")
    return Run(key, folder.read_settings(), result, images)


def _check_alike(first: Run, run: Run, but: Sequence[str]) -> None:
    differences = differing(first.settings, run.settings, but)
    if differences:
        raise ValueError(f"{run.key.folder} and {first.key.folder} cannot be compared: {', '.join(differences)}")


def _check_images(runs: Sequence[Run]) -> None:
    tested: dict[Part, Run] = {}
    for run in runs:
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
