"""Splits that someone else has made, from a file: that of a challenge, or of the networks that one compares with.

- `splits_final.json` of nnU-Net: a list of folds, each with the names of `train` and `val`. What they call validation is
  tested here, and what chooses the best epoch is taken from `train`; unless there is `test` too, and all three are as named.
- CSV with the columns `name` and `fold` (0, 1, ..., the fold in which the image is tested), or `name` and `part` (train,
  validation or test; one fold).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from train.batches.groups import validation_groups
from train.batches.name_tables import image_name, read_name_table
from train.batches.splits import Split

Parts = Mapping[str, Sequence[str]]
"""`train`, `test` and, if it is given, `validation` -> names; none is empty."""

_PARTS = {"train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test"}


def read_splits(path: Path) -> list[Parts]:
    """Reads the folds of a file.

    Args:
        path: of a JSON or CSV file; see the module.

    Raises:
        ValueError: it cannot be read, or is of neither form.
    """
    try:
        folds = _from_csv(path) if path.suffix.lower() == ".csv" else _from_json(path)
    except OSError as error:
        raise ValueError(f"data.splits {path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"data.splits {path} must be a list of folds with train and val, as JSON, or CSV with name and fold or part, "
            f"got {type(error).__name__}: {error}"
        ) from error
    folds = [{part: names for part, names in parts.items() if names} for parts in folds]
    for number, parts in enumerate(folds):
        for part in ("train", "test"):
            if part not in parts:
                raise ValueError(f"data.splits {path} names no image to {part} in fold {number}")
    return folds


def _from_json(path: Path) -> list[Parts]:
    read = json.loads(path.read_text(encoding="utf-8"))
    folds: list[Parts] = []
    for parts in [read] if isinstance(read, dict) else read:
        named = {_PARTS[part]: [image_name(str(name)) for name in names] for part, names in parts.items()}
        if "test" not in named:
            named["test"] = named.pop("validation")
        folds.append(named)
    return folds


def _from_csv(path: Path) -> list[Parts]:
    column, said = read_name_table(path, ["part", "fold"])
    if column == "part":
        named: dict[str, list[str]] = {}
        for name, part in said.items():
            named.setdefault(_PARTS[part.lower()], []).append(name)
        return [named]
    fold_of = {name: int(fold) for name, fold in said.items()}
    folds = sorted(set(fold_of.values()))
    if folds != list(range(len(folds))):
        raise ValueError(f"folds must be 0, 1, ... without a gap, got {', '.join(map(str, folds))}")
    return [
        {
            "train": [name for name in fold_of if fold_of[name] != fold],
            "test": [name for name in fold_of if fold_of[name] == fold],
        }
        for fold in folds
    ]


def fixed_split(
    folds: Sequence[Parts],
    names: Sequence[str],
    *,
    fold: int,
    validation_fraction: float,
    seed: int,
    groups: Sequence[str] | None = None,
) -> Split:
    """The split of a fold that was read from a file.

    Args:
        folds: as `read_splits` returns them.
        names: the images' of the data set.
        fold: which one.
        validation_fraction: share of the images to train on that validates instead, where the file names none.
        seed: what these are drawn from.
        groups: group of each image, of which none may be in two parts; None for none.

    Returns:
        The three parts; images that the file does not name are in none.

    Raises:
        ValueError: a name that no image has, or a name or a group in two parts.
    """
    places = {name: place for place, name in enumerate(names)}
    found: dict[str, npt.NDArray[np.int64]] = {}
    part_of: dict[str, str] = {}
    for part, of_part in folds[fold].items():
        for name in of_part:
            if name not in places:
                raise ValueError(f"data.splits names {name!r}, which no image is called; the first is {names[0]!r}")
            if part_of.setdefault(name, part) != part:
                raise ValueError(f"data.splits has {name!r} in {part_of[name]} and in {part} of fold {fold}")
        found[part] = np.sort([places[name] for name in set(of_part)])
    train, test = found["train"], found["test"]
    if "validation" in found:
        validation = found["validation"]
    elif groups is not None:
        validation = validation_groups(groups, train, validation_fraction, seed=seed, fold=fold)
    else:
        validation = _drawn(train, validation_fraction, seed=seed, fold=fold)
    split = Split(np.setdiff1d(train, validation), validation, test)
    if groups is not None:
        _check_whole(groups, names, split, fold)
    return split


def _check_whole(groups: Sequence[str], names: Sequence[str], split: Split, fold: int) -> None:
    """Refuses a split with a group in two of its parts."""
    first: dict[str, tuple[str, str]] = {}
    for part, places in split._asdict().items():
        for place in places:
            other, name = first.setdefault(groups[place], (part, names[place]))
            if other != part:
                raise ValueError(
                    f"data.splits parts the group {groups[place]!r} of data.groups in fold {fold}: {name!r} is in {other} "
                    f"and {names[place]!r} in {part}; correct the file, or leave data.groups out"
                )


def _drawn(train: npt.NDArray[np.int64], fraction: float, *, seed: int, fold: int) -> npt.NDArray[np.int64]:
    if train.size < 2:
        raise ValueError(f"data.splits must name two images to train on, got {train.size} in fold {fold}")
    count = min(max(1, round(fraction * train.size)), train.size - 1)
    return np.sort(np.random.default_rng([seed, 1, fold]).permutation(train)[:count])
