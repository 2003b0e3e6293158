"""Colour photographs with masks of 0 and 255, as three of the paper's data sets have them."""

import pathlib

import numpy as np

from train.datasets.contents import Pair
from train.datasets.padding import MULTIPLE, pad_to_multiple
from train.datasets.readers import DatasetError, describe_values, read_pair


def read_colour_pair(image_path: pathlib.Path, mask_path: pathlib.Path) -> Pair:
    """Reads an 8-bit RGB image and its mask.

    Args:
        image_path: The image.
        mask_path: Its mask.

    Returns:
        Image `[H, W, 3]` and mask `[H, W]`, with the numbers that the file holds.

    Raises:
        DatasetError: If they cannot be read, or the image is not 8-bit RGB.
    """
    image, mask = read_pair(image_path, mask_path)
    if image.dtype != np.uint8 or image.shape[-1] != 3:
        raise DatasetError(
            f"{image_path}: must be 8-bit RGB, got {image.dtype} with {image.shape[-1]} channels; take the original"
        )
    return Pair(image, mask)


def read_binary_pair(image_path: pathlib.Path, mask_path: pathlib.Path) -> Pair:
    """Reads an 8-bit RGB image and a mask of 0 and 255.

    Args:
        image_path: The image.
        mask_path: Its mask.

    Returns:
        Image `[H, W, 3]`, and a mask `[H, W]` that is True where the file holds 255.

    Raises:
        DatasetError: If they cannot be read, or hold something else.
    """
    image, mask, _ = read_colour_pair(image_path, mask_path)
    if not np.isin(mask, (0, 255)).all():
        raise DatasetError(f"{mask_path}: must hold 0 and 255 alone, got {describe_values(mask)}; take the original")
    return Pair(image, mask == 255)


def read_edge_padded(image_path: pathlib.Path, mask_path: pathlib.Path) -> Pair:
    """Reads as `read_binary_pair` does, and repeats the edges until the sides are multiples of `MULTIPLE`."""
    image, mask, _ = read_binary_pair(image_path, mask_path)
    return Pair(pad_to_multiple(image, MULTIPLE), pad_to_multiple(mask, MULTIPLE))
