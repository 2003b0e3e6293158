"""The brain in the nilearn wheel, as slices and as volumes."""

import numpy as np
import pytest

from train.datasets import open_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def slices(folder):
    return open_dataset("mni152", data_dir=folder)


@pytest.fixture(scope="module")
def blocks(folder):
    return open_dataset("mni152_volume", data_dir=folder)


def test_slices_are_named_by_their_height_lowest_first(slices):
    assert slices.names == tuple(f"z{height:+04d}mm" for height in range(-30, 68, 2))
    assert slices.names[0] == "z-030mm" and slices.names[20] == "z+010mm"
    assert (slices.classes, slices.channels, slices.spatial_dims) == (2, 1, 2)
    assert slices[3].name == "z-024mm"


def test_slices_are_cropped_to_the_brain(slices):
    labels = np.stack([example.label for example in slices])
    assert labels.shape == (49, 96, 80)
    # No grey matter on the border, and as much room before it as behind it.
    for axis in (1, 2):
        inside = np.flatnonzero(labels.any(axis=(0, 3 - axis)))
        before, after = inside[0], labels.shape[axis] - 1 - inside[-1]
        assert before >= 1 and after >= 1 and abs(before - after) <= 3


def test_grey_matter_is_a_third_of_the_window_and_darker_than_white_matter(slices):
    images, labels = (np.stack([example[place] for example in slices]) for place in (1, 2))
    assert images.min() == 0 and 0.8 < images.max() <= 1
    assert 0.2 < labels.mean() < 0.4
    assert labels[images[..., 0] > np.percentile(images, 85)].mean() < 0.1


def test_front_is_at_the_top(slices):
    # Low slices show the temporal lobes and the cerebellum: the back is wider than the front.
    rows = np.sum([slices[index].label for index in range(5)], axis=(0, 2))
    assert rows[48:].sum() > 1.5 * rows[:48].sum()


def test_blocks_are_the_slices_cut_at_mid_height_and_mid_length(slices, blocks):
    assert blocks.names == ("bottom_back", "bottom_front", "top_back", "top_front")
    assert (blocks.classes, blocks.channels, blocks.spatial_dims) == (2, 1, 3)
    bottom_back, bottom_front, top_back, top_front = blocks
    assert {example.label.shape for example in blocks} == {(24, 48, 80)}
    for place in (1, 2):
        levels = [
            np.concatenate([front[place], back[place]], axis=1)
            for front, back in ((bottom_front, bottom_back), (top_front, top_back))
        ]
        np.testing.assert_array_equal(np.concatenate(levels), np.stack([example[place] for example in slices])[:48])


def test_the_brain_is_its_own_mirror_image(blocks):
    # Why no block is a left or a right half. The plane of symmetry is column 39 of 80.
    for _, image, label, _ in blocks:
        np.testing.assert_array_equal(label[..., :79], label[..., 78::-1])
        np.testing.assert_allclose(image[:, :, :79], image[:, :, 78::-1], atol=1e-6)
