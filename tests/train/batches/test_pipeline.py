"""Batches for training and evaluation."""

import itertools
import json

import numpy as np
import pytest

from tests.train.runs.painted import Painted, assert_label_fits_image
from train.batches.augmentation import Augmentation
from train.batches.pipeline import Loading, evaluation_batches, training_batches
from train.batches.standardisation import ChannelStatistics, channel_statistics
from train.batches.weight_map_cache import WeightMapCache
from train.datasets import Example, facts_of

PLAIN = ChannelStatistics(np.zeros(3, np.float32), np.ones(3, np.float32))
EVERYTHING = Augmentation(crop=(3, 3), rot90=True, elastic_pixels=1, intensity=0.2)


def given(dataset, settings):
    """The loading, and what else the functions take."""
    loading = {name: settings.pop(name) for name in Loading._fields if name in settings}
    maps, folder = settings.pop("maps", None), settings.pop("map_folder", None)
    if maps:
        settings["maps"] = WeightMapCache(maps, dataset=dataset.name, classes=dataset.classes, folder=folder)
    return Loading(**{"statistics": PLAIN, "batch_size": 4, **loading}), settings


def training(dataset, indices=None, **settings):
    indices = range(len(dataset)) if indices is None else indices
    loading, rest = given(dataset, settings)
    return training_batches(dataset, indices, loading, **{"seed": 0, "augmentation": Augmentation(), **rest})


def evaluation(dataset, indices=None, **settings):
    indices = range(len(dataset)) if indices is None else indices
    loading, rest = given(dataset, settings)
    return evaluation_batches(dataset, indices, loading, **rest)


def take(batches, count):
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def twice(mask):
    return mask * 2.0


def assert_same(batches, others):
    assert len(batches) == len(others)
    for one, other in zip(batches, others, strict=True):
        assert one.names == other.names and one.maps.keys() == other.maps.keys()
        for name in ("images", "labels", "where"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for keyword in one.maps:
            np.testing.assert_array_equal(one.maps[keyword], other.maps[keyword])


def joined(shares):
    """The batches whose parts several processes got."""
    together = []
    for batches in zip(*shares, strict=True):
        images, labels, where = (np.concatenate([getattr(b, name) for b in batches]) for name in batches[0]._fields[:3])
        names, sides = (sum((getattr(b, name) for b in batches), ()) for name in ("names", "sides"))
        maps = {keyword: np.concatenate([b.maps[keyword] for b in batches]) for keyword in batches[0].maps}
        together.append(type(batches[0])(images, labels, where, names, sides, maps))
    return together


def test_statistics_are_those_of_all_training_pixels():
    rng = np.random.default_rng(0)
    images = (rng.random((6, 7, 8, 2)) * [0.2, 3] + np.arange(6)[:, None, None, None]).astype(np.float32)

    dataset = Painted(6, ((7, 8),))
    dataset.images = [
        facts_of(Example("", image, np.zeros((7, 8), np.int32), np.ones((7, 8), bool)), classes=2) for image in images
    ]
    mean, deviation, _ = channel_statistics(dataset, np.array([0, 2, 5]))
    assert dataset.read == []
    np.testing.assert_allclose(mean, images[[0, 2, 5]].mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(deviation, images[[0, 2, 5]].std((0, 1, 2)), rtol=1e-5)
    assert mean.dtype == deviation.dtype == np.float32


def test_images_of_any_size_weigh_the_same_and_a_constant_channel_is_not_scaled():
    dataset = Painted(2, ((3, 1), (9, 1)))
    mean, deviation, _ = channel_statistics(dataset, [0, 1])
    # Rows 0, 1, 2 and 0 to 8: means 1 and 4, variances 2/3 and 20/3; columns are all 0.
    np.testing.assert_allclose(mean, [0.5, 2.5, 0])
    np.testing.assert_allclose(deviation, [0.5, np.sqrt(22 / 6 + 1.5**2), 1])


def test_images_are_standardised_and_batches_complete():
    dataset = Painted(5)
    statistics = ChannelStatistics(np.array([1, 2, 3], np.float32), np.array([1, 2, 4], np.float32))
    for batch in (
        next(evaluation(dataset, statistics=statistics)),
        take(training(dataset, statistics=statistics), 1)[0],
    ):
        assert batch.images.shape == (4, 4, 5, 3) and batch.images.dtype == np.float32
        assert batch.labels.shape == (4, 4, 5) and batch.labels.dtype == np.int32
        assert batch.where.dtype == bool and batch.where.all() and len(batch.names) == 4 and batch.maps == {}
        assert_label_fits_image(batch.images * [1, 2, 4] + [1, 2, 3], batch.labels, batch.where, (4, 5))


@pytest.mark.parametrize("count", [1, 3, 10])
def test_every_image_is_drawn_once_before_any_is_drawn_again(count):
    drawn = [name for batch in take(training(Painted(count), batch_size=4), 10) for name in batch.names]
    passes = [tuple(drawn[first : first + count]) for first in range(0, 40 - count + 1, count)]
    assert all(sorted(one) == sorted(f"image {i}" for i in range(count)) for one in passes)
    assert count == 1 or len(set(passes)) > 1


def test_neighbouring_seeds_draw_other_orders():
    def orders(seed):
        names = [name for batch in take(training(Painted(12), batch_size=12, seed=seed), 4) for name in [batch.names]]
        return set(names)

    assert not orders(0) & orders(1)


def test_only_the_chosen_images_are_drawn_and_they_are_flipped_apart():
    batches = take(training(Painted(10), [7, 2, 5], batch_size=3, augmentation=Augmentation()), 20)
    pictures = set()
    for batch in batches:
        assert sorted(batch.names) == ["image 2", "image 5", "image 7"]
        assert_label_fits_image(batch.images, batch.labels, batch.where, (4, 5))
        for name, image in zip(batch.names, batch.images, strict=True):
            assert (image[..., 0] == int(name.split()[1])).all()
        pictures.add(tuple(batch.labels[:, 0, 0]))
    # Three images of four pictures each: one generator for a whole batch would give no more than four.
    assert len(pictures) > 8


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_do_not_change_the_batches(workers):
    settings = dict(augmentation=EVERYTHING, maps={"weight_map": twice})
    dataset = Painted(7)
    alone = take(training(dataset, workers=0, **settings), 6)
    assert_same(alone, take(training(dataset, workers=workers, prefetch=3, **settings), 6))
    assert_same(alone, take(training(dataset, workers=workers, prefetch=1, **settings), 6))
    assert (alone[0].images != take(training(dataset, seed=1, **settings), 1)[0].images).any()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [0, 1, 5])
def test_resumed_batches_are_those_of_an_uninterrupted_run(workers, step):
    settings = dict(augmentation=EVERYTHING, workers=workers)
    dataset = Painted(7)
    whole = take(training(dataset, **settings), 9)
    first = training(dataset, **settings)
    for _ in range(step):
        next(first)
    state = json.loads(json.dumps(first.get_state()))
    first.close()
    second = training(dataset, **settings)
    next(second)
    second.set_state(state)
    assert second.get_state() == state
    assert_same(whole[step:], take(second, 9 - step))


def test_resumed_by_another_number_of_processes():
    dataset = Painted(7)
    whole = take(training(dataset), 5)
    first = training(dataset, process_index=1, process_count=2)
    next(first), next(first)
    second = training(dataset)
    second.set_state(first.get_state())
    first.close()
    assert_same(whole[2:], take(second, 3))


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"batch_size": 2}, {"indices": [0, 1, 2]}, {"indices": [0, 1, 3, 2, 4]}]
)
def test_state_of_other_batches_is_refused(change):
    state = training(Painted(5), **change).get_state()
    with pytest.raises(
        ValueError, match=r"the state .*'seed'.* is not one of these batches, which are .*'batch_size': 4"
    ):
        training(Painted(5)).set_state(state)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("workers", [0, 2])
def test_shares_of_the_processes_make_up_the_batch(processes, workers):
    dataset = Painted(7)
    settings = dict(augmentation=EVERYTHING, workers=workers, maps={"weight_map": twice})
    shares = [
        take(training(dataset, process_index=i, process_count=processes, **settings), 5) for i in range(processes)
    ]
    assert_same(take(training(dataset, **settings), 5), joined(shares))
    shares = [
        list(evaluation(dataset, process_index=i, process_count=processes, workers=workers)) for i in range(processes)
    ]
    assert_same(list(evaluation(dataset)), joined(shares))


def test_last_batch_is_filled_with_images_that_do_not_count():
    # Of 5 images in batches of 4 a second of two processes has none in the last batch.
    for settings in ({}, {"process_index": 1, "process_count": 2}):
        *_, last = evaluation(Painted(5), **settings)
        real = 0 if settings else 1
        assert last.names == ("image 4",) * real + ("",) * (len(last.names) - real)
        assert last.where[:real].all() and not last.where[real:].any()
        assert np.isfinite(last.images).all() and len(last.images) == len(last.names) == (2 if settings else 4)


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_goes_through_the_images_in_order(workers):
    batches = list(evaluation(Painted(9), [8, 3, 4, 1, 0], workers=workers, batch_size=2))
    assert [batch.names for batch in batches] == [("image 8", "image 3"), ("image 4", "image 1"), ("image 0", "")]
    for batch in batches:
        assert_label_fits_image(batch.images, batch.labels, np.ones_like(batch.where), (4, 5))


def test_images_of_different_sizes_are_padded_to_the_largest_side():
    dataset = Painted(3, ((4, 5), (6, 3), (2, 2)))
    given = [*evaluation(dataset, shape=(8, 5))]
    assert given[0].labels.shape == (4, 8, 5)
    (batch,) = evaluation(dataset)
    assert batch.labels.shape == (4, 6, 5)
    for image, label, where, shape in zip(batch.images, batch.labels, batch.where, dataset.shapes, strict=False):
        assert where.sum() == np.prod(shape) and where[: shape[0], : shape[1]].all()
        assert_label_fits_image(image, label, np.ones_like(where), shape)
    for batch in take(training(dataset, batch_size=3), 3):
        assert batch.labels.shape == (3, 6, 5)
        assert {name: where.sum() for name, where in zip(batch.names, batch.where, strict=True)} == {
            "image 0": 20,
            "image 1": 18,
            "image 2": 4,
        }
    for batch in take(training(dataset, augmentation=Augmentation(crop=(3, 3))), 3):
        assert batch.labels.shape == (4, 3, 3)


def test_maps_are_of_whole_images_and_are_made_once(tmp_path):
    calls = []

    def place(mask):
        calls.append(mask)
        return np.arange(mask.size, dtype=float).reshape(mask.shape)

    dataset = Painted(3)
    settings = dict(maps={"weight_map": place}, map_folder=tmp_path)
    for workers in (0, 2):
        batches = take(training(dataset, augmentation=Augmentation(crop=(2, 2)), workers=workers, **settings), 6)
        for batch in batches:
            np.testing.assert_array_equal(batch.maps["weight_map"], batch.labels)
            assert batch.maps["weight_map"].dtype == np.float32
    (batch,) = evaluation(dataset, **settings)
    assert batch.maps["weight_map"].shape == (4, 4, 5)
    assert len(calls) == 3 and all(mask.shape == (4, 5) for mask in calls)


def test_volumes():
    dataset = Painted(3, ((3, 4, 4),))
    statistics = ChannelStatistics(np.zeros(4, np.float32), np.ones(4, np.float32))
    settings = Augmentation(crop=(2, 3, 3), rot90=True)
    (batch,) = take(training(dataset, statistics=statistics, augmentation=settings), 1)
    assert batch.images.shape == (4, 2, 3, 3, 4)
    assert_label_fits_image(batch.images, batch.labels, batch.where, (3, 4, 4))


def test_evaluation_left_in_the_middle_stops():
    batches = evaluation(Painted(9), workers=2, batch_size=1)
    next(batches)
    batches.close()
    assert list(batches) == []


class Wrong(Painted):
    def __getitem__(self, index):
        example = super().__getitem__(index)
        return example._replace(label=example.label[:2], where=example.where[:2]) if index == 2 else example


@pytest.mark.parametrize("workers", [0, 2])
def test_image_and_label_that_do_not_fit_are_named(workers):
    message = r"'image 2' must have an image of its label's shape and 3 channels, got \(4, 5, 3\) and \(2, 5\)"
    with pytest.raises(ValueError, match=message):
        list(evaluation(Wrong(3), workers=workers))
    with pytest.raises(ValueError, match=message):
        take(training(Wrong(3), workers=workers), 3)


@pytest.mark.parametrize("batches", [training, evaluation])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"indices": []}, "indices must name one image at least, got none"),
        ({"indices": [0, 3]}, "indices must be 0 to 2, got 0 to 3"),
        ({"indices": [-1, 2]}, "indices must be 0 to 2, got -1 to 2"),
        ({"batch_size": 3, "process_count": 2}, "batch_size must be a multiple of the number of processes, 2, got 3"),
        ({"batch_size": 0}, "batch_size must be a multiple of the number of processes, 1, got 0"),
        ({"process_index": 2, "process_count": 2}, "process_index must be 0 to 1 .*, got 2"),
    ],
)
def test_errors_come_before_the_first_batch(batches, settings, message):
    with pytest.raises(ValueError, match=message):
        batches(Painted(3), **settings)


def test_settings_that_do_not_fit_the_images():
    with pytest.raises(ValueError, match=r"augmentation.crop must have 2 lengths for 'painted', got \(2, 2, 2\)"):
        training(Painted(3), augmentation=Augmentation(crop=(2, 2, 2)))
    with pytest.raises(ValueError, match=r"rot90 needs .* got \(4, 5\)"):
        training(Painted(3), augmentation=Augmentation(rot90=True))
    with pytest.raises(ValueError, match=r"'image 0' has the shape \(4, 5\), larger than \(4, 4\)"):
        list(evaluation(Painted(3), shape=(4, 4)))
    with pytest.raises(ValueError, match="indices must name one image at least"):
        channel_statistics(Painted(3), [])
