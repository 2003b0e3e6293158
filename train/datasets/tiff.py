"""Reading TIFF files: pictures, and the pages of one as a volume.

tifffile says how the pages lie and reads numbers of every type. What it needs a further package for (LZW, JPEG and other
compressions, less than 8 bits) Pillow reads page by page, as it does other colour spaces.
"""

import contextlib
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps
import tifffile

from train.datasets.errors import DatasetError, listed, one_line, size
from train.datasets.lengths import tiff_lengths
from train.datasets.pictures import Stored, samples

SLICE_AXES = "ZQI"
"""What the axis of pages may be called: Z, or nothing in particular."""

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PHOTOMETRIC, _ORIENTATION = 262, 274  # tags
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = range(4)  # values of the first
_UNSPECIFIED, _PREMULTIPLIED = 0, 1  # kinds of extra samples


def is_tiff(path: pathlib.Path) -> bool:
    """Whether a file begins as TIFF files do; False if it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(4) in _MAGIC
    except OSError:
        return False


def read_tiff(path: pathlib.Path, *, mask: bool, page_axes: str = SLICE_AXES) -> Stored:
    """Reads a picture, or the pages of a file as a volume.

    Args:
        path: The file.
        mask: Whether it holds classes, and all channels but those of a colour count for nothing.
        page_axes: Letters of the axis that pages may lie along.

    Returns:
        Of `[rows, columns, channels]` or, of several pages, `[pages, rows, columns, channels]`; the numbers of a file
        whose 0 is white are turned round, so that 0 is black.

    Raises:
        DatasetError: If it cannot be read, or holds something else: a time series, pages of several sizes.
    """
    with _opened(path) as file:
        series = _only_series(path, file)
        leading = _leading(path, series, page_axes)
        page, values = series.keyframe, _stored(path, series, mask=mask)
        palette = None
        if page.photometric == _PALETTE:
            if page.colormap is None or values.dtype not in (np.uint8, np.uint16):
                raise ValueError("its palette is missing or damaged")
            palette = (page.colormap.reshape(3, -1) >> 8).astype(np.uint8).T
    values = values.reshape(*leading.values(), *values.shape[-3:])
    if "C" in leading and "C" not in page_axes:
        values = np.moveaxis(values[..., 0], list(leading).index("C"), -1)
    transparent = not all(_measured(page))
    return Stored(values.astype(values.dtype.newbyteorder("="), copy=False), palette, transparent)


def tiff_spacing(path: pathlib.Path) -> tuple[float, ...] | None:
    """Reads how far apart the pixels lie.

    Args:
        path: The file.

    Returns:
        Distance along each spatial axis of `read_tiff`, mm; None where the file does not say all of them.

    Raises:
        DatasetError: If it cannot be read, or `read_tiff` would not read it.
    """
    with _opened(path) as file:
        if not (lengths := tiff_lengths(file)):
            return None
        series = _only_series(path, file)
        plane = "XY" if _orientation(series.keyframe) >= 5 else "YX"
        axes = f"Z{plane}" if _leading(path, series, SLICE_AXES).keys() & set(SLICE_AXES) else plane
        return tuple(lengths[axis] for axis in axes) if lengths.keys() >= set(axes) else None


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tifffile.TiffFile]:
    handler = _Raised(logging.ERROR)
    tifffile.logger().addHandler(handler)
    try:
        with one_line(path), tifffile.TiffFile(path, _multifile=False) as file:
            yield file
    finally:
        tifffile.logger().removeHandler(handler)


class _Raised(logging.Handler):
    # Where the chain of pages breaks off, or what the description (tag 270) says of them is cut off or damaged, tifffile
    # says so to its log alone, and gives the pages that are left, or all without their axes.
    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if any(part in message for part in ("TiffPages", "series", "TiffTag 270 ")):
            raise ValueError(message)


def _only_series(path: pathlib.Path, file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    # The pages that belong together; thumbnails and masks of transparency are passed over.
    if not file.is_ome and "<OME" in file.pages.first.description:
        raise ValueError("its OME header is damaged")
    found = [series for series in file.series if not (series.keyframe.is_reduced or series.keyframe.is_mask)]
    found = found or file.series
    if not found or not all(series.size for series in found):
        raise ValueError("it holds no picture")
    if len(found) > 1:
        shapes = listed([f"{size(series.shape)} {series.dtype}" for series in found])
        raise DatasetError(f"{path}: holds pictures of several kinds ({shapes}); save each as a file")
    (series,) = found
    lacking = series.kind == "ome" and any(page is None for page in series)
    if lacking or (file.is_ome and series.kind == "generic" and len(series) > 1):
        raise DatasetError(f"{path}: is a part of a volume whose other pages lie in other files; save it as one file")
    page = series.keyframe
    if page.imagewidth * page.imagelength > 2 * (PIL.Image.MAX_IMAGE_PIXELS or np.inf):  # where Pillow stops, too
        raise DatasetError(f"{path}: is {page.imagelength} x {page.imagewidth} pixels large; cut it into tiles")
    if page.dtype is None or page.dtype.kind not in "biuf":
        raise DatasetError(f"{path}: must hold plain numbers, got {page.dtype}")
    return series


def _leading(path: pathlib.Path, series: tifffile.TiffPageSeries, page_axes: str) -> dict[str, int]:
    # Axes of pages and channels that come before those of one page, with their lengths.
    counts = dict(zip(series.axes, series.shape, strict=True))
    leading = {axis: count for axis, count in counts.items() if axis not in "YXS" and count > 1}
    described = f"axes {series.axes}, {size(series.shape)}"
    if "T" in leading and "T" not in page_axes:
        raise DatasetError(
            f"{path}: is a time series ({described}); save each time as a file or, if they are slices, with axis Z"
        )
    pages = leading.keys() & set(page_axes)
    coloured = counts.get("S", 1) > 1 or series.keyframe.photometric == _PALETTE
    channels = (leading.keys() & {"C"} - pages) | ({"S"} if coloured else set())
    plane = series.axes.replace("S", "").endswith("YX") and len(counts) == len(series.axes)
    if not plane or len(pages) > 1 or len(channels) > 1 or leading.keys() - pages - channels:
        raise DatasetError(
            f"{path}: has {described}, where rows and columns (YX), slices (Z) and channels (C or S) are read; save "
            "each volume as a file"
        )
    return leading


def _stored(path: pathlib.Path, series: tifffile.TiffPageSeries, *, mask: bool) -> npt.NDArray[Any]:
    # `[..., rows, columns, channels]`, upright, without transparency, and black at 0.
    page = series.keyframe
    if not _is_plain(page):
        return _stored_by_pillow(path, series, mask=mask)
    try:
        values = series.asarray()
    except (ValueError, NotImplementedError, ImportError) as error:
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        return _stored_by_pillow(path, series, mask=mask)
    values = np.moveaxis(values, series.axes.index("S"), -1) if "S" in series.axes else values[..., None]
    colours = 3 if page.photometric == _RGB else 1
    kept = [measured and not mask for measured in _measured(page)]
    if not all(kept):
        values = values[..., [*range(colours), *(colours + np.flatnonzero(kept))]]
    return _black_at_zero(_upright(values, _orientation(page)), page)


def _measured(page: tifffile.TiffPage) -> list[bool]:
    # Of the samples beyond grey or colours, which are not called transparency.
    return [kind == _UNSPECIFIED for kind in page.extrasamples]


def _stored_by_pillow(path: pathlib.Path, series: tifffile.TiffPageSeries, *, mask: bool) -> npt.NDArray[Any]:
    page, pages = series.keyframe, []
    try:
        if _pillow_errs_on(page) or (any(_measured(page)) and not mask):
            raise PIL.UnidentifiedImageError
        # Pillow maps a named file into memory, and mixes up the pixels of one that is stored turned.
        with path.open("rb") as file, PIL.Image.open(file) as picture:
            for place in [part.index for part in series if part is not None]:
                picture.seek(place)
                pages.append(samples(PIL.ImageOps.exif_transpose(picture)))
    except PIL.UnidentifiedImageError as error:
        space, compression = _name(page.photometric), _name(page.compression)
        kind = f"{path}: holds {page.dtype} of colour space {space}, compressed as {compression}"
        if _is_plain(page):
            raise DatasetError(f"{kind}; pip install imagecodecs, or save it without compression") from error
        raise DatasetError(f"{kind}; save it as grey or RGB") from error
    values = np.stack(pages)
    if page.bitspersample < 8 or values.shape[-1] > 1:
        return values
    # Pillow takes 8 and 32 bits for unsigned or signed by its own mode, and turns round 8 bits alone.
    values = values.astype(page.dtype)
    return values if page.bitspersample == 8 else _black_at_zero(values, page)


def _is_plain(page: tifffile.TiffPage) -> bool:
    colours = page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE)
    multiplied = page.bitspersample == 8 and _PREMULTIPLIED in page.extrasamples  # Pillow divides by the transparency
    return colours and not multiplied and page.bitspersample in (8, 16, 32, 64)


def _name(number: int) -> str:
    return str(getattr(number, "name", number))


def _pillow_errs_on(page: tifffile.TiffPage) -> bool:
    # Of deep colours it reads 8 bits, and of big-endian numbers, once decompressed, the bytes in the wrong order.
    deep = page.dtype not in (np.bool_, np.uint8, np.int8)
    return deep and (page.samplesperpixel > 1 or (page.parent.byteorder == ">" and page.dtype != np.uint16))


def _black_at_zero(values: npt.NDArray[Any], page: tifffile.TiffPage) -> npt.NDArray[Any]:
    if page.tags.valueof(_PHOTOMETRIC) != _WHITE_IS_ZERO:
        return values
    if values.dtype.kind != "f":
        return np.invert(values)
    return 1 - values if values.min() >= 0 and values.max() <= 1 else -values


def _orientation(page: tifffile.TiffPage) -> int:
    return int(page.tags.valueof(_ORIENTATION, 1))


def _upright(values: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    if orientation in (5, 6, 7, 8):
        values = np.swapaxes(values, -3, -2)
    if orientation in (3, 4, 7, 8):
        values = values[..., ::-1, :, :]
    return values[..., ::-1, :] if orientation in (2, 3, 6, 7) else values
