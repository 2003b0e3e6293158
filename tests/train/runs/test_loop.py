"""A run that is stopped, killed, damaged or out of room ends as one that was left alone, bit for bit, or says why not."""

import dataclasses
import os
import re
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.train.runs.finished_run import Bright
from tests.train.runs.tiny_runs import (
    EPOCH_STEPS,
    STEPS,
    arrays,
    assert_same_run,
    compiled_once,
    logged,
    tiny_config,
    tiny_setup,
    train,
    train_tiny,
)
from train.config import DataConfig, LossConfig, OptimizerConfig
from train.runs import folder as folders
from train.runs import loop, setup
from train.runs.checkpoints import CheckpointError, Checkpoints
from train.runs.folder import RunError, RunFolder
from train.runs.interruption import Interrupted
from train.runs.logs import Logs, read_metrics
from train.runs.progress import ProgressBar
from train.runs.setup import initial_state, open_folder, reopen_run


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    with compiled_once():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory, _compiled):
    """The folder of a run that nothing interrupted, and what it returned."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, train_tiny(folder)


def steps_in(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())


def at_step(monkeypatch, step, action):
    """Does something after a step, once."""
    report = ProgressBar.report

    def reporting(self, number, loss):
        report(self, number, loss)
        if number == step:
            monkeypatch.setattr(ProgressBar, "report", report)
            action()

    monkeypatch.setattr(ProgressBar, "report", reporting)


def interrupted(folder, monkeypatch, step, number=signal.SIGTERM):
    at_step(monkeypatch, step, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted, match=f"stopped after step {step}; the same command goes on from there"):
        train_tiny(folder)


def test_an_uninterrupted_run(whole):
    folder, best = whole
    (_, position), lines = arrays(folder), logged(folder)
    validations = {line["step"]: line["validation/mIoU"] for line in lines if "validation/mIoU" in line}
    assert list(validations) == [3, 6, 9]
    assert best == position.best and best["mIoU"] == max(validations.values()) == validations[best["step"]]
    assert best["epoch"] == best["step"] / EPOCH_STEPS
    assert [line["step"] for line in lines if "loss" in line] == [2, 3, 4, 6, 8, 9]
    assert [line["epoch"] for line in lines if "loss" in line] == [1, 1, 2, 2, 3, 3]
    # Of probabilities of a half dice is a half or less, and cross entropy, the loss of the later epochs, log 2.
    assert lines[0]["loss"] < 0.55 and all(0.55 < line["loss"] < 0.75 for line in lines[3:] if "loss" in line)
    assert position.losses == [] and position.batches["step"] == STEPS


def test_the_mean_loss_is_that_of_all_batches_since_the_last_validation(tmp_path):
    train_tiny(tmp_path / "run", log_steps=1)
    lines = logged(tmp_path / "run")
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    for line in lines:
        if "validation/mean_loss" in line:
            expected = np.mean([losses[line["step"] - back] for back in range(EPOCH_STEPS)])
            assert line["validation/mean_loss"] == pytest.approx(expected)


def test_the_same_run_again_has_the_same_bits_and_says_where_its_time_went(whole, tmp_path, capsys):
    train_tiny(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole[0])
    (said,) = re.findall(r"^([\d.]+) s: (.*)$", capsys.readouterr().out, re.MULTILINE)
    spent = {part: float(seconds) for part, seconds in (text.split() for text in said[1].split(", "))}
    assert spent.keys() == {"steps", "input", "compiling", "validation", "pictures", "checkpoints"}
    assert sum(spent.values()) == pytest.approx(float(said[0]), abs=0.4)
    last = [line for line in read_metrics(RunFolder(tmp_path / "run")) if "seconds" in line][-1]
    parts = [seconds for name, seconds in last.items() if name.startswith("seconds/")]
    assert sum(parts) == pytest.approx(last["seconds"], abs=0.5)


def test_threads_change_nothing(whole, tmp_path):
    made = tiny_setup(tmp_path / "run")
    assert made.config.data.workers == 2
    train(made._replace(config=dataclasses.replace(made.config, data=dataclasses.replace(made.config.data, workers=0))))
    assert_same_run(tmp_path / "run", whole[0])


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8])
def test_a_run_stopped_by_sigterm_goes_on_to_the_same_bits(step, whole, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    interrupted(folder, monkeypatch, step)
    assert steps_in(folder)[-1] == step
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    capsys.readouterr()
    assert train_tiny(folder) == whole[1]
    assert f"going on after step {step} of {STEPS}" in capsys.readouterr().out
    assert_same_run(folder, whole[0])


@pytest.mark.parametrize(
    "loss",
    [LossConfig(name="cwmi", options={"levels": 1, "orientations": 2}), LossConfig(name="wce")],
    ids=lambda loss: loss.name,
)
def test_losses_of_two_phases_and_of_maps_go_on_to_the_same_bits(loss, tmp_path, monkeypatch):
    losses = [line["loss"] for line in logged(train_twice(tmp_path, monkeypatch, loss=loss)) if "loss" in line]
    # Cross entropy is log 2 at the start, in the first epoch of CWMI, which is no cross entropy afterwards.
    near = [abs(value - np.log(2)) < 0.2 for value in losses]
    assert near == ([True, True, False, False, False, False] if loss.name == "cwmi" else [False] * 6)


def train_twice(folder, monkeypatch, **settings):
    """Without and with a stop after the first epoch, to the same bits."""
    train_tiny(folder / "whole", **settings)
    at_step(monkeypatch, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        train_tiny(folder / "stopped", **settings)
    train_tiny(folder / "stopped", **settings)
    assert_same_run(folder / "stopped", folder / "whole")
    return folder / "whole"


def test_large_images_are_validated_a_few_at_a_time(tmp_path, monkeypatch):
    sizes, evaluation_batches = [], loop.evaluation_batches

    def watched(dataset, indices, loading, **rest):
        sizes.append(loading.batch_size)
        return evaluation_batches(dataset, indices, loading, **rest)

    monkeypatch.setattr(loop, "evaluation_batches", watched)
    train_tiny(tmp_path / "small", batch_size=8)
    monkeypatch.setattr(loop.parallel, "_WHOLE_PIXELS", 1)
    train_tiny(tmp_path / "large", batch_size=8)
    assert sizes == [8, 8, 8, 4, 4, 4]
    assert logged(tmp_path / "large") == logged(tmp_path / "small")


def test_a_run_stopped_over_and_over(whole, tmp_path, monkeypatch):
    for step, number in ((1, signal.SIGINT), (4, signal.SIGTERM), (5, signal.SIGTERM)):
        interrupted(tmp_path / "run", monkeypatch, step, number)
    train_tiny(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole[0])


def test_sigterm_after_the_last_step_does_not_undo_the_run(whole, tmp_path, monkeypatch):
    interrupted(tmp_path / "run", monkeypatch, STEPS)
    assert steps_in(tmp_path / "run")[-1] == STEPS
    assert_same_run(tmp_path / "run", whole[0])
    assert train_tiny(tmp_path / "run") == whole[1]


def test_a_finished_run_is_not_trained_again(tmp_path, whole, monkeypatch):
    train_tiny(tmp_path / "run")
    monkeypatch.setattr(loop.parallel, "parallel_train_step", None)
    assert train_tiny(tmp_path / "run") == whole[1]
    assert_same_run(tmp_path / "run", whole[0])


def test_killed_at_any_moment_and_in_the_middle_of_a_save(whole, tmp_path):
    folder = tmp_path / "run"
    child = subprocess.run(
        [sys.executable, "-m", "tests.train.runs.tiny_runs", str(folder), "save 3", "step 5", "save 6"],
        cwd=Path(__file__).parents[3],
        env=os.environ
        | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    # Where the machine is slow a line of progress stands before some.
    said = re.findall(r"killed while writing .*|(?:save|step) \d+ ended with .*", child.stdout)
    assert said[0].startswith("killed while writing checkpoints/3.") and said[0].endswith(" False"), child.stderr
    assert said[1:3] == ["save 3 ended with -9", "step 5 ended with -9"], child.stderr
    assert said[3].startswith("killed while writing checkpoints/6.") and said[3].endswith(" False"), child.stderr
    assert said[4:] == ["save 6 ended with -9"]
    assert steps_in(folder) in ([], [3])  # step 5 may have come before the checkpoint of step 3 was whole
    assert train_tiny(folder) == whole[1]
    assert_same_run(folder, whole[0])
    assert not [path for path in (folder / "checkpoints").iterdir() if "tmp" in path.name]


def damage(folder, how):
    """Makes the files of a checkpoint other than they were."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    (arrays_in,) = (folder / ("optimizer" if how == "optimizer" else "network") / "d").iterdir()
    if how == "half a file":
        arrays_in.write_bytes(arrays_in.read_bytes()[: arrays_in.stat().st_size // 2])
    elif how in ("other bytes", "optimizer"):
        content = bytearray(arrays_in.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 16] = bytes(
            byte ^ 255 for byte in content[len(content) // 2 :][:16]
        )
        arrays_in.write_bytes(content)
    elif how == "empty files":
        for path in files:
            path.write_bytes(b"")
    elif how == "no arrays":
        for path in (folder / "network").rglob("*"):
            if path.is_file():
                path.unlink()
    elif how == "position":
        path = folder / "position" / "metadata"
        path.write_text(path.read_text().replace('"step": 6', '"step": 7').replace("{", "[", 1))
    elif how == "metrics":
        (folder / "metrics" / "metrics").write_text("{")


@pytest.mark.parametrize(
    "how", ["half a file", "other bytes", "empty files", "no arrays", "optimizer", "position", "metrics"]
)
def test_a_damaged_checkpoint_is_set_aside_and_the_run_ends_with_the_same_bits(how, whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted(folder, monkeypatch, 7)
    assert steps_in(folder) == [3, 6, 7] or steps_in(folder) == [6, 7]
    step = 6 if how == "metrics" else 7  # which that of step 7 has none of
    damage(folder / "checkpoints" / str(step), how)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        train_tiny(folder)
    messages = [str(one.message) for one in said if "checkpoint" in str(one.message)]
    if how != "metrics":
        assert len(messages) == 1
        assert f"the checkpoint {folder}/checkpoints/7 is damaged and is set aside as damaged-7 (" in messages[0]
        assert "\n" not in messages[0]
    assert_same_run(folder, whole[0])


def test_all_checkpoints_damaged(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted(folder, monkeypatch, 4)
    for step in steps_in(folder):
        damage(folder / "checkpoints" / str(step), "other bytes")
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(CheckpointError) as refused:
        train_tiny(folder)
    assert str(refused.value) == (
        f"no checkpoint in {folder}/checkpoints can be read; those that are damaged are named above. "
        "Remove the run's folder to start anew"
    )


def test_the_same_step_damaged_twice(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    for _ in range(2):
        if (folder / "checkpoints").exists():
            damage(folder / "checkpoints" / "7", "other bytes")
            with pytest.warns(UserWarning, match="is damaged"):
                interrupted(folder, monkeypatch, 7)
        else:
            interrupted(folder, monkeypatch, 7)
    damage(folder / "checkpoints" / "7", "other bytes")
    with pytest.warns(UserWarning, match="is damaged"):
        train_tiny(folder)
    assert_same_run(folder, whole[0])


class Poisoned(Bright):
    """One image becomes not a number after it was read so often."""

    def __init__(self, index, reads):
        self.index, self.reads = -1, reads
        super().__init__(12)
        self.index = index

    def __getitem__(self, index):
        example = super().__getitem__(index)
        if index == self.index:
            self.reads -= 1
            if self.reads < 0:
                return example._replace(image=np.full_like(example.image, np.nan))
        return example


def test_a_loss_that_is_not_a_number_stops_the_run(whole, tmp_path):
    folder = tmp_path / "run"
    index = int(tiny_setup(folder).split.train[0])
    # Read in the steps 1 or 2, 3 or 4, and so on.
    with pytest.raises(RunError) as stopped:
        train_tiny(folder, Poisoned(index, 3))
    message = str(stopped.value)
    assert "the loss is nan and the gradient's norm nan at step " in message
    step = int(message.split("at step ")[1].split()[0])
    assert step in (4, 5, 6) and f"(epoch {(step - 1) // EPOCH_STEPS + 1})" in message
    images = message.split("images ")[1].split(". The checkpoints")[0].split(", ")
    assert f"image {index}" in images and len(images) == 4
    assert message.endswith(
        "The checkpoints before it are kept: lower optimizer.learning_rate or optimizer.clip_norm, or look at these images"
    )
    assert steps_in(folder) == [3]
    train_tiny(folder)  # with the image as it was
    assert_same_run(folder, whole[0])


def test_another_setting_in_the_same_folder_is_refused_by_its_name(tmp_path):
    folder = tmp_path / "run"
    open_folder(tiny_setup(folder)).log.write_text('{"step": 1}\n')
    for settings, names in (({"seed": 3}, "seed"), ({"epochs": 2, "batch_size": 2}, "epochs, batch_size")):
        with pytest.raises(ValueError) as refused:
            train_tiny(folder, **settings)
        assert str(refused.value).startswith(f"{folder} holds a run with other settings: ")
        for name in names.split(", "):
            assert name in str(refused.value)
        assert "give another folder with --output" in str(refused.value)
    open_folder(tiny_setup(folder, log_steps=1, panels=3, compilation_cache="off"))


def test_other_images_in_the_same_folder_are_refused(tmp_path):
    folder = tmp_path / "run"
    open_folder(tiny_setup(folder)).log.write_text('{"step": 1}\n')
    with pytest.raises(
        RunError,
        match=r"was trained on another split than data\.splits, .* 'image 0' from train to validation; give another folder",
    ):
        train_tiny(folder, Bright(13))


def test_a_run_is_of_one_fold(tmp_path):
    with pytest.raises(ValueError, match=r"data\.fold must be one fold for one run, got 'all'"):
        tiny_setup(tmp_path, data=DataConfig(fold="all"))


def test_other_masks_under_the_same_names_are_refused(tmp_path):
    """By a run that goes on, and by one that is read."""

    class Edited(Bright):
        checksum = 1

    folder = tmp_path / "run"
    train_tiny(folder)
    message = "was trained on other images or masks than 'bright' has now"
    with pytest.raises(RunError, match=message):
        train_tiny(folder, Edited(12))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RunError, match=message):
        patch.setattr("train.runs.data.open_dataset", lambda *_, **__: Edited(12))
        reopen_run(RunFolder(folder))


def test_only_one_process_trains_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_PATIENCE_SECONDS", 0.3)
    code = f"""
import sys
from pathlib import Path
from train.atomic_files import locked
with locked(Path({str(tmp_path)!r}) / ".lock"):
    print("held", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    message = f"another process is training {tmp_path}; wait for it, or stop it"
    with pytest.raises(RunError, match=message), RunFolder(tmp_path).held():
        pytest.fail("held twice")
    other.kill()  # which gives the lock back
    other.communicate()
    with RunFolder(tmp_path).held():
        pass
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").mkdir()
    message = f"cannot write to {tmp_path}: Is a directory; give another folder with --output"
    with pytest.raises(RunError, match=message), RunFolder(tmp_path).held():
        pytest.fail("held nothing")


def test_a_folder_that_cannot_be_written_any_more(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted(folder, monkeypatch, 4)
    (folder / "tensorboard").rename(folder / "elsewhere")
    (folder / "tensorboard").write_text("")
    with pytest.raises(RunError, match=r"cannot go on: .*/run/tensorboard: File exists; the checkpoints are whole"):
        train_tiny(folder)
    (folder / "tensorboard").unlink()
    train_tiny(folder)
    assert_same_run(folder, whole[0])


def test_the_running_mean_decays_once_in_each_step_of_the_optimizer(tmp_path):
    folder = tmp_path / "run"
    train_tiny(folder, epochs=2, epoch_steps=2)  # accumulates two batches; decay 0.5
    before, after = (arrays(folder, step)[0] for step in (2, 4))
    names = [name for name in after if name.startswith(".ema")]
    assert names
    for name in names:
        params = [step[name.replace(".ema", ".params")] for step in (before, after)]
        # Parameters change with the second and the fourth batch, and the mean moves in half steps from then on.
        half = 0.5**0.5
        expected = half * (half * before[name] + (1 - half) * params[0]) + (1 - half) * params[1]
        np.testing.assert_allclose(after[name], expected, rtol=1e-5, err_msg=name)


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is no run, and is not empty; give another folder with --output"):
        train_tiny(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_killed_before_its_config_was_written_starts_anew(tmp_path, whole):
    folder = tmp_path / "run"
    open_folder(tiny_setup(folder))
    (folder / "config.json").unlink()
    train_tiny(folder)
    assert_same_run(folder, whole[0])


def test_a_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match=r"cannot write to .*/run: File exists; give another folder with --output"):
        train_tiny(tmp_path / "run")


def test_a_file_in_the_way_of_the_checkpoints(tmp_path):
    folder = tmp_path / "run"
    open_folder(tiny_setup(folder))
    (folder / "checkpoints").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write to .*checkpoints: File exists"):
        train_tiny(folder)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_room_for_a_checkpoint(whole, tmp_path, monkeypatch):
    """The kernel refuses to write beyond some bytes, as if the disk were full.

    Orbax raises the first failure and leaves those of the other arrays to the collector.
    """
    folder = tmp_path / "run"
    save = Checkpoints.save

    def without_room(self, state, position, score):
        if int(state.step) < 6:
            return save(self, state, position, score)
        self.wait()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
        try:
            save(self, state, position, score)
            self.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", without_room)
        with pytest.raises(CheckpointError) as failed:
            train_tiny(folder)
    message = str(failed.value)
    assert message.startswith(f"cannot write a checkpoint to {folder}/checkpoints (") and "\n" not in message
    assert "is the disk full, or the folder read-only? The checkpoints before it are whole" in message
    assert 3 in steps_in(folder)  # a 6 that is not whole may lie beside it
    train_tiny(folder)
    assert_same_run(folder, whole[0])


def test_what_is_saved_is_what_was_there_when_it_was_saved(whole, tmp_path, monkeypatch):
    """The writing goes on while the next steps change the losses."""
    folder = tmp_path / "run"
    save_json = ocp.JsonCheckpointHandler._save_fn

    def slowly(self, *arguments, **keywords):
        time.sleep(0.3)
        return save_json(self, *arguments, **keywords)

    monkeypatch.setattr(ocp.JsonCheckpointHandler, "_save_fn", slowly)
    train_tiny(folder)
    for step in steps_in(folder):
        assert arrays(folder, step)[1].losses == []


def test_no_room_for_the_logs(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    write = Logs.write

    def without_room(self, step, epoch, values):
        if step >= 5:
            self._file.close()
            self._file = full  # whose lines cannot be written at the end either
        write(self, step, epoch, values)

    with monkeypatch.context() as patch, Path("/dev/full").open("w") as full:
        patch.setattr(Logs, "write", without_room)
        with pytest.raises(RunError) as refused:
            train_tiny(folder)
    assert str(refused.value) == f"cannot go on: {folder}: No space left on device; the checkpoints are whole"
    assert steps_in(folder)[-1] >= 3
    train_tiny(folder)
    assert_same_run(folder, whole[0])


def test_of_equal_scores_the_best_is_the_one_that_is_tested(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    monkeypatch.setattr(loop._Loop, "_validate", lambda self, bar: {"mIoU": 0.5, "mDice": 0.5})
    best = train_tiny(folder)
    checkpoints = Checkpoints(folder / "checkpoints", read_only=True)
    assert checkpoints.best(initial_state(tiny_setup(folder))).state.step == best["step"]
    checkpoints.close()


def test_the_rate_ends_where_the_run_does_when_accumulation_does_not_divide_the_epoch(tmp_path):
    optimizer = OptimizerConfig(schedule="cosine", accumulate=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.runs.data.open_dataset", lambda *_, **__: Bright(12))
        made = setup.prepare_run(tiny_config(tmp_path / "run", epochs=4, optimizer=optimizer))
    # 12 batches, whatever the optimizer makes of them: the rate is halved after 6, and gone after 12.
    np.testing.assert_allclose([made.schedule(6), made.schedule(12)], [5e-5, 0], rtol=1e-5, atol=1e-9)
