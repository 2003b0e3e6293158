"""What is read from the folders of runs, and what is refused."""

import dataclasses
import json

import pytest

from tests.train.reports.fake_runs import config_of, write_run
from train.config import LossConfig
from train.reports.results import Part, RunKey, own_settings, read_rows, shared_settings
from train.runs.folder import RunFolder

FIRST = Part(0, 0)


def two_losses(folder, **settings):
    """Keys of ce and dice, fold 0; `settings` are those of dice alone."""
    write_run(config_of(folder / "a"), {"mIoU": [0.5, 0.6]})
    write_run(config_of(folder / "b", "dice", **settings), {"mIoU": [0.6, 0.8]})
    return [
        RunKey("unet", "ce", FIRST, RunFolder(folder / "a")),
        RunKey("unet", "dice", FIRST, RunFolder(folder / "b")),
    ]


def test_rows_hold_what_the_files_say(tmp_path):
    first, second = read_rows(two_losses(tmp_path), {})
    assert (first.model, first.loss, list(first.runs)) == ("unet", "ce", [FIRST])
    run = second.runs[FIRST]
    assert run.images["fold0-image1"]["mIoU"] == 0.8
    assert run.result["mean"]["mIoU"] == pytest.approx(0.7)
    assert run.settings["loss.name"] == "dice"


def test_folds_of_a_loss_make_one_row_and_a_failed_fold_is_kept_in_mind(tmp_path):
    keys = [RunKey("unet", "ce", Part(0, fold), RunFolder(tmp_path / str(fold))) for fold in range(3)]
    for key in keys[:2]:
        write_run(config_of(key.folder, fold=key.part.fold), {"mIoU": [0.5]})
    (row,) = read_rows(keys, {keys[2]: "ended with status 1"})
    assert list(row.runs) == [Part(0, 0), Part(0, 1)]
    assert row.failed == {Part(0, 2): "ended with status 1"}


def test_all_that_is_missing_is_named(tmp_path):
    keys = [
        *two_losses(tmp_path),
        *(RunKey("unet", "rmi", Part(0, fold), RunFolder(tmp_path / f"rmi{fold}")) for fold in (0, 1)),
    ]
    with pytest.raises(ValueError, match=r"no result of .*rmi0, .*rmi1; train and test there first"):
        read_rows(keys, {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 7}, "b and .*a cannot be compared: epochs is 7 and not 50$"),
        ({"batch_size": 2, "panels": 0, "epochs": 7}, "epochs is 7 and not 50, batch_size is 2 and not 10"),
        ({"seed": 1}, "b holds unet with dice, fold 0, seed 1, and not what its name says"),
    ],
)
def test_other_settings_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        read_rows(two_losses(tmp_path, **settings), {})


def test_other_folds_of_the_cross_validation_are_refused(tmp_path):
    keys = two_losses(tmp_path)
    values = json.loads((keys[1].folder.path / "config.json").read_text())
    values["data"]["folds"] = 5
    (keys[1].folder.path / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"data.folds is 5 and not 3"):
        read_rows(keys, {})


def test_settings_that_change_no_result_may_differ(tmp_path):
    rows = read_rows(two_losses(tmp_path, log_steps=3, panels=0), {})
    shared = shared_settings(rows)
    assert shared["epochs"] == 50
    assert not {"output", "log_steps", "panels", "loss.name", "data.fold"} & shared.keys()
    assert own_settings(rows[1], shared) == {"loss.name": "dice"}


def test_the_folds_of_a_loss_must_have_its_settings_alike(tmp_path):
    keys = [RunKey("unet", "cwmi", Part(0, fold), RunFolder(tmp_path / str(fold))) for fold in range(2)]
    for key, levels in zip(keys, (2, 3), strict=True):
        loss = LossConfig(name="cwmi", options={"levels": levels})
        config = dataclasses.replace(config_of(key.folder, "cwmi", key.part.fold), loss=loss)
        write_run(config, {"mIoU": [0.5]})
    with pytest.raises(ValueError, match=r"loss.options is \{'levels': 3\} and not \{'levels': 2\}"):
        read_rows(keys, {})


def test_other_test_images_are_refused(tmp_path):
    keys = two_losses(tmp_path)
    path = keys[1].folder.path / "test.csv"
    path.write_text(path.read_text().replace("fold0-image1", "another"))
    with pytest.raises(ValueError, match=r"b and .*a were not tested on the same images: 'another'"):
        read_rows(keys, {})


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "test.csv",
            "fold0-image1,",
            "fold0-image0,",
            "cannot read the result in .*a: ValueError: test.csv has 1 names in 2 lines",
        ),
        ("test.csv", "\nfold0-image1", "\n,,,,,\n", "cannot read the result in .*a: ValueError: could not convert"),
        ("test.csv", "VI", "V1", "the result in .*a lacks VI"),
        ("test.csv", "0.6", "0,6,0,0", "cannot read the result in .*a: "),
        ("result.json", '"images": 2', '"images": 3', "test.csv of .*a must name 3 images, got 2"),
        (
            "result.json",
            '"loss": "ce"',
            '"loss": "rmi"',
            "holds unet with rmi, fold 0, seed 0, and not what its name says",
        ),
        ("result.json", '"model"', '"modell"', "cannot read the result in .*a: KeyError: 'model'"),
        ("result.json", "{", "", "cannot read the result in .*a: "),
        ("config.json", '"epochs": 50', '"epochs": -5', "cannot read .*config.json: epochs must be 1 or more, or 0"),
        ("config.json", "}", "", "cannot read .*config.json"),
    ],
)
def test_damaged_files_are_named(tmp_path, file, old, new, message):
    keys = two_losses(tmp_path)
    path = keys[0].folder.path / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_rows(keys, {})


def test_a_setting_that_an_older_run_did_not_know_has_its_default(tmp_path):
    folder = write_run(config_of(tmp_path / "a"), {"mIoU": [0.5]})
    values = json.loads((folder / "config.json").read_text())
    del values["panels"]
    (folder / "config.json").write_text(json.dumps(values))
    assert RunFolder(folder).read_settings()["panels"] == 4
