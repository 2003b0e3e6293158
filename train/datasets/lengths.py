"""What headers say of the physical lengths between pixels: units, and the two dialects of TIFF that know of them."""

import unicodedata
import xml.etree.ElementTree
from collections.abc import Mapping
from typing import Any

import tifffile

_INCH = 25.4
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
        unit = millimetres(written.replace(r"\u00B5", "\N{MICRO SIGN}"))
        if unit is not None and unit != _INCH and 0 < size < float("inf"):
            lengths[axis] = size * unit
    return lengths


def _pixel_size(page: tifffile.TiffPage, name: str) -> float:
    pixels, lengths = page.tags.valueof(name, (0, 0))
    return lengths / pixels if pixels else 0.0
