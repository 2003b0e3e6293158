"""Reading PNG, JPEG, BMP and GIF files, and what every format makes of palettes."""

import logging
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps

from train.datasets.errors import DatasetError, listed, one_line

_LOG = logging.getLogger(__name__)


def read_picture(path: pathlib.Path, *, mask: bool) -> npt.NDArray[Any]:
    """Reads a file with Pillow.

    Args:
        path: The file.
        mask: Whether a palette is read as class numbers, else as colours.

    Returns:
        `[rows, columns, channels]`, one channel or three, with the numbers of the file.

    Raises:
        DatasetError: If it cannot be read, holds several pictures, or is a 16-bit colour PNG.
    """
    with one_line(path), PIL.Image.open(path) as picture:
        if (frames := getattr(picture, "n_frames", 1)) > 1:
            raise DatasetError(f"{path}: holds {frames} pictures; save each as a file, or a volume as TIFF or NIfTI")
        if picture.format == "PNG" and _png_depth(path) == 16 and picture.mode in ("RGB", "RGBA", "LA"):
            raise DatasetError(f"{path}: is a 16-bit colour PNG, of which 8 bits would be read; save it as TIFF")
        upright = PIL.ImageOps.exif_transpose(picture)
        if upright.mode not in ("P", "PA"):
            return samples(upright)
        palette = np.asarray(upright.getpalette("RGB"), np.uint8).reshape(-1, 3)
        # GIF has no other way to hold grey values, and its writers number those that a picture uses anew.
        if not mask or (picture.format == "GIF" and _is_grey(palette)):
            return of_palette(samples(upright), palette)
        return classes_of_palette(samples(upright), palette, path)


def samples(picture: PIL.Image.Image) -> npt.NDArray[Any]:
    """Takes the numbers out of a Pillow image; of one with a palette the places in it.

    Args:
        picture: In any mode; colour spaces other than RGB are converted, and transparency is dropped.

    Returns:
        `[rows, columns, channels]`, one channel or three, in the byte order of this machine.
    """
    mode = picture.mode
    if mode == "PA":
        picture = picture.getchannel(0)
    elif mode in ("1", "LA", "La"):
        picture = picture.convert("L")
    elif mode not in ("P", "L", "I", "F") and not mode.startswith("I;16"):
        picture = picture.convert("RGB")
    values = np.asarray(picture)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return values if values.ndim == 3 else values[..., None]


def of_palette(places: npt.NDArray[Any], palette: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The colours that places in a palette stand for.

    Args:
        places: `[*shape, 1]`.
        palette: `[colours, 3]`; places beyond it are black.

    Returns:
        `[*shape, 3]`, or `[*shape, 1]` where all colours that occur are grey.
    """
    missing = int(places.max()) + 1 - len(palette)
    colours = np.pad(palette, ((0, max(missing, 0)), (0, 0)))[places[..., 0]]
    return colours[..., :1] if _is_grey(colours) else colours


def classes_of_palette(
    places: npt.NDArray[Any], palette: npt.NDArray[np.uint8], path: pathlib.Path
) -> npt.NDArray[Any]:
    """Takes places in a palette as class numbers; says so where the colours, all grey, could have been meant.

    Args:
        places: `[*shape, 1]`.
        palette: `[colours, 3]`.
        path: The file, for the warning.

    Returns:
        The places.
    """
    used = np.unique(places)
    colours = of_palette(used[:, None], palette)
    if colours.shape[-1] == 1:
        greys = colours[:, 0]
        binary = np.isin(greys, (0, 255)).all()
        if not np.array_equal(greys // 255 if binary else greys, used) and not np.array_equal(greys, used):
            _LOG.warning(
                "%s: has a palette of greys alone, %s, and is read as their places in it, %s; if the greys are the "
                "classes, save it as a grey PNG",
                path,
                listed(greys.tolist()),
                listed(used.tolist()),
            )
    return places


def _is_grey(colours: npt.NDArray[np.uint8]) -> bool:
    return bool((colours == colours[..., :1]).all())


def _png_depth(path: pathlib.Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[-1]
