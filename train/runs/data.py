"""The data of a run: its images, opened as its settings say, which of them are for what, and whether that is as it was."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from train.batches.fixed_splits import Parts, fixed_split, read_splits
from train.batches.groups import group_cross_validation, read_groups
from train.batches.splits import Split, cross_validation
from train.config import DataConfig
from train.datasets import Dataset, Reading, SegmentationDataset, open_dataset
from train.fitting import PartSizes
from train.runs.folder import RunError, RunFolder


def open_data(data: DataConfig, checksum: int | None = None) -> SegmentationDataset:
    """Opens the data set of a run, and prepares it first where that is needed.

    Args:
        data: which, and how it is read.
        checksum: of images and labels that are taken, wherever they came from, if they are prepared.

    Raises:
        ValueError: it is missing or cannot be read.
    """
    reading = Reading(data.ignore, data.image_names, data.mask_names)
    source = data.source or None
    return open_dataset(data.dataset, data_dir=data.folder, source=source, reading=reading, checksum=checksum)


def split_of(data: DataConfig, names: Sequence[str], *, fold: int, seed: int) -> Split:
    """Which images are for what.

    Args:
        data: how they are split.
        names: the images'.
        fold: which part is tested.
        seed: what is drawn from.

    Raises:
        ValueError: settings that do not fit the images.
    """
    groups = read_groups(data.groups, names) if data.groups else None
    share = data.validation_fraction
    if data.splits:
        return fixed_split(_read_folds(data), names, fold=fold, validation_fraction=share, seed=seed, groups=groups)
    if groups is not None:
        return group_cross_validation(groups, folds=data.folds, fold=fold, validation_fraction=share, seed=seed)
    return cross_validation(
        len(names),
        folds=data.folds,
        fold=fold,
        validation_fraction=share,
        seed=seed,
        blocks=data.blocks,
        gap=data.gap,
    )


def part_sizes(data: DataConfig, count: int) -> PartSizes:
    """How many images train and validate: of splits in a file their mean over all folds, of drawn ones the shares.

    Args:
        data: how the images are split.
        count: images of the data set.

    Raises:
        ValueError: a file of splits that cannot be read, or has another number of folds.
    """

    def drawn(others: float) -> PartSizes:
        validated = max(1, round(others * data.validation_fraction))
        return PartSizes(round(others) - validated, validated)

    def named(parts: Parts) -> PartSizes:
        train, validated = (len(set(parts.get(part, ()))) for part in ("train", "validation"))
        return PartSizes(train, validated) if validated else drawn(train)

    if not data.splits:
        return drawn(count * (data.folds - 1) / data.folds)
    train, validated = np.mean([named(parts) for parts in _read_folds(data)], axis=0)
    return PartSizes(round(train), round(validated))


def _read_folds(data: DataConfig) -> list[Parts]:
    folds = read_splits(Path(data.splits).expanduser())
    if len(folds) != data.folds:
        raise ValueError(f"data.folds must be {len(folds)}, as in data.splits {data.splits}, got {data.folds}")
    return folds


def check_images(folder: RunFolder, dataset: Dataset, title: str, remedy: str) -> None:
    """Refuses data that are not those of a run.

    Args:
        folder: of a run that has begun.
        dataset: the images of today, from whatever folder.
        title: what they are called for people.
        remedy: what to do where they differ.

    Raises:
        RunError: an image, its label or its name is another.
        ValueError: what the folder says of its data cannot be read.
    """
    if folder.read_facts().checksum != dataset.checksum:
        raise RunError(f"{folder} was trained on other images or masks than {title!r} has now; {remedy}")


def check_split(folder: RunFolder, names: Sequence[str], split: Split, remedy: str) -> None:
    """Refuses a split that is not that of a run, whatever made it.

    Args:
        folder: of a run that has begun, on images of those names.
        names: the images'.
        split: which of them are for what today.
        remedy: what to do where they differ.

    Raises:
        RunError: an image is in another part.
        ValueError: the split of the run cannot be read.
    """
    before, now = (_part_of_each(one, len(names)) for one in (recorded_split(folder, names), split))
    moved = [place for place in range(len(names)) if before[place] != now[place]]
    if moved:
        first = moved[0]
        raise RunError(
            f"{folder} was trained on another split than data.splits, data.groups and the seed give now: {len(moved)} of "
            f"{len(names)} images have moved, {names[first]!r} from {before[first]} to {now[first]}; {remedy}"
        )


def recorded_split(folder: RunFolder, names: Sequence[str]) -> Split:
    """The split that a run was trained on.

    Args:
        folder: of a run that has begun, on images of those names.
        names: the images'.

    Raises:
        ValueError: it cannot be read, or is damaged.
    """
    places = {name: place for place, name in enumerate(names)}
    named = folder.read_split()
    try:
        return Split(
            **{part: np.array(sorted(places[name] for name in named[part]), np.int64) for part in Split._fields}
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"split.json of {folder} is damaged ({error!r})") from error


def _part_of_each(split: Split, count: int) -> npt.NDArray[np.str_]:
    parts = np.full(count, "no part", dtype="<U10")
    for part, places in split._asdict().items():
        parts[places] = part
    return parts
