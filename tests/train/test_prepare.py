"""What is said of prepared data, and of data that cannot be prepared."""

import numpy as np
import pytest

from train.datasets import DATASETS, Example, facts_of
from train.prepare import contents, main


class Images(list):
    """A data set of what lies in a list."""

    name, classes, class_names, spatial_dims = "images", 2, ("0", "1"), 2

    @property
    def images(self):
        return [facts_of(example, classes=2) for example in self]

    @property
    def channels(self):
        return self[0].image.shape[-1]


def image(height, width, foreground, channels=1):
    label = np.zeros((height, width), np.int32)
    label.flat[:foreground] = 1
    return Example("a", np.zeros((height, width, channels), np.float32), label, np.ones(label.shape, bool))


def test_contents_by_hand():
    assert contents(Images([image(4, 5, 3, 3), image(4, 5, 1, 3)])) == (
        "2 images of 4 x 5 pixels with 3 channels; 2 classes, share of pixels 0: 90.0%, 1: 10.0%"
    )


def test_sizes_are_counted_and_the_rarest_left_out():
    images = Images([image(4, 4, 0), image(4, 4, 16), *(image(side, 2, side) for side in (5, 6, 7, 8, 9))])
    assert contents(images) == (
        "7 images of 4 x 4 (2), 5 x 2 (1), 6 x 2 (1), 7 x 2 (1) and 2 other sizes pixels with 1 channel; "
        "2 classes, share of pixels 0: 50.0%, 1: 50.0%"
    )


def test_the_brain_is_prepared_and_described(tmp_path, capsys):
    assert main(["mni152", "--folder", str(tmp_path)]) == 0
    first, folder, licence, cite = capsys.readouterr().out.splitlines()
    assert first.startswith("mni152: 49 images of 96 x 80 pixels with 1 channel; 2 classes, share of pixels 0: ")
    assert folder.startswith(f"in {tmp_path}/mni152/")
    assert licence == f"licence: {DATASETS['mni152'].LICENSE}"
    assert cite == f"cite: {DATASETS['mni152'].CITATION}"


def test_unknown_name_is_one_line(tmp_path, capsys):
    assert main(["dive", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "unknown data set 'dive'; known: drive, " in said and said.count("\n") == 1


def test_a_missing_source_is_named_with_what_is_expected_there(tmp_path, capsys):
    source = str(tmp_path / "nowhere")
    assert main(["drive", "--source", source, "--folder", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().err
    assert source in said and "training/1st_manual" in said


def test_help_names_every_data_set(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in DATASETS)
