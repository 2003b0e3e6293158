"""The data of a run: its images, opened as its settings say, and which of them are for what."""

from collections.abc import Sequence
from pathlib import Path

from train.batches.fixed_splits import fixed_split, read_splits
from train.batches.groups import group_cross_validation, read_groups
from train.batches.splits import Split, cross_validation
from train.config import DataConfig
from train.datasets import Reading, SegmentationDataset, open_dataset


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
        folds = read_splits(Path(data.splits).expanduser())
        if len(folds) != data.folds:
            raise ValueError(f"data.folds must be {len(folds)}, as in data.splits {data.splits}, got {data.folds}")
        return fixed_split(folds, names, fold=fold, validation_fraction=share, seed=seed, groups=groups)
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
