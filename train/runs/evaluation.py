"""Scores of a trained network, image by image, and pictures of it.

With more than two classes each has its scores, too, over the images that have it.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from train.batches.batch import one_of, step_arrays, unpadded
from train.batches.pipeline import Loading, evaluation_batches
from train.datasets import Indices, largest_shape
from train.runs import parallel
from train.runs.checkpoints import CheckpointError, Checkpoints, Restored
from train.runs.folder import ResultFolder, RunError, RunFolder
from train.runs.logs import read_metrics
from train.runs.panels import panel_batch, panels_of
from train.runs.setup import Setup, initial_state
from train.runs.steps import TrainState, predicted_classes
from train.scores import BY_CLASS, SCORES, Classes, deviation_of, mean_of, score_image

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
        (how many), `length_unit` of the scores that are lengths, `mean` and `deviation` (of a sample; 0 for one image) of
        each score over the images that have it, `images_with` (of more than two classes, how many images have each), and
        `evaluation_seconds`. Empty in processes other than the first.

    Raises:
        CheckpointError: there is no checkpoint that can be read.
        RunError: the output cannot be written.
    """
    started = time.perf_counter()
    restored = _restore(setup, folder, choice)
    if not parallel.is_first():
        return {}
    indices = getattr(setup.split, part)
    scores = _scores(setup, restored.state, indices)
    result = {"part": part, "checkpoint": choice, **_result(setup, folder, restored, scores)}
    try:
        output.write_scores(part, scores)
        _draw(setup, restored.state, indices, output, f"epoch {result['epoch']}")
        result["evaluation_seconds"] = round(time.perf_counter() - started, 1)
        output.write_result(result)
    except OSError as error:
        raise RunError(f"cannot write the results to {output}: {error.strerror or error}") from error
    print(score_table({**result, "dataset": setup.config.data.title}), flush=True)
    return result


def score_table(result: Mapping[str, Any]) -> str:
    """Lines that show what `evaluate_run` returns."""
    title = (
        f"{result['part']}: {result['images']} images of {result['dataset']}, fold {result['fold']} of {result['folds']}, "
        f"{result['model']} with {result['loss']}, {result['checkpoint']} checkpoint "
        f"(epoch {result['epoch']} of {result['epochs']})"
    )
    images_with, unit = result.get("images_with", {}), result["length_unit"]
    labels = {score.name: score.in_unit(unit).label for score in SCORES}
    columns = {score: score.by_class([*images_with]) for score in BY_CLASS if images_with}
    apart = {column.name for of_score in columns.values() for _, column in of_score}
    overall = [name for name in result["mean"] if name not in apart]
    lines = [f"  {labels[name]:12}{result['mean'][name]:z10.4f} +- {result['deviation'][name]:.4f}" for name in overall]
    if images_with:
        widest = max(map(len, images_with))
        lines.append(
            f"  {'class':{widest}} images" + "".join(f"{score.in_unit(unit).class_label:>13}" for score in columns)
        )
        for name, images in images_with.items():
            cells = [dict(of_score).get(name) for of_score in columns.values()]
            values = [result["mean"].get(column.name) if column else None for column in cells]
            shown = "".join(f"{'-':>13}" if value is None else f"{value:13.4f}" for value in values)
            lines.append(f"  {name:{widest}} {images:6}{shown}")
    return "\n".join([title, *lines])


class _Prediction(NamedTuple):
    """Of one image, at its own size: predicted classes, label and where that is known, `[*shape]`."""

    name: str
    classes: Classes
    label: Classes
    where: npt.NDArray[np.bool_]


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


def _scores(setup: Setup, state: TrainState, indices: Indices) -> dict[str, dict[str, float]]:
    """Name of each image -> name of each score -> value."""
    dataset = setup.dataset
    return {
        prediction.name: score_image(
            prediction.classes,
            prediction.label,
            where=prediction.where,
            class_names=dataset.class_names,
            spacing=dataset.images[int(index)].spacing,
        )
        for index, prediction in zip(indices, _predictions(setup, state, indices), strict=True)
    }


def _result(
    setup: Setup, folder: RunFolder, restored: Restored, scores: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """The means, and what they are of; see `evaluate_run`."""
    config, dataset = setup.config, setup.dataset
    step = int(restored.state.step)
    columns = {score: [row[score] for row in scores.values()] for score in next(iter(scores.values()))}
    known = {score: values for score, values in columns.items() if not np.isnan(values).all()}
    result = {
        "dataset": config.data.dataset,
        "model": config.model.name,
        "loss": config.loss.name,
        "fold": config.data.fold,
        "folds": config.data.folds,
        "seed": config.seed,
        "step": step,
        "epoch": -(-step // setup.epoch_steps),
        "epochs": config.epochs,
        "best_epoch": restored.position.best.get("epoch"),
        "seconds": _training_seconds(folder),
        "images": len(scores),
        "length_unit": dataset.length_unit,
        "mean": {score: mean_of(values) for score, values in known.items()},
        "deviation": {score: deviation_of(values) for score, values in known.items()},
    }
    if dataset.classes > 2:
        result["images_with"] = {
            name: int(np.count_nonzero(~np.isnan(columns[column.name])))
            for name, column in BY_CLASS[0].by_class(dataset.class_names)
        }
    return result


def _training_seconds(folder: RunFolder) -> float | None:
    """The last that the logs say of it; None if they never did."""
    try:
        return next((line["seconds"] for line in reversed([*read_metrics(folder)]) if "seconds" in line), None)
    except OSError:
        return None


def _predictions(setup: Setup, state: TrainState, indices: Indices) -> Iterator[_Prediction]:
    """One for each image, in their order."""
    predict = parallel.parallel_predict_step(setup.network)
    everywhere = parallel.replicate(state)
    shape = largest_shape(setup.dataset, indices)
    loading = Loading(setup.statistics, parallel.evaluated_together(setup.config.batch_size, shape, by_all=False))
    batches = evaluation_batches(setup.dataset, indices, loading, shape=shape)
    with tqdm(total=len(indices), desc="testing", unit="image", disable=None, leave=False) as bar:
        bar.set_postfix_str("compiling")
        for batch in batches:
            arrays = parallel.split_over_devices(step_arrays(batch))
            split = np.asarray(predict(everywhere, arrays["images"], arrays["sides"]))
            bar.set_postfix_str("")
            predicted = predicted_classes(split.reshape(-1, *split.shape[2:]))
            for place, name in enumerate(batch.names):
                if name:
                    itself = unpadded(batch, place)
                    yield _Prediction(name, *(of[place][itself] for of in (predicted, batch.labels, batch.where)))
                    bar.update()


def _draw(setup: Setup, state: TrainState, indices: Indices, output: ResultFolder, epoch: str) -> None:
    config = setup.config
    if not config.panels:
        return
    batch = panel_batch(setup, indices)
    title = f"{config.data.title}, {config.model.name}, {config.loss.name}, fold {config.data.fold}, {epoch}"
    on_device = jax.device_put(state)
    for place, name in enumerate(batch.names):
        output.write_panel(name, panels_of(on_device, one_of(batch, place), setup, setup.phases[-1], title=title))
