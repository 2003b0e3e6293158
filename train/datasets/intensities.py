"""What the numbers of images stand for: black, white, and what lies between."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from train.datasets.errors import DatasetError

_DEPTHS = (8, 10, 12, 14, 16)  # of cameras whose images are kept in 16 bits


def image_numbers(
    path: pathlib.Path, values: npt.NDArray[Any], *, stretched: bool | None
) -> npt.NDArray[np.uint8 | np.uint16 | np.float32]:
    """Takes what a file holds for the numbers of an image.

    Args:
        path: The file, for errors.
        values: `[*shape, channels]`.
        stretched: Whether numbers other than those of 8 and 16 bits are stretched from their least and greatest to 0..1,
            as in the other images of a set; None where none is known, to stretch those that exceed it.

    Returns:
        `[*shape, channels]`, uint8 or uint16 with their full range, or float32 from 0 to 1.

    Raises:
        DatasetError: If they are not finite, or exceed 0..1 where those of other images do not.
    """
    if values.dtype in (np.uint8, np.uint16):
        return values
    low, high = limits(path, values)
    exceeding = exceed_unit_range(low, high)
    if exceeding and stretched is False:
        raise DatasetError(
            f"{path}: holds numbers from {low:g} to {high:g}, where 0 to 1 holds those of all other images; bring them to "
            "the same scale"
        )
    if exceeding or stretched:
        values = (values.astype(np.float64) - low) / (high - low or 1.0)
    return values.astype(np.float32)


def limits(path: pathlib.Path, values: npt.NDArray[Any]) -> tuple[float, float]:
    """The least and the greatest number of an image.

    Args:
        path: The file, for errors.
        values: `[*shape, channels]`.

    Raises:
        DatasetError: If one is not finite.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise DatasetError(f"{path}: holds values that are not finite; replace them")
    return low, high


def exceed_unit_range(low: float, high: float) -> bool:
    """Whether numbers between these limits are not from 0 to 1 as they are."""
    return low < 0.0 or high > 1.0


def full_scale(dtype: npt.DTypeLike) -> int:
    """What stands for 1 in images of a type: its greatest number, or 1 for floats.

    Args:
        dtype: uint8, uint16 or float32, as `read_image` returns them.
    """
    kind = np.dtype(dtype)
    return int(np.iinfo(kind).max) if np.issubdtype(kind, np.integer) else 1


def bit_depth(greatest: int) -> int:
    """The least depth of a camera, in bits, of which images of 16 bits hold a number."""
    return next(bits for bits in _DEPTHS if greatest < 2**bits)


def to_unit_range(
    image: npt.NDArray[np.uint8 | np.uint16 | np.float32], *, white: int | None = None
) -> npt.NDArray[np.float32]:
    """An image as `read_image` returns it, as float32 from 0 to 1.

    Args:
        image: `[*shape, channels]`.
        white: What stands for 1 in 16 bits; None for their greatest number.
    """
    scale = white if white and image.dtype == np.uint16 else full_scale(image.dtype)
    return np.asarray(image, np.float32) / np.float32(scale)
