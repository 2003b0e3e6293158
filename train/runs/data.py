"""The data of a run: its images, opened as its settings say, and which of them are for what."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train.batches.fixed_splits import Parts, fixed_split, read_splits
from train.batches.groups import group_cross_validation, read_groups
from train.batches.splits import Split, cross_validation
from train.config import DataConfig
from train.datasets import Reading, SegmentationDataset, open_dataset
from train.fitting import PartSizes


def open_data(data: DataConfig) -> SegmentationDataset:
    """Opens the data set of a run, and prepares it first where that is needed.

    Args:
        data: which, and how it is read.

    Raises:
        ValueError: it is missing or cannot be read.
    """
    reading = Reading(data.ignore, data.image_names, data.mask_names)
    return open_dataset(data.dataset, data_dir=data.folder, source=data.source or None, reading=reading)


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
