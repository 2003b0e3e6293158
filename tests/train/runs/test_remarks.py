"""What is told before a run, of made-up data sets."""

import dataclasses

import numpy as np
import pytest

from tests.train.runs.finished_run import Bright
from tests.train.runs.tiny_runs import tiny_config, tiny_setup
from train.batches.splits import Split
from train.runs.remarks import remarks


@pytest.fixture
def made(tmp_path):
    return tiny_setup(tmp_path / "run", Bright(9))


def counted(made, rows, split):
    """The set-up with counts of pixels for each image, and another split."""
    dataset = Bright(len(rows))
    dataset.class_names = ("sky", "road", "pole", "bus")
    dataset.images = [facts._replace(pixels=row) for facts, row in zip(dataset.images, rows, strict=True)]
    return made._replace(dataset=dataset, split=Split(*map(np.array, split)))


def test_of_a_plain_run_nothing_is_said(made):
    assert remarks(made.config, made) == []
    rows = [(5, 1), (5, 0), (5, 1)]
    assert remarks(made.config, counted(made, rows, ([0, 1, 2, 0], [1], [2]))) == []


def test_a_batch_of_more_images_than_there_are(made):
    """Of 9 images 3 are tested and 1 validates."""
    large = made._replace(config=dataclasses.replace(made.config, batch_size=6))
    assert remarks(made.config, large) == [
        "the training part has 5 images, fewer than a batch of 6, which holds some of them twice or more"
    ]


def test_images_that_a_file_of_splits_does_not_name(made):
    """Of nine; those beside a run of neighbours are left out on purpose, and nothing is said of them."""
    split = Split(np.array([0, 1, 2, 5]), np.array([6]), np.array([8]))
    data = dataclasses.replace(made.config.data, splits="lab/splits.csv")
    lacking = made._replace(split=split, config=dataclasses.replace(made.config, data=data))
    assert remarks(made.config, lacking) == [
        "3 of the 9 images are neither trained on, validated nor tested, such as 'image 3', for data.splits lab/splits.csv "
        "does not name them in this fold"
    ]
    assert remarks(made.config, made._replace(split=split)) == []


def test_a_class_that_the_training_part_lacks(made):
    rows = [(9, 1, 0, 0), (9, 0, 0, 0), (9, 1, 4, 0), (8, 0, 1, 0)]
    config = dataclasses.replace(made.config, batch_size=2)
    lacking = counted(made._replace(config=config), rows, ([0, 1], [2], [3]))
    assert remarks(config, lacking) == [
        "class pole is in 2 of the 4 images and in none of the training part, so it cannot be learnt; another --seed or "
        "--fold has another training part"
    ]


def test_what_was_chosen_is_told_first(made, tmp_path):
    config = tiny_config(tmp_path / "run", batch_size=0)
    assert remarks(config, made)[0].startswith("chosen for 9 images of up to 24 x 28: --batch-size 4\n")
