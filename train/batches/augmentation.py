"""Random changes of a training image, and of all that belongs to its pixels, together.

A sample's arrays share their spatial axes, which come first: `[*shape]`, or `[*shape, channels]`. Nothing is changed in
place.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]

_NODES = 3
"""Along each axis, of the grid whose displacements an elastic deformation interpolates."""


class Sample(NamedTuple):
    """One image and what belongs to it.

    Attributes:
        name: the image's; "" for one that only fills a batch.
        image: `[*shape, channels]`, float32.
        label: `[*shape]`, int32.
        where: `[*shape]`, bool; False where the class is not known, and on what was added to the image.
        maps: keyword of the loss -> `[*shape]` or `[*shape, channels]`, float32 or bool.
        sides: of the image itself, without what was added at the ends of its axes.
    """

    name: str
    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.int32]
    where: npt.NDArray[np.bool_]
    maps: dict[str, Array]
    sides: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of each training image; the defaults are the paper's where whole images are taken.

    Attributes:
        crop: pixels along each axis of a part taken at random, such as `512 512`; nothing for whole images. A smaller
            image is padded. `0` for a size that is chosen from the images.
        flips: turn each axis around, half of the time.
        rot90: rotate by a multiple of 90 degrees in the last two axes; they must have the same length.
        elastic_pixels: pixels, standard deviation of the random displacements of an elastic deformation; 0 for none.
        intensity: largest change of brightness and of contrast, as a share of the data set's deviation; 0 for none.
    """

    crop: tuple[int, ...] = ()
    flips: bool = True
    rot90: bool = False
    elastic_pixels: float = 0.0
    intensity: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range, or a rotation of a crop that is not square."""
        chosen = self.crop == (0,)
        if self.crop and not chosen and (len(self.crop) not in (2, 3) or min(self.crop) < 1):
            raise ValueError(f"augmentation.crop must be 2 or 3 lengths of 1 or more, none, or 0, got {self.crop}")
        if self.rot90 and self.crop and not chosen:
            check_square(self.crop)
        if not 0 <= self.elastic_pixels < np.inf:
            raise ValueError(f"augmentation.elastic_pixels must be 0 or more, got {self.elastic_pixels}")
        if not 0 <= self.intensity < 1:
            raise ValueError(f"augmentation.intensity must be at least 0 and below 1, got {self.intensity}")


def check_square(shape: Sequence[int]) -> None:
    """Refuses a shape that a rotation by 90 degrees would change.

    Args:
        shape: sides of what is rotated, pixels.

    Raises:
        ValueError: the last two axes differ.
    """
    if shape[-1] != shape[-2]:
        raise ValueError(
            f"augmentation.rot90 needs the last two axes to have one length, got {tuple(shape)}; "
            "give a square augmentation.crop"
        )


def augment(sample: Sample, rng: np.random.Generator, settings: Augmentation) -> Sample:
    """Crops, deforms, flips, rotates and brightens a sample at random, in this order.

    An elastic deformation displaces the nodes of a 3 x 3 (x 3) grid over the crop by normal random numbers, and the pixels
    between by cubic splines. Images and maps are interpolated linearly; labels and bool maps take the nearest pixel. What
    comes from beyond the image repeats its edge, and is False in `where`. Maps are deformed, not computed again: distances
    in them are those before.

    Brightness and contrast change an image x to a x + b, the same for all channels, with a within 1 +- `intensity` and b
    within +- `intensity`, both uniform.

    Args:
        sample: the whole image, standardised.
        rng: source of all randomness.
        settings: what is done.

    Returns:
        The sample, of the shape `settings.crop`, or of its own.

    Raises:
        ValueError: a crop of another number of axes, or a rotation of what is not square.

    References:
        Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
        arXiv:1505.04597 (the deformation).
    """
    dims = sample.label.ndim
    shape = settings.crop or sample.label.shape
    if len(shape) != dims:
        raise ValueError(f"augmentation.crop must have {dims} lengths for {sample.name!r}, got {settings.crop}")
    sample = pad_to(sample, shape)
    corner = [int(rng.integers(have - want + 1)) for have, want in zip(sample.label.shape, shape, strict=True)]
    if settings.elastic_pixels:
        sample = _deform(sample, _displaced(corner, shape, settings.elastic_pixels, rng))
    else:
        window = tuple(slice(start, start + length) for start, length in zip(corner, shape, strict=True))
        sample = _apply(sample, lambda array: array[window])
    if settings.flips:
        axes = tuple(int(axis) for axis in np.flatnonzero(rng.random(dims) < 0.5))
        sample = _apply(sample, lambda array: np.flip(array, axes))
    if settings.rot90:
        check_square(shape)
        turns = int(rng.integers(4))
        sample = _apply(sample, lambda array: np.rot90(array, turns, axes=(dims - 2, dims - 1)))
    if settings.intensity:
        contrast, brightness = rng.uniform(-settings.intensity, settings.intensity, 2).astype(np.float32)
        sample = sample._replace(image=sample.image * (1 + contrast) + brightness)
    return sample._replace(sides=sample.label.shape)


def pad_to(sample: Sample, shape: Sequence[int]) -> Sample:
    """Repeats a sample's last pixels along each axis until it is as long as asked.

    The image stays in the first corner, so that its own shape cuts it out again.

    Args:
        sample: the sample.
        shape: least length of each axis, pixels.

    Returns:
        The sample; what was added is False in `where`.
    """
    missing = [(0, max(0, want - have)) for have, want in zip(sample.label.shape, shape, strict=True)]
    if not any(after for _, after in missing):
        return sample
    padded = _apply(sample, lambda array: np.pad(array, _per_axis(array, missing), mode="edge"))
    return padded._replace(where=np.pad(sample.where, missing))


def _per_axis(array: Array, missing: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return missing + [(0, 0)] * (array.ndim - len(missing))


def _apply(sample: Sample, change: Callable[[Array], Array]) -> Sample:
    return Sample(
        sample.name,
        change(sample.image),
        change(sample.label),
        change(sample.where),
        {keyword: change(array) for keyword, array in sample.maps.items()},
        sample.sides,
    )


def _displaced(corner: Sequence[int], shape: Sequence[int], pixels: float, rng: np.random.Generator) -> Array:
    """Where in the image each pixel of the crop comes from, `[axes, *shape]`, pixels."""
    dims = len(shape)
    nodes = rng.normal(0, pixels, (dims, *[_NODES] * dims))
    at = np.stack(np.meshgrid(*(np.linspace(0, _NODES - 1, length) for length in shape), indexing="ij"))
    displacements = np.stack([ndimage.map_coordinates(axis, at, order=3, mode="nearest") for axis in nodes])
    return np.indices(shape) + np.reshape(corner, (dims, *[1] * dims)) + displacements


def _deform(sample: Sample, at: Array) -> Sample:
    dims = len(at)

    def take(array: Array) -> Array:
        linear = array.dtype.kind == "f"
        taken = np.empty((*at.shape[1:], *array.shape[dims:]), array.dtype)
        for channel in np.ndindex(array.shape[dims:]):
            plane = (slice(None),) * dims + channel
            # scipy does not interpolate bool.
            values = array[plane] if linear else array[plane].astype(np.int32)
            taken[plane] = ndimage.map_coordinates(values, at, order=int(linear), mode="nearest")
        return taken

    inside = ndimage.map_coordinates(sample.where.astype(np.int32), at, order=0, mode="grid-constant")
    return _apply(sample, take)._replace(where=inside.astype(bool))
