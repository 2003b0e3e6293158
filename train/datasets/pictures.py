"""Reading PNG, JPEG, BMP and GIF files, and what every format makes of palettes."""

import logging
import pathlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps

from train.datasets.errors import DatasetError, listed, one_line

JPEG_REMEDY = "JPEG alters values: save masks as PNG"

_LOG = logging.getLogger(__name__)


class Stored(NamedTuple):
    """What a file holds, before its palette is taken for colours or for classes.

    Attributes:
        values: `[*shape, channels]`, the numbers of the file; one channel of places where there is a palette.
        palette: `[colours, 3]`, for places up to its last, beyond which all is black; None where there is none.
        transparent: Whether a TIFF file has a transparency, which was dropped.
    """

    values: npt.NDArray[Any]
    palette: npt.NDArray[np.uint8] | None = None
    transparent: bool = False


def read_picture(path: pathlib.Path) -> Stored:
    """Reads a file with Pillow.

    Args:
        path: The file.

    Returns:
        Of `[rows, columns, channels]`, one channel or three.

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
            return Stored(samples(upright))
        palette = np.asarray(upright.getpalette("RGB"), np.uint8).reshape(-1, 3)
        stored = Stored(samples(upright), palette)
        # GIF has no other way to hold grey values, and its writers number those that a picture uses anew.
        return Stored(shown(stored)) if picture.format == "GIF" and _is_grey(palette) else stored


def is_jpeg(path: pathlib.Path) -> bool:
    """Whether a file is named as JPEG files are."""
    return path.name.lower().endswith((".jpg", ".jpeg"))


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


def painted(stored: Stored) -> npt.NDArray[np.uint8]:
    """The colours of a file with a palette, `[*shape, 3]`."""
    assert stored.palette is not None
    missing = int(stored.values.max()) + 1 - len(stored.palette)
    return np.pad(stored.palette, ((0, max(missing, 0)), (0, 0)))[stored.values[..., 0]]


def shown(stored: Stored) -> npt.NDArray[Any]:
    """What a file shows: its numbers, or the colours of its palette.

    Returns:
        `[*shape, channels]`; one channel where all colours of a palette that occur are grey.
    """
    if stored.palette is None:
        return stored.values
    colours = painted(stored)
    return colours[..., :1] if _is_grey(colours) else colours


def places(stored: Stored, path: pathlib.Path) -> npt.NDArray[Any]:
    """The numbers of a mask, which are places where there is a palette, whatever its colours; logs `doubt`."""
    for said in doubt(stored, path):
        _LOG.warning("%s", said)
    return stored.values


def doubt(stored: Stored, path: pathlib.Path) -> tuple[str, ...]:
    """What is to be said of a mask whose places in a palette are read as its classes.

    Args:
        stored: What the file holds.
        path: The file.

    Returns:
        A sentence where the colours that occur are all grey and could have been meant; else none.
    """
    if stored.palette is None:
        return ()
    used = np.unique(stored.values)
    colours = painted(Stored(used[:, None], stored.palette))
    greys = colours[:, 0]
    binary = np.isin(greys, (0, 255)).all()
    same = np.array_equal(greys, used) or (binary and np.array_equal(greys // 255, used))
    if same or not _is_grey(colours):
        return ()
    return (
        f"{path}: has a palette of greys alone, {listed(greys.tolist())}, and is read as their places in it, "
        f"{listed(used.tolist())}; if the greys are the classes, save it as a grey PNG",
    )


def _is_grey(colours: npt.NDArray[np.uint8]) -> bool:
    return bool((colours == colours[..., :1]).all())


def _png_depth(path: pathlib.Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[-1]
