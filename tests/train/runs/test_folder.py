"""A run's folder: its files by their names, and who may write there."""

import numpy as np
import PIL.Image
import pytest

from train.batches.standardisation import ChannelStatistics
from train.config import Config
from train.runs.data_facts import DataFacts
from train.runs.folder import ResultFolder, RunError, RunFolder


def test_a_picture_is_written_whole(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    ResultFolder(tmp_path).write_panel("a", picture)
    assert [path.name for path in (tmp_path / "panels").iterdir()] == ["a.png"]
    with PIL.Image.open(tmp_path / "panels" / "a.png") as read:
        np.testing.assert_array_equal(np.asarray(read), picture)


def test_no_two_images_have_one_picture(tmp_path):
    names = ["patient 1/left?", "patient 1_left_", "patient 1%2Fleft%3F", ".hidden", "50%", "München"]
    for shade, name in enumerate(names):
        ResultFolder(tmp_path).write_panel(name, np.full((2, 2, 3), shade, np.uint8))
    found = ResultFolder(tmp_path).panels()
    assert {name: int(np.asarray(PIL.Image.open(path))[0, 0, 0]) for name, path in found.items()} == {
        name: shade for shade, name in enumerate(names)
    }


def test_scores_come_back_under_the_names_of_their_images(tmp_path):
    folder = ResultFolder(tmp_path / "new")
    scores = {"a, b": {"VI": 0.25, "HD": float("inf")}, "c": {"VI": 1 / 3, "HD": 6.74e-9}}
    folder.write_scores("test", scores)
    assert folder.read_scores("test") == scores
    assert not folder.is_complete
    folder.write_result({"images": 2})
    assert folder.is_complete and folder.read_result() == {"images": 2}


def test_an_image_that_is_there_twice_is_no_result(tmp_path):
    (tmp_path / "test.csv").write_text("name,VI\na,1\na,2\n")
    with pytest.raises(ValueError, match=r"test\.csv has 1 names in 2 lines"):
        ResultFolder(tmp_path).read_scores("test")


def test_a_run_begins_with_its_config(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert not folder.is_run
    with pytest.raises(ValueError, match=r"run is no run: it has no config\.json"):
        folder.read_config()
    folder.check_own()
    config = Config(epochs=7)
    statistics = ChannelStatistics(np.float32([0.1, 0.2]), np.float32([1, 3]))
    facts = DataFacts(7, statistics, 2, 2, 3, ("0", "1"), (), (0, 9), 4095, True)
    folder.begin(config, {"test": {"a": 0}}, facts)
    assert folder.is_run and folder.read_config() == config
    assert folder.read_settings()["epochs"] == 7
    assert folder.read_split() == {"test": {"a": 0}}
    np.testing.assert_equal(folder.read_facts(), facts)
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.json", "split.json", "statistics.json"]


def test_what_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for touch in (RunFolder(tmp_path).check_own, RunFolder(tmp_path).held().__enter__):
        with pytest.raises(RunError, match="is no run, and is not empty; give another folder with --output"):
            touch()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_folders_are_known_by_their_path(tmp_path):
    assert {RunFolder(tmp_path): 1}[RunFolder(tmp_path)] == 1
    assert RunFolder(tmp_path) != RunFolder(tmp_path / "other")
