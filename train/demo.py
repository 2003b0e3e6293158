"""The demo: the same network, from the same start and with the same batches, trained with each loss and compared."""

import dataclasses
import itertools
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from flax.training.train_state import TrainState

from cwmi_jax.losses import cross_entropy
from cwmi_jax.metrics import mean_dice, mean_iou
from train.config import DemoConfig
from train.data import Batch, Split, batches, load_split
from train.figures import write_comparison
from train.losses import compared_losses
from train.progress import Progress
from train.state import create_state
from train.steps import LossFunction, eval_step, train_step

_train_step = jax.jit(train_step, static_argnames="loss_function")
_eval_step = jax.jit(eval_step)


def prepare(config: DemoConfig) -> tuple[Path, Split]:
    """Does what can fail for a bad setting, before any time is spent on training.

    Args:
        config: Every setting.

    Returns:
        Folder to write to, which now holds `config.json`, and the data.

    Raises:
        ValueError: If the folder cannot be written, or the data or a loss do not allow the settings.
    """
    try:
        folder = create_run_folder(config.output)
        write_json(folder / "config.json", dataclasses.asdict(config))
    except OSError as error:
        raise ValueError(f"cannot write to output {config.output!r}: {error.strerror or error}") from error
    split = load_split(config.data)
    labels = jax.ShapeDtypeStruct(split.train.labels.shape, np.int32)
    logits = jax.ShapeDtypeStruct((*labels.shape, 1), np.float32)
    for loss_function in compared_losses(config.cwmi).values():
        jax.eval_shape(loss_function, logits, labels)
    return folder, split


def run_demo(config: DemoConfig, folder: Path, split: Split) -> None:
    """Trains with each loss; writes `metrics.json` and `comparison.png` and prints a table.

    Args:
        config: Every setting.
        folder: Folder to write to.
        split: Training and held-out slices.
    """
    started = time.perf_counter()
    print(f"writing to {folder}", flush=True)
    print(
        f"MNI152 brain, {config.data.resolution_mm} mm: {len(split.train_mm)} slices to train, "
        f"{len(split.held_out_mm)} held out, {split.train.labels.shape[1]} x {split.train.labels.shape[2]} pixels",
        flush=True,
    )
    start = create_state(config.seed, config.model, config.optimizer, config.steps, split.train.images.shape[1:])
    scores, predictions = {}, {}
    for name, loss_function in compared_losses(config.cwmi).items():
        warmup = 0 if loss_function is cross_entropy else int(config.cwmi.warmup_fraction * config.steps)
        began = time.perf_counter()
        state = train(config, start, split.train, name, loss_function, warmup)
        seconds = time.perf_counter() - began
        held_out = predict(state, split.held_out.images, config)
        predictions[name] = held_out
        scores[name] = {
            "train": score(predict(state, split.train.images, config), split.train.labels),
            "held_out": score(held_out, split.held_out.labels),
            "train_seconds": seconds,
        }
    draw(folder / "comparison.png", split, predictions, config)
    total = time.perf_counter() - started
    write_json(folder / "metrics.json", {"losses": scores, "total_seconds": total})
    print(table(scores))
    print(f"{total:.0f} s for training and evaluation; wrote {folder / 'comparison.png'}, metrics.json and config.json")


def train(
    config: DemoConfig, state: TrainState, slices: Batch, name: str, loss_function: LossFunction, warmup_steps: int
) -> TrainState:
    """Trains one network.

    Args:
        config: Every setting; the seed fixes the batches, whatever the loss.
        state: State to start from; it is left as it is.
        slices: Slices to train on.
        name: Name of the loss, for the progress report.
        loss_function: Function of logits and labels with a scalar.
        warmup_steps: First steps taken with cross entropy in place of `loss_function`.

    Returns:
        State after `config.steps` steps.
    """
    progress = Progress(name, config.steps, config.log_every)
    for step, batch in zip(progress, batches(slices, config.batch_size, config.seed), strict=False):
        used = cross_entropy if step < warmup_steps else loss_function
        state, loss = _train_step(state, batch, loss_function=used)
        progress.report(step, loss)
    return state


def predict(state: TrainState, images: npt.NDArray[np.float32], config: DemoConfig) -> npt.NDArray[np.int32]:
    """Predicts the class of each pixel.

    Args:
        state: Trained state.
        images: `[N, H, W, 1]`.
        config: Batch size and threshold.

    Returns:
        0 or 1, `[N, H, W]`.
    """
    # The last batch is filled up and its filling dropped, so that one program serves all batches.
    filling = -len(images) % config.batch_size
    padded = np.pad(images, ((0, filling), (0, 0), (0, 0), (0, 0)), mode="edge")
    parts = [_eval_step(state, part) for part in padded.reshape(-1, config.batch_size, *images.shape[1:])]
    probabilities = np.concatenate([np.asarray(part) for part in parts])[: len(images)]
    return (probabilities > config.threshold).astype(np.int32)


def score(predictions: npt.NDArray[np.int32], labels: npt.NDArray[np.int32]) -> dict[str, float]:
    """Scores predictions.

    Args:
        predictions: Predicted classes, `[N, H, W]`.
        labels: True classes, `[N, H, W]`.

    Returns:
        Mean over images of `mIoU` and `mDice`.
    """
    return {
        "mIoU": float(mean_iou(predictions, labels).mean()),
        "mDice": float(mean_dice(predictions, labels).mean()),
    }


def draw(path: Path, split: Split, predictions: Mapping[str, npt.NDArray[np.int32]], config: DemoConfig) -> None:
    """Writes the picture of some held-out slices.

    Args:
        path: PNG to write.
        split: Slices.
        predictions: Name of each loss -> predicted classes of all held-out slices.
        config: Every setting.
    """
    count = len(split.held_out_mm)
    shown = np.unique(np.linspace(0, count - 1, min(config.figure.rows, count)).round().astype(int))
    write_comparison(
        path,
        split.held_out.images[shown, ..., 0],
        split.held_out.labels[shown],
        {name: predicted[shown] for name, predicted in predictions.items()},
        [f"z = {height:g} mm" for height in split.held_out_mm[shown]],
        f"Held-out slices of the MNI152 brain after {config.steps} steps with each loss (seed {config.seed})",
        config.figure,
    )


def table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Formats the scores.

    Args:
        scores: Name of each loss -> `train` and `held_out` scores and `train_seconds`.

    Returns:
        Lines of text.
    """
    lines = [
        f"{'':15}{'train':>16}{'held-out':>18}",
        f"{'loss':15}{'mIoU':>8}{'mDice':>8}{'mIoU':>10}{'mDice':>8}{'time':>9}",
    ]
    for name, result in scores.items():
        train_scores, held_out = result["train"], result["held_out"]
        lines.append(
            f"{name:15}{train_scores['mIoU']:8.4f}{train_scores['mDice']:8.4f}"
            f"{held_out['mIoU']:10.4f}{held_out['mDice']:8.4f}{result['train_seconds']:7.0f} s"
        )
    return "\n".join(lines)


def create_run_folder(output: str) -> Path:
    """Creates an empty folder to write to; a folder that holds anything is left as it is.

    Args:
        output: Folder wanted.

    Returns:
        The folder, or the first of `output-2`, `output-3`, ... that is new or empty.

    Raises:
        OSError: If it cannot be created or written.
    """
    wanted = Path(output)
    numbered = (wanted.with_name(f"{wanted.name}-{number}") for number in itertools.count(2))
    for folder in itertools.chain([wanted], numbered):
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            return folder
    raise AssertionError("the numbers never end")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file.

    Args:
        path: File to write.
        content: Numbers, texts, lists and mappings.

    Raises:
        OSError: If it cannot be written.
    """
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
