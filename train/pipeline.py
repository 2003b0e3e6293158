"""Batches of a data set: read, standardised, augmented and stacked, in threads, for one process or several.

Every batch is a function of the data set, the settings and its number. Threads, interruptions and the number of processes
do not change it. Arrays are NumPy on the host.
"""

import functools
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import grain
import numpy as np
import numpy.typing as npt

from train.augmentation import Augmentation, Sample, augment, check_square, pad_to
from train.batches import Batch, TrainingBatches, stack
from train.examples import Examples, Indices, check_indices, largest_shape
from train.map_cache import MapCache, MapFunction


class Statistics(NamedTuple):
    """What images are standardised with, for each channel.

    Attributes:
        mean: `[channels]`, float32.
        deviation: `[channels]`, float32, above 0.
    """

    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]


def channel_statistics(dataset: Examples, indices: Indices) -> Statistics:
    """Mean and pooled deviation of every channel, each image weighing the same whatever its size.

    With the mean m_i and the deviation s_i of each image, m = mean(m_i) and sqrt(mean(s_i^2 + (m_i - m)^2)); for images of
    one size these are the mean and the deviation of all pixels. Reads every image once.

    Args:
        dataset: the images.
        indices: those of them that count: the training part, for nothing of the test may be known.

    Returns:
        The statistics. A channel that is the same everywhere has nothing to scale by, and gets the deviation 1.

    Raises:
        ValueError: no image.
    """
    check_indices(dataset, indices)
    means, squares = [], []
    for index in indices:
        image = np.asarray(dataset[int(index)].image, np.float64)
        axes = tuple(range(image.ndim - 1))
        means.append(image.mean(axes))
        squares.append(image.var(axes))
    mean = np.mean(means, axis=0)
    deviation = np.sqrt(np.mean(squares + (means - mean) ** 2, axis=0))
    deviation[deviation < 1e-6] = 1.0
    return Statistics(mean.astype(np.float32), deviation.astype(np.float32))


def training_batches(
    dataset: Examples,
    indices: Indices,
    *,
    statistics: Statistics,
    batch_size: int,
    seed: int,
    augmentation: Augmentation,
    maps: Mapping[str, MapFunction] | None = None,
    map_folder: str | os.PathLike[str] | None = None,
    workers: int = 0,
    prefetch: int = 2,
    process_index: int = 0,
    process_count: int = 1,
) -> TrainingBatches:
    """Draws random batches without end.

    Every image is drawn once before any is drawn again, in an order of its own each time. Batches are always full: where
    the images do not divide into batches, one batch ends a pass and begins the next, and more than all images make a batch
    hold some twice. Each drawn image is augmented at random, by its place in the stream. Without a crop images of different
    sizes are padded to `largest_shape`, which reads each of them once.

    Args:
        dataset: the images.
        indices: the training part.
        statistics: of the training part.
        batch_size: images a step, over all processes.
        seed: of the order and of the augmentation, 0 or more.
        augmentation: what is done to each image.
        maps: keyword of the loss -> map of a mask, such as `cwmi_jax.losses.MAPS[name]`; see `MapCache`.
        map_folder: where maps are kept; without it they are kept in memory, by this iterator alone.
        workers: threads that read and augment ahead; with 0 it is done when a batch is asked for.
        prefetch: batches made ahead by the threads.
        process_index: this process, 0 to `process_count - 1`.
        process_count: processes, each of which gets its part of every batch. Put together in order they are the batch
            of one process.

    Returns:
        An iterator over batches of `batch_size / process_count` images; close it when it is no longer needed.

    Raises:
        ValueError: no image, a batch that does not divide among the processes, a crop of another number of axes, or
            images that are not square where they are to be rotated.
    """
    check_indices(dataset, indices)
    share = _share(batch_size, process_index, process_count)
    chosen = np.asarray(indices, np.int64)
    if augmentation.crop and len(augmentation.crop) != dataset.spatial_dims:
        raise ValueError(
            f"augmentation.crop must have {dataset.spatial_dims} lengths for {dataset.name!r}, got {augmentation.crop}"
        )
    shape = augmentation.crop or largest_shape(dataset, chosen)
    if augmentation.rot90:
        check_square(shape)
    # grain numbers the passes by adding to the seed: neighbouring seeds would draw the same orders, one pass apart.
    order_seed, augmentation_seed = (int(state) for state in np.random.SeedSequence(seed).generate_state(2))
    cache = map_cache(dataset, maps, map_folder)
    stream = (
        grain.MapDataset.source(chosen)
        .shuffle(order_seed)
        .map(lambda index: pad_to(_load(dataset, statistics, cache, int(index)), shape))
        .random_map(lambda sample, rng: augment(sample, rng, augmentation), seed=augmentation_seed)
    )

    def start(step: int) -> grain.DatasetIterator[Batch]:
        places = grain.MapDataset.range(step * share, sys.maxsize)
        samples = places.map(lambda place: stream[_position(place, share, process_index, process_count)])
        return _stacked(samples, share, workers, prefetch)

    digest = zlib.crc32(chosen.astype("<i8").tobytes())
    return TrainingBatches(start, {"seed": seed, "batch_size": batch_size, "images": len(chosen), "digest": digest})


def evaluation_batches(
    dataset: Examples,
    indices: Indices,
    *,
    statistics: Statistics,
    batch_size: int,
    shape: Sequence[int] = (),
    maps: Mapping[str, MapFunction] | None = None,
    map_folder: str | os.PathLike[str] | None = None,
    workers: int = 0,
    prefetch: int = 2,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Whole images in order, each once, in batches of one shape: one compiled program serves all.

    Smaller images are padded at the end of each axis by repeating their edge, and the last batch by images with the name
    "": `where` is False there. The sides of `where` in an image are the image's own.

    Args:
        dataset: the images.
        indices: those to evaluate, in this order.
        statistics: of the training part.
        batch_size: images a batch, over all processes.
        shape: sides of every batch, pixels; without it `largest_shape`, which reads each image once more.
        maps: as in `training_batches`.
        map_folder: as in `training_batches`.
        workers: threads that read ahead.
        prefetch: batches made ahead by the threads.
        process_index: this process, 0 to `process_count - 1`.
        process_count: processes, each of which gets its part of every batch, and as many batches as the others.

    Returns:
        An iterator over batches of `batch_size / process_count` images.

    Raises:
        ValueError: no image, a batch that does not divide among the processes, or an image larger than `shape`.
    """
    check_indices(dataset, indices)
    share = _share(batch_size, process_index, process_count)
    sides = tuple(shape) or largest_shape(dataset, indices)
    cache = map_cache(dataset, maps, map_folder)

    def load(index: int) -> Sample:
        sample = _load(dataset, statistics, cache, index)
        if any(have > side for have, side in zip(sample.label.shape, sides, strict=True)):
            raise ValueError(f"{sample.name!r} has the shape {sample.label.shape}, larger than {sides}")
        return pad_to(sample, sides)

    @functools.cache
    def filler() -> Sample:
        sample = load(int(indices[-1]))
        return sample._replace(name="", where=np.zeros_like(sample.where))

    def at(place: int) -> Sample:
        position = _position(place, share, process_index, process_count)
        return load(int(indices[position])) if position < len(indices) else filler()

    def batches() -> Iterator[Batch]:
        places = grain.MapDataset.range(-(-len(indices) // batch_size) * share)
        iterator = _stacked(places.map(at), share, workers, prefetch)
        try:
            yield from iterator
        finally:
            iterator.close()

    return batches()


def _share(batch_size: int, process_index: int, process_count: int) -> int:
    if not 0 <= process_index < process_count:
        raise ValueError(f"process_index must be 0 to {process_count - 1} (process_count - 1), got {process_index}")
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(f"batch_size must be a multiple of the number of processes, {process_count}, got {batch_size}")
    return batch_size // process_count


def _position(place: int, share: int, process_index: int, process_count: int) -> int:
    """Position in the stream of all processes of what one process draws at a place."""
    step, member = divmod(place, share)
    return (step * process_count + process_index) * share + member


def map_cache(
    dataset: Examples, maps: Mapping[str, MapFunction] | None, folder: str | os.PathLike[str] | None
) -> MapCache:
    """The maps of a data set's images; see `MapCache`."""
    return MapCache(maps or {}, dataset=dataset.name, classes=dataset.classes, folder=folder)


def _load(dataset: Examples, statistics: Statistics, maps: MapCache, index: int) -> Sample:
    example = dataset[index]
    name, image, label = example.name, example.image, example.label
    if image.shape != (*label.shape, statistics.mean.size):
        raise ValueError(
            f"{name!r} must have an image of its label's shape and {statistics.mean.size} channels, "
            f"got {image.shape} and {label.shape}"
        )
    standardised = (image - statistics.mean) / statistics.deviation
    return Sample(name, standardised, label, np.ones(label.shape, bool), maps(name, label))


def _stacked(
    samples: grain.MapDataset[Sample], share: int, workers: int, prefetch: int
) -> grain.DatasetIterator[Batch]:
    # Each thread makes one image at a time. A buffer of 0 is grain's word for no threads.
    buffer = max(workers, prefetch * share) if workers else 0
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=buffer)
    return iter(samples.to_iter_dataset(options).batch(share, drop_remainder=True, batch_fn=stack))
