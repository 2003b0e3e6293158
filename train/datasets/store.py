"""Prepares data sets once, and opens them for random access.

`prepare` writes `DATA_DIR/NAME/STATE/VERSION/`, where STATE stands for the names, sizes and times of the source files:
changed files are prepared anew, beside what was prepared before, and nothing is ever overwritten. The files are
written in a folder of their own and moved into place when they are whole, so a preparation that was killed leaves
nothing that could be taken for data. Two processes that prepare the same set wait for each other.
"""

import json
import operator
import os
import pathlib
import shutil
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from train.atomic_files import locked
from train.datasets.builder import SegmentationBuilder, fingerprint
from train.datasets.contents import AS_IS, Reading
from train.datasets.dataset import WHITE, Example, ImageFacts, facts_of
from train.datasets.drive import Drive
from train.datasets.folder import Folder
from train.datasets.glas import Glas
from train.datasets.isbi2012 import Isbi2012
from train.datasets.lengths import in_unit, length_unit
from train.datasets.massachusetts_roads import MassachusettsRoads
from train.datasets.mni152 import Mni152, Mni152Volume
from train.datasets.readers import DatasetError, to_unit_range
from train.datasets.snemi3d import Snemi3d

DATASETS: Mapping[str, type[SegmentationBuilder]] = {
    builder.name: builder
    for builder in (Drive, Glas, Snemi3d, MassachusettsRoads, Isbi2012, Mni152, Mni152Volume, Folder)
}

_STAGING = ".unfinished"
# Written last: the size of every other file, a checksum of what they hold, and the facts of every image, lengths in mm.
_COMPLETE = "complete.json"


class SegmentationDataset:
    """A prepared data set. Opening reads no image; pickled, it is the path alone.

    Attributes:
        path: The prepared files; another folder whenever the images have changed.
        name: Name of the data set.
        classes: Number of classes.
        class_names: Name of each class, its number where it has no other.
        class_colours: Of each class, as `#rrggbb`; none where the data set says nothing of them.
        class_values: What the user's masks hold for each class; none where that is not known.
        white: What stands for 1 in the set's files of 16 bits.
        channels: Channels of every image.
        spatial_dims: 2 for images, 3 for volumes.
        names: Name of each example.
        original_splits: Part of the original set that each example comes from, empty where there is none.
        facts: Everything recorded with the data, such as the seed of a draw.
        images: What is known of each image without reading it.
        length_unit: Of their spacings: "mm", "µm" or "nm", as suits the pixels; "pixels" where they are not known.
        checksum: Of every pixel of the images and labels.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Opens prepared files.

        Args:
            path: What `prepare` returned.
        """
        self.path = path
        builder = tfds.builder_from_directory(path)
        self.name: str = builder.info.name
        self.facts: dict[str, Any] = dict(builder.info.metadata)
        self.classes: int = self.facts["classes"]
        self.class_names: tuple[str, ...] = tuple(self.facts["class_names"] or map(str, range(self.classes)))
        self.class_colours: tuple[str, ...] = tuple(self.facts["class_colours"])
        self.class_values: tuple[int, ...] = tuple(self.facts.get("class_values", ()))
        self.white: int = self.facts.get("white", WHITE)
        self.channels: int = self.facts["channels"]
        self.spatial_dims: int = self.facts["spatial_dims"]
        self.names: tuple[str, ...] = tuple(self.facts["names"])
        self.original_splits: tuple[str, ...] = tuple(self.facts["original_splits"])
        complete = json.loads((path / _COMPLETE).read_text())
        self.checksum: int = complete["checksum"]
        # JSON has lists for tuples.
        lists: list[list[Any]] = complete["images"]
        images = [ImageFacts(*(value and tuple(value) for value in values)) for values in lists]
        self.length_unit = length_unit(facts.spacing for facts in images)
        self.images = tuple(
            facts._replace(spacing=facts.spacing and in_unit(facts.spacing, self.length_unit)) for facts in images
        )
        self._examples = _source(builder)

    def __reduce__(self) -> tuple[type["SegmentationDataset"], tuple[pathlib.Path]]:
        return type(self), (self.path,)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"{self.name} has {len(self)} images, got index {place}")
        return _example(self._examples[place % len(self)])


def prepare(
    name: str,
    *,
    data_dir: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    reading: Reading = AS_IS,
) -> pathlib.Path:
    """Writes the array_record files of a data set, unless they are there.

    Args:
        name: Name in `DATASETS`.
        data_dir: Folder for the prepared files.
        source: Folder with the original archive; for "folder", the one with `images/` and `masks/`. None takes what was
            prepared last.
        reading: How a folder of one's own is read.

    Returns:
        Folder of the prepared files.

    Raises:
        DatasetError: If the name is unknown, the source is missing or wrong, a file cannot be read, nothing is prepared
            and no source is given, or the files cannot be written.
    """
    if name not in DATASETS:
        raise DatasetError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    builder_class, home = DATASETS[name], pathlib.Path(data_dir).expanduser().resolve() / name
    if source is None and builder_class.PATTERNS:
        return _prepared_last(builder_class, home, reading)
    origin = "" if source is None else str(pathlib.Path(source).expanduser().resolve())
    try:
        builder_class.check_reading(reading)
        files = builder_class.find_files(pathlib.Path(origin), reading) if builder_class.PATTERNS else {}
        state = fingerprint(files, reading)
    except OSError as error:
        raise DatasetError(f"{origin}: cannot be read ({error.strerror}); check its permissions") from error
    target = home / state / str(builder_class.VERSION)
    if not _is_complete(target):
        try:
            home.mkdir(parents=True, exist_ok=True)
            with locked(home / ".lock"):
                if not _is_complete(target):  # another process may have been at it
                    builder = builder_class(files=files, source=origin, data_dir=home / _STAGING, reading=reading)
                    _write(builder, home, target)
        except (OSError, RuntimeError) as error:  # array_record raises the latter, for a full disk too
            raise DatasetError(
                f"{home}: cannot write the prepared images ({error}); choose another --data.folder or make room"
            ) from error
    return target


def open_dataset(
    name: str,
    *,
    data_dir: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    reading: Reading = AS_IS,
) -> SegmentationDataset:
    """Opens a data set, and prepares it first where that is needed.

    Args:
        name: Name in `DATASETS`.
        data_dir: Folder for the prepared files.
        source: As in `prepare`.
        reading: As in `prepare`.

    Returns:
        The data set.

    Raises:
        DatasetError: As `prepare`.
    """
    return SegmentationDataset(prepare(name, data_dir=data_dir, source=source, reading=reading))


def _write(builder: SegmentationBuilder, home: pathlib.Path, target: pathlib.Path) -> None:
    # The lock is held, so whatever is left in the staging folder was left by a process that died.
    staging = home / _STAGING
    shutil.rmtree(staging, ignore_errors=True)
    tfds.disable_progress_bar()
    try:
        builder.download_and_prepare(download_dir=staging / "downloads")
        written = pathlib.Path(builder.data_path)
        sizes = {path.name: path.stat().st_size for path in sorted(written.iterdir())}
        (written / _COMPLETE).write_text(json.dumps({**_look_through(builder), "sizes": sizes}, indent=1))
        if target.exists():  # damaged, or it would have been taken
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        written.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _source(builder: tfds.core.DatasetBuilder) -> Sequence[Mapping[str, Any]]:
    return builder.as_data_source("+".join(sorted(builder.info.splits)))


def _example(stored: Mapping[str, Any]) -> Example:
    image, label = to_unit_range(stored["image"]), stored["label"].astype(np.int32)
    return Example(stored["name"].decode(), image, label, stored["where"].astype(np.bool_))


def _look_through(builder: tfds.core.DatasetBuilder) -> dict[str, Any]:
    """Checksum of the examples that were written, and the facts of each."""
    checksum, images = 0, []
    facts: Any = builder.info.metadata
    for stored, spacing in zip(_source(builder), facts["spacings"], strict=True):
        for part in (stored["name"], *(stored[name].tobytes() for name in ("image", "label", "where"))):
            checksum = zlib.crc32(part, checksum)
        images.append(facts_of(_example(stored), classes=facts["classes"], spacing=spacing))
    return {"checksum": checksum, "images": images}


def _is_complete(path: pathlib.Path) -> bool:
    try:
        sizes = json.loads((path / _COMPLETE).read_text())["sizes"]
        return all((path / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _prepared_last(builder_class: type[SegmentationBuilder], home: pathlib.Path, reading: Reading) -> pathlib.Path:
    def facts(path: pathlib.Path) -> dict[str, Any]:
        return json.loads((path / "metadata.json").read_text())

    found = [path for path in home.glob(f"*/{builder_class.VERSION}") if _is_complete(path)]
    # As JSON has it, where tuples are lists.
    wanted = json.loads(json.dumps(reading._asdict()))
    found = [path for path in found if facts(path)["reading"] == wanted]
    if not found:
        raise DatasetError(
            f"{builder_class.name} is not prepared in {home.parent}; give --data.source FOLDER, or run\n"
            f"  python -m train.prepare {builder_class.name} --source FOLDER\n{builder_class.about()}"
        )
    sources = sorted({facts(path)["source"] for path in found})
    if len(sources) > 1:
        raise DatasetError(f"{home} holds data prepared from {' and '.join(sources)}; say which with --source")
    return max(found, key=lambda path: (path / _COMPLETE).stat().st_mtime_ns)
