"""Masks and probabilities in the format that goes with that of their image."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import PIL.Image
import tifffile

from train.datasets.readers import NIFTI_SUFFIXES, stem
from train.palette import class_colours
from train.runs.steps import predicted_classes

Probabilities = npt.NDArray[np.float32]
"""`[*shape, C]`, 0 to 1; C is 1 for two classes."""

# Of a NIfTI header: where the voxels lie, how large they are, and in which units.
_PLACE = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def prediction_files(folder: Path, path: Path, spatial_dims: int) -> tuple[Path, Path]:
    """Where mask and probability of an image are written.

    Args:
        folder: to write to.
        path: the image's.
        spatial_dims: 2 for an image, 3 for a volume.

    Returns:
        The two files. Either both are there, of an earlier prediction that is replaced, or none.

    Raises:
        ValueError: one is there by itself, so that it is no prediction but the user's own.
    """
    picture = ".png" if spatial_dims == 2 else ".tif"
    suffixes = (".nii.gz", ".nii.gz") if _is_nifti(path) else (picture, ".tif")
    mask, probability = (
        folder / f"{stem(path)}_{kind}{suffix}" for kind, suffix in zip(("mask", "probability"), suffixes, strict=True)
    )
    if mask.exists() != probability.exists():
        own, lacking = (mask, probability) if mask.exists() else (probability, mask)
        raise ValueError(
            f"{own}: is there already, and is no earlier prediction, beside which {lacking.name} would be; it is not "
            "replaced: give another --output, or move it"
        )
    return mask, probability


def write_prediction(
    folder: Path, path: Path, probabilities: Probabilities, *, colours: Sequence[str] = ()
) -> tuple[Path, Path]:
    """Writes mask and probability of an image, both or none.

    Args:
        folder: to write to.
        path: the image's.
        probabilities: its classes', `[*shape, C]`.
        colours: of all classes, as `#rrggbb`, if they are the user's own.

    Returns:
        The two files.

    Raises:
        ValueError: they cannot be written, or would replace a file of the user's own.
    """
    mask = predicted_classes(probabilities).astype(np.uint8)
    classes = max(probabilities.shape[-1], 2)
    probability = probabilities[..., 0] if classes == 2 else probabilities
    files = prediction_files(folder, path, mask.ndim)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as unfinished:
            partial = [Path(unfinished) / file.name for file in files]
            if _is_nifti(path):
                nibabel.save(_nifti_like(path, mask, mask.ndim), partial[0])
                nibabel.save(_nifti_like(path, probability, mask.ndim), partial[1])
            else:
                _write_mask(partial[0], mask, classes, colours)
                pages = probability if classes == 2 else np.moveaxis(probability, -1, 0)
                tifffile.imwrite(partial[1], pages, photometric="minisblack")
            for written, file in zip(partial, files, strict=True):
                written.replace(file)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return files


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def _write_mask(file: Path, mask: npt.NDArray[np.uint8], classes: int, colours: Sequence[str]) -> None:
    """As a TIFF with a page a slice, or as a picture that shows the numbers of the classes in their colours.

    Two classes are 0 and 255, which are grey unless the user has given colours.
    """
    numbers = np.array([0, 255], np.uint8) if classes == 2 else np.arange(classes, dtype=np.uint8)
    if mask.ndim == 3:
        tifffile.imwrite(file, numbers[mask], photometric="minisblack")
        return
    picture = PIL.Image.fromarray(numbers[mask])
    if classes > 2 or colours:
        palette = np.zeros((int(numbers[-1]) + 1, 3), np.uint8)
        palette[numbers] = class_colours(classes, colours)
        picture.putpalette(palette.tobytes())
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
