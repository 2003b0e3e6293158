"""Pairs of TIFF files whose pages are images of their own, a section of tissue each."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from train.datasets.errors import DatasetError
from train.datasets.pictures import places, shown
from train.datasets.tiff import SLICE_AXES, read_tiff

_PAGE_AXES = SLICE_AXES + "TC"  # whatever a program called them


def read_stack(path: pathlib.Path, *, mask: bool = False) -> npt.NDArray[Any]:
    """Reads the pages of a TIFF file.

    Args:
        path: The file.
        mask: Whether the pages hold class numbers.

    Returns:
        `[pages, rows, columns]`, with the values of the file.

    Raises:
        DatasetError: If it cannot be read, or its pages are not grey and of one size.
    """
    stored = read_tiff(path, mask=mask, page_axes=_PAGE_AXES)
    values = places(stored, path) if mask else shown(stored)
    if values.shape[-1] != 1:
        raise DatasetError(f"{path}: must hold grey pages of one size, got shape {values.shape}")
    return values.reshape(-1, *values.shape[-3:-1])


def read_stacks(
    image_path: pathlib.Path, label_path: pathlib.Path
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.integer]]:
    """Reads a TIFF file of grey pages and the one of their labels.

    Args:
        image_path: The images.
        label_path: The labels.

    Returns:
        Both `[pages, rows, columns]`, the images of 8 or 16 bits.

    Raises:
        DatasetError: If one cannot be read, or they do not fit each other.
    """
    images, labels = read_stack(image_path), read_stack(label_path, mask=True)
    if images.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{image_path}: must hold 8- or 16-bit grey values, got {images.dtype}")
    if images.shape != labels.shape:
        raise DatasetError(f"{label_path}: has shape {labels.shape}, but {image_path} has {images.shape}")
    return images, labels
