"""Reading the pages of TIFF files, a section of tissue each."""

import contextlib
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageSequence
import tifffile

from train.datasets.readers import DatasetError, numbers, one_line


def read_stack(path: pathlib.Path) -> npt.NDArray[Any]:
    """Reads the pages of a TIFF file.

    Args:
        path: The file.

    Returns:
        `[pages, rows, columns]`, with the values of the file.

    Raises:
        DatasetError: If it cannot be read, or its pages are not grey and of one size.
    """
    with one_line(path), _cut_off_tiff():
        try:
            values = tifffile.imread(path)
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            # LZW, JPEG and other compressions are Pillow's: it reads the pages of such files itself.
            with PIL.Image.open(path) as picture:
                values = np.stack([numbers(page) for page in PIL.ImageSequence.Iterator(picture)])
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3:
        raise DatasetError(f"{path}: must hold grey pages of one size, got shape {values.shape}")
    return values


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
    images, labels = read_stack(image_path), read_stack(label_path)
    if images.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{image_path}: must hold 8- or 16-bit grey values, got {images.dtype}")
    if images.shape != labels.shape:
        raise DatasetError(f"{label_path}: has shape {labels.shape}, but {image_path} has {images.shape}")
    return images, labels


class _Raised(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if "TiffPages" in record.getMessage():
            raise ValueError(record.getMessage())


@contextlib.contextmanager
def _cut_off_tiff() -> Iterator[None]:
    # Where the chain of pages breaks off tifffile says so to its log alone, and gives the pages before.
    handler = _Raised(logging.ERROR)
    tifffile.logger().addHandler(handler)
    try:
        yield
    finally:
        tifffile.logger().removeHandler(handler)
