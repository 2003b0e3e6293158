"""What a data set is to the rest of the program: images with their labels, and what is known of each before it is read."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Indices = Sequence[int] | npt.NDArray[np.integer]


class Example(NamedTuple):
    """One image.

    Attributes:
        name: Unique in the data set, for example "21_training".
        image: `[*shape, channels]`, float32, 0 to 1.
        label: Class of each pixel, `[*shape]`, int32, 0 to classes - 1.
    """

    name: str
    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.int32]


class ImageFacts(NamedTuple):
    """What is known of an image without reading it.

    Attributes:
        shape: Sides, pixels.
        mean: Of each channel over the pixels.
        variance: Likewise.
    """

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    variance: tuple[float, ...]


class Dataset(Protocol):
    """`len(dataset)` images, each read as `dataset[index]`; with threads several are read at a time."""

    @property
    def name(self) -> str:
        """Of the data set."""

    @property
    def classes(self) -> int:
        """Number of classes, 2 or more."""

    @property
    def channels(self) -> int:
        """Channels of every image."""

    @property
    def spatial_dims(self) -> int:
        """2 for images, 3 for volumes."""

    @property
    def names(self) -> Sequence[str]:
        """Name of each image."""

    @property
    def images(self) -> Sequence[ImageFacts]:
        """What is known of each image."""

    @property
    def checksum(self) -> int:
        """Of every pixel of the images and labels."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Example: ...


def facts_of(image: npt.NDArray[np.float32]) -> ImageFacts:
    """Measures an image.

    Args:
        image: `[*shape, channels]`, 0 to 1.
    """
    wide = np.asarray(image, np.float64)
    axes = tuple(range(wide.ndim - 1))
    return ImageFacts(wide.shape[:-1], tuple(wide.mean(axes).tolist()), tuple(wide.var(axes).tolist()))


def largest_shape(dataset: Dataset, indices: Indices) -> tuple[int, ...]:
    """The shape into which every image fits.

    Args:
        dataset: The images.
        indices: Those of them that count.

    Returns:
        Longest side along each axis, pixels.

    Raises:
        ValueError: If there is no image.
    """
    check_indices(dataset, indices)
    return tuple(int(side) for side in np.max([dataset.images[int(index)].shape for index in indices], axis=0))


def check_indices(dataset: Dataset, indices: Indices) -> None:
    """Refuses a choice of images that is empty or not in the data set.

    Args:
        dataset: The images.
        indices: The choice.

    Raises:
        ValueError: If there is no index, or one out of range.
    """
    if len(indices) == 0:
        raise ValueError("indices must name one image at least, got none")
    if min(indices) < 0 or max(indices) >= len(dataset):
        raise ValueError(f"indices must be 0 to {len(dataset) - 1}, got {min(indices)} to {max(indices)}")
