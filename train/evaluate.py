"""`python -m train.evaluate RUN`: scores, image by image, and pictures of a trained network.

Written to RUN/evaluation/PART-CHECKPOINT unless --output names another folder: PART.csv, a row an image; panels/, a picture
an image; and last result.json, means and standard deviations over the images. With more than two classes mIoU and mDice are
means over all of them; every other score is the mean over the classes 1 and up, each taken as the foreground by itself.
"""

import csv
import dataclasses
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import numpy.typing as npt
import tyro
from tqdm import tqdm

from cwmi_jax import metrics
from train import parallel
from train.checkpoints import CheckpointError, Checkpoints, Restored, write_json
from train.command_line import fail
from train.compilation_cache import kept_programs
from train.logs import read_metrics
from train.panels import image_sides, one_of, panel_batch, panels_of, predicted_classes, write_picture
from train.pipeline import evaluation_batches
from train.steps import TrainState
from train.whole_files import written_whole
from train.workbench import RunError, Workbench, initial_state, reopen_run

Part = Literal["test", "validation", "train"]
Choice = Literal["best", "latest"]
Classes = npt.NDArray[np.integer[Any]]
Scores = dict[str, float]

FOREGROUND_SCORES: Mapping[str, Callable[..., npt.NDArray[np.float64]]] = {
    "VI": metrics.variation_of_information,
    "ARI": metrics.adjusted_rand_index,
    "HD": metrics.modified_hausdorff,
    "HD95": metrics.hausdorff95,
    "Betti error": metrics.betti_error,
    "clDice": metrics.cldice_score,
    "ARE": metrics.adapted_rand_error,
}
"""Scores of one foreground, by the names of the tables. VI is in bits, HD (the modified one) and HD95 in pixels."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Settings of the command line.

    Attributes:
        run: folder of the run.
        part: images of the run's own split: those tested, those that chose the best epoch, or those trained on.
        checkpoint: the best by validation mIoU, or the latest.
        source: folder of the original data, if they are not prepared any more where the run found them.
        output: folder to write to; without it RUN/evaluation/PART-CHECKPOINT.
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN", help_behavior_hint="")]]
    part: Part = "test"
    checkpoint: Choice = "best"
    source: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    output: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates a run from the command line.

    Args:
        arguments: those of the process when None.

    Returns:
        Exit status: 1 after one line that says what went wrong.
    """
    settings = tyro.cli(Evaluation, args=arguments, prog="python -m train.evaluate", description=__doc__)
    try:
        output = settings.output or settings.run / "evaluation" / f"{settings.part}-{settings.checkpoint}"
        if output.resolve() == settings.run.resolve():
            raise ValueError(f"{output} is the run itself, whose own results stay; give another folder with --output")
        bench = reopen_run(settings.run, source=settings.source)
        with kept_programs(bench.config.program_folder):
            evaluate_run(bench, settings.run, output, part=settings.part, choice=settings.checkpoint)
        print(f"wrote {output}")
    except (ValueError, RunError, CheckpointError) as error:
        return fail(error)
    return 0


def test_run(bench: Workbench, folder: Path) -> dict[str, Any]:
    """Tests a finished run with its best checkpoint, and prints the scores.

    Args:
        bench: of `train.workbench.prepare_run`.
        folder: of the run, which `test.csv`, `panels/` and, when all is done, `result.json` are written to.

    Returns:
        What `result.json` holds; see `evaluate_run`.

    Raises:
        CheckpointError: there is no checkpoint that can be read.
        RunError: the folder cannot be written.
    """
    try:
        return evaluate_run(bench, folder, folder, part="test", choice="best")
    finally:
        # A process that ended before the first one has tested would take that one with it.
        parallel.wait_for_all()


def evaluate_run(bench: Workbench, folder: Path, output: Path, *, part: Part, choice: Choice) -> dict[str, Any]:
    """Predicts and scores a part of the images, draws some of them, and prints the scores.

    In a run of several processes each calls it; the first predicts and writes.

    Args:
        bench: of `train.workbench.prepare_run`.
        folder: of the run.
        output: folder for `{part}.csv`, `panels/` and `result.json`, which is written last and whole: where it is, the
            rest is there too.
        part: of the split.
        choice: of the checkpoint.

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
    restored = _restore(bench, folder, choice)
    if not parallel.is_first():
        return {}
    config, indices = bench.config, getattr(bench.split, part)
    step = int(restored.state.step)
    # Only what predicts is sent to the devices.
    state = restored.state.replace(optimizer=())
    rows = {
        name: score_image(*classes, classes=bench.dataset.classes)
        for name, *classes in _predictions(bench, state, indices)
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
        "epoch": -(-step // bench.epoch_steps),
        "epochs": config.epochs,
        "best_epoch": restored.progress["best"].get("epoch"),
        "seconds": _training_seconds(folder),
        "images": len(rows),
        "mean": {score: float(np.mean(values)) for score, values in columns.items()},
        "deviation": {score: float(np.std(values, ddof=min(len(values) - 1, 1))) for score, values in columns.items()},
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        _write_csv(output / f"{part}.csv", rows)
        _draw(bench, state, indices, output / "panels", f"epoch {result['epoch']}")
        result["evaluation_seconds"] = round(time.perf_counter() - started, 1)
        write_json(output / "result.json", result)
    except OSError as error:
        raise RunError(f"cannot write the results to {output}: {error.strerror or error}") from error
    print(score_table(result), flush=True)
    return result


def score_image(predicted: Classes, label: Classes, *, classes: int) -> Scores:
    """All scores of one image.

    Args:
        predicted: classes `[*shape]`.
        label: as `predicted`.
        classes: how many there are. mIoU and mDice are means over all of them; the others, which know a foreground alone,
            are means over classes 1 and up, each against all the rest.

    Returns:
        Name of each score -> value: mIoU, mDice and `FOREGROUND_SCORES`.
    """
    dims = label.ndim
    scores = {
        "mIoU": float(metrics.mean_iou(predicted, label, num_classes=classes, spatial_dims=dims)),
        "mDice": float(metrics.mean_dice(predicted, label, num_classes=classes, spatial_dims=dims)),
    }
    for name, metric in FOREGROUND_SCORES.items():
        values = [metric(predicted == number, label == number, spatial_dims=dims) for number in range(1, classes)]
        scores[name] = float(np.mean(values))
    return scores


def score_table(result: Mapping[str, Any]) -> str:
    """Lines that show what `evaluate_run` returns."""
    title = (
        f"{result['part']}: {result['images']} images of {result['dataset']}, fold {result['fold']} of {result['folds']}, "
        f"{result['model']} with {result['loss']}, {result['checkpoint']} checkpoint "
        f"(epoch {result['epoch']} of {result['epochs']})"
    )
    lines = [f"  {name:12}{mean:10.4f} +- {result['deviation'][name]:.4f}" for name, mean in result["mean"].items()]
    return "\n".join([title, *lines])


def _restore(bench: Workbench, folder: Path, choice: Choice) -> Restored:
    checkpoints = Checkpoints(folder / "checkpoints", read_only=True)
    try:
        like = initial_state(bench)
        restored = checkpoints.best(like) if choice == "best" else checkpoints.latest(like)
    finally:
        checkpoints.close()
    if restored is None:
        raise CheckpointError(f"there is no checkpoint in {checkpoints.folder}; train the run first")
    return restored


def _training_seconds(folder: Path) -> float | None:
    """The last that the logs say of it; None if they never did."""
    try:
        return next((line["seconds"] for line in reversed([*read_metrics(folder)]) if "seconds" in line), None)
    except OSError:
        return None


def _predictions(bench: Workbench, state: TrainState, indices: Sequence[int]) -> Iterator[tuple[str, Classes, Classes]]:
    """Name, predicted classes and label of each image, at its own size."""
    predict = parallel.parallel_predict_step(bench.network)
    everywhere = parallel.replicate(state)
    batches = evaluation_batches(
        bench.dataset,
        indices,
        statistics=bench.statistics,
        batch_size=parallel.shared_out(bench.config.batch_size),
    )
    with tqdm(total=len(indices), desc="testing", unit="image", disable=None, leave=False) as bar:
        bar.set_postfix_str("compiling")
        for batch in batches:
            shared = np.asarray(predict(everywhere, parallel.share({"images": batch.images})["images"]))
            bar.set_postfix_str("")
            predicted = predicted_classes(shared.reshape(-1, *shared.shape[2:]))
            for place, name in enumerate(batch.names):
                if name:
                    sides = image_sides(batch.where[place])
                    yield name, predicted[place][sides], batch.labels[place][sides]
                    bar.update()


def _draw(bench: Workbench, state: TrainState, indices: npt.NDArray[np.int64], folder: Path, epoch: str) -> None:
    config = bench.config
    if not config.panels:
        return
    batch = panel_batch(bench.dataset, indices, config=config, statistics=bench.statistics)
    title = f"{config.data.dataset}, {config.model.name}, {config.loss.name}, fold {config.data.fold}, {epoch}"
    on_device = jax.device_put(state)
    for place, name in enumerate(batch.names):
        picture = panels_of(
            on_device,
            one_of(batch, place),
            network=bench.network,
            phase=bench.phases[-1],
            statistics=bench.statistics,
            title=title,
        )
        # A name may hold what the name of a file cannot.
        write_picture(folder / (re.sub(r"[^\w.+-]", "_", name) + ".png"), picture)


def _write_csv(path: Path, rows: Mapping[str, Scores]) -> None:
    with written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *next(iter(rows.values()))])
        writer.writerows([name, *(f"{value:.6f}" for value in scores.values())] for name, scores in rows.items())


if __name__ == "__main__":
    sys.exit(main())
