"""Checkpoints: the latest and the best state of a run, with all that is needed to go on as if nothing had happened.

Written by orbax in the background, each in a folder that gets its name when it is whole, so that a process may be killed at
any moment. A checkpoint whose files were damaged later is found by its checksum, set aside, and the one before is taken.

A checkpoint has the network and the optimizer apart, so that who predicts needs to know nothing of the latter.
"""

import json
import logging
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from train.runs import parallel
from train.runs.position import Position
from train.runs.steps import TrainState
from train.scores import VALIDATION

_NETWORK, _OPTIMIZER, _POSITION = "network", "optimizer", "position"
# What earlier versions wrote in one piece.
_EARLIER = "state"
SCORE = VALIDATION[0]
"""Of the validation images; the best checkpoint has the highest."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or read; the message says where and what to do."""


class Restored(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        state: that of the network and the optimizer, NumPy arrays.
        position: where the run stands.
    """

    state: TrainState
    position: Position


class Checkpoints:
    """The checkpoints of one run, by step.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: Path, *, keep: int = 2, read_only: bool = False) -> None:
        """Opens a folder of checkpoints, new or not.

        Args:
            folder: where the checkpoints are.
            keep: how many of the latest stay, beside the best.
            read_only: leave it as it is, for a training that goes on may be writing there.

        Raises:
            CheckpointError: if it cannot be written, or, to be read, is not there.
        """
        self.folder = folder
        self._keep, self._read_only = keep, read_only
        if read_only and not folder.is_dir():
            raise CheckpointError(f"there is no checkpoint in {folder}; train the run first")
        if any(folder.glob(f"*/{_EARLIER}")):
            raise CheckpointError(
                f"the checkpoints in {folder} are of an earlier version, which this one cannot read; the scores of the run "
                f"can still be compared. Train it anew with another --output"
            )
        # It logs each step of each write at the level of warnings.
        logging.getLogger("absl").setLevel(logging.ERROR)
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
                # The manager reads the scores of all checkpoints when it opens, and fails if one cannot be read.
                if parallel.is_first():
                    self._scores()
                parallel.wait_for_all()
            self._manager = self._open()
        except OSError as error:
            raise CheckpointError(f"cannot write to {folder}: {error.strerror or error}") from error

    def _scores(self) -> dict[int, float]:
        """Step -> score of the validation, where there is one; a checkpoint whose score cannot be read is damaged."""
        scores = {}
        for path in sorted(self.folder.glob("*/metrics/metrics")):
            step = path.parents[1].name
            # Others were never whole, and orbax removes them.
            if step.isdigit():
                try:
                    scores[int(step)] = _score(json.loads(path.read_text(encoding="utf-8")))
                except FileNotFoundError:
                    pass  # removed meanwhile by a training that goes on
                except (OSError, ValueError, KeyError, TypeError) as error:
                    self._move_aside(int(step), _reason(error))
        return scores

    def _open(self) -> ocp.CheckpointManager:
        if self._read_only:
            # Without the scores, of which one may be damaged.
            options = ocp.CheckpointManagerOptions(read_only=True, lightweight_initialize=True)
            return ocp.CheckpointManager(self.folder.resolve(), options=options)
        keep = policies.AnyPreservationPolicy(
            [
                policies.LatestN(self._keep),
                policies.BestN(get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep,
            best_fn=_score,
            best_mode="max",
            cleanup_tmp_directories=True,
        )
        return ocp.CheckpointManager(self.folder.resolve(), options=options)

    def save(self, state: TrainState, position: Position, score: float | None) -> None:
        """Begins to write a checkpoint; one of the same step is left as it is.

        Args:
            state: NumPy arrays.
            position: where the run stands.
            score: the validation's; None for a checkpoint between two validations, which is never the best.

        Raises:
            CheckpointError: if this one, or the one before, cannot be written.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        trees = _as_trees(state)
        checksums = {name: _checksum(tree) for name, tree in trees.items()}
        content = ocp.args.Composite(
            **{name: ocp.args.StandardSave(tree) for name, tree in trees.items()},
            **{_POSITION: ocp.args.JsonSave({"checksums": checksums, **position._asdict()})},
        )
        try:
            self._manager.save(step, args=content, metrics=None if score is None else {SCORE: float(score)})
        except Exception as error:
            raise self._unwritten(error) from error

    def wait(self) -> None:
        """Waits until everything is written.

        Raises:
            CheckpointError: if it cannot be.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._unwritten(error) from error

    def close(self) -> None:
        """Waits, and lets go of the folder."""
        self.wait()
        try:
            self._manager.close()
        except Exception as error:
            raise self._unwritten(error) from error

    def latest(self, like: TrainState) -> Restored | None:
        """The newest checkpoint that is whole, or None if there is none.

        Damaged ones that are newer are set aside, with a warning.

        Args:
            like: a state of the same network and optimizer; without that of an optimizer, `()`, none is read.

        Raises:
            CheckpointError: if there are checkpoints, and none of them is whole.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            restored = self._whole(step, like)
            if restored is not None:
                return restored
        if steps:
            raise CheckpointError(
                f"no checkpoint in {self.folder} can be read; those that are damaged are named above. "
                f"Remove the run's folder to start anew"
            )
        return None

    def best(self, like: TrainState) -> Restored:
        """The checkpoint with the best score; if it is damaged the latest one, with a warning.

        Args:
            like: as for `latest`.

        Raises:
            CheckpointError: if there is none.
        """
        scores = self._scores()
        best = max(scores, key=lambda step: (scores[step], step), default=None)
        restored = (None if best is None else self._whole(best, like)) or self.latest(like)
        if restored is None:
            raise CheckpointError(f"there is no checkpoint in {self.folder}; train the run first")
        return restored

    def _whole(self, step: int, like: TrainState) -> Restored | None:
        """A checkpoint, or None if it is damaged in any of the processes; it is set aside then."""
        try:
            with _abandoned_reads_are_silent():
                restored, reason = self._restore(step, like), ""
        except Exception as error:
            restored, reason = None, _reason(error)
        if parallel.all_agree(restored is not None):
            return restored
        self._set_aside(step, reason or "another process cannot read it")
        return None

    def _restore(self, step: int, like: TrainState) -> Restored:
        trees = _as_trees(like)
        content = ocp.args.Composite(
            **{name: ocp.args.StandardRestore(tree) for name, tree in trees.items()},
            **{_POSITION: ocp.args.JsonRestore()},
        )
        restored = self._manager.restore(step, args=content)
        found = {name: jax.tree.map(np.asarray, restored[name]) for name in trees}
        position = dict(restored[_POSITION])
        checksums = position.pop("checksums")
        if any(_checksum(tree) != checksums[name] for name, tree in found.items()):
            raise ValueError("its checksum is wrong")
        state = like.replace(**{name: value for tree in found.values() for name, value in tree.items()})
        return Restored(state, Position(**position))

    def _set_aside(self, step: int, reason: str) -> None:
        self._move_aside(step, reason)
        if not self._read_only:
            parallel.wait_for_all()
            self._manager.close()
            self._manager = self._open()

    def _move_aside(self, step: int, reason: str) -> None:
        """Warns of a damaged checkpoint; the first process renames it."""
        there, aside = self.folder / str(step), self.folder / f"damaged-{step}"
        number = 1
        while aside.exists():
            number += 1
            aside = self.folder / f"damaged-{step}-{number}"
        done = "passed over" if self._read_only else f"set aside as {aside.name}"
        warnings.warn(f"the checkpoint {there} is damaged and is {done} ({reason})", stacklevel=5)
        if not self._read_only and parallel.is_first() and there.exists():
            there.rename(aside)

    def _unwritten(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"cannot write a checkpoint to {self.folder} ({_reason(error)}); is the disk full, or the folder read-only? "
            f"The checkpoints before it are whole: make room and start the same command again"
        )


@contextmanager
def _abandoned_reads_are_silent() -> Iterator[None]:
    """When an array cannot be read orbax abandons the reads of the others, and each prints a traceback as it ends."""
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = hook
    yield
    # Not after an exception, for the reads end later.
    sys.unraisablehook = before


def _score(metrics: dict[str, float]) -> float:
    return metrics[SCORE]


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _as_trees(state: TrainState) -> dict[str, dict[str, Any]]:
    """What is written apart, without what is empty, which orbax cannot hold."""
    kept = {name: value for name, value in vars(state).items() if jax.tree.leaves(value)}
    optimizer = {_OPTIMIZER: kept.pop(_OPTIMIZER)} if _OPTIMIZER in kept else {}
    return {name: tree for name, tree in ((_NETWORK, kept), (_OPTIMIZER, optimizer)) if tree}


def _checksum(tree: Any) -> int:
    checksum = 0
    for leaf in jax.tree.leaves(tree):
        checksum = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), checksum)
    return checksum
