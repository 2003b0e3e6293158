"""Masks and probabilities in the format that goes with that of their image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import PIL.Image
import tifffile

from train.datasets.lengths import imagej_settings
from train.datasets.readers import NIFTI_SUFFIXES, read_spacing, stem
from train.palette import class_colours
from train.runs.steps import predicted_classes

Probabilities = npt.NDArray[np.float32]
"""`[*shape, C]`, 0 to 1; C is 1 for two classes."""

_BLACK_AND_WHITE = (0, 255)
# Of masks. ImageJ knows no other for numbers below 0 or above 65535, and has those of classes, which are below 2^24, whole.
_PICTURE_TYPES = (np.uint8, np.uint16, np.float32)
_NIFTI_TYPES = (np.uint8, np.int16, np.int32)
# Of a NIfTI header: where the voxels lie, how large they are, and in which units.
_PLACE = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def write_prediction(
    folder: Path,
    path: Path,
    probabilities: Probabilities,
    *,
    values: Sequence[int] = (),
    colours: Sequence[str] = (),
) -> list[Path]:
    """Writes mask and probability of an image.

    Args:
        folder: to write to.
        path: the image's.
        probabilities: its classes', `[*shape, C]`.
        values: what the mask holds for each class, if that is known. If not, 0, 1, ... or, for two classes without colours
            of their own in another format than NIfTI, 0 and 255.
        colours: of all classes, as `#rrggbb`, if they are the user's own.

    Returns:
        The two files.

    Raises:
        ValueError: they cannot be written.
    """
    classes = max(probabilities.shape[-1], 2)
    probability = probabilities[..., 0] if classes == 2 else probabilities
    nifti = path.name.lower().endswith(NIFTI_SUFFIXES)
    if not values:
        values = range(classes) if nifti or classes > 2 or colours else _BLACK_AND_WHITE
    mask = _narrowest(values, _NIFTI_TYPES if nifti else _PICTURE_TYPES)[predicted_classes(probabilities)]
    is_picture = mask.ndim == 2 and mask.dtype != np.float32
    suffixes = (".nii.gz", ".nii.gz") if nifti else (".png" if is_picture else ".tif", ".tif")
    files = [
        folder / f"{stem(path)}_{kind}{suffix}" for kind, suffix in zip(("mask", "probability"), suffixes, strict=True)
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if nifti:
            nibabel.save(_nifti_like(path, mask, mask.ndim), files[0])
            nibabel.save(_nifti_like(path, probability, mask.ndim), files[1])
        else:
            spacing = read_spacing(path)
            if is_picture:
                _write_picture(files[0], mask, values, class_colours(classes, colours), painted=bool(colours))
            else:
                _write_tiff(files[0], mask, mask.ndim, spacing)
            _write_tiff(files[1], probability if classes == 2 else np.moveaxis(probability, -1, -3), mask.ndim, spacing)
    except OSError as error:
        raise ValueError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error
    return files


def _write_tiff(file: Path, values: npt.NDArray[Any], dims: int, spacing: Sequence[float] | None) -> None:
    """Pages of an image of `dims` axes, or of each slice a page a class, where its voxels lie."""
    channels = "C" if values.ndim > dims else ""
    tifffile.imwrite(file, values, **imagej_settings(f"{'Z' if dims == 3 else ''}{channels}YX", spacing))


def _write_picture(
    file: Path, mask: npt.NDArray[Any], values: Sequence[int], colours: npt.NDArray[np.uint8], *, painted: bool
) -> None:
    """With a palette that has each class's colour at its number: not of what is black and white, or in 16 bits."""
    picture = PIL.Image.fromarray(mask)
    if mask.dtype == np.uint8 and (painted or tuple(values) != _BLACK_AND_WHITE):
        palette = np.zeros((max(values) + 1, 3), np.uint8)
        palette[list(values)] = colours
        picture.putpalette(palette.tobytes())
    picture.save(file)


def _narrowest(values: Sequence[int], types: Sequence[type[np.number[Any]]]) -> npt.NDArray[Any]:
    """The values in the first of the types that holds them all."""
    wide = np.array(values, np.int64)
    return next(narrow for kind in types if ((narrow := wide.astype(kind)) == wide).all())


def _nifti_like(path: Path, values: npt.NDArray[Any], dims: int) -> Any:
    """Values `[*shape]` or `[*shape, C]` of an image of `dims` axes, on the image's own voxels, bit for bit."""
    image: Any = nibabel.load(path)
    # With the axes of one voxel that the reader dropped.
    prediction = type(image)(values.reshape(*image.shape[:3], *values.shape[dims:]), image.affine)
    for field in _PLACE:
        prediction.header[field] = image.header[field]
    prediction.header["pixdim"][4:] = 1  # of classes, in place of times
    return prediction
