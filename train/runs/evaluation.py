"""Scores of a trained network, image by image, and pictures of it.

With more than two classes mIoU and mDice are means over all of them; every other score is the mean over the classes 1 and
up, each taken as the foreground by itself.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from train.batches.batch import image_sides, one_of
from train.batches.pipeline import Loading, evaluation_batches
from train.runs import parallel
from train.runs.checkpoints import CheckpointError, Checkpoints, Restored
from train.runs.folder import ResultFolder, RunError, RunFolder
from train.runs.logs import read_metrics
from train.runs.panels import panel_batch, panels_of
from train.runs.setup import Setup, initial_state
from train.runs.steps import TrainState, predicted_classes
from train.scores import SCORES, Classes

Part = Literal["test", "validation", "train"]
Choice = Literal["best", "latest"]


def test_run(setup: Setup, folder: RunFolder) -> dict[str, Any]:
    """Tests a finished run with its best checkpoint, and prints the scores.

    Args:
        setup: as returned by `prepare_run`.
        folder: the run's, which scores, pictures and, when all is done, the result are written to.

    Returns:
        What `result.json` holds; see `evaluate_run`.

    Raises:
        CheckpointError: there is no checkpoint that can be read.
        RunError: the folder cannot be written.
    """
    try:
        return evaluate_run(setup, folder, folder, part="test", choice="best")
    finally:
        # A process that ended before the first one has tested would take that one with it.
        parallel.wait_for_all()


def evaluate_run(
    setup: Setup, folder: RunFolder, output: ResultFolder, *, part: Part, choice: Choice
) -> dict[str, Any]:
    """Predicts and scores a part of the images, draws some of them, and prints the scores.

    In a run of several processes each calls it; the first predicts and writes.

    Args:
        setup: as returned by `prepare_run`.
        folder: the run's.
        output: for scores, pictures and the result, which is written last: where it is, the rest is there too.
        part: the name of a part of the split.
        choice: the best checkpoint or the latest.

    Returns:
        What `result.json` holds: `dataset`, `model`, `loss`, `fold`, `folds`, `seed`, `part`, `checkpoint`, its `step` and
        `epoch` (from 1, of `epochs`), `best_epoch` of the training until then, `seconds` of the training so far, `images`
        (how many), `mean` and `deviation` (of a sample; 0 for one image) of each score over the images, and
        `evaluation_seconds`. Empty in processes other than the first.

    Raises:
        CheckpointError: there is no checkpoint that can be read.
        RunError: the output cannot be written.
    """
    started = time.perf_counter()
    restored = _restore(setup, folder, choice)
    if not parallel.is_first():
        return {}
    config, indices = setup.config, getattr(setup.split, part)
    step = int(restored.state.step)
    state = restored.state
    rows = {
        name: score_image(*classes, classes=setup.dataset.classes)
        for name, *classes in _predictions(setup, state, indices)
    }
    columns = {score: [row[score] for row in rows.values()] for score in next(iter(rows.values()))}
    result = {
        "dataset": config.data.dataset,
        "model": config.model.name,
        "loss": config.loss.name,
        "fold": config.data.fold,
        "folds": config.data.folds,
        "seed": config.seed,
        "part": part,
        "checkpoint": choice,
        "step": step,
        "epoch": -(-step // setup.epoch_steps),
        "epochs": config.epochs,
        "best_epoch": restored.position.best.get("epoch"),
        "seconds": _training_seconds(folder),
        "images": len(rows),
        "mean": {score: float(np.mean(values)) for score, values in columns.items()},
        "deviation": {score: float(np.std(values, ddof=min(len(values) - 1, 1))) for score, values in columns.items()},
    }
    try:
        output.write_scores(part, rows)
        _draw(setup, state, indices, output, f"epoch {result['epoch']}")
        result["evaluation_seconds"] = round(time.perf_counter() - started, 1)
        output.write_result(result)
    except OSError as error:
        raise RunError(f"cannot write the results to {output}: {error.strerror or error}") from error
    print(score_table(result), flush=True)
    return result


def score_image(predicted: Classes, label: Classes, *, classes: int) -> dict[str, float]:
    """All scores of one image.

    Args:
        predicted: classes `[*shape]`.
        label: as `predicted`.
        classes: how many there are.

    Returns:
        Name of each score -> value.
    """
    return {score.name: score.of_image(predicted, label, classes) for score in SCORES}


def score_table(result: Mapping[str, Any]) -> str:
    """Lines that show what `evaluate_run` returns."""
    title = (
        f"{result['part']}: {result['images']} images of {result['dataset']}, fold {result['fold']} of {result['folds']}, "
        f"{result['model']} with {result['loss']}, {result['checkpoint']} checkpoint "
        f"(epoch {result['epoch']} of {result['epochs']})"
    )
    lines = [f"  {name:12}{mean:10.4f} +- {result['deviation'][name]:.4f}" for name, mean in result["mean"].items()]
    return "\n".join([title, *lines])


def _restore(setup: Setup, folder: RunFolder, choice: Choice) -> Restored:
    checkpoints = Checkpoints(folder.checkpoints, read_only=True)
    try:
        # Without the optimizer's, for only what predicts is read.
        like = initial_state(setup).replace(optimizer=())
        restored = checkpoints.best(like) if choice == "best" else checkpoints.latest(like)
    finally:
        checkpoints.close()
    if restored is None:
        raise CheckpointError(f"there is no checkpoint in {checkpoints.folder}; train the run first")
    return restored


def _training_seconds(folder: RunFolder) -> float | None:
    """The last that the logs say of it; None if they never did."""
    try:
        return next((line["seconds"] for line in reversed([*read_metrics(folder)]) if "seconds" in line), None)
    except OSError:
        return None


def _predictions(setup: Setup, state: TrainState, indices: Sequence[int]) -> Iterator[tuple[str, Classes, Classes]]:
    """Name, predicted classes and label of each image, at its own size."""
    predict = parallel.parallel_predict_step(setup.network)
    everywhere = parallel.replicate(state)
    loading = Loading(setup.statistics, parallel.rounded_up(setup.config.batch_size))
    batches = evaluation_batches(setup.dataset, indices, loading)
    with tqdm(total=len(indices), desc="testing", unit="image", disable=None, leave=False) as bar:
        bar.set_postfix_str("compiling")
        for batch in batches:
            split = np.asarray(predict(everywhere, parallel.split_over_devices({"images": batch.images})["images"]))
            bar.set_postfix_str("")
            predicted = predicted_classes(split.reshape(-1, *split.shape[2:]))
            for place, name in enumerate(batch.names):
                if name:
                    sides = image_sides(batch.where[place])
                    yield name, predicted[place][sides], batch.labels[place][sides]
                    bar.update()


def _draw(setup: Setup, state: TrainState, indices: npt.NDArray[np.int64], output: ResultFolder, epoch: str) -> None:
    config = setup.config
    if not config.panels:
        return
    batch = panel_batch(setup, indices)
    title = f"{config.data.dataset}, {config.model.name}, {config.loss.name}, fold {config.data.fold}, {epoch}"
    on_device = jax.device_put(state)
    for place, name in enumerate(batch.names):
        picture = panels_of(
            on_device,
            one_of(batch, place),
            network=setup.network,
            phase=setup.phases[-1],
            statistics=setup.statistics,
            title=title,
        )
        output.write_panel(name, picture)
