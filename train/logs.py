"""What a run writes down as it goes: `metrics.jsonl`, and scalars and pictures for TensorBoard."""

import json
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
from tensorboardX import SummaryWriter

from train import parallel
from train.whole_files import written_whole


class Logs:
    """The logs of a run; only the first process of several writes."""

    def __init__(self, folder: Path, step: int) -> None:
        """Opens them, and takes out what is newer than the step that the run goes on from.

        Args:
            folder: of the run.
            step: the last one that counts.
        """
        self._file: TextIO | None = None
        if not parallel.is_first():
            return
        path = folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _step(line) <= step]
        with written_whole(path) as partial:
            partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

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
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, name: str, pixels: npt.NDArray[np.uint8]) -> None:
        """Adds a picture `[H, W, 3]`."""
        if self._file is not None:
            self._board.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Closes them."""
        if self._file is not None:
            self._file.close()
            self._board.close()


def _step(line: str) -> float:
    """Of a line; infinite for one that was cut off."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return float("inf")
