"""What a run writes down as it goes: `metrics.jsonl`, and scalars and pictures for TensorBoard."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter

from train.atomic_files import written_whole
from train.runs import parallel
from train.runs.folder import RunFolder


class Logs:
    """The logs of a run; only the first process of several writes."""

    def __init__(self, folder: RunFolder, step: int) -> None:
        """Opens them, and takes out what is newer than the step that the run goes on from.

        Args:
            folder: the run's.
            step: the last one that counts.
        """
        self._file: TextIO | None = None
        if not parallel.is_first():
            return
        _write_lines(folder, [line for line in read_metrics(folder) if line["step"] <= step])
        folder.tensorboard.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{step}"
        # Not SummaryWriter: it writes in a thread, and once that has failed, on a full disk say, it waits forever.
        self._board = RecordWriter(str(folder.tensorboard / name))
        self._file = folder.log.open("a", encoding="utf-8")
        self._event(0, file_version="brain.Event:2")
        self._event(step + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Adds a line, and a point to each curve.

        Args:
            step: batches seen.
            epoch: counted from 1.
            values: name -> scalar.
        """
        if self._file is None:
            return
        self._file.write(json.dumps({"step": step, "epoch": epoch, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._event(step, summary=summary.scalar(name, value))
        self._board.flush()

    def picture(self, step: int, name: str, pixels: npt.NDArray[np.uint8]) -> None:
        """Adds a picture `[H, W, 3]`."""
        if self._file is not None:
            self._event(step, summary=summary.image(name, pixels, dataformats="HWC"))
            self._board.flush()

    def _event(self, step: int, **content: Any) -> None:
        self._board.write(Event(step=step, wall_time=time.time(), **content).SerializeToString())

    def close(self) -> None:
        """Closes them. Everything was written before, or an error has said that it cannot be."""
        if self._file is None:
            return
        for opened in (self._file, self._board):
            with contextlib.suppress(OSError):
                opened.close()


def add_line(folder: RunFolder, step: int, epoch: int, values: dict[str, float]) -> None:
    """Adds a line to the log of a run that is not being trained.

    Args:
        folder: the run's.
        step: batches seen.
        epoch: counted from 1.
        values: name -> scalar.
    """
    _write_lines(folder, [*read_metrics(folder), {"step": step, "epoch": epoch, **values}])


def _write_lines(folder: RunFolder, lines: list[dict[str, Any]]) -> None:
    with written_whole(folder.log) as partial:
        partial.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def read_metrics(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """The lines of a run's log, without those that were cut off when a process was killed."""
    path = folder.log
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            values = json.loads(line)
            if isinstance(values, dict) and "step" in values:
                yield values
