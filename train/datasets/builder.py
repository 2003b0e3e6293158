"""The frame of every data set: which files it is made of, and how its examples are written.

A builder is a `tfds.core.GeneratorBasedBuilder` that writes array_record files, so TensorFlow is never imported. Three
traps of tensorflow-datasets without TensorFlow are stepped around here:

- `tfds.features.Image` encodes arrays, and decodes 16 bits, only with TensorFlow or OpenCV: images are zlib-compressed
  `Tensor` features.
- A split of more than 1 GB is sorted in files that TensorFlow opens: the examples are cut into splits of at most
  `PART_BYTES`, which are no more than parts of one list. The set's own split is a field of the example.
- `tfds.load` and the `tfds` command need TensorFlow: `train.datasets.open_dataset` reads what is written here.
"""

import hashlib
import json
import logging
import pathlib
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from train.datasets.contents import AS_IS, Contents, Files, Reading
from train.datasets.readers import DatasetError

PART_BYTES = 256 * 2**20  # of uncompressed images and labels in one part, which is held in memory while it is written
_SHOWN_FILES = 12
_LOG = logging.getLogger(__name__)


class SegmentationBuilder(tfds.core.GeneratorBasedBuilder):
    """Prepares one data set from the files of its original archive.

    A subclass sets the class attributes and plans the examples; its docstring is the description of the data set.

    Attributes:
        VERSION: Raised when the preparation changes, so that data prepared before are not used any more.
        PAGE: Where to download the set; empty for what is the user's own.
        LICENSE: Terms of use, as far as they are known.
        CITATION: What to cite.
        IMAGES: Number of images of the whole set; 0 where any number will do.
        LAYOUT: The expected folder as a tree, for people.
        PATTERNS: The expected folder for this program: alternatives, each with the patterns that all must match. No
            alternative: the data come with an installed package.
        reading: How the files are read.
    """

    VERSION = tfds.core.Version("1.2.0")
    PAGE: ClassVar[str] = ""
    LICENSE: ClassVar[str] = ""
    CITATION: ClassVar[str] = ""
    IMAGES: ClassVar[int] = 0
    LAYOUT: ClassVar[str] = ""
    PATTERNS: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # The names are not put into the registry of tensorflow-datasets, where another package may have the same.
        super().__init_subclass__(skip_registration=True, **kwargs)

    def __init__(self, *, files: Files, source: str, data_dir: pathlib.Path, reading: Reading = AS_IS) -> None:
        """Plans the examples.

        Args:
            files: `find_files` of the folder with the original archive.
            source: That folder, as recorded with the data.
            data_dir: Folder to write to.
            reading: How the files are read, where the data set leaves a choice.
        """
        self.reading = reading
        self._contents = self.plan(files)
        if self.IMAGES and len(self._contents.records) != self.IMAGES:
            _LOG.warning(
                "%s: %s gives %d images, the whole set has %d",
                self.name,
                source,
                len(self._contents.records),
                self.IMAGES,
            )
        self._source = source
        super().__init__(data_dir=data_dir, file_format="array_record")

    def plan(self, files: Files) -> Contents:
        """Lists the examples without reading more than it must.

        Args:
            files: Files that match each pattern, sorted.

        Returns:
            The plan.

        Raises:
            DatasetError: If the files do not fit together.
        """
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        contents, sides = self._contents, (None,) * self._contents.spatial_dims
        return tfds.core.DatasetInfo(
            builder=self,
            description=textwrap.dedent(self.__doc__ or ""),
            homepage=self.PAGE,
            citation=self.CITATION,
            license=self.LICENSE,
            disable_shuffling=True,
            features=tfds.features.FeaturesDict(
                {
                    "name": tfds.features.Text(),
                    "split": tfds.features.Text(),
                    "image": tfds.features.Tensor(
                        shape=(*sides, contents.channels), dtype=np.dtype(contents.dtype), encoding="zlib"
                    ),
                    "label": tfds.features.Tensor(shape=sides, dtype=np.uint8, encoding="zlib"),
                    "where": tfds.features.Tensor(shape=sides, dtype=np.bool_, encoding="zlib"),
                }
            ),
            metadata=tfds.core.MetadataDict(
                classes=contents.classes,
                class_names=list(contents.class_names),
                class_colours=list(contents.class_colours),
                class_values=list(contents.class_values),
                channels=contents.channels,
                spatial_dims=contents.spatial_dims,
                names=[record.name for record in contents.records],
                original_splits=[record.split for record in contents.records],
                spacings=[record.spacing for record in contents.records],
                source=self._source,
                reading=self.reading._asdict(),
                **contents.facts,
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # nothing is downloaded
        count = max(1, PART_BYTES // self._contents.example_bytes)
        starts = range(0, len(self._contents.records), count)
        # Made here, drawn by all parts: a bar on a terminal, nothing elsewhere.
        bar = tqdm(
            total=len(self._contents.records), desc=f"preparing {self.name}", unit="image", disable=None, leave=False
        )
        return {f"part{part:05d}": self._generate_examples(start, count, bar) for part, start in enumerate(starts)}

    def _generate_examples(self, start: int, count: int, bar: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, record in enumerate(self._contents.records[start : start + count], start):
            image, label, where = record.load()
            yield (
                index,
                {
                    "name": record.name,
                    "split": record.split,
                    "image": np.ascontiguousarray(image, self._contents.dtype),
                    "label": np.ascontiguousarray(label, np.uint8),
                    "where": np.ones(label.shape, np.bool_) if where is None else np.ascontiguousarray(where),
                },
            )
            bar.update()
        if start + count >= len(self._contents.records):
            bar.close()

    def _log_download_bytes(self) -> None:
        pass  # prints that it downloads, which it does not

    def _log_download_done(self) -> None:
        pass

    @classmethod
    def about(cls) -> str:
        """Says how the data must lie and, unless they are the user's own, where they come from.

        Returns:
            Layout, page, licence and citation, one below the other.
        """
        layout = f"expected:\n{textwrap.indent(textwrap.dedent(cls.LAYOUT).strip(), '  ')}\n" if cls.LAYOUT else ""
        if not cls.PAGE:
            return layout.rstrip()
        return f"{layout}page: {cls.PAGE}\nlicence: {cls.LICENSE}\ncitation: {cls.CITATION}"

    @classmethod
    def find_files(cls, source: pathlib.Path, reading: Reading = AS_IS) -> Files:
        """Finds the files of the original archive in a folder, or in one of the folders directly in it.

        Args:
            source: The folder.
            reading: How the files will be read.

        Returns:
            Pattern -> files that match it, sorted; hidden files left out.

        Raises:
            DatasetError: If the folder is missing or holds something else; shows the expected tree and what was found.
        """
        if not source.is_dir():
            raise DatasetError(f"{cls.name}: there is no folder {source}\n{cls.about()}")
        inside = sorted(entry for entry in source.iterdir() if not entry.name.startswith("."))
        if files := cls._files_in(source):
            return files
        folders = {entry: files for entry in inside if entry.is_dir() and (files := cls._files_in(entry))}
        if len(folders) > 1:
            raise DatasetError(f"{cls.name}: {source} holds several such folders; name one of {_named(folders)}")
        for files in folders.values():
            return files
        missing = [[pattern for pattern in patterns if not _matches(source, pattern)] for patterns in cls.PATTERNS]
        found = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in inside]
        more = [f"... ({len(found)} entries)"] if len(found) > _SHOWN_FILES else []
        shown = textwrap.indent("\n".join([*found[:_SHOWN_FILES], *more]) or "nothing", "  ")
        wanted = " or ".join(" and ".join(patterns) for patterns in missing)
        raise DatasetError(f"{cls.name}: {source} lacks {wanted}\n{cls.about()}\nfound in {source}:\n{shown}")

    @classmethod
    def check_reading(cls, reading: Reading) -> None:
        """Refuses what the data set does not leave to the user.

        Args:
            reading: How the files shall be read.

        Raises:
            DatasetError: If it is not the default.
        """
        for name, value in reading._asdict().items():
            if value:
                raise DatasetError(f"data.{name} is for the data set 'folder', got {value!r} for {cls.name!r}")

    @classmethod
    def _files_in(cls, root: pathlib.Path) -> Files:
        for patterns in cls.PATTERNS:
            files = {pattern: _matches(root, pattern) for pattern in patterns}
            if all(files.values()):
                return files
        return {}


def fingerprint(files: Files, reading: Reading = AS_IS) -> str:
    """Tells one state of a set of files from another without reading them.

    Args:
        files: Pattern -> files.
        reading: How they are read.

    Returns:
        Sixteen hexadecimal digits that change with names, sizes and times of modification, and with the reading.
    """
    state: list[Any] = [
        (pattern, path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for pattern, paths in files.items()
        for path in paths
    ]
    if reading != AS_IS:
        state.append(reading)
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]


def _named(paths: Iterable[pathlib.Path]) -> str:
    return ", ".join(path.name for path in paths)


def _matches(root: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    return sorted(path for path in root.glob(pattern) if path.is_file() and not path.name.startswith("."))
