"""What batches are made of: a data set's images, as the pipeline asks for them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Indices = Sequence[int] | npt.NDArray[np.integer]


class Example(Protocol):
    """One image of a data set."""

    @property
    def name(self) -> str:
        """Of the image, unique in the data set."""

    @property
    def image(self) -> npt.NDArray[np.float32]:
        """`[*shape, channels]`, 0 to 1."""

    @property
    def label(self) -> npt.NDArray[np.int32]:
        """Classes, `[*shape]`."""


class Examples(Protocol):
    """What the pipeline asks of a data set: `len(dataset)` images, each read as `dataset[index]`.

    With threads several images are read at a time.
    """

    @property
    def name(self) -> str:
        """Of the data set."""

    @property
    def classes(self) -> int:
        """Number of classes, 2 or more."""

    @property
    def spatial_dims(self) -> int:
        """2 for images, 3 for volumes."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Example: ...


def largest_shape(dataset: Examples, indices: Indices) -> tuple[int, ...]:
    """The shape into which every image fits; reads every image once.

    Args:
        dataset: the images.
        indices: those of them that count.

    Returns:
        Longest side along each axis, pixels.

    Raises:
        ValueError: no image.
    """
    check_indices(dataset, indices)
    return tuple(int(side) for side in np.max([dataset[int(index)].label.shape for index in indices], axis=0))


def check_indices(dataset: Examples, indices: Indices) -> None:
    """Refuses a choice of images that is empty or not in the data set.

    Args:
        dataset: the images.
        indices: the choice.

    Raises:
        ValueError: no index, or one out of range.
    """
    if len(indices) == 0:
        raise ValueError("indices must name one image at least, got none")
    if min(indices) < 0 or max(indices) >= len(dataset):
        raise ValueError(f"indices must be 0 to {len(dataset) - 1}, got {min(indices)} to {max(indices)}")
