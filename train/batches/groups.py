"""Groups of images that belong together: a patient's, a video's, a pair of eyes. Splits part none of them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from train.batches.name_tables import read_name_table
from train.batches.splits import Split


def read_groups(groups: str, names: Sequence[str]) -> list[str]:
    r"""The group of each image.

    Args:
        groups: a regular expression that is searched for in the name, whose first bracket (or all of it, without one) is
            the group, such as `^patient\d+`; or the path of a CSV file with the columns `name` and `group`.
        names: the images'.

    Raises:
        ValueError: an image without a group or with two, or what cannot be read.
    """
    if groups.lower().endswith(".csv"):
        return _from_csv(Path(groups), names)
    try:
        pattern = re.compile(unicodedata.normalize("NFC", groups))  # as names are
    except re.error as error:
        raise ValueError(f"data.groups must be a regular expression or a CSV file, got {groups!r}: {error}") from None
    matches = [pattern.search(name) for name in names]
    found = [match and match[1 if pattern.groups else 0] for match in matches]
    missing = [name for name, group in zip(names, found, strict=True) if not group]
    if missing:
        raise ValueError(
            f"data.groups {groups!r} finds a group in {len(names) - len(missing)} of {len(names)} names, "
            f"not in {missing[0]!r}"
        )
    return [group for group in found if group]


def _from_csv(path: Path, names: Sequence[str]) -> list[str]:
    try:
        _, of_names = read_name_table(path.expanduser(), ["group"])
    except OSError as error:
        raise ValueError(f"data.groups {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"data.groups {path} {error}") from error
    missing = [name for name in names if not of_names.get(name)]
    unknown = sorted(of_names.keys() - set(names))
    if missing:
        also = f"; it names {unknown[0]!r}, which no image is called" if unknown else ""
        raise ValueError(f"data.groups {path} names no group of the image {missing[0]!r}{also}")
    return [of_names[name] for name in names]


def group_cross_validation(
    groups: Sequence[str], *, folds: int, fold: int, validation_fraction: float, seed: int
) -> Split:
    """Splits the images of a data set for one fold of a cross-validation that parts no group.

    Over the folds every image is tested exactly once. Groups go, the larger ones first, to the fold that has the fewest
    images so far; what is equal is drawn.

    Args:
        groups: group of each image.
        folds: parts of which each is tested once, 2 or more, and no more than there are groups.
        fold: the part that is tested, 0 to `folds - 1`.
        validation_fraction: share of the images that are not tested which validates, as near as whole groups come to it.
        seed: what is drawn from.

    Returns:
        The three parts.

    Raises:
        ValueError: too few groups for three parts.
    """
    sizes = Counter(groups)
    if len(sizes) < folds or (len(sizes) == folds == 2):
        raise ValueError(
            f"data.groups must give a group to test in each of the {folds} folds, and two more to train and validate on, "
            f"got {len(sizes)}: {', '.join(sorted(sizes))}; lower data.folds or take other groups"
        )
    drawn = np.random.default_rng([seed, 2]).permutation(sorted(sizes)).tolist()
    images = [0] * folds
    fold_of = {}
    for group in sorted(drawn, key=lambda group: -sizes[group]):
        fold_of[group] = images.index(min(images))
        images[fold_of[group]] += sizes[group]
    tested = np.array([fold_of[group] == fold for group in groups])
    others = np.flatnonzero(~tested)
    validation = validation_groups(groups, others, validation_fraction, seed=seed, fold=fold)
    return Split(np.setdiff1d(others, validation), validation, np.flatnonzero(tested))


def validation_groups(
    groups: Sequence[str], others: npt.NDArray[np.int64], fraction: float, *, seed: int, fold: int
) -> npt.NDArray[np.int64]:
    """Draws groups that validate, at least one and not all.

    Args:
        groups: group of each image of the data set.
        others: places of the images that are not tested.
        fraction: share of them that shall validate; whole groups come as near to it as their order allows.
        seed: what is drawn from.
        fold: the part that is tested.

    Returns:
        Places of the images that validate, ascending.

    Raises:
        ValueError: a single group, which cannot both train and validate.
    """
    sizes = Counter(groups[place] for place in others)
    if len(sizes) < 2:
        raise ValueError(
            f"fold {fold} leaves the group {next(iter(sizes), 'none')} alone to train and validate on; two are needed"
        )
    wanted = fraction * len(others)
    drawn = np.random.default_rng([seed, 3, fold]).permutation(sorted(sizes)).tolist()
    chosen = [min(drawn, key=lambda group: abs(sizes[group] - wanted))]
    images = sizes[chosen[0]]
    for group in [group for group in drawn if group != chosen[0]][:-1]:
        if abs(images + sizes[group] - wanted) < abs(images - wanted):
            chosen.append(group)
            images += sizes[group]
    return np.array([place for place in others if groups[place] in chosen], np.int64)
