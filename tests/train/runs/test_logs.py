"""The logs of a run, from its start and from where it goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from train.runs.folder import RunFolder
from train.runs.logs import Logs


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_line_is_kept_as_it_was_written(tmp_path):
    logs = Logs(RunFolder(tmp_path), 0)
    logs.write(20, 1, {"loss": 0.5, "learning_rate": 1e-4})
    # Before the logs are closed, for a run may be killed.
    assert lines(tmp_path) == [{"step": 20, "epoch": 1, "loss": 0.5, "learning_rate": 1e-4}]
    logs.close()


def test_what_is_newer_than_the_checkpoint_and_what_was_cut_off_goes(tmp_path):
    logs = Logs(RunFolder(tmp_path), 0)
    for step in (20, 40, 60):
        logs.write(step, 1, {"loss": 1.0 / step})
    logs.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 30, "ep')
    logs = Logs(RunFolder(tmp_path), 40)
    logs.write(60, 1, {"loss": 7.0})
    logs.close()
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [(20, 1 / 20), (40, 1 / 40), (60, 7.0)]


def test_a_disk_that_fills_up_is_an_error_at_once_and_closing_is_none(tmp_path):
    logs = Logs(RunFolder(tmp_path), 0)
    logs._board._writer.close()
    with Path("/dev/full").open("wb") as logs._board._writer:
        with pytest.raises(OSError, match="No space left on device"):
            logs.write(20, 1, {"loss": 0.5})
        logs.close()
    assert lines(tmp_path) == [{"step": 20, "epoch": 1, "loss": 0.5}]


def test_tensorboard_has_the_curves_and_the_pictures(tmp_path):
    logs = Logs(RunFolder(tmp_path), 0)
    logs.write(20, 1, {"validation/mIoU": 0.25})
    logs.picture(20, "validation", np.zeros((8, 9, 3), np.uint8))
    logs.close()
    events = [event for path in (tmp_path / "tensorboard").iterdir() for event in records(path.read_bytes())]
    values = {value.tag: (event.step, value) for event in events for value in event.summary.value}
    step, curve = values["validation/mIoU"]
    assert (step, curve.simple_value) == (20, 0.25)
    _, picture = values["validation"]
    assert (picture.image.height, picture.image.width) == (8, 9)


def records(data):
    """Of an event file: each has its length in 8 bytes, 4 of a checksum before it and 4 behind."""
    while data:
        length = int.from_bytes(data[:8], "little")
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]
