"""What a step gets: images stacked into a batch, and the iterator that counts the steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np
import numpy.typing as npt

from train.batches.augmentation import Sample


class Batch(NamedTuple):
    """Images of one shape and what belongs to them.

    Attributes:
        images: `[B, *shape, channels]`, float32, standardised.
        labels: `[B, *shape]`, int32.
        where: `[B, *shape]`, bool; False where the class is not known, where an image was padded, and all over one that only
            fills the batch.
        names: the images'; "" for those that only fill the batch.
        sides: of each image itself, without what was added at the ends of its axes.
        maps: keyword of the loss -> `[B, *shape]` or `[B, *shape, channels]`, float32 or bool.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    where: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    sides: tuple[tuple[int, ...], ...]
    maps: dict[str, npt.NDArray[Any]]


def stack(samples: Sequence[Sample]) -> Batch:
    """Stacks samples of one shape.

    Args:
        samples: one or more, with the same maps.

    Returns:
        The batch, in their order.
    """
    return Batch(
        np.stack([sample.image for sample in samples]),
        np.stack([sample.label for sample in samples]),
        np.stack([sample.where for sample in samples]),
        tuple(sample.name for sample in samples),
        tuple(sample.sides for sample in samples),
        {keyword: np.stack([sample.maps[keyword] for sample in samples]) for keyword in samples[0].maps},
    )


def step_arrays(batch: Batch, maps: Sequence[str] = ()) -> dict[str, Any]:
    """What the steps of `train.runs.steps` take of a batch.

    Args:
        batch: the batch.
        maps: keywords of the loss whose maps are taken too.
    """
    return {
        "images": batch.images,
        "labels": batch.labels,
        "where": batch.where,
        "sides": np.asarray(batch.sides, np.int32),
        "maps": {keyword: batch.maps[keyword] for keyword in maps},
    }


def one_of(batch: Batch, place: int) -> Batch:
    """The batch of one of its images."""
    one = slice(place, place + 1)
    maps = {keyword: array[one] for keyword, array in batch.maps.items()}
    return Batch(batch.images[one], batch.labels[one], batch.where[one], batch.names[one], batch.sides[one], maps)


def unpadded(batch: Batch, place: int) -> tuple[slice, ...]:
    """The part of an array `[*shape]` that is one of the images of a batch itself."""
    return tuple(map(slice, batch.sides[place]))


class TrainingBatches(Iterator[Batch]):
    """The endless batches of `training_batches`, and which of them is next."""

    def __init__(self, start: Callable[[int], grain.DatasetIterator[Batch]], identity: Mapping[str, int]) -> None:
        """Starts before the first batch.

        Args:
            start: makes the iterator whose first batch is that of a step.
            identity: tells these batches from others.
        """
        self._start = start
        self._identity = dict(identity)
        self._iterator = start(0)
        self._step = 0

    def __next__(self) -> Batch:
        """The batch of the next step, this process's share of it."""
        batch = next(self._iterator)
        self._step += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """What `set_state` continues from, for JSON: the next step, and which batches it counts.

        The same in all processes; batches made ahead do not count.
        """
        return {"step": self._step, **self._identity}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Continues where another iterator over the same batches was, with any number of threads and processes.

        Args:
            state: as returned by `get_state`.

        Raises:
            ValueError: the state of other batches: another seed, batch size or choice of images.
        """
        found = {name: value for name, value in state.items() if name != "step"}
        if found != self._identity or state.get("step", -1) < 0:
            raise ValueError(f"the state {dict(state)} is not one of these batches, which are {self._identity}")
        self._iterator.close()
        self._iterator = self._start(state["step"])
        self._step = state["step"]

    def close(self) -> None:
        """Stops the threads; there are no batches after this."""
        self._iterator.close()
