"""Prepares data sets once, and opens them for random access.

`prepare` writes `DATA_DIR/NAME/STATE/VERSION/`, where STATE stands for the names, sizes and times of the source files:
changed files are prepared anew, beside what was prepared before, and nothing is ever overwritten. The files are
written in a folder of their own and moved into place when they are whole, so a preparation that was killed leaves
nothing that could be taken for data. Two processes that prepare the same set wait for each other.
"""

import json
import logging
import operator
import os
import pathlib
import shutil
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from train.atomic_files import locked
from train.datasets.builder import SegmentationBuilder, fingerprint
from train.datasets.contents import AS_IS, Reading
from train.datasets.dataset import WHITE, Example, ImageFacts, facts_of
from train.datasets.drive import Drive
from train.datasets.folder import Folder
from train.datasets.glas import Glas
from train.datasets.intensities import to_unit_range
from train.datasets.isbi2012 import Isbi2012
from train.datasets.lengths import in_unit, length_unit
from train.datasets.massachusetts_roads import MassachusettsRoads
from train.datasets.mni152 import Mni152, Mni152Volume
from train.datasets.readers import DatasetError
from train.datasets.snemi3d import Snemi3d

DATASETS: Mapping[str, type[SegmentationBuilder]] = {
    builder.name: builder
    for builder in (Drive, Glas, Snemi3d, MassachusettsRoads, Isbi2012, Mni152, Mni152Volume, Folder)
}

_LOG = logging.getLogger(__name__)
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
        white: What stands for 1 in the set's files of 16 bits; None where it is known to have none.
        stretched: Whether files of numbers other than 8 and 16 bits were stretched, see `train.datasets.intensities`; None
            where it is not known.
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
        self.white: int | None = self.facts.get("white", WHITE)
        self.stretched: bool | None = self.facts.get("stretched")
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
    checksum: int | None = None,
) -> pathlib.Path:
    """Writes the array_record files of a data set, unless they are there.

    Args:
        name: Name in `DATASETS`.
        data_dir: Folder for the prepared files.
        source: Folder with the original archive; for "folder", the one with `images/` and `masks/`. None takes what was
            prepared last, and a folder that is gone what was prepared last from it.
        reading: How a folder of one's own is read.
        checksum: That of the images and labels, if it is known: what is prepared and has it is taken, whatever its source.

    Returns:
        Folder of the prepared files.

    Raises:
        DatasetError: If the name is unknown, the source is missing or wrong, a file cannot be read, nothing is prepared
            and no source is given, data of several sources are, or the files cannot be written.
    """
    if name not in DATASETS:
        raise DatasetError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    builder_class, home = DATASETS[name], pathlib.Path(data_dir).expanduser().resolve() / name
    origin = "" if source is None else str(pathlib.Path(source).expanduser().resolve())
    if builder_class.PATTERNS and (before := _prepared_before(builder_class, home, reading, origin, checksum)):
        return before
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
    checksum: int | None = None,
) -> SegmentationDataset:
    """Opens a data set, and prepares it first where that is needed.

    Args:
        name: Name in `DATASETS`.
        data_dir: Folder for the prepared files.
        source: As in `prepare`.
        reading: As in `prepare`.
        checksum: As in `prepare`.

    Returns:
        The data set.

    Raises:
        DatasetError: As `prepare`.
    """
    return SegmentationDataset(prepare(name, data_dir=data_dir, source=source, reading=reading, checksum=checksum))


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


class _Prepared(NamedTuple):
    """Data that are whole, the folder that they come from, and the checksum of what they hold."""

    path: pathlib.Path
    source: str
    checksum: int


def _prepared_before(
    builder_class: type[SegmentationBuilder], home: pathlib.Path, reading: Reading, source: str, checksum: int | None
) -> pathlib.Path | None:
    """What is taken without a look at the source: data of that checksum, of a source that is gone, or the last of all."""
    gone = not os.path.exists(source)
    if not gone and checksum is None:
        return None
    known = _all_prepared(builder_class, home, reading)
    if alike := [one for one in known if one.checksum == checksum]:
        return alike[-1].path
    if source:
        of_source = [one for one in known if gone and one.source == source]
        if not of_source:
            return None
        _LOG.warning("%s is gone; what was prepared from it is used", source)
        return of_source[-1].path
    if not known:
        raise DatasetError(
            f"{builder_class.name} is not prepared in {home.parent}; give --data.source FOLDER, or run\n"
            f"  python -m train.prepare {builder_class.name} --source FOLDER\n{builder_class.about()}"
        )
    sources = sorted({one.source for one in known})
    if len(sources) > 1:
        raise DatasetError(f"{home} holds data prepared from {' and '.join(sources)}; say which with --data.source")
    return known[-1].path


def _all_prepared(builder_class: type[SegmentationBuilder], home: pathlib.Path, reading: Reading) -> list[_Prepared]:
    """Those that were read so, in the order in which they were prepared."""
    # As JSON has it, where tuples are lists.
    wanted = json.loads(json.dumps(reading._asdict()))
    whole = [path for path in home.glob(f"*/{builder_class.VERSION}") if _is_complete(path)]
    found = []
    for path in sorted(whole, key=lambda path: (path / _COMPLETE).stat().st_mtime_ns):
        facts, complete = (json.loads((path / name).read_text()) for name in ("metadata.json", _COMPLETE))
        if facts["reading"] == wanted:
            found.append(_Prepared(path, facts["source"], complete["checksum"]))
    return found
