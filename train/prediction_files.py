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

# Of a NIfTI header: where the voxels lie, how large they are, and in which units.
_PLACE = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def write_prediction(
    folder: Path, path: Path, probabilities: Probabilities, *, colours: Sequence[str] = ()
) -> list[Path]:
    """Writes mask and probability of an image.

    Args:
        folder: to write to.
        path: the image's.
        probabilities: its classes', `[*shape, C]`.
        colours: of all classes, as `#rrggbb`, if they are the user's own.

    Returns:
        The two files.

    Raises:
        ValueError: they cannot be written.
    """
    mask = predicted_classes(probabilities).astype(np.uint8)
    classes = max(probabilities.shape[-1], 2)
    probability = probabilities[..., 0] if classes == 2 else probabilities
    nifti = path.name.lower().endswith(NIFTI_SUFFIXES)
    suffixes = (".nii.gz", ".nii.gz") if nifti else (".png" if mask.ndim == 2 else ".tif", ".tif")
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
            _write_mask(files[0], mask, class_colours(classes, colours), spacing)
            _write_tiff(files[1], probability if classes == 2 else np.moveaxis(probability, -1, -3), mask.ndim, spacing)
    except OSError as error:
        raise ValueError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error
    return files


def _write_tiff(file: Path, values: npt.NDArray[Any], dims: int, spacing: Sequence[float] | None) -> None:
    """Pages of an image of `dims` axes, or of each slice a page a class, where its voxels lie."""
    channels = "C" if values.ndim > dims else ""
    tifffile.imwrite(file, values, **imagej_settings(f"{'Z' if dims == 3 else ''}{channels}YX", spacing))


def _write_mask(
    file: Path, mask: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8], spacing: Sequence[float] | None
) -> None:
    """As a TIFF with a page a slice, or as a picture that shows the numbers of the classes in their colours."""
    if len(colours) == 2:
        mask = mask * np.uint8(255)
    if mask.ndim == 3:
        _write_tiff(file, mask, 3, spacing)
        return
    picture = PIL.Image.fromarray(mask)
    if len(colours) > 2:
        picture.putpalette(colours.tobytes())
    picture.save(file)


def _nifti_like(path: Path, values: npt.NDArray[Any], dims: int) -> Any:
    """Values `[*shape]` or `[*shape, C]` of an image of `dims` axes, on the image's own voxels, bit for bit."""
    image: Any = nibabel.load(path)
    # With the axes of one voxel that the reader dropped.
    prediction = type(image)(values.reshape(*image.shape[:3], *values.shape[dims:]), image.affine)
    for field in _PLACE:
        prediction.header[field] = image.header[field]
    prediction.header["pixdim"][4:] = 1  # of classes, in place of times
    return prediction
