"""A run's folder: the names of its files, who may write there, and what can be read of it.

A run lives in a folder:

    config.json         every setting; written last of the first three, for a folder without it is no run
    split.json          which image is trained on, validated and tested
    statistics.json     what is to be known of the data where they are not at hand
    checkpoints/        see `train.runs.checkpoints`
    metrics.jsonl       what the run logs, see `train.runs.logs`
    tensorboard/        the same as curves, and pictures
    test.csv            scores of every test image
    panels/             a picture of some of them
    result.json         means of the scores; written last of all, for a run without it is not complete
    .lock               held by the process that trains it
"""

import csv
import dataclasses
import errno
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from train.atomic_files import locked, write_json, written_whole
from train.config import Config
from train.runs.data_facts import DataFacts
from train.settings import flat_settings, from_json, to_json

# For a process that was told to stop, and still saves.
_PATIENCE_SECONDS = 30
# What file systems without locks answer; there it is up to people.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_CONFIG, _SPLIT, _FACTS, _RESULT = "config.json", "split.json", "statistics.json", "result.json"


class RunError(RuntimeError):
    """A run cannot start or go on; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class ResultFolder:
    """What a test leaves: scores of every image, pictures, and their means.

    Attributes:
        path: the folder's, which need not be there.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def is_complete(self) -> bool:
        """Whether there is a result, which is written last."""
        return (self.path / _RESULT).exists()

    def write_scores(self, part: str, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Writes the scores of every image of a part, with all their digits.

        Args:
            part: the name of a part of the split.
            scores: name of the image -> name of the score -> value.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (
            written_whole(self.path / f"{part}.csv") as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["name", *next(iter(scores.values()))])
            writer.writerows([name, *row.values()] for name, row in scores.items())

    def read_scores(self, part: str) -> dict[str, dict[str, float]]:
        """The scores of every image of a part.

        Args:
            part: the name of a part of the split.

        Returns:
            Name of the image -> name of the score -> value.

        Raises:
            OSError: the file cannot be read.
            ValueError: it names an image twice, or holds what is no number.
        """
        with (self.path / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        scores = {line["name"]: {name: float(line[name]) for name in line if name != "name"} for line in lines}
        if len(scores) < len(lines):
            raise ValueError(f"{part}.csv has {len(scores)} names in {len(lines)} lines")
        return scores

    def write_panel(self, name: str, picture: npt.NDArray[np.uint8]) -> None:
        """Writes the picture of an image.

        Args:
            name: the image's.
            picture: `[H, W, 3]`.
        """
        path = self.path / "panels" / f"{_as_file_name(name)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial:
            PIL.Image.fromarray(picture).save(partial, format="PNG")

    def panels(self) -> dict[str, Path]:
        """Name of each image that has a picture -> its file."""
        return {urllib.parse.unquote(path.stem): path for path in sorted((self.path / "panels").glob("*.png"))}

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes the means, when everything else is there."""
        write_json(self.path / _RESULT, result)

    def forget_result(self) -> None:
        """Removes the means, which are those of another network from now on."""
        (self.path / _RESULT).unlink(missing_ok=True)

    def read_result(self) -> dict[str, Any]:
        """The means.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no JSON.
        """
        return json.loads((self.path / _RESULT).read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True)
class RunFolder(ResultFolder):
    """The folder of a run; see the module."""

    @classmethod
    def of(cls, config: Config) -> "RunFolder":
        """The folder that a config names."""
        return cls(Path(config.output))

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """File of what the run logs, a line of JSON at a time."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Folder of the curves and pictures."""
        return self.path / "tensorboard"

    @property
    def predictions(self) -> Path:
        """Folder of what `train.predict` writes unless it is told otherwise."""
        return self.path / "predictions"

    def evaluation(self, part: str, checkpoint: str) -> ResultFolder:
        """Where `train.evaluate` writes unless it is told otherwise."""
        return ResultFolder(self.path / "evaluation" / f"{part}-{checkpoint}")

    @property
    def is_run(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / _CONFIG).is_file()

    @property
    def has_begun(self) -> bool:
        """Whether a run has something to lose here: a step that was logged, a checkpoint or a result."""
        logged = self.log.is_file() and self.log.stat().st_size > 0
        saved = self.checkpoints.is_dir() and any(self.checkpoints.iterdir())
        return self.is_run and (logged or saved or self.is_complete)

    @property
    def latest_step(self) -> int:
        """That of the newest checkpoint; 0 without one."""
        steps = [int(path.name) for path in self.checkpoints.glob("*") if path.name.isdigit()]
        return max(steps, default=0)

    def begin(self, config: Config, split: Mapping[str, Any], facts: DataFacts) -> None:
        """Writes what a run is known by, in place of what one that never took a step left.

        Args:
            config: its settings.
            split: part -> name of each of its images -> index.
            facts: what is known of its data.
        """
        (self.path / _CONFIG).unlink(missing_ok=True)
        write_json(self.path / _SPLIT, split)
        write_json(self.path / _FACTS, facts.to_json())
        self.write_config(config)

    def write_config(self, config: Config) -> None:
        """Writes the settings of a run."""
        write_json(self.path / _CONFIG, to_json(config))

    def read_config(self) -> Config:
        """The settings that the run was started with, today's defaults where an older run did not know a setting.

        Raises:
            ValueError: the folder is no run, or its settings cannot be read.
        """
        if not self.is_run:
            raise ValueError(f"{self} is no run: it has no {_CONFIG}")
        values = self._read(_CONFIG)
        try:
            return from_json(values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"cannot read {self.path / _CONFIG}: {error}") from error

    def read_settings(self) -> dict[str, Any]:
        """The settings by their dotted names.

        Raises:
            ValueError: as `read_config`.
        """
        return flat_settings(to_json(self.read_config()))

    def read_split(self) -> dict[str, dict[str, int]]:
        """Part -> name of each of its images -> index.

        Raises:
            ValueError: it is not there, or cannot be read.
        """
        return self._read(_SPLIT)

    def read_facts(self) -> DataFacts:
        """What is known of the data where they are not at hand.

        Raises:
            ValueError: it is not there, or is damaged.
        """
        values = self._read(_FACTS)
        try:
            return DataFacts.from_json(values)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{_FACTS} of {self} is damaged ({error!r})") from error

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ValueError(f"cannot read {self.path / name}: {reason}") from error

    def check_own(self) -> None:
        """Makes the folder if it is not there.

        Raises:
            RunError: it holds something that is no run, or cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            known = {path.name for path in self.path.iterdir()}
        except OSError as error:
            raise self.unwritable(error) from error
        # Hidden ones are locks, and what was being written by a process that was killed.
        if _CONFIG not in known and any(not name.startswith(".") for name in known - {_SPLIT, _FACTS}):
            raise RunError(f"{self} is no run, and is not empty; give another folder with --output")

    @contextmanager
    def held(self, *, by_this_process: bool = True) -> Iterator[None]:
        """Keeps other processes from training the same run meanwhile.

        Args:
            by_this_process: False in all but the first process of a run.

        Raises:
            RunError: another one is training it, and has not ended within half a minute; or the folder holds something
                else, or cannot be written.
        """
        with ExitStack() as stack:
            if by_this_process:
                self.check_own()
                try:
                    stack.enter_context(locked(self.path / ".lock", patience=_PATIENCE_SECONDS))
                except TimeoutError as error:
                    raise RunError(f"another process is training {self}; wait for it, or stop it") from error
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        raise self.unwritable(error) from error
            yield

    def unwritable(self, error: OSError) -> RunError:
        """What to say where the folder cannot be written."""
        return RunError(f"cannot write to {self}: {error.strerror or error}; give another folder with --output")


def _as_file_name(name: str) -> str:
    """An image's name as the name of a file on any system; no two names become the same one."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|%]|^\.', lambda found: f"%{ord(found[0]):02X}", name)
