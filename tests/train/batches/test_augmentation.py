"""Crops, deformations, flips, rotations and brightness of a sample."""

import itertools

import numpy as np
import pytest

from tests.train.runs.painted import Painted, assert_label_fits_image, numbered
from train.batches.augmentation import Augmentation, Sample, augment, pad_to

NOTHING = Augmentation(flips=False)


def painted(*shape):
    """A sample whose maps repeat its label: one as numbers, one with channels, one as bool."""
    example = Painted(1, (shape,))[0]
    label = example.label
    maps = {
        "numbers": label.astype(np.float32),
        "channels": np.stack([label, -label], axis=-1).astype(np.float32),
        "odd": label % 2 == 1,
    }
    return Sample("it", example.image, label, np.ones(shape, bool), maps, shape)


def draws(sample, settings, count, seed=0):
    rng = np.random.default_rng(seed)
    return [augment(sample, rng, settings) for _ in range(count)]


def assert_together(sample, shape):
    """Image, label and maps still belong together."""
    everywhere = np.ones(sample.label.shape, bool)
    assert_label_fits_image(sample.image, sample.label, everywhere, shape)
    np.testing.assert_array_equal(sample.maps["numbers"], sample.label)
    np.testing.assert_array_equal(sample.maps["channels"], np.stack([sample.label, -sample.label], axis=-1))
    np.testing.assert_array_equal(sample.maps["odd"], sample.label % 2 == 1)
    assert sample.image.dtype == np.float32 and sample.label.dtype == np.int32 and sample.where.dtype == bool
    assert [array.dtype for array in sample.maps.values()] == [np.float32, np.float32, bool]


def pictures(samples):
    return {sample.label.tobytes() for sample in samples}


def test_nothing_changes_nothing():
    sample = painted(3, 4)
    (same,) = draws(sample, NOTHING, 1)
    np.testing.assert_array_equal(same.image, sample.image)
    np.testing.assert_array_equal(same.label, sample.label)


def test_default_is_the_flips_of_each_axis_half_of_the_time():
    drawn = draws(painted(3, 4), Augmentation(), 400)
    # By its first pixel: as it was, or flipped along one axis or both; 100 draws each, deviation below 9.
    counts = np.bincount([one.label[0, 0] for one in drawn], minlength=12)
    assert set(np.flatnonzero(counts)) == {0, 3, 8, 11} and abs(counts[[0, 3, 8, 11]] - 100).max() < 40
    for one in drawn:
        assert_together(one, (3, 4))
        assert {*abs(np.diff(one.label, axis=0)).ravel()} == {4} and {*abs(np.diff(one.label)).ravel()} == {1}


def test_volumes_flip_along_three_axes_and_rotate_in_the_last_two():
    drawn = draws(painted(2, 3, 3), Augmentation(rot90=True), 300)
    # Two ways along the first axis and the eight symmetries of a square.
    assert len(pictures(drawn)) == 16
    for one in drawn:
        assert_together(one, (2, 3, 3))
        assert {*one.label[0].ravel()} in ({*range(9)}, {*range(9, 18)})


def test_rotations_are_by_quarters():
    sample = painted(3, 3)
    drawn = draws(sample, Augmentation(flips=False, rot90=True), 60)
    assert pictures(drawn) == {np.rot90(sample.label, turns).tobytes() for turns in range(4)}
    for one in drawn:
        assert_together(one, (3, 3))


def test_crops_take_every_place_alike():
    sample = painted(5, 4)
    drawn = draws(sample, Augmentation(crop=(3, 2), flips=False), 900)
    corners = [int(one.label[0, 0]) for one in drawn]
    counts = np.bincount(corners, minlength=20).reshape(5, 4)
    assert counts[3:].sum() == counts[:, 3:].sum() == 0
    # Nine places of 100 draws each, deviation below 10.
    assert abs(counts[:3, :3] - 100).max() < 50
    for one, corner in zip(drawn, corners, strict=True):
        np.testing.assert_array_equal(one.label, corner + numbered((3, 4))[:, :2])
        assert_together(one, (5, 4))
        assert one.where.all()


def test_crop_larger_than_the_image_repeats_its_edge():
    (padded,) = draws(painted(2, 5), Augmentation(crop=(4, 5), flips=False), 1)
    np.testing.assert_array_equal(padded.label[:, 0], [0, 5, 5, 5])
    np.testing.assert_array_equal(padded.where, [[True] * 5, [True] * 5, [False] * 5, [False] * 5])
    assert_together(padded, (2, 5))
    for one in draws(painted(2, 5), Augmentation(crop=(4, 3)), 20):
        assert one.label.shape == (4, 3) and one.where.sum() == 6
        assert_together(one, (2, 5))


def test_padding_keeps_what_is_large_enough():
    sample = painted(4, 5)
    assert pad_to(sample, (4, 3)) is sample
    assert pad_to(sample, (2, 7)).label.shape == (4, 7)


@pytest.mark.parametrize("crop", [(), (17, 12)])
def test_deformation_takes_image_and_label_from_the_same_place(crop):
    shape = (24, 31)
    sample = painted(*shape)
    for one in draws(sample, Augmentation(crop=crop, flips=False, elastic_pixels=2), 5):
        # The image's coordinates are interpolated exactly, and say to a fraction of a pixel where each pixel came from.
        assert_label_fits_image(one.image, one.label, np.ones(one.label.shape, bool), shape)
        np.testing.assert_array_equal(one.maps["odd"], one.label % 2 == 1)
        at = one.image[..., 1:].astype(float)
        np.testing.assert_allclose(one.maps["numbers"], at @ [31, 1], rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(one.maps["channels"][..., 1], -at @ [31, 1], rtol=1e-5, atol=1e-3)
        assert abs(at - np.rint(at)).mean() > 0.1
        assert one.label.shape == (crop or shape)
        # What came from beyond the image shows its edge.
        edges = (at == 0) | (at == np.array(shape) - 1)
        assert not one.where.all() or crop
        assert edges.any(axis=-1)[~one.where].all()
        assert one.image.dtype == np.float32 and one.where.dtype == bool and one.maps["odd"].dtype == bool


def test_deformation_has_the_deviation_asked_for_and_is_smooth():
    # The middle of 41 pixels is a node of the grid: its displacement is a normal random number.
    drawn = draws(painted(41, 41), Augmentation(flips=False, elastic_pixels=3), 250)
    displaced = np.array([one.image[20, 20, 1:] for one in drawn]) - 20
    assert abs(displaced.mean(axis=0)).max() < 0.7 and abs(displaced.std(axis=0) - 3).max() < 0.5
    steps = [np.diff(one.image[..., 2], axis=1)[one.where[:, 1:] & one.where[:, :-1]] for one in drawn[:20]]
    assert abs(np.concatenate(steps) - 1).mean() < 0.4


def test_deformation_of_a_volume():
    (one,) = draws(painted(6, 7, 8), Augmentation(flips=False, elastic_pixels=1), 1)
    assert_label_fits_image(one.image, one.label, np.ones((6, 7, 8), bool), (6, 7, 8))


def test_intensity_changes_the_image_by_one_line():
    sample = painted(4, 5)
    lines = []
    for one in draws(sample, Augmentation(flips=False, intensity=0.25), 200):
        np.testing.assert_array_equal(one.label, sample.label)
        np.testing.assert_array_equal(one.maps["numbers"], sample.maps["numbers"])
        contrast, brightness = np.polyfit(sample.image.ravel(), one.image.ravel(), 1)
        np.testing.assert_allclose(one.image, sample.image * contrast + brightness, atol=1e-5)
        assert one.image.dtype == np.float32
        lines.append((contrast - 1, brightness))
    assert abs(np.array(lines)).max() < 0.2501
    # Uniform within +- 0.25: deviation 0.25 / sqrt(3).
    np.testing.assert_allclose(np.std(lines, axis=0), 0.1443, rtol=0.15)


def test_everything_together_is_a_function_of_the_generator_and_leaves_the_source_alone():
    settings = Augmentation(crop=(9, 9), rot90=True, elastic_pixels=1, intensity=0.2)
    sample = painted(12, 13)
    for array in (sample.image, sample.label, sample.where, *sample.maps.values()):
        array.flags.writeable = False
    first, again = draws(sample, settings, 5), draws(sample, settings, 5)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.maps["channels"], other.maps["channels"])
    for one, other in itertools.combinations(first, 2):
        assert (one.image != other.image).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": (4,)}, r"augmentation.crop must be 2 or 3 lengths of 1 or more, none, or 0, got \(4,\)"),
        ({"crop": (4, 0)}, r"augmentation.crop must be 2 or 3 lengths of 1 or more, none, or 0, got \(4, 0\)"),
        ({"crop": (4, 5), "rot90": True}, r"augmentation.rot90 needs .* got \(4, 5\); give a square augmentation.crop"),
        ({"elastic_pixels": -1}, "augmentation.elastic_pixels must be 0 or more, got -1"),
        ({"elastic_pixels": float("nan")}, "augmentation.elastic_pixels must be 0 or more, got nan"),
        ({"intensity": 1.0}, "augmentation.intensity must be at least 0 and below 1, got 1.0"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**settings)


def test_crops_and_rotations_that_do_not_fit_the_image():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"augmentation.crop must have 2 lengths for 'it', got \(2, 2, 2\)"):
        augment(painted(4, 5), rng, Augmentation(crop=(2, 2, 2)))
    with pytest.raises(ValueError, match=r"last two axes to have one length, got \(4, 5\)"):
        augment(painted(4, 5), rng, Augmentation(rot90=True))
