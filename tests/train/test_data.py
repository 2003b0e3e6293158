"""Slices, split and batches of the MNI152 brain."""

import numpy as np
import pytest

from train.config import DataConfig
from train.data import Batch, batch_at, batches, load_slices, load_split, split_blocks


@pytest.fixture(scope="module")
def split(coarse_data):
    return load_split(coarse_data)


@pytest.mark.parametrize("gap", [1, 2, 5])
def test_no_training_slice_is_within_the_gap_of_a_held_out_slice(gap):
    heights = np.arange(-30.0, 68.0, 2.0)
    train, held_out = split_blocks(heights, ((10.0, 20.0), (44.0, 54.0)), gap)
    assert abs(train[:, None] - held_out[None]).min() == gap + 1
    assert list(heights[held_out]) == [10, 12, 14, 16, 18, 20, 44, 46, 48, 50, 52, 54]


def test_only_the_gaps_are_discarded():
    train, held_out = split_blocks(np.arange(10.0), ((4.0, 5.0),), 1)
    assert list(train) == [0, 1, 2, 7, 8, 9]
    assert list(held_out) == [4, 5]


def test_block_at_the_end_has_one_gap():
    train, held_out = split_blocks(np.arange(6.0), ((0.0, 1.0),), 2)
    assert list(train) == [4, 5]
    assert list(held_out) == [0, 1]


def test_slices_are_neighbouring_heights_with_a_brain_in_the_middle(coarse_data):
    images, labels, heights = load_slices(coarse_data)
    assert images.dtype == np.float32 and labels.dtype == np.int32
    assert images.shape == (*labels.shape, 1) and len(heights) == len(labels)
    assert np.all(np.diff(heights) == coarse_data.resolution_mm)
    assert images.min() > -1e-6 and 0.8 < images.max() <= 1.0
    assert labels.shape[1:] == (48, 48)
    # The window holds the brain: no grey matter on its border, and as much room before it as behind it.
    for axis in (1, 2):
        inside = np.flatnonzero(labels.any(axis=(0, 3 - axis)))
        before, after = inside[0], 47 - inside[-1]
        assert before >= 1 and after >= 1 and abs(before - after) <= 2


def test_grey_matter_is_a_third_of_the_window_and_darker_than_white_matter(split):
    assert set(np.unique(split.train.labels)) == {0, 1}
    assert 0.2 < split.train.labels.mean() < 0.4
    images, labels = split.train.images[..., 0], split.train.labels
    bright = images > np.percentile(images, 85)
    assert labels[bright].mean() < 0.1


def test_front_is_at_the_top(split):
    # Low slices show the temporal lobes and the cerebellum: the back is wider than the front.
    low = split.train.labels[split.train_mm < -20].sum(axis=(0, 2))
    half = len(low) // 2
    assert low[half:].sum() > 1.5 * low[:half].sum()


def test_training_slices_are_standardised_and_shapes_agree(split):
    assert abs(split.train.images.mean()) < 1e-4
    assert abs(split.train.images.std() - 1) < 1e-4
    assert split.train.images.shape[1:] == split.held_out.images.shape[1:]
    assert abs(split.train_mm[:, None] - split.held_out_mm[None]).min() >= 8


def test_split_without_training_slices_is_refused(coarse_data):
    config = DataConfig(resolution_mm=coarse_data.resolution_mm, gap_slices=40)
    with pytest.raises(ValueError, match=r"leaves 0 for training and \d+ held out.*data.gap_slices 40"):
        load_split(config)


def numbered(count):
    """Slices whose every pixel is distinct; the label repeats the image."""
    values = np.arange(count * 6).reshape(count, 2, 3)
    return Batch(values[..., None].astype(np.float32), values.astype(np.int32))


def test_each_epoch_draws_every_slice_once_and_flips_image_and_label_alike():
    slices = numbered(10)
    drawn = []
    for step in range(5):
        batch = batch_at(slices, 4, 3, step)
        np.testing.assert_array_equal(batch.images[..., 0], batch.labels)
        drawn += [labels.min() // 6 for labels in batch.labels]
    assert sorted(drawn[:10]) == list(range(10)) and sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]


def test_all_four_flips_occur_and_the_source_is_untouched():
    slices = numbered(1)
    before = slices.labels.copy()
    corners = {int(batch_at(slices, 1, 0, step).labels[0, 0, 0]) for step in range(40)}
    assert corners == {0, 2, 3, 5}
    np.testing.assert_array_equal(slices.labels, before)


def test_batches_depend_on_seed_and_step_alone():
    slices = numbered(10)
    stream = batches(slices, 4, 7)
    for step in range(6):
        np.testing.assert_array_equal(next(stream).labels, batch_at(slices, 4, 7, step).labels)
    assert (batch_at(slices, 4, 7, 0).labels != batch_at(slices, 4, 8, 0).labels).any()
