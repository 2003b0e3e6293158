"""Physical distances between pixels, as the headers of NIfTI, ImageJ and OME files say them."""

import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile

from train.datasets.lengths import in_unit, length_unit, relative_spacing
from train.datasets.readers import DatasetError, read_image, read_pair, read_spacing

VOLUME = np.zeros((5, 6, 7), np.uint8)


def nifti(path, shape=(5, 6, 7), zooms=(0.5, 0.75, 3.0), unit="mm"):
    volume = nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.diag([*zooms, 1.0]))
    volume.header.set_xyzt_units(unit)
    nibabel.save(volume, path)
    return path


def imagej(path, lines, values=VOLUME, resolution=(4.0, 5.0)):
    """A file with the description that ImageJ writes: pixels per unit are in the tags of the resolution."""
    text = "\n".join(["ImageJ=1.54f", f"images={len(values)}", f"slices={len(values)}", *lines, ""])
    tifffile.imwrite(
        path, values, description=text, metadata=None, photometric="minisblack", resolution=resolution, byteorder=">"
    )
    return path


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("mm", (0.5, 0.75, 3.0)),
        ("unknown", (0.5, 0.75, 3.0)),
        ("meter", (500, 750, 3000)),
        ("micron", (5e-4, 7.5e-4, 3e-3)),
    ],
)
def test_nifti_in_the_order_of_the_file(tmp_path, unit, expected):
    np.testing.assert_allclose(read_spacing(nifti(tmp_path / "a.nii.gz", unit=unit)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 6), (0.5, 0.75)),
        ((5, 6, 1), (0.5, 0.75)),
        ((5, 6, 7, 2), (0.5, 0.75, 3.0)),
        ((5, 6, 7, 1), (0.5, 0.75, 3.0)),
    ],
)
def test_nifti_of_other_axes(tmp_path, shape, expected):
    path = nifti(tmp_path / "a.nii", shape)
    np.testing.assert_allclose(read_spacing(path), expected, rtol=1e-6)
    assert read_image(path).ndim - 1 == len(expected)


def test_nifti_that_does_not_say(tmp_path):
    path = nifti(tmp_path / "a.nii")
    header = bytearray(path.read_bytes())
    header[80:84] = np.float32(np.nan).tobytes()  # the first of its lengths
    path.write_bytes(header)
    assert read_spacing(path) is None
    path = nifti(tmp_path / "b.nii")
    header = bytearray(path.read_bytes())
    header[123] = 7  # a unit that does not exist
    path.write_bytes(header)
    np.testing.assert_allclose(read_spacing(path), (0.5, 0.75, 3.0))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([r"unit=\u00B5m", "spacing=2.5"], (2.5e-3, 2e-4, 2.5e-4)),
        (["unit=micron", "spacing=-2.5"], (2.5e-3, 2e-4, 2.5e-4)),
        (["unit=um"], (1e-3, 2e-4, 2.5e-4)),  # ImageJ leaves a spacing of 1 out
        (["unit=nm", "spacing=40.0"], (4e-5, 2e-7, 2.5e-7)),
        (["unit=mm", "zunit=cm", "spacing=2.0"], (20.0, 0.2, 0.25)),
        (["unit=inch", "spacing=1.0"], None),  # of a photograph with dots per inch
        (["unit=pixel", "spacing=2.0"], None),
        (["spacing=2.0"], None),
    ],
)
def test_imagej(tmp_path, lines, expected):
    spacing = read_spacing(imagej(tmp_path / "a.tif", lines))
    assert spacing is expected if expected is None else spacing == pytest.approx(expected, rel=1e-6)


def test_imagej_picture(tmp_path):
    assert read_spacing(imagej(tmp_path / "a.tif", ["unit=mm"], VOLUME[:1])) == pytest.approx((0.2, 0.25))


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("ZYX", (5, 6, 7), (3e-3, 5e-7, 2.5e-4)),
        ("CZYX", (2, 5, 6, 7), (3e-3, 5e-7, 2.5e-4)),
        ("YX", (6, 7), (5e-7, 2.5e-4)),
        ("CYX", (2, 6, 7), (5e-7, 2.5e-4)),
    ],
)
def test_ome(tmp_path, axes, shape, expected):
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 3}
    units = {"PhysicalSizeZUnit": "\N{MICRO SIGN}m"}  # that of columns is left out, and is micrometres
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), ome=True, metadata={"axes": axes, **sizes, **units})
    assert read_spacing(tmp_path / "a.tif") == pytest.approx(expected)


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"PhysicalSizeX": 1, "PhysicalSizeY": 1},
        dict.fromkeys(["PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ"], 0),
    ],
)
def test_ome_that_does_not_say_all_three(tmp_path, sizes):
    tifffile.imwrite(tmp_path / "a.tif", VOLUME, ome=True, metadata={"axes": "ZYX", **sizes})
    assert read_spacing(tmp_path / "a.tif") is None


def test_dots_per_inch_say_nothing_of_what_is_shown(tmp_path):
    for suffix in ("png", "jpg", "tif"):
        PIL.Image.fromarray(VOLUME[0]).save(tmp_path / f"a.{suffix}", dpi=(300, 300))
        assert read_spacing(tmp_path / f"a.{suffix}") is None
    tifffile.imwrite(tmp_path / "b.tif", VOLUME, resolution=(300, 300), resolutionunit="CENTIMETER")
    assert read_spacing(tmp_path / "b.tif") is None


def test_a_picture_that_is_stored_turned(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, VOLUME[0], imagej=True, metadata={"unit": "mm"}, resolution=(4, 5), extratags=[(274, 3, 1, 6, True)]
    )
    assert read_spacing(path) == pytest.approx((0.25, 0.2))
    assert read_image(path).shape == (7, 6, 1)


def test_image_and_mask_of_different_spacing_are_refused(tmp_path):
    image, mask = (
        imagej(tmp_path / "a.tif", ["unit=mm", "spacing=2"]),
        imagej(tmp_path / "b.tif", ["unit=mm", "spacing=3"]),
    )
    with pytest.raises(DatasetError) as raised:
        read_pair(image, mask)
    assert str(raised.value) == (
        f"{mask}: its pixels are 3 x 0.2 x 0.25 mm apart, those of its image {image} 2 x 0.2 x 0.25 mm; resample it to "
        "the image, or correct its header"
    )
    rounded = imagej(tmp_path / "c.tif", ["unit=micron", "spacing=2000.3"], resolution=(0.004, 0.005))
    silent = imagej(tmp_path / "d.tif", [])
    for other in (rounded, silent):
        assert read_pair(image, other)[1].shape == (5, 6, 7)
    volume, elsewhere = nifti(tmp_path / "e.nii"), nifti(tmp_path / "f.nii", unit="micron")
    with pytest.raises(
        DatasetError, match=r"f\.nii: its pixels are 0\.0005 x 0\.00075 x 0\.003 mm apart, those of its"
    ):
        read_pair(volume, elsewhere)


@pytest.mark.parametrize(
    ("spacings", "unit", "first"),
    [
        ([(3.0, 0.7, 0.7)], "mm", (3.0, 0.7, 0.7)),
        ([(0.05, 0.05, 0.05)], "mm", (0.05, 0.05, 0.05)),
        ([(1e-3, 2.5e-4, 2.5e-4)], "\N{MICRO SIGN}m", (1.0, 0.25, 0.25)),
        ([(4e-5, 4e-6, 4e-6)], "nm", (40.0, 4.0, 4.0)),
        ([(1e-8, 1e-8)], "nm", (0.01, 0.01)),
        # One header that is wrong does not count for two that are not.
        ([(0.7, 0.7), None, (0.7, 0.7), (7e-7, 7e-7)], "mm", (0.7, 0.7)),
    ],
)
def test_the_unit_of_a_data_set_suits_its_pixels(spacings, unit, first):
    assert length_unit(spacings) == unit
    assert in_unit(spacings[0], unit) == pytest.approx(first, rel=1e-12)


def test_unknown_lengths_are_in_pixels():
    assert length_unit([]) == length_unit([None, None]) == "pixels"


def test_lengths_of_the_finest_axis():
    assert relative_spacing((3.0, 1.5, 0.75)) == (4.0, 2.0, 1.0)
    assert relative_spacing((2.5e-4, 2.5e-4)) == (1.0, 1.0)
