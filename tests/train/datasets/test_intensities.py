"""What the numbers of images stand for, decided for all images of a set."""

import numpy as np
import pytest
import tifffile

from tests.train.datasets.tree import BINARY, Tree, grey
from train.datasets.errors import DatasetError
from train.datasets.intensities import bit_depth, image_numbers
from train.datasets.readers import read_image

LOW = np.linspace(0.4, 0.6, 12, dtype=np.float32).reshape(3, 4)
HIGH = np.where(np.float32(0.6) == LOW, np.float32(2.4), LOW)  # one pixel above 1


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def add(tree, **images):
    for name, image in images.items():
        tree.add(f"images/{name}.tif", image)
        tree.add(f"masks/{name}.png", BINARY)
    return tree.open()


def test_one_bright_pixel_does_not_stretch_one_image_alone(tree, caplog):
    dataset = add(tree, a=LOW, b=HIGH)
    np.testing.assert_allclose(dataset[0].image[..., 0], (LOW - 0.4) / 0.2, atol=1e-6)
    np.testing.assert_allclose(dataset[1].image[..., 0], (HIGH - 0.4) / 2.0, atol=1e-6)
    assert dataset.stretched is True and dataset.white is None
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tree.root}/images/b.tif has numbers beyond 0 to 1, and {tree.root}/images/a.tif has not: each image that is not "
        "of 8 or 16 bits is stretched from its least to its greatest number, so that equal numbers of two images are not "
        "equal any more; save all of them with one scale, from 0 to 1"
    )


def test_numbers_from_0_to_1_are_kept_and_bytes_have_their_own_range(tree, caplog):
    assert add(tree, a=LOW).stretched is False
    np.testing.assert_array_equal(tree.open()[0].image[..., 0], LOW)
    assert add(tree, b=grey()).stretched is False
    assert caplog.text == ""
    assert add(tree, c=HIGH).stretched is True
    assert "images/c.tif has numbers beyond 0 to 1, and " in caplog.text


def test_numbers_beyond_are_stretched_without_a_word(tree, caplog):
    assert add(tree, a=HIGH, b=HIGH * 2).stretched is True
    assert caplog.text == ""


def test_bytes_alone_say_nothing_of_others(tree):
    dataset = add(tree, a=grey())
    assert dataset.stretched is None and dataset.white is None


def test_an_image_is_read_as_those_of_its_set_were(tmp_path):
    for name, values in (("low.tif", LOW), ("high.tif", HIGH)):
        tifffile.imwrite(tmp_path / name, values)
    np.testing.assert_array_equal(read_image(tmp_path / "low.tif", stretched=False)[..., 0], LOW)
    np.testing.assert_allclose(read_image(tmp_path / "low.tif", stretched=True)[..., 0], (LOW - 0.4) / 0.2, atol=1e-6)
    with pytest.raises(DatasetError) as raised:
        read_image(tmp_path / "high.tif", stretched=False)
    assert str(raised.value) == (
        f"{tmp_path}/high.tif: holds numbers from 0.4 to 2.4, where 0 to 1 holds those of all other images; bring them to "
        "the same scale"
    )
    flat = image_numbers(tmp_path, np.full((2, 2, 1), 7.0), stretched=True)
    np.testing.assert_array_equal(flat, np.zeros((2, 2, 1)))


def test_depths_of_cameras():
    assert [bit_depth(value) for value in (0, 255, 256, 1023, 4095, 4096, 16383, 16384, 65535)] == [
        8, 8, 10, 10, 12, 14, 14, 16, 16,
    ]  # fmt: skip
