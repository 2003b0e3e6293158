"""One pass over all files of a folder, before any is prepared: what they hold together, and what is to be said of them."""

import logging
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from train.datasets.classes import Numbering
from train.datasets.errors import DatasetError
from train.datasets.intensities import bit_depth, exceed_unit_range, limits
from train.datasets.masks import Mask, read_numbers
from train.datasets.pictures import JPEG_REMEDY, Stored, is_jpeg, shown
from train.datasets.readers import check_pair, describe_values, read_stored

MAX_BYTES = 1000 * 2**20  # above this tensorflow-datasets sorts examples on disk, with TensorFlow
_BYTES, _DEEP, _KEPT, _STRETCHED = "8 bits", "16 bits", "0 to 1", "others"  # kinds of numbers of images
_LOG = logging.getLogger(__name__)


class Paths(NamedTuple):
    """The files of one example; those of further masks with whether they are inverted."""

    image: pathlib.Path
    mask: pathlib.Path
    ignored: tuple[tuple[pathlib.Path, bool], ...]


class Survey(NamedTuple):
    """What the files hold together.

    Attributes:
        kinds: Spatial axes and channels -> the first image that has them.
        dtype: Type in which all images are kept.
        white: What stands for 1 in images of 16 bits; None where there are none.
        stretched: Whether images of other numbers are stretched from least to greatest; None where there are none.
        values: Every number of the masks -> the first that holds it.
        example_bytes: About the size of the largest example, uncompressed.
    """

    kinds: dict[tuple[int, int], pathlib.Path]
    dtype: np.dtype
    white: int | None
    stretched: bool | None
    values: dict[int, pathlib.Path]
    example_bytes: int


def survey(examples: Sequence[Paths], numbering: Numbering) -> Survey:
    """Reads all files.

    Args:
        examples: The files of each.
        numbering: What the table of classes says; of no classes where there is none.

    Raises:
        DatasetError: If one cannot be read, is too large, or does not fit the others of its example.
    """
    kinds: dict[tuple[int, int], pathlib.Path] = {}
    values: dict[int, pathlib.Path] = {}
    numbers_of: dict[str, pathlib.Path] = {}  # kind of numbers of images -> the first of them
    repainted: list[pathlib.Path] = []
    transparent: list[pathlib.Path] = []
    deepest, largest = 0, 1
    for paths in tqdm(examples, desc="checking folder", unit="image", disable=None, leave=False):
        stored, mask, where = read_files(paths, numbering)
        image = shown(stored)
        if stored.transparent:
            transparent.append(paths.image)
        known = mask.numbers if where is None else mask.numbers[where]
        if not set(np.unique(known).tolist()) - numbering.ignored:
            raise DatasetError(f"{paths.mask}: holds nothing but what is to be ignored; remove it and its image")
        kinds.setdefault((mask.numbers.ndim, image.shape[-1]), paths.image)
        numbers_of.setdefault(_numbers_of(paths.image, image), paths.image)
        deepest = max(deepest, int(image.max()) if image.dtype == np.uint16 else 0)
        for value in np.unique(mask.numbers).tolist():
            values.setdefault(value, paths.mask)
        for said in mask.said:
            _LOG.warning("%s", said)
        if mask.repainted:
            repainted.append(paths.mask)
        size = 4 * image.size + 2 * mask.numbers.size  # images are kept in at most 32 bits
        if size > MAX_BYTES:
            raise DatasetError(
                f"{paths.image}: takes {size >> 20} MiB, more than the {MAX_BYTES >> 20} MiB of one example; cut it"
            )
        largest = max(largest, size)
    _say(
        repainted, "by the colours of the palette, which the table of classes names for other classes than their places"
    )
    _say(
        transparent, "without the transparency; if it is a channel that was measured, save it as an unspecified sample"
    )
    return Survey(kinds, _common(numbers_of), _white(numbers_of, deepest), _stretched(numbers_of), values, largest)


def read_files(paths: Paths, numbering: Numbering) -> tuple[Stored, Mask, npt.NDArray[np.bool_] | None]:
    """Reads the files of an example.

    Args:
        paths: The files.
        numbering: As in `survey`.

    Returns:
        What the image's file holds, the mask with what is to be said of all, and where further masks leave it; None where
        there are none.

    Raises:
        DatasetError: As `survey`.
    """
    stored, mask = read_stored(paths.image, mask=False), read_numbers(paths.mask, numbering)
    check_pair(paths.image, stored.values, paths.mask, mask.numbers)
    where = None
    for path, inverted in paths.ignored:
        further = read_numbers(path, Numbering({}))
        check_pair(paths.image, stored.values, path, further.numbers)
        if is_jpeg(path) and not np.isin(further.numbers, (0, 255)).all():
            raise DatasetError(
                f"{path}: holds {describe_values(further.numbers)}, where 0 is read as outside; {JPEG_REMEDY}"
            )
        where = ((further.numbers != 0) == inverted) & (True if where is None else where)
        mask = mask._replace(said=mask.said + further.said)
    return stored, mask, where


def _say(paths: Sequence[pathlib.Path], how: str) -> None:
    """Says once how some files are read."""
    if paths:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        _LOG.warning("%s%s: read %s", paths[0], more, how)


def _numbers_of(path: pathlib.Path, image: npt.NDArray[Any]) -> str:
    if image.dtype in (np.uint8, np.uint16):
        return _BYTES if image.dtype == np.uint8 else _DEEP
    return _STRETCHED if exceed_unit_range(*limits(path, image)) else _KEPT


def _common(numbers: Iterable[str]) -> np.dtype:
    if _KEPT in numbers or _STRETCHED in numbers:
        return np.dtype(np.float32)
    return np.dtype(np.uint16 if _DEEP in numbers else np.uint8)


def _white(numbers: Iterable[str], deepest: int) -> int | None:
    """The greatest number of the least depth that holds all images of 16 bits."""
    if _DEEP not in numbers:
        return None
    depth = bit_depth(deepest) if deepest else 16
    if depth < 16:
        _LOG.warning(
            "the 16-bit images hold %d at most: they are read as images of %d bits, in which %d is white",
            deepest,
            depth,
            2**depth - 1,
        )
    return 2**depth - 1


def _stretched(numbers: dict[str, pathlib.Path]) -> bool | None:
    """One answer for all, lest equal numbers of two images become different ones; says so where they need two."""
    if _STRETCHED not in numbers:
        return False if _KEPT in numbers else None
    if kept := [numbers[kind] for kind in (_KEPT, _BYTES, _DEEP) if kind in numbers]:
        _LOG.warning(
            "%s has numbers beyond 0 to 1, and %s has not: each image that is not of 8 or 16 bits is stretched from its "
            "least to its greatest number, so that equal numbers of two images are not equal any more; save all of them "
            "with one scale, from 0 to 1",
            numbers[_STRETCHED],
            kept[0],
        )
    return True
