"""Folders as finished runs leave them, made up, and small pictures."""

import csv
import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from train.config import Config, DataConfig, LossConfig, ModelConfig
from train.reports.results import Part, RunKey, read_rows
from train.runs.folder import RunFolder
from train.settings import to_json

METRICS = ("mIoU", "mDice", "VI", "ARI", "HD", "HD95", "Betti error", "clDice", "ARE")


def config_of(folder, loss="ce", fold=0, model="unet", **settings):
    return Config(
        output=str(folder),
        loss=LossConfig(name=loss),
        model=ModelConfig(name=model),
        data=DataConfig(fold=fold),
        **settings,
    )


def write_run(
    config: Config,
    scores: dict[str, list[float]],
    *,
    panels: tuple[str, ...] = ("a",),
    images_with: dict[str, int] | None = None,
) -> Path:
    """Writes the run that `config` describes; `scores` are those of its test images for each metric.

    Those of two classes are 0.5 where not given; of more, `images_with` says how many images have each class.
    """
    folder = Path(config.output)
    count = len(next(iter(scores.values())))
    if images_with is None:
        scores = {metric: scores.get(metric, [0.5] * count) for metric in METRICS}
    (folder / "panels").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(to_json(config)))
    with (folder / "test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *scores])
        for number in range(count):
            name = f"fold{config.data.fold}-image{number}"
            writer.writerow([name, *(values[number] for values in scores.values())])
    for name in panels:
        (folder / "panels" / f"{name}.png").write_bytes(png())
    result = {
        "dataset": config.data.dataset,
        "model": config.model.name,
        "loss": config.loss.name,
        "fold": config.data.fold,
        "seed": config.seed,
        "images": count,
        "best_step": 30,
        "best_epoch": 3,
        "seconds": 12.3,
        "mean": {
            name: float(np.nanmean(values) if images_with else np.mean(values))
            for name, values in scores.items()
            if not (images_with and np.isnan(values).all())
        },
        "deviation": dict.fromkeys(scores, 0.1),
        **({} if images_with is None else {"images_with": images_with}),
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def rows_of(folder, scores, failed=()):
    """Rows from {(model, loss): [scores of the images of each fold]}, where a list of numbers is of mIoU alone."""
    keys, reasons = [], {}
    for (model, loss), folds in scores.items():
        for fold, of_fold in enumerate(folds):
            keys.append(RunKey(model, loss, Part(0, fold), RunFolder(folder / f"{model}-{loss}-{fold}")))
            if (loss, fold) in failed:
                reasons[keys[-1]] = "ended with status 1"
                continue
            of_fold = of_fold if isinstance(of_fold, dict) else {"mIoU": of_fold}
            write_run(config_of(keys[-1].folder, loss, fold, model), of_fold)
    return read_rows(keys, reasons)


def rows_of_classes(folder):
    """Two losses, two folds of two images of sky, pole and bus; of the bus one image alone, and of fold 1 none."""
    nan = math.nan
    scores = {
        "ce": [([0.5, 0.7], [0.2, 0.4], [0.8, nan]), ([0.6, 0.6], [0.5, 0.5], [nan, nan])],
        "cwmi": [([0.5, 0.5], [0.6, 0.6], [0.4, nan]), ([0.5, 0.5], [0.6, nan], [nan, nan])],
    }
    keys = []
    for loss, folds in scores.items():
        for fold, (mean, pole, bus) in enumerate(folds):
            keys.append(RunKey("unet", loss, Part(0, fold), RunFolder(folder / f"{loss}-{fold}")))
            columns = {"mIoU": mean, "mDice": mean, "HD": mean, "IoU sky": mean, "IoU pole": pole, "IoU bus": bus}
            columns |= {"clDice pole": pole, "clDice bus": bus}
            counts = {"sky": 2, "pole": 2 - np.isnan(pole).sum().item(), "bus": 2 - np.isnan(bus).sum().item()}
            write_run(config_of(keys[-1].folder, loss, fold), columns, images_with=counts)
    return read_rows(keys, {})


def png() -> bytes:
    """One grey pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x7f")) + chunk(b"IEND", b"")
    )
