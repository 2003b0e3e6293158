"""Batches of a data set: read, standardised, augmented and stacked, in threads, for one process or several.

Every batch is a function of the data set, the settings and its number. Threads, interruptions and the number of processes
do not change it. Arrays are NumPy on the host.
"""

import functools
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import grain
import numpy as np

from train.batches.augmentation import Augmentation, Sample, augment, check_square, pad_to
from train.batches.batch import Batch, TrainingBatches, stack
from train.batches.standardisation import ChannelStatistics
from train.batches.weight_map_cache import WeightMapCache
from train.datasets import Dataset, Indices, check_indices, largest_shape


class Loading(NamedTuple):
    """How batches are loaded, alike for training and for evaluation.

    Attributes:
        statistics: what images are standardised with.
        batch_size: images a step, over all processes.
        workers: threads that read and augment ahead; with 0 it is done when a batch is asked for.
        prefetch: batches made ahead by the threads.
        process_index: this process, 0 to `process_count - 1`.
        process_count: processes, each of which gets its part of every batch. Put together in order they are the batch of
            one process.
    """

    statistics: ChannelStatistics
    batch_size: int
    workers: int = 0
    prefetch: int = 2
    process_index: int = 0
    process_count: int = 1

    @property
    def local_size(self) -> int:
        """Images of a batch that this process gets.

        Raises:
            ValueError: a batch that does not divide among the processes.
        """
        if not 0 <= self.process_index < self.process_count:
            raise ValueError(
                f"process_index must be 0 to {self.process_count - 1} (process_count - 1), got {self.process_index}"
            )
        if self.batch_size < 1 or self.batch_size % self.process_count:
            raise ValueError(
                f"batch_size must be a multiple of the number of processes, {self.process_count}, got {self.batch_size}"
            )
        return self.batch_size // self.process_count

    def position(self, place: int) -> int:
        """Position in the stream of all processes of what this process draws at a place."""
        step, member = divmod(place, self.local_size)
        return (step * self.process_count + self.process_index) * self.local_size + member


def training_batches(
    dataset: Dataset,
    indices: Indices,
    loading: Loading,
    *,
    seed: int,
    augmentation: Augmentation,
    maps: WeightMapCache | None = None,
) -> TrainingBatches:
    """Draws random batches without end.

    Every image is drawn once before any is drawn again, in an order of its own each time. Batches are always full: where
    the images do not divide into batches, one batch ends a pass and begins the next, and more than all images make a batch
    hold some twice. Each drawn image is augmented at random, by its place in the stream. Without a crop images of different
    sizes are padded to `largest_shape`.

    Args:
        dataset: the images.
        indices: the training part.
        loading: how they are loaded.
        seed: what the order and the augmentation are drawn from, 0 or more.
        augmentation: what is done to each image.
        maps: weight maps of the whole images, for losses that take them.

    Returns:
        An iterator over batches of `loading.local_size` images; close it when it is no longer needed.

    Raises:
        ValueError: no image, a batch that does not divide among the processes, a crop of another number of axes, or
            images that are not square where they are to be rotated.
    """
    check_indices(dataset, indices)
    size = loading.local_size
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
    stream = (
        grain.MapDataset.source(chosen)
        .shuffle(order_seed)
        .map(lambda index: pad_to(_load(dataset, loading.statistics, maps, int(index)), shape))
        .random_map(lambda sample, rng: augment(sample, rng, augmentation), seed=augmentation_seed)
    )

    def start(step: int) -> grain.DatasetIterator[Batch]:
        places = grain.MapDataset.range(step * size, sys.maxsize)
        return _stacked(places.map(lambda place: stream[loading.position(place)]), loading)

    digest = zlib.crc32(chosen.astype("<i8").tobytes())
    identity = {"seed": seed, "batch_size": loading.batch_size, "images": len(chosen), "digest": digest}
    return TrainingBatches(start, identity)


def evaluation_batches(
    dataset: Dataset,
    indices: Indices,
    loading: Loading,
    *,
    shape: Sequence[int] = (),
    maps: WeightMapCache | None = None,
) -> Iterator[Batch]:
    """Whole images in order, each once, in batches of one shape: one compiled program serves all.

    Smaller images are padded at the end of each axis by repeating their edge, and the last batch by images with the name
    "": `where` is False there.

    Args:
        dataset: the images.
        indices: those to evaluate, in this order.
        loading: how they are loaded; every process gets as many batches as the others.
        shape: sides of every batch, pixels; without it `largest_shape`.
        maps: as in `training_batches`.

    Returns:
        An iterator over batches of `loading.local_size` images.

    Raises:
        ValueError: no image, a batch that does not divide among the processes, or an image larger than `shape`.
    """
    check_indices(dataset, indices)
    size = loading.local_size
    sides = tuple(shape) or largest_shape(dataset, indices)

    def load(index: int) -> Sample:
        sample = _load(dataset, loading.statistics, maps, index)
        if any(have > side for have, side in zip(sample.label.shape, sides, strict=True)):
            raise ValueError(f"{sample.name!r} has the shape {sample.label.shape}, larger than {sides}")
        return pad_to(sample, sides)

    @functools.cache
    def filler() -> Sample:
        sample = load(int(indices[-1]))
        return sample._replace(name="", where=np.zeros_like(sample.where))

    def at(place: int) -> Sample:
        position = loading.position(place)
        return load(int(indices[position])) if position < len(indices) else filler()

    def batches() -> Iterator[Batch]:
        places = grain.MapDataset.range(-(-len(indices) // loading.batch_size) * size)
        iterator = _stacked(places.map(at), loading)
        try:
            yield from iterator
        finally:
            iterator.close()

    return batches()


def _load(dataset: Dataset, statistics: ChannelStatistics, maps: WeightMapCache | None, index: int) -> Sample:
    name, image, label, where = dataset[index]
    if image.shape != (*label.shape, statistics.mean.size):
        raise ValueError(
            f"{name!r} must have an image of its label's shape and {statistics.mean.size} channels, "
            f"got {image.shape} and {label.shape}"
        )
    of_label = {} if maps is None else maps(name, label, dataset.images[index].spacing)
    return Sample(name, statistics.standardise(image), label, where, of_label, label.shape)


def _stacked(samples: grain.MapDataset[Sample], loading: Loading) -> grain.DatasetIterator[Batch]:
    # Each thread makes one image at a time. A buffer of 0 is grain's word for no threads.
    workers = loading.workers
    buffer = max(workers, loading.prefetch * loading.local_size) if workers else 0
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=buffer)
    return iter(samples.to_iter_dataset(options).batch(loading.local_size, drop_remainder=True, batch_fn=stack))
