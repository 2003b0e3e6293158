"""Reading NIfTI files: axes stay in the order of the file, a fourth one is channels.

A unit of time says nothing by itself, for programs write seconds into the header of every file, channels or not. Together
with a step in time other than 0 and 1, which is what they write where there is none, the fourth axis is time.
"""

import pathlib
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from train.datasets.errors import DatasetError, one_line
from train.datasets.lengths import millimetres

SUFFIXES = (".nii.gz", ".nii")
_TIMES = ("sec", "msec", "usec")


def is_nifti(path: pathlib.Path) -> bool:
    """Whether a file is named as NIfTI files are."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: pathlib.Path) -> npt.NDArray[Any]:
    """Reads a volume, or one slice.

    Args:
        path: The file.

    Returns:
        `[*shape, channels]`, scaled as the header says.

    Raises:
        DatasetError: If it cannot be read, or holds something else.
    """
    with one_line(path):
        volume: Any = nibabel.load(path)
        values = np.asanyarray(volume.dataobj)
    if values.dtype.kind not in "biuf" or values.ndim not in (2, 3, 4) or not values.size:
        raise DatasetError(f"{path}: must hold plain numbers in 2 to 4 axes, got {values.dtype}, shape {values.shape}")
    if values.ndim == 4 and values.shape[3] > 1 and (step := _step(volume.header)):
        raise DatasetError(
            f"{path}: is a time series of {values.shape[3]} volumes, {step} apart; save each time as a file or, if they are "
            "channels, without the unit of time in the header"
        )
    values = values.reshape(_without_trailing_ones(values.shape))
    if values.ndim < 4:
        values = values[..., None]
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def nifti_affine(path: pathlib.Path) -> npt.NDArray[np.float64]:
    """Reads where the voxels lie, from the header alone.

    Args:
        path: The file.

    Returns:
        The affine `[4, 4]` from places in the array to millimetres.

    Raises:
        DatasetError: If it cannot be read.
    """
    with one_line(path):
        volume: Any = nibabel.load(path)
        return volume.affine


def axis_directions(path: pathlib.Path) -> str:
    """Where the axes of the array lead to, from the header alone.

    Args:
        path: The file.

    Returns:
        The letters of the three directions, of R and L, A and P, S and I, in the order of the file, such as "RAS".

    Raises:
        DatasetError: If it cannot be read.
    """
    affine = nifti_affine(path)
    with one_line(path):
        return "".join(direction or "?" for direction in nibabel.aff2axcodes(affine))


def nifti_spacing(path: pathlib.Path) -> tuple[float, ...] | None:
    """Reads how far apart the voxels lie.

    Args:
        path: The file.

    Returns:
        Distance along each spatial axis of `read_nifti`, mm (as what lengths of no unit are taken); None where the
        header has none.

    Raises:
        DatasetError: If it cannot be read.
    """
    with one_line(path):
        volume: Any = nibabel.load(path)
        header = volume.header
        shape = _without_trailing_ones(header.get_data_shape())
        zooms = [float(zoom) for zoom in header.get_zooms()[: min(len(shape), 3)]]
        try:
            unit = header.get_xyzt_units()[0]
        except KeyError:  # a number that stands for no unit
            unit = "unknown"
    if not all(np.isfinite(zoom) and zoom > 0 for zoom in zooms):
        return None
    return tuple(zoom * (millimetres(unit) or 1.0) for zoom in zooms)


def _step(header: Any) -> str:
    """The step from a volume to the next in time; empty where the header does not know of one."""
    try:
        unit = header.get_xyzt_units()[1]
    except KeyError:  # a number that stands for no unit
        return ""
    length = float(header["pixdim"][4])
    return f"{length:g} {unit}" if unit in _TIMES and np.isfinite(length) and length not in (0.0, 1.0) else ""


def _without_trailing_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
