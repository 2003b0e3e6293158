"""Scores of every image by its name, and a folder that says when it is complete."""

import csv
import functools
import json
from contextlib import nullcontext

import jax
import numpy as np
import PIL.Image
import pytest

from tests.golden import quick_jit
from tests.thorough import some
from tests.train.runs.finished_run import Bright, config, finish, save
from train import evaluate
from train.config import ModelConfig
from train.runs import evaluation, parallel
from train.runs.folder import ResultFolder, RunError, RunFolder
from train.runs.setup import initial_state, open_folder, prepare_run
from train.runs.steps import predict_step

NAMES = ["mIoU", "mDice", "VI", "ARI", "HD", "HD95", "Betti error", "clDice", "ARE"]


@pytest.fixture(scope="module")
def _bright():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.runs.data.open_dataset", lambda *_, **__: Bright())
        yield


@pytest.fixture(scope="module")
def run(_bright, tmp_path_factory):
    """A tested run: its set-up, its folder and what the test returned."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    made = finish(folder, thresholds=(0.25, -2.0), panels=2)
    return made, RunFolder(folder), evaluation.test_run(made, RunFolder(folder))


def rows(path):
    with path.open(newline="") as file:
        return {line.pop("name"): {name: float(value) for name, value in line.items()} for line in csv.DictReader(file)}


def iou_by_hand(made, index, threshold):
    example = made.dataset[index]
    predicted = (example.image[..., 0] - made.statistics.mean) / made.statistics.deviation > threshold
    return np.mean(
        [
            np.sum((predicted == value) & (example.label == value))
            / np.sum((predicted == value) | (example.label == value))
            for value in (False, True)
        ]
    )


def test_each_test_image_has_its_row(run):
    made, folder, _ = run
    found = rows(folder.path / "test.csv")
    assert list(found) == [made.dataset.names[index] for index in made.split.test]
    assert {shape for index in made.split.test for shape in [made.dataset.shapes[index]]} == set(made.dataset.shapes)
    for index in made.split.test:
        scores = found[made.dataset.names[index]]
        assert list(scores) == NAMES
        assert scores["mIoU"] == pytest.approx(iou_by_hand(made, index, 0.25), abs=1e-6)


@pytest.mark.parametrize("norm", some(["batch", "group"], ["group"]))
def test_what_is_scored_is_what_the_network_says_of_the_image_alone(norm, _bright, tmp_path):
    """Whatever the sizes of the images that are tested with it."""
    made = prepare_run(config(tmp_path / "run", model=ModelConfig(width=4, depth=2, norm=norm, groups=2)))
    save(made, open_folder(made), [None])
    evaluation.test_run(made, RunFolder(tmp_path / "run"))
    found = rows(tmp_path / "run" / "test.csv")
    state, predict = initial_state(made), quick_jit(functools.partial(predict_step, network=made.network))
    for index in made.split.test:
        example = made.dataset[index]
        alone = predict(state, made.statistics.standardise(example.image)[None])
        confusion = np.zeros((2, 2))
        np.add.at(confusion, (example.label, np.asarray(alone[0, ..., 0] > 0.5, int)), 1)
        union = confusion.sum(axis=0) + confusion.sum(axis=1) - np.diag(confusion)
        assert found[example.name]["mIoU"] == pytest.approx(np.mean(np.diag(confusion) / union), abs=1e-6)


def test_large_images_are_evaluated_a_few_at_a_time(_bright, tmp_path, monkeypatch):
    made, together = finish(tmp_path / "run", batch_size=8), []
    predicted_classes = evaluation.predicted_classes
    monkeypatch.setattr(
        evaluation, "predicted_classes", lambda values: together.append(len(values)) or predicted_classes(values)
    )

    def scores(name):
        evaluation.evaluate_run(
            made, RunFolder(tmp_path / "run"), ResultFolder(tmp_path / name), part="train", choice="best"
        )
        return rows(tmp_path / name / "train.csv")

    expected = scores("small")
    monkeypatch.setattr(parallel, "_WHOLE_PIXELS", 1)
    assert scores("large") == expected and len(expected) == 5
    assert together == [8, 4, 4]


def test_a_terminal_says_that_the_network_is_compiled_until_an_image_is_tested(run, monkeypatch, capsys):
    made, folder, _ = run
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    evaluation.evaluate_run(made, folder, ResultFolder(folder.path.parent / "again"), part="test", choice="best")
    shown = [line for line in capsys.readouterr().err.split("\r") if "testing" in line]
    compiling = [line for line in shown if line.rstrip().endswith("compiling]")]
    assert compiling and all("| 0/3 [" in line for line in compiling)
    assert any("| 0/3 [" in line for line in shown[shown.index(compiling[-1]) + 1 :])


def test_the_result_is_the_mean_over_images(run):
    made, folder, returned = run
    result = json.loads((folder.path / "result.json").read_text())
    assert result == returned
    values = np.array([list(scores.values()) for scores in rows(folder.path / "test.csv").values()])
    np.testing.assert_allclose(list(result["mean"].values()), values.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(list(result["deviation"].values()), values.std(axis=0, ddof=1), atol=2e-6)
    about = {
        "dataset": "bright",
        "model": "unet",
        "loss": "dice",
        "fold": 0,
        "folds": 3,
        "images": len(made.split.test),
    }
    assert about.items() <= result.items()
    assert (result["part"], result["checkpoint"]) == ("test", "best")
    assert (result["step"], result["epoch"], result["best_epoch"]) == (10, 1, 1)
    assert result["seconds"] is None


def test_panels_are_named_for_their_images(run):
    made, folder, _ = run
    test = [made.dataset.names[index] for index in made.split.test]
    assert {name: path.name for name, path in folder.panels().items()} == {
        name: f"{name}.png" for name in (test[0], test[-1])
    }
    assert not [path for path in folder.path.rglob("*") if "partial" in path.name]


def test_the_table_names_run_and_scores(run):
    lines = evaluation.score_table(run[2]).splitlines()
    assert lines[0] == "test: 3 images of bright, fold 0 of 3, unet with dice, best checkpoint (epoch 1 of 50)"
    assert [line.split()[0] for line in lines[1:]] == [name.split()[0] for name in NAMES]
    assert lines[1].split()[1] == f"{run[2]['mean']['mIoU']:.4f}"


def test_the_table_names_the_unit_of_lengths(run):
    lines = evaluation.score_table({**run[2], "length_unit": "nm"}).splitlines()
    assert [line.split("  ")[1] for line in lines if "(nm)" in line] == ["HD (nm)", "HD95 (nm)"]
    of_classes = {**run[2], "length_unit": "nm", "images_with": {"sky": 3, "pole": 3, "bus": 1}}
    (header,) = [line for line in evaluation.score_table(of_classes).splitlines() if line.startswith("  class")]
    assert " ".join(header.split()) == "class images IoU Dice HD (nm) HD95 (nm) Betti error clDice"


def test_the_latest_checkpoint_of_another_part(run, tmp_path):
    made, folder, _ = run
    result = evaluation.evaluate_run(made, folder, ResultFolder(tmp_path), part="validation", choice="latest")
    found = rows(tmp_path / "validation.csv")
    assert list(found) == [made.dataset.names[index] for index in made.split.validation]
    index = made.split.validation[0]
    assert found[made.dataset.names[index]]["mIoU"] == pytest.approx(iou_by_hand(made, index, -2.0), abs=1e-6)
    assert (result["step"], result["epoch"], result["deviation"]["mIoU"]) == (20, 2, 0.0)


def test_the_logs_tell_the_seconds_of_the_training(run, tmp_path):
    made, folder, _ = run
    log = folder.log
    log.write_text('{"step": 1, "seconds": 3.5}\n{"step": 10, "seconds": 41.0}\n{"step": 10, "loss": 1.0}\n')
    result = evaluation.evaluate_run(made, folder, ResultFolder(tmp_path), part="validation", choice="best")
    log.unlink()
    assert result["seconds"] == 41.0


def test_a_log_that_was_cut_off_tells_what_it_can(run, tmp_path):
    made, folder, _ = run
    log = folder.log
    log.write_text('{"step": 10, "epoch": 1, "seconds": 4.5}\n{"step": 20, "epoch": 2, "sec')
    try:
        result = evaluation.evaluate_run(made, folder, ResultFolder(tmp_path), part="test", choice="latest")
    finally:
        log.unlink()
    assert result["seconds"] == 4.5


def test_devices_need_not_be_those_of_the_training(run, _bright, tmp_path):
    """A batch of 3 cannot be shared by the four devices of the tests; one of 4 is filled up."""
    assert jax.local_device_count() == 4
    scores = run[2]["mean"]
    made = finish(tmp_path / "run", thresholds=(0.25,), panels=0, batch_size=3)
    assert evaluation.test_run(made, RunFolder(tmp_path / "run"))["mean"] == scores


@pytest.mark.parametrize("first", [True, False])
def test_no_process_leaves_before_the_first_has_tested(first, run, monkeypatch):
    """Not when the test fails either: jax ends all processes some minutes after one has ended."""
    made, folder, _ = run
    waited = []
    monkeypatch.setattr(parallel, "is_first", lambda: first)
    monkeypatch.setattr(parallel, "wait_for_all", lambda: waited.append(True))
    monkeypatch.setattr(evaluation, "_draw", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(RunError, match="no room") if first else nullcontext():
        assert evaluation.test_run(made, folder) == {}
    assert waited == [True]


def test_what_cannot_be_written_leaves_no_result(run, tmp_path, monkeypatch):
    made, folder, _ = run

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ResultFolder, "write_panel", full)
    with pytest.raises(RunError, match=r"cannot write the results to .*: No space left on device"):
        evaluation.evaluate_run(made, folder, ResultFolder(tmp_path / "out"), part="validation", choice="best")
    assert not (tmp_path / "out" / "result.json").exists()


@pytest.fixture(scope="module")
def trained(_bright, tmp_path_factory):
    """A run with a U-Net, which is what the command makes from the config."""
    folder = tmp_path_factory.mktemp("runs") / "unet"
    made = prepare_run(config(folder))
    save(made, open_folder(made), [None])
    return folder


def test_the_command_writes_beside_the_run(trained, capsys):
    assert evaluate.main([str(trained), "--part", "validation"]) == 0
    output = trained / "evaluation" / "validation-best"
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {output}"
    assert {path.name for path in output.iterdir()} == {"validation.csv", "panels", "result.json"}
    assert not (trained / "result.json").exists()
    (panel,) = (output / "panels").iterdir()
    with PIL.Image.open(panel) as picture:
        assert picture.size[0] > 1000


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ("config.json", [], "{run} is no run: it has no config.json"),
        ("checkpoints", [], "there is no checkpoint in {run}/checkpoints; train the run first"),
        ("split.json", [], "cannot read {run}/split.json: No such file or directory"),
        (None, ["--output", "{run}"], "{run} is the run itself, whose own results stay; give another folder"),
        (None, ["--output", "{run}/config.json"], "cannot write the results to {run}/config.json: File exists"),
    ],
)
def test_one_line_says_what_is_wrong(trained, capsys, change, arguments, message):
    hidden = trained.parent / "hidden"
    if change:
        (trained / change).rename(hidden)
    try:
        status = evaluate.main([str(trained), *(text.format(run=trained) for text in arguments)])
    finally:
        if change:
            hidden.rename(trained / change)
    assert status == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message.format(run=trained)}")


def test_other_images_are_refused(trained, capsys, monkeypatch):
    other = Bright(10)
    other.checksum = 1
    monkeypatch.setattr("train.runs.data.open_dataset", lambda *_, **__: other)
    assert evaluate.main([str(trained)]) == 1
    message = (
        "was trained on other images or masks than 'bright' has now; name the folder of those that it was trained on"
    )
    assert capsys.readouterr().err == f"error: {trained} {message} with --source\n"
