"""Physical lengths between pixels: units, what two dialects of TIFF say of them, and in which unit a data set has them."""

import statistics
import unicodedata
import xml.etree.ElementTree
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tifffile

_INCH = 25.4
PIXELS = "pixels"
"""The unit of lengths where nobody says how far apart pixels lie."""

_IN_A_MILLIMETRE = {"mm": 1.0, "\N{MICRO SIGN}m": 1e3, "nm": 1e6}  # units of data sets, the coarsest first
_IMAGEJ_MICRO = r"\u00B5"  # as ImageJ writes it, in ASCII
_FINEST = 0.05  # what pixels measure in the unit of their data set, at least

_MILLIMETRES = {
    "m": 1e3,
    "meter": 1e3,
    "cm": 10.0,
    "mm": 1.0,
    "millimeter": 1.0,
    "\N{GREEK SMALL LETTER MU}m": 1e-3,
    "um": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
    "micrometer": 1e-3,
    "nm": 1e-6,
    "nanometer": 1e-6,
    "in": _INCH,
    "inch": _INCH,
}


def millimetres(unit: str) -> float | None:
    """How long a unit is.

    Args:
        unit: As NIfTI, ImageJ or OME write it, for example "micron" or the micro sign with an "m".

    Returns:
        Its length, mm; None for what is no unit of length, such as "pixel".
    """
    return _MILLIMETRES.get(unicodedata.normalize("NFKC", unit).strip().lower())


def length_unit(spacings: Iterable[Sequence[float] | None]) -> str:
    """The unit that suits the pixels of a data set, so that no length in it is all zeros.

    Args:
        spacings: Of each image, from a pixel to the next along each axis, mm; None where it is not known.

    Returns:
        The coarsest of mm, µm and nm in which the finest axis of a typical image is 0.05 or more: millimetres for scans of
        bodies, micrometres for light microscopes, nanometres for electron microscopes. "pixels" if nothing is known.
    """
    finest = [min(spacing) for spacing in spacings if spacing is not None]
    if not finest:
        return PIXELS
    typical = statistics.median(finest)
    return next((unit for unit, count in _IN_A_MILLIMETRE.items() if typical * count >= _FINEST), "nm")


def in_unit(spacing: Sequence[float], unit: str) -> tuple[float, ...]:
    """A spacing in a unit that `length_unit` names.

    Args:
        spacing: From a pixel to the next along each axis, mm.
        unit: The unit, not "pixels".
    """
    return tuple(length * _IN_A_MILLIMETRE[unit] for length in spacing)


def relative_spacing(spacing: Sequence[float]) -> tuple[float, ...]:
    """A spacing in lengths of its finest axis.

    So losses and their weight maps take it: their constants are made for pixels, and how much a network learns must not
    depend on the unit of a header.

    Args:
        spacing: From a pixel to the next along each axis, in any unit.

    Returns:
        1 for the finest axis, more for the others.
    """
    return tuple(length / min(spacing) for length in spacing)


def imagej_settings(axes: str, spacing: Sequence[float] | None) -> dict[str, Any]:
    """What `tifffile.imwrite` is told for a file that ImageJ opens as what it is, and `tiff_lengths` reads.

    Args:
        axes: Of the array, in ImageJ's order: Z for slices, C for channels, Y and X.
        spacing: From a pixel to the next along those of Z, Y and X that there are, mm; None where it is not known.
    """
    settings: dict[str, Any] = {"imagej": True, "photometric": "minisblack", "metadata": {"axes": axes}}
    if spacing is None:
        return settings
    unit = length_unit([spacing])
    *slices, rows, columns = in_unit(spacing, unit)
    settings["metadata"]["unit"] = unit.replace("\N{MICRO SIGN}", _IMAGEJ_MICRO)
    if slices:
        settings["metadata"]["spacing"] = slices[0]
    return {**settings, "resolution": (1 / columns, 1 / rows)}


def tiff_lengths(file: tifffile.TiffFile) -> Mapping[str, float]:
    """Lengths in the header of an ImageJ or OME TIFF file; the dots per inch of any other count for nothing.

    Args:
        file: The open file.

    Returns:
        "X", "Y" and "Z", as far as they are known -> distance between pixels along that axis, mm.
    """
    if text := file.ome_metadata:
        return _ome_lengths(text)
    if metadata := file.imagej_metadata:
        return _imagej_lengths(metadata, file.pages.first)
    return {}


def _ome_lengths(text: str) -> dict[str, float]:
    lengths = {}
    for element in xml.etree.ElementTree.fromstring(text).iter():
        if element.tag.rpartition("}")[-1] == "Pixels":
            for axis in "XYZ":
                unit = millimetres(element.get(f"PhysicalSize{axis}Unit", "um"))
                size = float(element.get(f"PhysicalSize{axis}", "nan"))
                if unit is not None and 0 < size < float("inf"):
                    lengths[axis] = size * unit
            break
    return lengths


def _imagej_lengths(metadata: Mapping[str, Any], page: tifffile.TiffPage) -> dict[str, float]:
    # ImageJ leaves out a distance of slices of 1, and units of rows and slices that are those of columns. Of a photograph
    # with dots per inch it says inches.
    sizes = {
        "X": _pixel_size(page, "XResolution"),
        "Y": _pixel_size(page, "YResolution"),
        "Z": abs(float(metadata.get("spacing", 1.0))),
    }
    lengths = {}
    for axis, size in sizes.items():
        written = str(metadata.get(f"{axis.lower()}unit", metadata.get("unit", "")))
        unit = millimetres(written.replace(_IMAGEJ_MICRO, "\N{MICRO SIGN}"))
        if unit is not None and unit != _INCH and 0 < size < float("inf"):
            lengths[axis] = size * unit
    return lengths


def _pixel_size(page: tifffile.TiffPage, name: str) -> float:
    pixels, lengths = page.tags.valueof(name, (0, 0))
    return lengths / pixels if pixels else 0.0
