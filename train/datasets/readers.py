"""Reading image and mask files: PNG, TIFF, JPEG, BMP, GIF and NIfTI, with what may be wrong with them in one line.

Rules that hold for every data set:

- 8- and 16-bit images keep their values. Any other type is kept where it lies in 0..1 already, and so do those of all
  images of a set; elsewhere it is stretched from its own least and greatest value to 0..1, as float32.
- Transparency is dropped, not blended: the colours under it are what was measured. RGBA becomes RGB. Further samples of
  TIFF that are not called transparency are channels, which masks have none of. CMYK and other
  colour spaces become RGB, palettes too (grey where all colours that occur are grey).
- A mask's palette is there to look at: the place of a colour in it is the class, whatever the colours are, unless a
  table of classes names them, see `train.datasets.masks`. A warning says so where they are all grey and differ from
  their places. GIF has no grey but by a palette, and its writers number
  anew the colours that a picture uses: a palette wholly of greys is read there as those greys, and class numbers with
  colours are better kept in another format. A colour mask is refused, unless its three channels are equal.
- JPEG and TIFF orientation tags are obeyed, and a TIFF whose 0 is white is turned round so that 0 is black, at every
  depth, in masks and images alike.
- The pages of a TIFF are a volume `[pages, rows, columns]`, with channels where the file says so; its own names of the
  axes are believed, and a time series is refused. Thumbnails are passed over.
- NIfTI axes stay in the order of the file; a fourth axis of an image is its channels, unless it is time.
"""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from train.datasets import nifti
from train.datasets.errors import DatasetError, listed, size
from train.datasets.intensities import image_numbers
from train.datasets.nifti import is_nifti, nifti_affine, nifti_spacing, read_nifti
from train.datasets.pictures import Stored, places, read_picture, shown
from train.datasets.tiff import is_tiff, read_tiff, tiff_spacing

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".gif")
SUFFIXES = (*nifti.SUFFIXES, *PICTURE_SUFFIXES)

_GREATEST = 2.0**53  # class number in a file of floats
_AFFINE_TOLERANCE_MM = 1e-3
_SPACING_TOLERANCE = 1e-3  # relative: TIFF keeps lengths as fractions


def read_stored(path: pathlib.Path, *, mask: bool) -> Stored:
    """Reads what a file holds, of any format.

    Args:
        path: The file.
        mask: Whether it holds classes, and so no channels but those of a colour.

    Raises:
        DatasetError: If it cannot be read, is a time series or an animation, or a 16-bit colour PNG.
    """
    if is_nifti(path):
        return Stored(read_nifti(path))
    return read_tiff(path, mask=mask) if is_tiff(path) else read_picture(path)


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


def read_image(path: pathlib.Path, *, stretched: bool | None = None) -> npt.NDArray[np.uint8 | np.uint16 | np.float32]:
    """Reads one image.

    Args:
        path: The file.
        stretched: As in `image_numbers`.

    Returns:
        `[*shape, channels]`, uint8 or uint16 with their full range, or float32 from 0 to 1.

    Raises:
        DatasetError: If it cannot be read, is a time series or an animation, has values that are not finite, or is a
            16-bit colour PNG, which Pillow would cut to 8 bits; as `image_numbers`.
    """
    return image_numbers(path, shown(read_stored(path, mask=False)), stretched=stretched)


def read_mask(path: pathlib.Path) -> npt.NDArray[np.int64]:
    """Reads one mask as the numbers that the file holds.

    Args:
        path: The file.

    Returns:
        `[*shape]`, int64.

    Raises:
        DatasetError: If it cannot be read, is a time series or an animation, or holds channels, colours, or numbers
            with a fraction.
    """
    return class_numbers(path, places(read_stored(path, mask=True), path))


def class_numbers(path: pathlib.Path, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Takes what a file holds for the numbers of classes.

    Args:
        path: The file, for errors.
        values: `[*shape, channels]`.

    Returns:
        `[*shape]`.

    Raises:
        DatasetError: If they are channels, colours, or numbers with a fraction.
    """
    if values.shape[-1] == 3 and not is_nifti(path):
        if (values != values[..., :1]).any():
            colours = np.unique(values.reshape(-1, values.shape[-1]), axis=0)
            raise DatasetError(
                f"{path}: is a colour picture with {listed([tuple(colour.tolist()) for colour in colours])}; "
                "name them in classes.json, or save class numbers 0, 1, ... as a grey or palette PNG"
            )
        values = values[..., :1]
    if values.shape[-1] != 1:
        raise DatasetError(f"{path}: a mask has no channels, got shape {values.shape}; save class numbers")
    values = values[..., 0]
    # Beyond the greatest, floats are whole for want of digits.
    if (
        values.dtype.kind == "f"
        and not ((values == np.rint(values)) & (np.abs(values, dtype=np.float64) < _GREATEST)).all()
    ):
        raise DatasetError(f"{path}: class numbers must be whole, got {listed(np.unique(values).tolist())}")
    return values.astype(np.int64)


def read_spacing(path: pathlib.Path) -> tuple[float, ...] | None:
    """Reads from the header alone how far apart the pixels lie.

    Args:
        path: The file.

    Returns:
        Distance of pixel centres along each spatial axis of `read_image`, mm. None where the file does not say, as in
        all formats but NIfTI (where lengths of no unit are taken as mm), ImageJ TIFF and OME TIFF: the dots per inch of
        a photograph say nothing of what it shows.

    Raises:
        DatasetError: If it cannot be read.
    """
    if is_nifti(path):
        return nifti_spacing(path)
    return tiff_spacing(path) if is_tiff(path) else None


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
        DatasetError: If one cannot be read, if one alone is NIfTI, or if they differ in size, in the distance of their
            pixels where both say it or, both NIfTI, in where their voxels lie.
    """
    image, mask = read_image(image_path), read_mask(mask_path)
    check_pair(image_path, image, mask_path, mask)
    return image, mask


def check_pair(
    image_path: pathlib.Path, image: npt.NDArray[Any], mask_path: pathlib.Path, mask: npt.NDArray[Any]
) -> None:
    """Refuses a mask that was not drawn on its image.

    Args:
        image_path: The image's file.
        image: `[*shape, channels]`.
        mask_path: The mask's file.
        mask: `[*shape]`.

    Raises:
        DatasetError: As `read_pair`.
    """
    if is_nifti(image_path) != is_nifti(mask_path):
        raise DatasetError(
            f"{mask_path}: has the axes of its image {image_path} in another order, for one is NIfTI and the other is not; "
            "save both in one format"
        )
    if image.shape[:-1] != mask.shape:
        raise DatasetError(
            f"{mask_path}: is {size(mask.shape)}, but its image {image_path} is {size(image.shape[:-1])}; "
            "draw the mask on the image's own pixels"
        )
    if is_nifti(image_path) and is_nifti(mask_path):
        affine, other = nifti_affine(image_path), nifti_affine(mask_path)
        if not np.allclose(affine, other, rtol=0.0, atol=_AFFINE_TOLERANCE_MM):
            raise DatasetError(
                f"{mask_path}: its affine differs from that of its image {image_path}; resample it to the image"
            )
    spacing, other_spacing = read_spacing(image_path), read_spacing(mask_path)
    if spacing and other_spacing and not np.allclose(spacing, other_spacing, rtol=_SPACING_TOLERANCE, atol=0.0):
        there, here = (size([f"{length:g}" for length in lengths]) for lengths in (spacing, other_spacing))
        raise DatasetError(
            f"{mask_path}: its pixels are {here} mm apart, those of its image {image_path} {there} mm; resample it to "
            "the image, or correct its header"
        )


def describe_values(values: npt.NDArray[np.integer]) -> str:
    """Lists the different values of a mask for an error.

    Args:
        values: Any array of integers.

    Returns:
        For example "0, 1, 7"; the first few where there are many.
    """
    return listed(np.unique(values).tolist())
