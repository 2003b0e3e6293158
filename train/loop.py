"""The loop over steps, from wherever a run stands to its end, whatever interrupts it.

To start the same command again goes on where the run stopped; a resumed run ends with the same bits as one that was not
interrupted.
"""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from train import parallel
from train.batches import step_arrays
from train.checkpoints import SCORE, Checkpoints
from train.examples import largest_shape
from train.interruption import Interrupted, StopSignals, stop_signals
from train.logs import Logs
from train.losses import Phase, map_functions, phase_at
from train.panels import panel_batch, panels_of
from train.pipeline import evaluation_batches, training_batches
from train.progress import Progress
from train.steps import TrainState
from train.workbench import RunError, Workbench, initial_state


def train_run(bench: Workbench, folder: Path, stop: StopSignals | None = None) -> dict[str, float]:
    """Trains from the latest checkpoint, or from the start, to the end.

    Args:
        bench: of `prepare_run`.
        folder: of `open_folder`.
        stop: the signals that stop the run, if they are handled already.

    Returns:
        The best scores of the validation images.

    Raises:
        Interrupted: after SIGTERM or SIGINT; everything is saved.
        RunError: the loss is not a number, or a file cannot be read or written.
        CheckpointError: a checkpoint cannot be written or read.
    """
    if stop is None:
        with stop_signals(parallel.process_count()) as stop:
            return train_run(bench, folder, stop)
    config = bench.config
    with closing(Checkpoints(folder / "checkpoints")) as checkpoints:
        state = initial_state(bench)
        restored = checkpoints.latest(state)
        progress: dict[str, Any] = {"stream": None, "losses": [], "best": {}, "seconds": 0.0}
        if restored is not None:
            state, progress = restored
            print(f"going on after step {int(state.step)} of {config.epochs * bench.epoch_steps}", flush=True)
        try:
            with closing(_Loop(bench, folder, checkpoints, state, progress)) as loop:
                with stop.deferred():
                    loop.go(stop)
                return loop.best
        except OSError as error:
            where = error.filename or folder
            raise RunError(f"cannot go on: {where}: {error.strerror or error}; the checkpoints are whole") from error


class _Loop:
    """The loop over steps and what it changes."""

    def __init__(
        self, bench: Workbench, folder: Path, checkpoints: Checkpoints, state: TrainState, progress: dict[str, Any]
    ) -> None:
        config = bench.config
        self.bench, self.checkpoints = bench, checkpoints
        self.step = int(state.step)
        self.state = parallel.replicate(state)
        self.losses: list[float] = progress["losses"]
        self.best: dict[str, float] = progress["best"]
        self.seconds_before, self.began = progress["seconds"], time.perf_counter()
        # Losses on the device that nobody has looked at, with the names of the images.
        self.unseen: list[tuple[Any, tuple[str, ...]]] = []
        shared: dict[str, Any] = dict(
            statistics=bench.statistics,
            batch_size=config.batch_size,
            workers=config.data.workers,
            prefetch=config.data.prefetch,
            process_index=parallel.process_index(),
            process_count=parallel.process_count(),
        )
        self.batches = training_batches(
            bench.dataset,
            bench.split.train,
            seed=config.seed,
            augmentation=config.data.augmentation,
            maps=map_functions(config.loss),
            map_folder=config.data.map_folder,
            **shared,
        )
        if progress["stream"] is not None:
            self.batches.set_state(progress["stream"])
        largest = largest_shape(bench.dataset, bench.split.validation)
        self.validation = lambda: evaluation_batches(bench.dataset, bench.split.validation, shape=largest, **shared)
        self.shown = None
        if config.panels and parallel.is_first():
            self.shown = panel_batch(bench.dataset, bench.split.validation, config=config, statistics=bench.statistics)
        self.evaluate = parallel.parallel_eval_step(bench.network)
        self.steps: dict[int, Callable] = {}
        self.logs = Logs(folder, self.step)

    def go(self, stop: StopSignals) -> None:
        config, bench = self.bench.config, self.bench
        total = config.epochs * bench.epoch_steps
        name = f"{config.data.dataset} {config.model.name} {config.loss.name} fold {config.data.fold}"
        with Progress(name, total, config.log_steps, self.step) as progress:
            while self.step < total:
                epoch, within = divmod(self.step, bench.epoch_steps)
                phase = phase_at(epoch, bench.phases)
                loss = self._train(phase, progress)
                progress.report(self.step, loss)
                if self.step % config.log_steps == 0:
                    self._look(epoch)
                if within + 1 == bench.epoch_steps:
                    self._end_epoch(epoch, progress)
                if parallel.all_stop(stop.requested, self.step):
                    self._look(epoch, write=False)
                    self._save(None)
                    self.checkpoints.wait()
                    raise Interrupted(f"stopped after step {self.step}; the same command goes on from there")
        self.checkpoints.wait()

    def _train(self, phase: Phase, progress: Progress) -> Any:
        if phase.first_epoch not in self.steps:
            bench, settings = self.bench, self.bench.config.optimizer
            # The mean follows every batch; in the batches of one step of the optimizer it decays by `ema` once.
            ema = settings.ema ** (1 / settings.accumulate)
            self.steps[phase.first_epoch] = parallel.parallel_train_step(
                bench.network, bench.optimizer, phase.loss, ema, phase.terms, bench.config.log_steps
            )
        batch = next(self.batches)
        arrays = parallel.share(step_arrays(batch, phase.maps))
        with progress.compiling(f"the training step of {phase.name}"):
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
            rate = float(self.bench.schedule(self.step))
            # NaN is what was not observed, or is not there.
            observed = {name: value for name, value in parallel.first(metrics).items() if np.isfinite(value)}
            self.logs.write(self.step, epoch + 1, {**observed, "learning_rate": rate})
        self.unseen.clear()

    def _end_epoch(self, epoch: int, progress: Progress) -> None:
        config = self.bench.config
        self._look(epoch)
        if (epoch + 1) % config.validate_epochs and epoch + 1 < config.epochs:
            return
        scores = self._validate(progress)
        scores["mean_loss"] = float(np.mean(self.losses))
        self.losses = []
        named = {f"validation/{name}": value for name, value in scores.items()}
        self.logs.write(self.step, epoch + 1, {**named, "seconds": self._seconds()})
        if not self.best or scores[SCORE] >= self.best[SCORE]:
            self.best = {**scores, "step": self.step, "epoch": epoch + 1}
        progress.note(f"epoch {epoch + 1}: validation mIoU {scores['mIoU']:.4f}, mDice {scores['mDice']:.4f}")
        self._save(scores[SCORE])
        self._draw(epoch, progress)

    def _validate(self, progress: Progress) -> dict[str, float]:
        totals = {"mIoU": 0.0, "mDice": 0.0, "images": 0.0}
        for batch in self.validation():
            with progress.compiling("the validation step"):
                sums = parallel.first(self.evaluate(self.state, parallel.share(step_arrays(batch))))
            totals = {name: totals[name] + sums[name] for name in totals}
        return {name: totals[name] / totals["images"] for name in ("mIoU", "mDice")}

    def _draw(self, epoch: int, progress: Progress) -> None:
        """Pictures of some validation images for TensorBoard."""
        if self.shown is None:
            return
        phase = phase_at(epoch, self.bench.phases)
        with progress.compiling(f"the pictures of {phase.name}"):
            picture = panels_of(
                parallel.to_host(self.state).replace(optimizer=()),
                self.shown,
                network=self.bench.network,
                phase=phase,
                statistics=self.bench.statistics,
                title=f"validation after epoch {epoch + 1}",
            )
        self.logs.picture(self.step, "validation", picture)

    def _save(self, score: float | None) -> None:
        progress = {
            "stream": self.batches.get_state(),
            # Copies, for they are written while the next steps change these.
            "losses": list(self.losses),
            "best": dict(self.best),
            "seconds": self._seconds(),
        }
        self.checkpoints.save(parallel.to_host(self.state), progress, score)

    def _seconds(self) -> float:
        return round(self.seconds_before + time.perf_counter() - self.began, 1)

    def close(self) -> None:
        self.batches.close()
        self.logs.close()
