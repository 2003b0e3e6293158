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

from train.datasets.lengths import imagej_settings
from train.datasets.nifti import is_nifti
from train.datasets.readers import read_spacing, stem
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


def prediction_files(folder: Path, path: Path, spatial_dims: int, *, values: Sequence[int] = ()) -> tuple[Path, Path]:
    """Where mask and probability of an image are written.

    Args:
        folder: to write to.
        path: the image's.
        spatial_dims: 2 for an image, 3 for a volume.
        values: what the mask holds for each class, if that is known.

    Returns:
        The two files. Either both are there, of an earlier prediction that is replaced, or none.

    Raises:
        ValueError: one is there by itself, so that it is no prediction but the user's own.
    """
    picture = ".png" if spatial_dims == 2 and _narrowest(values, _PICTURE_TYPES).dtype != np.float32 else ".tif"
    suffixes = (".nii.gz", ".nii.gz") if is_nifti(path) else (picture, ".tif")
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
    folder: Path,
    path: Path,
    probabilities: Probabilities,
    *,
    values: Sequence[int] = (),
    colours: Sequence[str] = (),
) -> tuple[Path, Path]:
    """Writes mask and probability of an image, both or none.

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
        ValueError: they cannot be written, or would replace a file of the user's own.
    """
    classes = max(probabilities.shape[-1], 2)
    probability = probabilities[..., 0] if classes == 2 else probabilities
    nifti = is_nifti(path)
    if not values:
        values = range(classes) if nifti or classes > 2 or colours else _BLACK_AND_WHITE
    mask = _narrowest(values, _NIFTI_TYPES if nifti else _PICTURE_TYPES)[predicted_classes(probabilities)]
    files = prediction_files(folder, path, mask.ndim, values=values)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as unfinished:
            partial = [Path(unfinished) / file.name for file in files]
            if nifti:
                nibabel.save(_nifti_like(path, mask, mask.ndim), partial[0])
                nibabel.save(_nifti_like(path, probability, mask.ndim), partial[1])
            else:
                spacing = read_spacing(path)
                if partial[0].suffix == ".png":
                    _write_picture(partial[0], mask, values, class_colours(classes, colours), painted=bool(colours))
                else:
                    _write_tiff(partial[0], mask, mask.ndim, spacing)
                pages = probability if classes == 2 else np.moveaxis(probability, -1, -3)
                _write_tiff(partial[1], pages, mask.ndim, spacing)
            for written, file in zip(partial, files, strict=True):
                written.replace(file)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror or error})") from error
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
