"""A folder that holds a run already: what never took a step is replaced, a run is made longer, all else is refused."""

import dataclasses
import json

import numpy as np
import pytest

from tests.train.runs.finished_run import Bright
from tests.train.runs.tiny_runs import (
    EPOCH_STEPS,
    arrays,
    compiled_once,
    logged,
    tiny_config,
    tiny_setup,
    train_tiny,
)
from train.config import LossConfig, OptimizerConfig
from train.runs import setup
from train.runs.continuation import check_settings, is_done, is_longer, lengthen, taken_up
from train.runs.folder import RunFolder
from train.runs.setup import open_folder
from train.settings import with_settings


@pytest.fixture(autouse=True, scope="module")
def _shared():
    with compiled_once():
        yield


def begun(folder, **settings):
    """A run that has logged three steps, without the training."""
    opened = open_folder(tiny_setup(folder, **settings))
    opened.log.write_text('{"step": 3, "epoch": 1, "loss": 1.0}\n')
    return opened


def test_a_run_that_never_took_a_step_is_replaced_with_a_word(tmp_path, capsys):
    """It left its settings and the empty files of its logs and checkpoints; the corrected command has others."""
    folder = tmp_path / "run"
    left = open_folder(tiny_setup(folder, batch_size=2))
    left.log.write_text("")
    left.tensorboard.mkdir()
    left.checkpoints.mkdir()
    assert capsys.readouterr().out == ""
    assert taken_up(tiny_config(folder)) == tiny_config(folder)
    made = tiny_setup(folder, Bright(13))
    open_folder(made)
    assert capsys.readouterr().out == f"{folder}: the run there never took a step; beginning anew\n"
    assert left.read_config().batch_size == 4
    assert sum(map(len, left.read_split().values())) == 13


@pytest.mark.parametrize(
    ("name", "content"), [("metrics.jsonl", '{"step": 1}\n'), ("checkpoints/1/network", ""), ("result.json", "{}")]
)
def test_what_has_a_step_is_never_replaced(name, content, tmp_path):
    folder = tmp_path / "run"
    open_folder(tiny_setup(folder))
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match="holds a run with other settings: batch_size is 2 and not 4"):
        open_folder(tiny_setup(folder, batch_size=2))
    assert (folder / name).read_text() == content and RunFolder(folder).read_config().batch_size == 4


def test_a_loss_that_is_not_a_number_at_the_first_step_leaves_nothing_to_lose(tmp_path):
    """The user's case: bad data, then good ones, under other settings and the same --output."""

    class Bad(Bright):
        def __getitem__(self, index):
            example = super().__getitem__(index)
            return example._replace(image=np.full_like(example.image, np.nan))

    bad = Bad(12)
    bad.images = Bright(12).images
    with pytest.raises(RuntimeError, match=r"the loss is nan .* at step 1"):
        train_tiny(tmp_path / "run", bad)
    train_tiny(tmp_path / "run", epochs=1)
    assert RunFolder(tmp_path / "run").latest_step == EPOCH_STEPS


def test_a_finished_run_is_made_longer_and_ends_as_if_it_had_been_so_from_the_start(tmp_path, capsys):
    short, long = tmp_path / "short", tmp_path / "long"
    train_tiny(short, epochs=1)
    RunFolder(short).write_result({"mean": {}})
    capsys.readouterr()
    train_tiny(short, epochs=2)
    said = capsys.readouterr().out.splitlines()
    # The schedule "steps" has its factor every 10 epochs, whatever their number.
    rate = "the learning rate goes on at 0.03, as in a run that had 2 from the start"
    assert said[0] == f"{short}: from 1 to 2 epochs, after step 3; {rate}"
    assert said[1] == "going on after step 3 of 6"
    assert not RunFolder(short).is_complete and RunFolder(short).read_config().epochs == 2
    train_tiny(long, epochs=2)
    (leaves, position), (others, other_position) = arrays(short), arrays(long)
    for name, leaf in leaves.items():
        np.testing.assert_array_equal(leaf, others[name], err_msg=name)
    assert position == other_position
    changed = {"step": 3, "epoch": 1, "epochs": 2, "epochs_before": 1}
    assert logged(short) == [line for line in logged(short) if line == changed or line in logged(long)]
    assert changed in logged(short) and len(logged(short)) == len(logged(long)) + 1


def test_fewer_epochs_are_refused(tmp_path):
    begun(tmp_path / "run", epochs=3)
    with pytest.raises(ValueError, match="other settings: epochs is 2 and not 3; go elsewhere"):
        check_settings(RunFolder(tmp_path / "run"), tiny_config(tmp_path / "run", epochs=2), "go elsewhere")


def test_more_epochs_do_not_excuse_other_changes(tmp_path):
    begun(tmp_path / "run", epochs=3)
    with pytest.raises(ValueError, match="other settings: batch_size is 2 and not 4; go elsewhere"):
        config = tiny_config(tmp_path / "run", epochs=9, batch_size=2)
        check_settings(RunFolder(tmp_path / "run"), config, "go elsewhere")


def test_a_run_is_done_when_it_has_a_result_of_all_its_epochs(tmp_path):
    folder = begun(tmp_path / "run", epochs=3)
    three, four = (tiny_config(folder.path, epochs=epochs) for epochs in (3, 4))
    assert not is_done(folder, three)
    folder.write_result({})
    assert is_done(folder, three) and not is_done(folder, four) and is_longer(folder, four)
    lengthen(folder, 4, EPOCH_STEPS)
    assert not is_done(folder, four) and not is_longer(folder, four)


def test_an_extension_that_was_interrupted_is_not_complete(tmp_path, monkeypatch):
    folder = begun(tmp_path / "run", epochs=3)
    folder.write_result({})

    def killed(self, config):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_config", killed)
        with pytest.raises(KeyboardInterrupt):
            lengthen(folder, 4, EPOCH_STEPS)
    assert not folder.is_complete and folder.read_config().epochs == 3


def test_what_fell_to_nothing_is_told_to_rise_again(tmp_path):
    """Half a cosine: 1e-3 / 2 (1 + cos(pi / 2)) in the middle of a run that is twice as long."""
    optimizer = OptimizerConfig(learning_rate=1e-3, schedule="cosine")
    folder = begun(tmp_path / "run", epochs=3, epoch_steps=100, optimizer=optimizer)
    (folder.checkpoints / "300").mkdir(parents=True)
    said = lengthen(folder, 6, 100)
    assert "the learning rate rises again, from 2.74e-08 to 0.0005, as in a run that had 6 from the start" in said


def test_open_settings_are_those_of_the_run_that_has_begun(tmp_path):
    """Whatever would be chosen today; and what is given is compared."""
    folder = begun(tmp_path / "run", epochs=7)
    config = with_settings(tiny_config(folder.path), {"epochs": 0, "batch_size": 0, "model.width": 0})
    found = taken_up(config)
    assert (found.epochs, found.batch_size, found.model.width, found.loss.topology_epoch) == (7, 4, 4, 2)
    check_settings(folder, config, "")
    with pytest.raises(ValueError, match=r"model\.depth is 2 and not 1"):
        check_settings(folder, with_settings(config, {"model.depth": 2}), "")


def test_a_first_phase_is_that_of_the_run_that_is_made_longer(tmp_path, monkeypatch):
    """Of one epoch the first phase of CWMI has none, and so it stays."""
    monkeypatch.setattr("train.runs.data.open_dataset", lambda *_, **__: Bright(12, shapes=((32, 32),)))
    folder = RunFolder(tmp_path / "run")
    config = tiny_config(folder.path, epochs=1, loss=LossConfig(name="cwmi"))
    open_folder(setup.prepare_run(config)).log.write_text('{"step": 3}\n')
    longer = taken_up(dataclasses.replace(config, epochs=5))
    assert longer.loss.cross_entropy_epochs == 0
    open_folder(setup.prepare_run(longer))
    assert json.loads((folder.path / "config.json").read_text())["loss"]["cross_entropy_epochs"] == 0
