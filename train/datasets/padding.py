"""Padding of images to sides that a U-Net halves evenly."""

import numpy as np
import numpy.typing as npt

MULTIPLE = 32
"""Of the sides of padded images, pixels: five halvings."""


def pad_to_multiple(
    values: npt.NDArray[np.generic], multiple: int, *, fill: int | None = None
) -> npt.NDArray[np.generic]:
    """Pads the two sides of an image up to the next multiple, half before and half after (the odd pixel after).

    Args:
        values: Image or mask, `[H, W, ...]`.
        multiple: What the sides shall be a multiple of, pixels.
        fill: Value of the new pixels; None repeats the edge.

    Returns:
        The padded array.
    """
    grown = [-side % multiple for side in values.shape[:2]]
    widths = [(add // 2, add - add // 2) for add in grown] + [(0, 0)] * (values.ndim - 2)
    if fill is None:
        return np.pad(values, widths, mode="edge")
    return np.pad(values, widths, constant_values=fill)
