"""Checkpoints: which are kept, which is the best, and what is left alone."""

import jax
import numpy as np
import optax
import pytest

from train.runs.checkpoints import CheckpointError, Checkpoints
from train.runs.position import Position
from train.runs.steps import TrainState


def state(step):
    params = {"kernel": np.full((3, 2), step, np.float32)}
    optimizer = jax.tree.map(np.asarray, optax.adam(0.1).init(params))
    return TrainState(
        step=np.asarray(step, np.int32), params=params, batch_statistics={}, optimizer=optimizer, ema=None
    )


def saved(folder, scores):
    checkpoints = Checkpoints(folder)
    for step, score in scores.items():
        checkpoints.save(state(step), Position(best={"step": step}), score)
    checkpoints.close()


def test_the_latest_two_and_the_best_are_kept(tmp_path):
    saved(tmp_path, {1: 0.2, 2: 0.9, 3: 0.5, 4: None, 5: 0.6})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "4", "5"]
    reader = Checkpoints(tmp_path, read_only=True)
    for restored, step in ((reader.latest(state(0)), 5), (reader.best(state(0)), 2)):
        assert restored.state.step == step and restored.position.best == {"step": step}
        np.testing.assert_array_equal(restored.state.params["kernel"], np.full((3, 2), step))
        assert restored.state.ema is None and restored.state.batch_statistics == {}
    reader.close()


@pytest.mark.parametrize("content", ['{"mIoU": 0.', "{}", "[]"])
def test_a_score_that_cannot_be_read_is_passed_over_by_those_who_only_read(tmp_path, content):
    saved(tmp_path, {1: 0.2, 2: 0.9, 3: 0.5, 4: 0.6})
    (tmp_path / "2" / "metrics" / "metrics").write_text(content)
    reader = Checkpoints(tmp_path, read_only=True)
    with pytest.warns(UserWarning, match=r"/2 is damaged and is passed over \("):
        assert reader.best(state(0)).state.step == 4
    reader.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3", "4"]
    with pytest.warns(UserWarning, match=r"/2 is damaged and is set aside as damaged-2 \("):
        Checkpoints(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4", "damaged-2"]


def test_nothing_there(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new")
    assert checkpoints.latest(state(0)) is None
    with pytest.raises(CheckpointError, match=r"there is no checkpoint in .*new; train the run first"):
        checkpoints.best(state(0))
    checkpoints.close()
    with pytest.raises(CheckpointError, match=r"there is no checkpoint in .*other; train the run first"):
        Checkpoints(tmp_path / "other", read_only=True)
    assert not (tmp_path / "other").exists()


def test_who_predicts_reads_no_optimizer(tmp_path):
    saved(tmp_path, {1: 0.2})
    (tmp_path / "1" / "optimizer").rename(tmp_path / "elsewhere")
    reader = Checkpoints(tmp_path, read_only=True)
    restored = reader.best(state(0).replace(optimizer=()))
    assert restored.state.step == 1 and restored.state.optimizer == ()
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(CheckpointError):
        reader.best(state(0))
    reader.close()


def test_checkpoints_of_earlier_versions_are_refused_and_left_alone(tmp_path):
    (tmp_path / "20" / "state").mkdir(parents=True)
    with pytest.raises(
        CheckpointError, match=r"checkpoints in .* are of an earlier version, which this one cannot read"
    ):
        Checkpoints(tmp_path)
    assert (tmp_path / "20" / "state").exists()
