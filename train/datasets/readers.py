"""Reading image and mask files: PNG, TIFF, JPEG, BMP, GIF and NIfTI, with what may be wrong with them in one line.

Rules that hold for every data set:

- 8- and 16-bit images keep their values. Any other type is kept where it lies in 0..1 already and stretched from its
  own least and greatest value to 0..1 elsewhere, as float32.
- Transparency is dropped, not blended: the colours under it are what was measured. RGBA becomes RGB. CMYK and other
  colour spaces become RGB, palettes too (grey where all their colours are grey).
- JPEG and TIFF orientation tags are obeyed, in masks and images alike.
- A mask's palette is read as the class numbers that it stands for; one whose colours are all grey, as in the GIF files
  of DRIVE, as those grey values. A colour mask is refused, unless its three channels are equal.
- NIfTI axes stay in the order of the file; a fourth axis of an image is its channels.
"""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps
import tifffile

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".gif")
NIFTI_SUFFIXES = (".nii.gz", ".nii")
SUFFIXES = (*NIFTI_SUFFIXES, *PICTURE_SUFFIXES)

_BITS_PER_SAMPLE, _ORIENTATION = 258, 274  # TIFF tags
_SHOWN_VALUES = 8
_AFFINE_TOLERANCE_MM = 1e-3


class DatasetError(ValueError):
    """Files of a data set that are missing, broken or not what they should be; says which, and the remedy."""


def stem(path: pathlib.Path) -> str:
    """Name of a file without its suffix.

    Args:
        path: The file.

    Returns:
        Its name without the suffix, for example "a" for `a.nii.gz`; the whole name for a suffix that is not read.
    """
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def read_image(path: pathlib.Path) -> npt.NDArray[np.uint8 | np.uint16 | np.float32]:
    """Reads one image.

    Args:
        path: The file.

    Returns:
        `[*shape, channels]`, uint8 or uint16 with their full range, or float32 from 0 to 1.

    Raises:
        DatasetError: If it cannot be read, holds several pages, has values that are not finite, or is a 16-bit colour
            PNG, which Pillow would cut to 8 bits.
    """
    return _image_of(path, _read_nifti(path)[0] if _is_nifti(path) else _read_picture(path, mask=False))


def _image_of(path: pathlib.Path, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8 | np.uint16 | np.float32]:
    if values.ndim == 2 or (_is_nifti(path) and values.ndim == 3):
        values = values[..., None]
    if values.dtype in (np.uint8, np.uint16):
        return values
    low, high = (float(limit) for limit in (values.min(), values.max()))
    if not np.isfinite([low, high]).all():
        raise DatasetError(f"{path}: holds values that are not finite; replace them")
    if low < 0.0 or high > 1.0:
        values = (values.astype(np.float64) - low) / (high - low or 1.0)
    return values.astype(np.float32)


def read_mask(path: pathlib.Path) -> npt.NDArray[np.int64]:
    """Reads one mask as the numbers that the file holds.

    Args:
        path: The file.

    Returns:
        `[*shape]`, int64.

    Raises:
        DatasetError: If it cannot be read, holds several pages or channels, colours, or numbers with a fraction.
    """
    return _mask_of(path, _read_nifti(path)[0] if _is_nifti(path) else _read_picture(path, mask=True))


def _mask_of(path: pathlib.Path, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if values.ndim == 3 and not _is_nifti(path):
        if (values != values[..., :1]).any():
            colours = np.unique(values.reshape(-1, values.shape[-1]), axis=0)
            raise DatasetError(
                f"{path}: is a colour picture with {_listed([tuple(colour.tolist()) for colour in colours])}; "
                "save class numbers 0, 1, ... as a grey or palette PNG"
            )
        values = values[..., 0]
    if values.ndim > 3:
        raise DatasetError(f"{path}: a mask has no channels, got shape {values.shape}; save class numbers")
    whole = np.nan_to_num(values.astype(np.float64), nan=0.5, posinf=0.5, neginf=0.5)
    if (whole != np.rint(whole)).any():
        raise DatasetError(f"{path}: class numbers must be whole, got {_listed(np.unique(values).tolist())}")
    return whole.astype(np.int64)


def read_pair(
    image_path: pathlib.Path, mask_path: pathlib.Path
) -> tuple[npt.NDArray[np.uint8 | np.uint16 | np.float32], npt.NDArray[np.int64]]:
    """Reads an image and its mask.

    Args:
        image_path: The image.
        mask_path: Its mask.

    Returns:
        `read_image` and `read_mask` of the two.

    Raises:
        DatasetError: If one cannot be read, or they differ in size or, both NIfTI, in where their voxels lie.
    """
    volumes = _is_nifti(image_path) and _is_nifti(mask_path)
    if volumes:
        (voxels, affine), (classes, other) = _read_nifti(image_path), _read_nifti(mask_path)
        image, mask = _image_of(image_path, voxels), _mask_of(mask_path, classes)
    else:
        image, mask = read_image(image_path), read_mask(mask_path)
    if image.shape[:-1] != mask.shape:
        raise DatasetError(
            f"{mask_path}: is {_size(mask.shape)}, but its image {image_path} is {_size(image.shape[:-1])}; "
            "draw the mask on the image's own pixels"
        )
    if volumes and not np.allclose(affine, other, rtol=0.0, atol=_AFFINE_TOLERANCE_MM):
        raise DatasetError(
            f"{mask_path}: its affine differs from that of its image {image_path}; resample it to the image"
        )
    return image, mask


def full_scale(dtype: npt.DTypeLike) -> int:
    """What stands for 1 in images of a type: its greatest number, or 1 for floats.

    Args:
        dtype: uint8, uint16 or float32, as `read_image` returns them.
    """
    kind = np.dtype(dtype)
    return int(np.iinfo(kind).max) if np.issubdtype(kind, np.integer) else 1


def to_unit_range(image: npt.NDArray[np.uint8 | np.uint16 | np.float32]) -> npt.NDArray[np.float32]:
    """An image as `read_image` returns it, as float32 from 0 to 1."""
    return np.asarray(image, np.float32) / np.float32(full_scale(image.dtype))


def describe_values(values: npt.NDArray[np.integer]) -> str:
    """Lists the different values of a mask for an error.

    Args:
        values: Any array of integers.

    Returns:
        For example "0, 1, 7"; the first few where there are many.
    """
    return _listed(np.unique(values).tolist())


def _is_nifti(path: pathlib.Path) -> bool:
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)


def _listed(values: list[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN_VALUES])
    return shown if len(values) <= _SHOWN_VALUES else f"{shown}, ... ({len(values)} values)"


@contextlib.contextmanager
def one_line(path: pathlib.Path) -> Iterator[None]:
    """Raises a DatasetError that names the file, in place of whatever a reader raises."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of "corrupt EXIF data" in a cut TIFF before it raises.
            warnings.simplefilter("ignore", UserWarning)
            yield
    except (DatasetError, MemoryError):
        raise
    except PIL.Image.DecompressionBombError as error:
        raise DatasetError(f"{path}: {error}; cut it into tiles") from error
    except Exception as error:  # by the readers of six formats, at whatever byte is wrong
        empty = path.is_file() and not path.stat().st_size
        reason = "it is empty" if empty else (str(error) or type(error).__name__).splitlines()[0]
        raise DatasetError(f"{path}: cannot be read ({reason}); is it complete? Copy it again") from error


def _read_nifti(path: pathlib.Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    with one_line(path):
        volume: Any = nibabel.load(path)
        values = np.asanyarray(volume.dataobj)
    if values.dtype.names or values.ndim not in (2, 3, 4):
        raise DatasetError(f"{path}: must hold plain numbers in 2 to 4 axes, got {values.dtype}, shape {values.shape}")
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    return values.astype(values.dtype.newbyteorder("="), copy=False), volume.affine


def _read_picture(path: pathlib.Path, *, mask: bool) -> npt.NDArray[Any]:
    with one_line(path):
        if path.suffix.lower() in (".tif", ".tiff") and _deep_colour(path):
            return _read_deep_tiff(path)
        with PIL.Image.open(path) as picture:
            pages = getattr(picture, "n_frames", 1)
            if pages > 1:
                raise DatasetError(f"{path}: holds {pages} pages; save each as a file, or a volume as NIfTI")
            if picture.format == "PNG" and _png_depth(path) == 16 and picture.mode in ("RGB", "RGBA", "LA"):
                raise DatasetError(f"{path}: is a 16-bit colour PNG, of which 8 bits would be read; save it as TIFF")
            return numbers(PIL.ImageOps.exif_transpose(picture), mask=mask)


def numbers(picture: PIL.Image.Image, *, mask: bool = False) -> npt.NDArray[Any]:
    """`[rows, columns]` or `[rows, columns, 3]`, in the byte order of this machine."""
    mode = picture.mode
    if mode in ("P", "PA"):
        grey = _has_grey_palette(picture)
        if mask and not grey and mode == "P":
            return np.asarray(picture)
        picture = picture.convert("L" if grey else "RGB")
    elif mode in ("1", "LA", "La"):
        picture = picture.convert("L")
    elif mode not in ("L", "I", "F") and not mode.startswith("I;16"):
        picture = picture.convert("RGB")
    values = np.asarray(picture)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _has_grey_palette(picture: PIL.Image.Image) -> bool:
    palette = np.asarray(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = np.unique(np.asarray(picture.getchannel(0) if picture.mode == "PA" else picture))
    used = used[used < len(palette)]
    return bool((palette[used] == palette[used][:, :1]).all())


def _png_depth(path: pathlib.Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[-1]


def _deep_colour(path: pathlib.Path) -> bool:
    # Of 16-bit colour TIFF files Pillow keeps 8 bits and says nothing; those of floats it does not know.
    try:
        with PIL.Image.open(path) as picture:
            bits = picture.tag_v2.get(_BITS_PER_SAMPLE, (1,))  # type: ignore[attr-defined]
            return len(bits) > 1 and max(bits) > 8
    except PIL.UnidentifiedImageError:
        with contextlib.suppress(Exception), tifffile.TiffFile(path) as file:
            return file.pages.first.samplesperpixel > 1
        return False


def _read_deep_tiff(path: pathlib.Path) -> npt.NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        series, orientation = file.series[0], file.pages.first.tags.get(_ORIENTATION)
        values = series.asarray()
        if len(file.pages) > 1 or values.ndim != 3 or sorted(series.axes) != ["S", "X", "Y"]:
            raise DatasetError(f"{path}: must hold one picture, got shape {values.shape}; save each page as a file")
        if orientation is not None and int(orientation.value) != 1:
            raise DatasetError(f"{path}: is stored turned (orientation {int(orientation.value)}); save it upright")
        values = np.moveaxis(values, series.axes.index("S"), -1)
    values = values[..., :1] if values.shape[-1] < 3 else values[..., :3]
    return values.astype(values.dtype.newbyteorder("="), copy=False)
