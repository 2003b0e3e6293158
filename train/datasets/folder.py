"""Anyone's images: a folder with `images/` and `masks/`, as a lab has it."""

import functools
import logging
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from train.datasets.builder import SegmentationBuilder
from train.datasets.classes import (
    TABLES,
    NamedClass,
    Numbering,
    colour_numbers,
    nearest_known,
    numbering_of,
    numbering_without_table,
    numbers_of,
    read_class_table,
    written,
)
from train.datasets.contents import AS_IS, Contents, Files, Pair, Reading, Record
from train.datasets.dataset import WHITE
from train.datasets.errors import listed
from train.datasets.matching import Pairing, check_links, pair_by_name
from train.datasets.readers import (
    SUFFIXES,
    DatasetError,
    check_sizes,
    is_coloured,
    read_colour_mask,
    read_image,
    read_mask,
    read_pair,
    read_spacing,
    to_unit_range,
)
from train.datasets.void import Ignored, read_ignored

MAX_BYTES = 1000 * 2**20  # above this tensorflow-datasets sorts examples on disk, with TensorFlow
_IGNORED_SUFFIXES = (".txt", ".md", ".csv", ".json", ".xml", ".db", ".ini")
_DEPTHS = (8, 10, 12, 14, 16)  # of cameras whose images are kept in 16 bits
_LOG = logging.getLogger(__name__)


class _Seen(NamedTuple):
    # What one pass over all pairs tells; the first path of each kind is kept for the errors.
    kinds: dict[tuple[int, int], pathlib.Path]  # (spatial dims, channels) -> image
    dtypes: set[np.dtype]
    deepest: int  # greatest value of all 16-bit images
    values: dict[int, pathlib.Path]  # number -> mask
    example_bytes: int


class _Paths(NamedTuple):
    # The files of one example; those of further masks with whether they are inverted.
    image: pathlib.Path
    mask: pathlib.Path
    ignored: tuple[tuple[pathlib.Path, bool], ...]


class Folder(SegmentationBuilder):
    """Images and masks of a user: PNG, TIFF, JPEG, BMP, GIF or NIfTI, of any sizes, for two or more classes.

    - `images/a.tif` belongs to `masks/a.png`, and so do `a_0000.tif` and `a_manual1.png`: see
      `train.datasets.matching.pair_by_name`. Hidden files and notes (`.txt`, `.csv`, ...) are passed over; any other
      file, a folder, a broken link, an image without a mask or a mask without an image is an error.
    - Masks hold 0 and 255 (two classes), or the class numbers 0, 1, ..., C - 1, of which none is missing in all masks
      together; or what a table of classes says, see `train.datasets.classes`. `train.datasets.readers` says how palettes
      are read.
    - `data.ignore` names what stands for no class: numbers such as 255, names of the table, or folders beside `masks/`
      whose masks are not 0 there, with `not:` before the name of one whose masks are 0 there, such as a field of view.
    - All images have the same number of channels, and are either pictures or volumes (NIfTI, or TIFF of several pages).
      8 and 16 bits may be mixed; 16-bit images of a camera of 10, 12 or 14 bits are read with its range.
    - One image is enough to prepare, and too few to train on: a split needs images to hold out.
    """

    name = "folder"
    LAYOUT = """
        FOLDER/
          images/a.png, b.tif ...     PNG, TIFF, JPEG, BMP, GIF or NIfTI
          masks/a.png, b.png ...      the same names; 0 and 255, or class numbers 0, 1, 2, ...
          classes.json                if the classes have names or colours: {"background": 0, "vessel": 1, ...}
    """
    PATTERNS = (("images/*", "masks/*"),)

    @classmethod
    def check_reading(cls, reading: Reading) -> None:
        """See the base class; anything may be chosen here."""

    @classmethod
    def find_files(cls, source: pathlib.Path, reading: Reading = AS_IS) -> Files:
        """See the base class; also finds the table of classes and the folders of what is to be ignored."""
        files = super().find_files(source, reading)
        root = files["images/*"][0].parent.parent
        kept = {pattern: _images_of(paths[0].parent) for pattern, paths in files.items()}
        tables = [root / name for name in TABLES if (root / name).is_file()]
        if len(tables) > 1:
            raise DatasetError(f"{root}: holds both {' and '.join(TABLES)}; keep one of them")
        table = read_class_table(tables[0]) if tables else []
        for name in read_ignored(reading.ignore, table, root).folders:
            kept[f"{name}/*"] = _images_of(root / name)
        return {**kept, **({"classes": tables} if tables else {})}

    def plan(self, files: Files) -> Contents:
        """See the base class. Reads every file once, so that a broken one is found before anything is written."""
        table = read_class_table(files["classes"][0]) if "classes" in files else []
        ignored = read_ignored(self.reading.ignore, table, files["images/*"][0].parent.parent)
        table = [entry for entry in table if not numbers_of(entry) & ignored.numbers]
        by_colour = any(entry.colour for entry in table)
        found = _paired(files, self.reading, ignored)
        seen = _look_at(list(found.values()), by_colour, ignored.numbers)
        if len(seen.kinds) > 1:
            (one, path), (other, other_path), *_ = seen.kinds.items()
            raise DatasetError(f"{other_path}: has {_kind(*other)}, but {path} has {_kind(*one)}; convert one of them")
        ((dims, channels),) = seen.kinds
        numbering = _numbering(table, ignored.numbers, seen.values, files)
        white = _white(seen)
        dtype = next(iter(seen.dtypes)) if len(seen.dtypes) == 1 else _common(seen.dtypes)
        load = functools.partial(_load, numbering=numbering, by_colour=by_colour, dtype=dtype, white=white)
        spacings = _spacings([paths.image for paths in found.values()])
        records = [
            Record(name, "", functools.partial(load, paths), spacing)
            for (name, paths), spacing in zip(found.items(), spacings, strict=True)
        ]
        coloured = bool(table) and all(entry.colour for entry in table)
        return Contents(
            records,
            channels=channels,
            classes=len(set(numbering.classes.values())),
            class_values=numbering.values,
            class_names=[entry.name for entry in table],
            class_colours=[entry.colour for entry in table] if coloured else [],
            spatial_dims=dims,
            dtype=dtype,
            example_bytes=seen.example_bytes,
            facts={"white": white},
        )


def _images_of(folder: pathlib.Path) -> list[pathlib.Path]:
    check_links(folder)
    kept = []
    for entry in sorted(folder.iterdir()):
        name = entry.name.lower()
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            raise DatasetError(f"{entry}: is a folder; the files must lie in {folder} itself")
        if name.endswith(SUFFIXES):
            kept.append(entry)
        elif not name.endswith(_IGNORED_SUFFIXES):
            raise DatasetError(f"{entry}: is of no supported kind ({', '.join(SUFFIXES)}); convert it or move it away")
    if not kept:
        raise DatasetError(f"{folder}: holds no image; supported: {', '.join(SUFFIXES)}")
    return kept


def _paired(files: Files, reading: Reading, ignored: Ignored) -> dict[str, _Paths]:
    """Name -> files of each example."""
    names = {"image_names": reading.image_names, "mask_names": reading.mask_names}
    pairing = pair_by_name(files["images/*"], files["masks/*"], **names)
    _say(pairing)
    further: dict[pathlib.Path, list[tuple[pathlib.Path, bool]]] = {}
    for folder, inverted in ignored.folders.items():
        for _, image, path in pair_by_name(
            files["images/*"], files[f"{folder}/*"], image_names=reading.image_names
        ).pairs:
            further.setdefault(image, []).append((path, inverted))
    return {name: _Paths(image, mask, tuple(further.get(image, ()))) for name, image, mask in pairing.pairs}


def _say(pairing: Pairing) -> None:
    if pairing.rule:
        _LOG.warning("%s", pairing.rule)
    if pairing.left_out:
        first = pairing.left_out[0]
        _LOG.warning("%d files such as %s are left out: their names do not fit", len(pairing.left_out), first)


def _look_at(paths: Sequence[_Paths], by_colour: bool, ignored: frozenset[int]) -> _Seen:
    kinds: dict[tuple[int, int], pathlib.Path] = {}
    values: dict[int, pathlib.Path] = {}
    dtypes, deepest, largest = set(), 0, 1
    for files in tqdm(paths, desc="checking folder", unit="image", disable=None, leave=False):
        image, numbers, where = _read(files, by_colour)
        known = numbers if where is None else numbers[where]
        if not set(np.unique(known).tolist()) - ignored:
            raise DatasetError(f"{files.mask}: holds nothing but what is to be ignored; remove it and its image")
        kinds.setdefault((numbers.ndim, image.shape[-1]), files.image)
        dtypes.add(image.dtype)
        deepest = max(deepest, int(image.max()) if image.dtype == np.uint16 else 0)
        for value in np.unique(numbers).tolist():
            values.setdefault(value, files.mask)
        size = 4 * image.size + 2 * numbers.size  # images are kept in at most 32 bits
        if size > MAX_BYTES:
            raise DatasetError(
                f"{files.image}: takes {size >> 20} MiB, more than the {MAX_BYTES >> 20} MiB of one example; cut it"
            )
        largest = max(largest, size)
    return _Seen(kinds, dtypes, deepest, values, largest)


def _read(
    paths: _Paths, by_colour: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.bool_] | None]:
    """Image, numbers of the mask, and where further masks leave it; None where there are none."""
    if by_colour and is_coloured(paths.mask):
        image, numbers = read_image(paths.image), colour_numbers(read_colour_mask(paths.mask))
        check_sizes(paths.image, image, paths.mask, numbers)
    else:
        image, numbers = read_pair(paths.image, paths.mask)
    where = None
    for path, inverted in paths.ignored:
        further = read_mask(path)
        check_sizes(paths.image, image, path, further)
        where = ((further != 0) == inverted) & (True if where is None else where)
    return image, numbers, where


def _numbering(
    table: Sequence[NamedClass], ignored: frozenset[int], values: dict[int, pathlib.Path], files: Files
) -> Numbering:
    unused = sorted(ignored - values.keys())
    if unused and not table:
        _LOG.warning("no mask holds %s, which data.ignore names", " or ".join(map(written, unused)))
    if not table:
        return numbering_without_table(values, ignored)
    numbering = numbering_of(table, ignored)
    path = files["classes"][0]
    unknown = [value for value in values if value not in numbering.classes and value not in ignored]
    if unknown:
        raise DatasetError(
            f"{values[unknown[0]]}: holds {written(unknown[0])}, which {path} does not name; add it there, or leave it "
            "out with --data.ignore"
        )
    absent = [entry.name for entry in table if not numbers_of(entry) & values.keys()]
    if absent:
        _LOG.warning("no mask holds the classes %s of %s", listed(absent), path)
    return numbering


def _spacings(images: Sequence[pathlib.Path]) -> list[tuple[float, ...] | None]:
    """Of each image, or none at all where some do not say it."""
    spacings = [read_spacing(path) for path in images]
    silent = [path for path, spacing in zip(images, spacings, strict=True) if spacing is None]
    if silent and len(silent) < len(images):
        _LOG.warning(
            "%s does not say how far apart its pixels lie: lengths are taken in pixels, of all images", silent[0]
        )
    return [None] * len(images) if silent else spacings


def _kind(dims: int, channels: int) -> str:
    return f"{dims} spatial axes and {channels} channel{'s' * (channels > 1)}"


def _common(dtypes: set[np.dtype]) -> np.dtype:
    return np.dtype(np.float32 if np.dtype(np.float32) in dtypes else np.uint16)


def _white(seen: _Seen) -> int:
    """What stands for 1 in 16-bit images: the greatest number of the least depth that holds them all."""
    depth = next(bits for bits in _DEPTHS if seen.deepest < 2**bits)
    if seen.deepest and depth < 16:
        _LOG.warning(
            "the 16-bit images hold %d at most: they are read as images of %d bits, in which %d is white",
            seen.deepest,
            depth,
            2**depth - 1,
        )
    return 2**depth - 1 if seen.deepest else WHITE


def _load(paths: _Paths, *, numbering: Numbering, by_colour: bool, dtype: np.dtype, white: int) -> Pair:
    image, numbers, unmasked = _read(paths, by_colour)
    label, where = numbering.label(numbers)
    if unmasked is not None:
        where &= unmasked
    if image.dtype == np.uint16:
        image = np.rint(image * (WHITE / white)).astype(np.uint16)
    if image.dtype != dtype:
        image = image.astype(np.uint16) * np.uint16(257) if dtype == np.uint16 else to_unit_range(image)
    return Pair(image, nearest_known(label, where), where)
