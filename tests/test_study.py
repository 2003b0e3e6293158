"""The runs that docs/study keeps: added, replaced, and read back as they were."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("tyro")

from docs.figures import study_runs
from tests.train.reports.fake_runs import config_of, write_run

SCORES = {"mIoU": [0.25, 0.75], "VI": [1.0, 2.0]}


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """A study that has nothing yet."""
    folder = tmp_path / "study"
    folder.mkdir()
    for name, value in {"FOLDER": folder, "RUNS": folder / "runs.csv", "TERMS": folder / "terms.csv"}.items():
        monkeypatch.setattr(study_runs, name, value)
    return folder


def write(comparison, name, scores=SCORES, log=(), **images_with):
    """A finished run as `train.compare` leaves one."""
    folder = write_run(config_of(comparison / name), scores, **images_with)
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"length_unit": "pixels"}))
    lines = [{"step": 5, "epoch": 1, "validation/mIoU": 0.1}, {"step": 10, "epoch": 2, "validation/mIoU": 0.5}, *log]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def means(name):
    return {
        (loss, part.seed, part.fold): run.result["mean"]["mIoU"]
        for loss, row in study_runs.read(name).items()
        for part, run in row.runs.items()
    }


def test_runs_are_added_and_replaced_by_what_they_are_of(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write(first, "unet-ce-fold0")
    write(first, "unet-ce-seed1-fold2")
    write(first, "unet-cwmi,levels=2-fold0", {"mIoU": [0.9, 0.9]})
    (first / "unet-dice-fold0").mkdir()  # not finished
    (first / "report.html").touch()
    assert study_runs.collect("drive-narrow", first) == 3
    before = means("drive-narrow")
    assert before == {("ce", 0, 0): 0.5, ("ce", 1, 2): 0.5, ("cwmi:levels=2", 0, 0): pytest.approx(0.9)}
    write(second, "unet-ce-fold0", {"mIoU": [0.1, 0.3]})
    write(second, "unet-dice-fold0")
    assert study_runs.collect("drive-narrow", second) == 2
    assert means("drive-narrow") == before | {("ce", 0, 0): pytest.approx(0.2), ("dice", 0, 0): 0.5}
    assert means("isbi2012-narrow") == {}


def test_a_run_keeps_every_image_s_scores(tmp_path):
    write(tmp_path, "unet-ce-fold0")
    study_runs.collect("drive-narrow", tmp_path)
    run = study_runs.read("drive-narrow")["ce"].runs[(0, 0)]
    assert [run.images[name]["VI"] for name in ("fold0-image0", "fold0-image1")] == [1.0, 2.0]


def test_classes_that_an_image_lacks_stay_unknown(tmp_path):
    scores = {"mIoU": [0.5, 0.7], "IoU sky": [0.5, 0.6], "IoU bus": [0.8, np.nan]}
    write(tmp_path, "unet-ce-fold0", scores, images_with={"sky": 2, "bus": 1})
    study_runs.collect("camvid", tmp_path)
    run = study_runs.read("camvid")["ce"].runs[(0, 0)]
    assert run.result["images_with"] == {"sky": 2, "bus": 1}
    assert run.result["mean"]["IoU bus"] == pytest.approx(0.8)
    assert np.isnan(run.images["fold0-image1"]["IoU bus"])


def test_what_the_log_says_of_a_run(tmp_path, kept):
    """Validation from the second epoch on, and the mean of the last three looks at probabilities."""
    looks = [
        {"step": step, "epoch": 3, "probability/background": value} for step, value in enumerate([0.9, 0.1, 0.2, 0.3])
    ]
    terms = [{"step": 7, "epoch": 3, "information/gradient_norm": 2.0}]
    write(tmp_path, "unet-cwmi-fold0", log=[*looks, {"step": 20, "epoch": 3, "validation/mIoU": 0.4}, *terms])
    study_runs.collect("drive-narrow", tmp_path)
    with (kept / "runs.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert (line["set"], line["seconds"], line["background"], line["lowest_validation"]) == (
        "drive-narrow",
        "12",
        "0.200",
        "0.400",
    )
    assert study_runs.read("drive-narrow")["cwmi"].runs[(0, 0)].result["mean"]["background"] == 0.2
    (term,) = study_runs.lines(kept / "terms.csv")
    assert (term["loss"], term["step"], term["name"], term["value"]) == ("cwmi", "7", "information/gradient_norm", "2")
