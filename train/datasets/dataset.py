"""What a data set is to the rest of the program: images with their labels, and what is known of each before it is read."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

WHITE = 2**16 - 1
"""What stands for 1 in images of 16 bits, unless they are of a camera of fewer."""

Indices = Sequence[int] | npt.NDArray[np.integer]


class Example(NamedTuple):
    """One image.

    Attributes:
        name: Unique in the data set, for example "21_training".
        image: `[*shape, channels]`, float32, 0 to 1.
        label: Class of each pixel, `[*shape]`, int32, 0 to classes - 1; where it is not known, that of the nearest pixel
            where it is.
        where: `[*shape]`, bool; False where the class is not known, and is to be ignored.
    """

    name: str
    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.int32]
    where: npt.NDArray[np.bool_]


class ImageFacts(NamedTuple):
    """What is known of an image without reading it.

    Attributes:
        shape: Sides, pixels.
        mean: Of each channel over the pixels.
        variance: Likewise.
        pixels: Of each class, those of unknown class left out.
        spacing: From a pixel to the next along each axis, in the data set's unit of length; None unless the files of all
            images say it, lest lengths of two units be compared.
    """

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    variance: tuple[float, ...]
    pixels: tuple[int, ...]
    spacing: tuple[float, ...] | None = None


class Dataset(Protocol):
    """`len(dataset)` images, each read as `dataset[index]`; with threads several are read at a time."""

    @property
    def name(self) -> str:
        """Of the data set."""

    @property
    def classes(self) -> int:
        """Number of classes, 2 or more."""

    @property
    def class_names(self) -> Sequence[str]:
        """Name of each class, its number where it has no other."""

    @property
    def class_colours(self) -> Sequence[str]:
        """Of each class, as `#rrggbb`; none where they are not the user's own."""

    @property
    def class_values(self) -> Sequence[int]:
        """What the user's masks hold for each class; none where that is not known."""

    @property
    def white(self) -> int | None:
        """What stands for 1 in the set's files of 16 bits; None where it is known to have none."""

    @property
    def stretched(self) -> bool | None:
        """Whether files of numbers other than 8 and 16 bits were stretched to 0..1; None where it is not known."""

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
    def length_unit(self) -> str:
        """Of the images' spacings, one for all: "mm", "µm" or "nm"; "pixels" where they are not known."""

    @property
    def checksum(self) -> int:
        """Of every pixel of the images and labels."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Example: ...


def facts_of(example: Example, *, classes: int, spacing: Sequence[float] | None = None) -> ImageFacts:
    """Measures an image.

    Args:
        example: The image.
        classes: How many there are.
        spacing: As in `ImageFacts`, in any unit.
    """
    wide = np.asarray(example.image, np.float64)
    axes = tuple(range(wide.ndim - 1))
    pixels = np.bincount(example.label[example.where], minlength=classes)
    return ImageFacts(
        wide.shape[:-1],
        tuple(wide.mean(axes).tolist()),
        tuple(wide.var(axes).tolist()),
        tuple(pixels.tolist()),
        None if spacing is None else tuple(spacing),
    )


def typical_spacing(dataset: Dataset, indices: Indices) -> tuple[float, ...] | None:
    """The median spacing along each axis, in the data set's unit of length; None where it is not known.

    Args:
        dataset: The images.
        indices: Those of them that count.
    """
    spacings = [dataset.images[int(index)].spacing for index in indices]
    known = [spacing for spacing in spacings if spacing is not None]
    return tuple(np.median(known, axis=0).tolist()) if known else None


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
