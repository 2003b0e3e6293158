"""Runs that train in a second: noise, a network of two convolutions, and two losses one after the other.

`python -m tests.train.runs.tiny_runs FOLDER MOMENT...` begins one, or goes on with it, for each moment, and kills it there
with SIGKILL: `"step 5"`, or `"save 6"`, in the middle of writing the checkpoint of step 6.
"""

import functools
import json
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest

from cwmi_jax.losses import LOSSES
from tests.train.runs.finished_run import Bright, config
from train.config import Config, OptimizerConfig
from train.runs import data, loop, parallel
from train.runs.checkpoints import Checkpoints
from train.runs.continuation import taken_up
from train.runs.interruption import stop_signals
from train.runs.optimizer import create_optimizer, learning_rate
from train.runs.phases import Phase
from train.runs.progress import ProgressBar
from train.runs.setup import open_folder, prepare_run
from train.runs.steps import create_state

EPOCHS, EPOCH_STEPS = 3, 3
STEPS = EPOCHS * EPOCH_STEPS


PHASES = [
    Phase(first, name, functools.partial(LOSSES[name], spatial_dims=2), ()) for first, name in enumerate(("dice", "ce"))
]


class Tiny(nn.Module):
    """Has parameters, statistics and nothing else that takes time to compile."""

    axis_name: str | None = parallel.AXIS

    @nn.compact
    def __call__(self, images, *, train, sides=None):
        # Before a batch norm a bias has no gradient but rounding, which Adam makes as large as any other.
        hidden = nn.Conv(4, (3, 3), use_bias=False)(images)
        axis_name = None if self.is_initializing() else self.axis_name
        hidden = nn.BatchNorm(use_running_average=not train, axis_name=axis_name, momentum=0.9)(hidden)
        return nn.Conv(1, (1, 1))(nn.relu(hidden))


def tiny_config(folder, **settings) -> Config:
    # Two do not divide three: a checkpoint falls between two steps of the optimizer.
    optimizer = OptimizerConfig(learning_rate=0.03, accumulate=2, ema=0.5)
    defaults = dict(epochs=EPOCHS, epoch_steps=EPOCH_STEPS, log_steps=2, panels=0, optimizer=optimizer)
    return config(folder, **(defaults | settings))


def tiny_setup(folder, dataset=None, **settings):
    """`prepare_run` with the tiny network, and dice before cross entropy unless a loss is given."""
    before, data.open_dataset = data.open_dataset, lambda *_, **__: dataset or Bright(12)
    try:
        made = prepare_run(taken_up(tiny_config(folder, **settings)))
    finally:
        data.open_dataset = before
    schedule, optimizer = _optimizer(made.config.optimizer)
    phases = made.phases if "loss" in settings else PHASES
    return made._replace(network=Tiny(), phases=phases, schedule=schedule, optimizer=optimizer)


@functools.cache
def _optimizer(config: OptimizerConfig):
    schedule = learning_rate(config, EPOCHS, EPOCH_STEPS)
    return schedule, create_optimizer(config, schedule)


@contextmanager
def compiled_once():
    """Runs in this process share what is compiled."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("parallel_train_step", "parallel_eval_step"):
            patch.setattr(parallel, name, functools.cache(getattr(parallel, name)))
        patch.setattr(loop, "initial_state", _initial_state)
        yield


def _initial_state(made):
    return jax.tree.map(np.asarray, _initial_states(made.config.seed, made.network, made.optimizer))


@functools.cache
def _initial_states(seed, network, optimizer):
    return create_state(network, optimizer, seed, (2, 2, 1), ema=True)


def train_tiny(folder, dataset=None, **settings):
    return train(tiny_setup(folder, dataset, **settings))


def train(made):
    """Trains a run, until a signal comes."""
    with stop_signals() as stop:
        return loop.train_run(made, open_folder(made), stop)


def arrays(folder, step=None):
    """Every array of a checkpoint, the latest unless the step is given, and where the run stood but for the time."""
    checkpoints = Checkpoints(folder / "checkpoints", read_only=True)
    like = _initial_state(tiny_setup(folder))
    restored = checkpoints.latest(like) if step is None else checkpoints._restore(step, like)
    checkpoints.close()
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(restored.state)}
    return leaves, restored.position._replace(seconds=0.0)


def logged(folder):
    """Lines of the log but for the time."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("seconds")} for line in lines]


def assert_same_run(folder, other):
    """Bit for bit, but for the time."""
    (leaves, position), (others, other_position) = arrays(folder), arrays(other)
    assert leaves.keys() == others.keys()
    for name, leaf in leaves.items():
        assert leaf.dtype == others[name].dtype
        np.testing.assert_array_equal(leaf, others[name], err_msg=name)
    np.testing.assert_equal(position, other_position)
    np.testing.assert_equal(logged(folder), logged(other))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at_step(step: int) -> None:
    report = ProgressBar.report

    def killing(self, number, loss):
        report(self, number, loss)
        if number == step:
            _die()

    ProgressBar.report = killing


def _kill_in_save(folder: Path, step: int) -> None:
    """As soon as arrays of the step's checkpoint are there and the whole of it is not."""
    save = Checkpoints.save

    def watch() -> None:
        while True:
            for written in (folder / "checkpoints").glob(f"{step}*/**/ocdbt.process_0/d/*"):
                whole = folder / "checkpoints" / str(step) / "commit_success.txt"
                said = f"killed while writing {written.relative_to(folder)} {whole.exists()}\n"
                # In one piece, for the loop prints too.
                os.write(sys.stdout.fileno(), said.encode())
                _die()

    def watched(self, state, position, score):
        if int(state.step) == step:
            threading.Thread(target=watch, daemon=True).start()
        save(self, state, position, score)

    Checkpoints.save = watched


def _train_and_die(folder: Path, moment: str) -> None:
    kind, number = moment.split()
    _kill_at_step(int(number)) if kind == "step" else _kill_in_save(folder, int(number))
    with jax.numpy_dtype_promotion("standard"):
        train_tiny(folder)


if __name__ == "__main__":
    for moment in sys.argv[2:]:
        # Importing takes longer than training. JAX has no threads as long as it has no devices.
        child = os.fork()
        if not child:
            _train_and_die(Path(sys.argv[1]), moment)
            os._exit(0)
        print(moment, "ended with", -os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
