"""The loop over steps, from wherever a run stands to its end, whatever interrupts it.

To start the same command again goes on where the run stopped; a resumed run ends with the same bits as one that was not
interrupted.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any

import numpy as np

from train.batches.batch import step_arrays
from train.batches.pipeline import evaluation_batches, training_batches
from train.datasets import largest_shape
from train.runs import parallel
from train.runs.checkpoints import SCORE, Checkpoints
from train.runs.folder import RunError, RunFolder
from train.runs.interruption import Interrupted, StopSignals
from train.runs.logs import Logs
from train.runs.panels import panel_batch, panels_of
from train.runs.phases import Phase, phase_at
from train.runs.position import Position
from train.runs.progress import ProgressBar
from train.runs.setup import Setup, initial_state
from train.runs.steps import TrainState
from train.runs.stopwatch import Stopwatch
from train.scores import VALIDATION


def train_run(setup: Setup, folder: RunFolder, stop: StopSignals) -> dict[str, float]:
    """Trains from the latest checkpoint, or from the start, to the end.

    Args:
        setup: as returned by `prepare_run`.
        folder: as returned by `open_folder`.
        stop: as yielded by `stop_signals`.

    Returns:
        The best scores of the validation images.

    Raises:
        Interrupted: after SIGTERM or SIGINT; everything is saved.
        RunError: the loss is not a number, or a file cannot be read or written.
        CheckpointError: a checkpoint cannot be written or read.
    """
    config = setup.config
    with closing(Checkpoints(folder.checkpoints)) as checkpoints:
        state, position = initial_state(setup), Position()
        restored = checkpoints.latest(state)
        if restored is not None:
            state, position = restored
            print(f"going on after step {int(state.step)} of {config.epochs * setup.epoch_steps}", flush=True)
        try:
            with closing(_Loop(setup, folder, checkpoints, state, position)) as loop:
                with stop.deferred():
                    loop.go(stop)
                return loop.best
        except OSError as error:
            where = error.filename or folder
            raise RunError(f"cannot go on: {where}: {error.strerror or error}; the checkpoints are whole") from error


class _Loop:
    """The loop over steps and what it changes."""

    def __init__(
        self, setup: Setup, folder: RunFolder, checkpoints: Checkpoints, state: TrainState, position: Position
    ) -> None:
        config = setup.config
        self.setup, self.checkpoints = setup, checkpoints
        self.step = int(state.step)
        self.state = parallel.replicate(state)
        self.losses = list(position.losses)
        self.best = dict(position.best)
        self.seconds_before, self.watch = position.seconds, Stopwatch()
        # Losses on the device that nobody has looked at, with the names of the images.
        self.unseen: list[tuple[Any, tuple[str, ...]]] = []
        loading = setup.loading()
        self.batches = training_batches(
            setup.dataset,
            setup.split.train,
            loading,
            seed=config.seed,
            augmentation=config.data.augmentation,
            maps=setup.maps,
        )
        if position.batches is not None:
            self.batches.set_state(position.batches)
        largest = largest_shape(setup.dataset, setup.split.validation)
        together = parallel.evaluated_together(config.batch_size, largest, by_all=True)
        whole = loading._replace(batch_size=together)
        self.validation = lambda: evaluation_batches(setup.dataset, setup.split.validation, whole, shape=largest)
        self.shown = None
        if config.panels and parallel.is_first():
            self.shown = panel_batch(setup, setup.split.validation)
        self.evaluate = parallel.parallel_eval_step(setup.network)
        self.steps: dict[int, Callable] = {}
        self.logs = Logs(folder, self.step)

    def go(self, stop: StopSignals) -> None:
        config, setup = self.setup.config, self.setup
        total, first = config.epochs * setup.epoch_steps, self.step
        name = f"{config.data.title} {config.model.name} {config.loss.name} fold {config.data.fold}"
        with ProgressBar(name, total, config.log_steps, self.step) as bar:
            while self.step < total:
                epoch, within = divmod(self.step, setup.epoch_steps)
                phase = phase_at(epoch, setup.phases)
                loss = self._train(phase, bar)
                bar.report(self.step, loss)
                if self.step % config.log_steps == 0:
                    self._look(epoch)
                if within + 1 == setup.epoch_steps:
                    self._end_epoch(epoch, bar)
                if parallel.all_stop(stop.requested, self.step):
                    self._look(epoch, write=False)
                    self._save(None)
                    self.checkpoints.wait()
                    raise Interrupted(f"stopped after step {self.step}; the same command goes on from there")
        with self.watch.on("checkpoints"):
            self.checkpoints.wait()
        if self.step > first:
            spent = self.watch.spent()
            parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in spent.items())
            print(f"{sum(spent.values()):.1f} s: {parts}", flush=True)

    @contextmanager
    def _compiling(self, bar: ProgressBar, program: str) -> Iterator[None]:
        with bar.compiling(program) as first, self.watch.on("compiling") if first else nullcontext():
            yield

    def _train(self, phase: Phase, bar: ProgressBar) -> Any:
        if phase.first_epoch not in self.steps:
            setup, settings = self.setup, self.setup.config.optimizer
            # The mean follows every batch; in the batches of one step of the optimizer it decays by `ema` once.
            ema = settings.ema ** (1 / settings.accumulate)
            self.steps[phase.first_epoch] = parallel.parallel_train_step(
                setup.network, setup.optimizer, phase.loss, ema, phase.terms, setup.config.log_steps
            )
        with self.watch.on("input"):
            batch = next(self.batches)
            arrays = parallel.split_over_devices(step_arrays(batch, phase.maps))
        with self._compiling(bar, f"the training step of {phase.name}"):
            self.state, metrics = self.steps[phase.first_epoch](self.state, arrays)
        self.step += 1
        self.unseen.append((metrics, batch.names))
        return metrics["loss"]

    def _look(self, epoch: int, *, write: bool = True) -> None:
        """Reads the losses since the last look, and stops the run at the first that is not a number."""
        if not self.unseen:
            return
        first = self.step - len(self.unseen) + 1
        for step, (metrics, names) in enumerate(self.unseen, first):
            values = parallel.first({name: metrics[name] for name in ("loss", "gradient_norm")})
            if not all(np.isfinite(value) for value in values.values()):
                self.checkpoints.wait()
                raise RunError(
                    f"the loss is {values['loss']} and the gradient's norm {values['gradient_norm']} at step {step} "
                    f"(epoch {epoch + 1}), images {', '.join(names)}. The checkpoints before it are kept: lower "
                    f"optimizer.learning_rate or optimizer.clip_norm, or look at these images"
                )
            self.losses.append(values["loss"])
        if write:
            rate = float(self.setup.schedule(self.step))
            # Infinite is what was not observed, or is not there.
            observed = {name: value for name, value in parallel.first(metrics).items() if np.isfinite(value)}
            self.logs.write(self.step, epoch + 1, {**observed, "learning_rate": rate})
        self.unseen.clear()

    def _end_epoch(self, epoch: int, bar: ProgressBar) -> None:
        config = self.setup.config
        self._look(epoch)
        if (epoch + 1) % config.validate_epochs and epoch + 1 < config.epochs:
            return
        with self.watch.on("validation"):
            scores = self._validate(bar)
        scores["mean_loss"] = float(np.mean(self.losses))
        self.losses = []
        named = {f"validation/{name}": value for name, value in scores.items()}
        parts = {f"seconds/{part}": round(seconds, 1) for part, seconds in self.watch.spent().items()}
        self.logs.write(self.step, epoch + 1, {**named, "seconds": self._seconds(), **parts})
        if not self.best or scores[SCORE] >= self.best[SCORE]:
            self.best = {**scores, "step": self.step, "epoch": epoch + 1}
        bar.note(f"epoch {epoch + 1}: validation mIoU {scores['mIoU']:.4f}, mDice {scores['mDice']:.4f}")
        self._save(scores[SCORE])
        with self.watch.on("pictures"):
            self._draw(epoch, bar)

    def _validate(self, bar: ProgressBar) -> dict[str, float]:
        totals = dict.fromkeys((*VALIDATION, "images"), 0.0)
        for batch in self.validation():
            with self._compiling(bar, "the validation step"):
                sums = parallel.first(self.evaluate(self.state, parallel.split_over_devices(step_arrays(batch))))
            totals = {name: totals[name] + sums[name] for name in totals}
        return {name: totals[name] / totals["images"] for name in VALIDATION}

    def _draw(self, epoch: int, bar: ProgressBar) -> None:
        """Pictures of some validation images for TensorBoard."""
        if self.shown is None:
            return
        phase = phase_at(epoch, self.setup.phases)
        with self._compiling(bar, f"the pictures of {phase.name}"):
            state = parallel.to_host(self.state).replace(optimizer=())
            picture = panels_of(state, self.shown, self.setup, phase, title=f"validation after epoch {epoch + 1}")
        self.logs.picture(self.step, "validation", picture)

    def _save(self, score: float | None) -> None:
        # Copies, for they are written while the next steps change these.
        position = Position(self.batches.get_state(), list(self.losses), dict(self.best), self._seconds())
        with self.watch.on("checkpoints"):
            self.checkpoints.save(parallel.to_host(self.state), position, score)

    def _seconds(self) -> float:
        return round(self.seconds_before + sum(self.watch.spent().values()), 1)

    def close(self) -> None:
        self.batches.close()
        self.logs.close()
