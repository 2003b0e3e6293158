"""Anyone's images: a folder with `images/` and `masks/`, matched by the names of the files without their suffix."""

import functools
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from train.datasets.builder import Contents, Files, Pair, Record, SegmentationBuilder
from train.datasets.matching import match_masks
from train.datasets.readers import SUFFIXES, DatasetError, describe_values, read_pair, stem, to_unit_range

MAX_CLASSES = 256  # labels are kept in 8 bits
MAX_BYTES = 1000 * 2**20  # above this tensorflow-datasets sorts examples on disk, with TensorFlow
_IGNORED_SUFFIXES = (".txt", ".md", ".csv", ".json", ".xml", ".db", ".ini")


class _Seen(NamedTuple):
    # What one pass over all pairs tells; the first path of each kind is kept for the errors.
    kinds: dict[tuple[int, int], pathlib.Path]  # (spatial dims, channels) -> image
    dtypes: set[np.dtype]
    values: dict[int, pathlib.Path]  # value -> mask
    example_bytes: int


class Folder(SegmentationBuilder):
    """Images and masks of a user: PNG, TIFF, JPEG, BMP, GIF or NIfTI, of any sizes, for two or more classes.

    - `images/a.tif` belongs to `masks/a.png`. Hidden files and notes (`.txt`, `.csv`, ...) are passed over; any other
      file, a folder, an image without a mask or a mask without an image is an error.
    - Masks hold 0 and 255 (two classes), or the class numbers 0, 1, ..., C - 1, of which none is missing in all masks
      together; `train.datasets.readers` says how palettes are read.
    - All images have the same number of channels, and are either pictures or NIfTI volumes. 8 and 16 bits may be mixed.
    - One image is enough to prepare, and too few to train on: a split needs images to hold out.
    """

    name = "folder"
    LAYOUT = """
        FOLDER/
          images/a.png, b.tif ...     PNG, TIFF, JPEG, BMP, GIF or NIfTI
          masks/a.png, b.png ...      the same names; 0 and 255, or class numbers 0, 1, 2, ...
    """
    PATTERNS = (("images/*", "masks/*"),)

    @classmethod
    def find_files(cls, source: pathlib.Path) -> Files:
        """See the base class; also refuses what is neither image nor note."""
        files = super().find_files(source)
        kept = {pattern: _images_of(paths) for pattern, paths in files.items()}
        for pattern, paths in files.items():
            if not kept[pattern]:
                raise DatasetError(f"{paths[0].parent}: holds no image; supported: {', '.join(SUFFIXES)}")
        return kept

    @classmethod
    def plan(cls, files: Files) -> Contents:
        """See the base class. Reads every file once, so that a broken one is found before anything is written."""
        pairs = match_masks(files["images/*"], files["masks/*"], key=stem)
        seen = _look_at([(image, mask) for _, image, mask in pairs])
        if len(seen.kinds) > 1:
            (one, path), (other, other_path), *_ = seen.kinds.items()
            raise DatasetError(f"{other_path}: has {_kind(*other)}, but {path} has {_kind(*one)}; convert one of them")
        ((dims, channels),) = seen.kinds
        classes, scale = _classes(seen.values)
        dtype = next(iter(seen.dtypes)) if len(seen.dtypes) == 1 else _common(seen.dtypes)
        return Contents(
            [Record(name, "", functools.partial(_load, image, mask, dtype, scale)) for name, image, mask in pairs],
            channels=channels,
            classes=classes,
            spatial_dims=dims,
            dtype=dtype,
            example_bytes=seen.example_bytes,
        )


def _images_of(paths: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    folder = paths[0].parent
    for entry in sorted(folder.iterdir()):
        name = entry.name.lower()
        if entry.name.startswith(".") or (name.endswith((*SUFFIXES, *_IGNORED_SUFFIXES)) and entry.is_file()):
            continue
        if entry.is_dir():
            raise DatasetError(f"{entry}: is a folder; the files must lie in {folder} itself")
        raise DatasetError(f"{entry}: is of no supported kind ({', '.join(SUFFIXES)}); convert it or move it away")
    return [path for path in paths if path.name.lower().endswith(SUFFIXES)]


def _look_at(pairs: Sequence[tuple[pathlib.Path, pathlib.Path]]) -> _Seen:
    seen, largest = _Seen({}, set(), {}, 0), 1
    for image_path, mask_path in tqdm(pairs, desc="checking folder", unit="image", disable=None, leave=False):
        image, mask = read_pair(image_path, mask_path)
        seen.kinds.setdefault((mask.ndim, image.shape[-1]), image_path)
        seen.dtypes.add(image.dtype)
        for value in np.unique(mask).tolist():
            seen.values.setdefault(value, mask_path)
        size = 4 * image.size + mask.size  # images are kept in at most 32 bits
        if size > MAX_BYTES:
            raise DatasetError(
                f"{image_path}: takes {size >> 20} MiB, more than the {MAX_BYTES >> 20} MiB of one example; cut it"
            )
        largest = max(largest, size)
    return seen._replace(example_bytes=largest)


def _kind(dims: int, channels: int) -> str:
    return f"{dims} spatial axes and {channels} channel{'s' * (channels > 1)}"


def _classes(values: dict[int, pathlib.Path]) -> tuple[int, int]:
    # Number of classes, and what mask values are divided by.
    found = sorted(values)
    if found == [0, 255]:
        return 2, 255
    if len(found) == 1:
        raise DatasetError(f"{values[found[0]]}: holds {found[0]} alone, as do all masks; two classes are needed")
    if found == list(range(len(found))) and len(found) <= MAX_CLASSES:
        return len(found), 1
    # The first value that does not fit points to the file, a gap to the value above it.
    wrong = next(value for place, value in enumerate(found) if value != place or place >= MAX_CLASSES)
    remedy = "JPEG alters values: save masks as PNG" if _is_jpeg(values[wrong]) else "renumber the classes"
    raise DatasetError(
        f"{values[wrong]}: holds {wrong}, all masks together {describe_values(np.array(found))}, where 0 and 255, or "
        f"0, 1, ..., C - 1 without a gap and C at most {MAX_CLASSES}, are read; {remedy}"
    )


def _is_jpeg(path: pathlib.Path) -> bool:
    return path.name.lower().endswith((".jpg", ".jpeg"))


def _common(dtypes: set[np.dtype]) -> np.dtype:
    return np.dtype(np.float32 if np.dtype(np.float32) in dtypes else np.uint16)


def _load(image_path: pathlib.Path, mask_path: pathlib.Path, dtype: np.dtype, scale: int) -> Pair:
    image, mask = read_pair(image_path, mask_path)
    if image.dtype == dtype:
        return image, mask // scale
    if dtype == np.uint16:
        return image.astype(np.uint16) * np.uint16(257), mask // scale  # 255 -> 65535
    return to_unit_range(image), mask // scale
