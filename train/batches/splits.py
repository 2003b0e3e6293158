"""Cross-validation: which images train, which choose the best epoch, and which are tested.

A split is a function of the number of images and of the settings alone: every loss and every network gets the same one, so
that their scores can be compared pair by pair.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Split(NamedTuple):
    """Places of the images in the data set, ascending; no image is in two parts.

    Attributes:
        train: images whose gradients are followed.
        validation: images that choose the best epoch.
        test: images that nothing was chosen by.
    """

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


def cross_validation(
    count: int,
    *,
    folds: int,
    fold: int,
    validation_fraction: float,
    seed: int,
    blocks: bool = False,
    gap: int = 0,
) -> Split:
    """Splits the images of a data set for one fold of a cross-validation.

    Over the folds every image is tested exactly once. Of the others a share validates and the rest trains.

    Neighbouring slices of a volume are nearly the same picture, and a random split of them would measure memory: `blocks`
    takes the data set's order as it is and gives each part runs of neighbours. The tested runs do not depend on the seed
    then; where among the others the validation run lies does.

    Args:
        count: images of the data set.
        folds: parts of which each is tested once, 2 or more. One volume by itself cannot be cross-validated: take its
            slices, with `blocks`.
        fold: the part that is tested, 0 to `folds - 1`.
        validation_fraction: share of the images that are not tested which validates; rounded, and one image at least.
        seed: what the random order, or the place of the validation run, is drawn from.
        blocks: split into runs of neighbours.
        gap: with `blocks`, images left out between two runs of different parts. They are taken from the training and
            validation parts beside the tested run and from the training part beside the validation run: every image is
            tested all the same.

    Returns:
        The three parts.

    Raises:
        ValueError: settings out of range, or too few images for all three parts.

    Example:
        >>> split = cross_validation(12, folds=3, fold=0, validation_fraction=0.25, seed=0, blocks=True, gap=1)
        >>> [part.tolist() for part in split]
        [[5, 6, 11], [8, 9], [0, 1, 2, 3]]
    """
    if folds < 2:
        raise ValueError(f"folds must be 2 or more, got {folds}; one part would be trained on and tested alike")
    if not 0 <= fold < folds:
        raise ValueError(f"fold must be 0 to {folds - 1} (folds - 1), got {fold}")
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction must be above 0 and below 1, got {validation_fraction}")
    if gap < 0 or (gap and not blocks):
        raise ValueError(f"gap must be 0 or more, and 0 without blocks, got {gap}")
    order = np.arange(count) if blocks else np.random.default_rng([seed, 0]).permutation(count)
    parts = np.array_split(order, folds)
    test = np.sort(parts[fold])
    # A stream of random numbers of their own, so that the parts of the other folds stay as they are.
    rng = np.random.default_rng([seed, 1, fold])
    if blocks:
        train, validation = _runs(count, test, validation_fraction, gap, rng)
    else:
        others = rng.permutation(np.concatenate([part for number, part in enumerate(parts) if number != fold]))
        validating = _part_of(others.size, validation_fraction)
        train, validation = np.sort(others[validating:]), np.sort(others[:validating])
    if not (train.size and validation.size and test.size):
        raise ValueError(
            f"{count} images are too few for fold {fold} of {folds}: they give {train.size} for training, "
            f"{validation.size} for validation and {test.size} for the test"
            + (f", {gap} left out on each side of a run" if blocks else "")
            + "; add images, or lower data.folds, data.validation_fraction or data.gap"
        )
    return Split(train, validation, test)


def _part_of(count: int, fraction: float) -> int:
    return max(1, round(fraction * count))


def _runs(
    count: int, test: npt.NDArray[np.int64], fraction: float, gap: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Training images and one run of validation images; without a place for the run, all train and none validates."""
    near_test = np.zeros(count, bool)
    if test.size:
        near_test[max(0, test[0] - gap) : test[-1] + 1 + gap] = True
    others = np.flatnonzero(~near_test)
    length = _part_of(others.size, fraction)
    # A run that starts at others[i] has no hole where others[i + length - 1] is its last image.
    starts = others[: max(0, others.size - length + 1)]
    starts = starts[others[length - 1 :] == starts + length - 1]
    choices = []
    for start in starts:
        train = others[(others < start - gap) | (others >= start + length + gap)]
        if train.size:
            choices.append((train, np.arange(start, start + length)))
    return choices[rng.integers(len(choices))] if choices else (others, others[:0])
