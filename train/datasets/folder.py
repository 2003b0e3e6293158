"""Anyone's images: a folder with `images/` and `masks/`, as a lab has it."""

import functools
import logging
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from train.datasets.builder import SegmentationBuilder
from train.datasets.classes import (
    TABLES,
    NamedClass,
    Numbering,
    leave_out,
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
from train.datasets.intensities import image_numbers, to_unit_range
from train.datasets.matching import Pairing, check_links, pair_by_name
from train.datasets.nifti import axis_directions, is_nifti
from train.datasets.pictures import JPEG_REMEDY, is_jpeg, shown
from train.datasets.readers import SUFFIXES, DatasetError, read_spacing
from train.datasets.survey import Paths, read_files, survey
from train.datasets.void import Ignored, read_ignored
from train.palette import completed

_IGNORED_SUFFIXES = (".txt", ".md", ".csv", ".json", ".xml", ".db", ".ini")
_LOG = logging.getLogger(__name__)


class Folder(SegmentationBuilder):
    """Images and masks of a user: PNG, TIFF, JPEG, BMP, GIF or NIfTI, of any sizes, for two or more classes.

    - `images/a.tif` belongs to `masks/a.png`, and so do `a_0000.tif` and `a_manual1.png`: see
      `train.datasets.matching.pair_by_name`. Hidden files and notes (`.txt`, `.csv`, ...) are passed over; any other
      file, a folder, a broken link, an image without a mask or a mask without an image is an error.
    - Masks hold 0 and 255 (two classes), or the class numbers 0, 1, ..., C - 1, of which none is missing in all masks
      together; or what a table of classes says, see `train.datasets.classes`. `train.datasets.masks` says how palettes
      are read.
    - `data.ignore` names what stands for no class: numbers such as 255, names of the table, or folders beside `masks/`
      whose masks are not 0 there, with `not:` before the name of one whose masks are 0 there, such as a field of view.
    - All images have the same number of channels, and are either pictures or volumes (NIfTI, or TIFF of several pages).
      8 and 16 bits may be mixed; 16-bit images of a camera of 10, 12 or 14 bits are read with its range.
    - One image is enough to prepare, and too few to train on: a split needs images to hold out.
    """

    VERSION = tfds.core.Version("1.3.0")
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
        named = len(table)
        table = [entry for entry in table if not numbers_of(entry) & ignored.numbers]
        if named and len(table) < 2:
            left = f"{table[0].name} alone" if table else "nothing"
            raise DatasetError(
                f"{files['classes'][0]}: holds {left} beside what data.ignore names; two classes are needed"
            )
        numbering = numbering_of(table, ignored.numbers)
        found = _paired(files, self.reading, ignored)
        seen = survey(list(found.values()), numbering)
        if len(seen.kinds) > 1:
            (one, path), (other, other_path), *_ = seen.kinds.items()
            raise DatasetError(f"{other_path}: has {_kind(*other)}, but {path} has {_kind(*one)}; convert one of them")
        ((dims, channels),) = seen.kinds
        if table:
            _check_table(files["classes"][0], table, numbering, seen.values)
        else:
            _say_unused(ignored.numbers, seen.values)
            numbering = numbering_without_table(seen.values, ignored.numbers)
        load = functools.partial(
            _load, numbering=numbering, dtype=seen.dtype, white=seen.white, stretched=seen.stretched
        )
        images = [paths.image for paths in found.values()]
        spacings = _spacings(images)
        _say_directions(images)
        records = [
            Record(name, "", functools.partial(load, paths, spacing), spacing)
            for (name, paths), spacing in zip(found.items(), spacings, strict=True)
        ]
        return Contents(
            records,
            channels=channels,
            classes=len(set(numbering.classes.values())),
            class_values=numbering.values,
            class_names=[entry.name for entry in table],
            class_colours=completed([entry.colour for entry in table]),
            spatial_dims=dims,
            dtype=seen.dtype,
            example_bytes=seen.example_bytes,
            facts={"white": seen.white, "stretched": seen.stretched},
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


def _paired(files: Files, reading: Reading, ignored: Ignored) -> dict[str, Paths]:
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
    return {name: Paths(image, mask, tuple(further.get(image, ()))) for name, image, mask in pairing.pairs}


def _say(pairing: Pairing) -> None:
    if pairing.rule:
        _LOG.warning("%s", pairing.rule)
    if pairing.left_out:
        first = pairing.left_out[0]
        _LOG.warning("%d files such as %s are left out: their names do not fit", len(pairing.left_out), first)


def _say_unused(ignored: frozenset[int], values: Mapping[int, pathlib.Path]) -> None:
    if unused := sorted(ignored - values.keys()):
        _LOG.warning("no mask holds %s, which data.ignore names", " or ".join(map(written, unused)))


def _check_table(
    path: pathlib.Path, table: Sequence[NamedClass], numbering: Numbering, values: Mapping[int, pathlib.Path]
) -> None:
    """Refuses numbers and colours that a table does not name, and says which classes no mask has."""
    unknown = [value for value in values if value not in numbering.known]
    if unknown:
        remedy = f"add it there, or leave it out with `{leave_out(unknown[0])}`"
        if is_jpeg(values[unknown[0]]):
            remedy = JPEG_REMEDY
        raise DatasetError(f"{values[unknown[0]]}: holds {written(unknown[0])}, which {path} does not name; {remedy}")
    absent = [entry.name for entry in table if not numbers_of(entry) & values.keys()]
    if absent:
        _LOG.warning("no mask holds the classes %s of %s", listed(absent), path)


def _spacings(images: Sequence[pathlib.Path]) -> list[tuple[float, ...] | None]:
    """Of each image, or none at all where some do not say it."""
    spacings = [read_spacing(path) for path in images]
    silent = [path for path, spacing in zip(images, spacings, strict=True) if spacing is None]
    if silent and len(silent) < len(images):
        _LOG.warning(
            "%s does not say how far apart its pixels lie: lengths are taken in pixels, of all images", silent[0]
        )
    return [None] * len(images) if silent else spacings


def _say_directions(images: Sequence[pathlib.Path]) -> None:
    """Says so where the axes of NIfTI files, which are read in the order of each, lead to different directions."""
    first: dict[str, pathlib.Path] = {}
    for path in images:
        first.setdefault(axis_directions(path) if is_nifti(path) else "unknown", path)
    if len(first) > 1:
        (one, path), (other, other_path), *_ = first.items()
        _LOG.warning(
            "%s has its axes in the directions %s, and %s in %s: they are read in the order of each file; turn all the same "
            "way, as nibabel.as_closest_canonical does",
            path,
            one,
            other_path,
            other,
        )


def _kind(dims: int, channels: int) -> str:
    return f"{dims} spatial axes and {channels} channel{'s' * (channels > 1)}"


def _load(
    paths: Paths,
    spacing: tuple[float, ...] | None,
    *,
    numbering: Numbering,
    dtype: np.dtype,
    white: int | None,
    stretched: bool | None,
) -> Pair:
    stored, mask, unmasked = read_files(paths, numbering)
    label, where = numbering.label(mask.numbers)
    if unmasked is not None:
        where &= unmasked
    image = image_numbers(paths.image, shown(stored), stretched=stretched)
    if image.dtype == np.uint16:
        image = np.rint(image * (WHITE / (white or WHITE))).astype(np.uint16)
    if image.dtype != dtype:
        image = image.astype(np.uint16) * np.uint16(257) if dtype == np.uint16 else to_unit_range(image)
    return Pair(image, nearest_known(label, where, spacing), where)
