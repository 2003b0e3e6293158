"""Image and mask files of every kind, whole and broken."""

import struct
import zlib

import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile

from train.datasets.readers import (
    DatasetError,
    read_image,
    read_mask,
    read_pair,
    stem,
)
from train.datasets.stacks import read_stack

GREY = np.arange(6 * 7, dtype=np.uint8).reshape(6, 7) * 6
RGB = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)
DEEP = (np.arange(6 * 7, dtype=np.uint16) * 1561).reshape(6, 7)  # no multiple of 257: 8 bits could not hold it


def save(path, array, **options):
    PIL.Image.fromarray(array).save(path, **options)
    return path


def save_nifti(path, array, affine=None):
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def deep_colour_png(path, array):
    """16-bit RGB PNG, which Pillow reads but cannot write."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "TIFF", "bmp", "gif"])
def test_grey_images_have_one_channel_whatever_the_format(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a.{suffix}", GREY))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, GREY[..., None])


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_colour_images_have_three(tmp_path, suffix):
    np.testing.assert_array_equal(read_image(save(tmp_path / f"a.{suffix}", RGB)), RGB)


def test_jpeg_is_read_with_its_losses(tmp_path):
    image = read_image(save(tmp_path / "a.jpeg", np.full((16, 16, 3), [200, 100, 50], np.uint8), quality=95))
    assert image.shape == (16, 16, 3) and abs(image.astype(int) - [200, 100, 50]).max() <= 3


def test_orientation_of_a_photograph_is_obeyed(tmp_path):
    exif = PIL.Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", GREY, exif=exif))[..., 0], np.rot90(GREY, -1))


def test_compressed_tiff_is_read(tmp_path):
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        np.testing.assert_array_equal(read_image(save(tmp_path / "a.tif", RGB, compression=compression)), RGB)


def test_transparency_is_dropped_and_not_blended(tmp_path):
    alpha = np.dstack([RGB, np.tile(np.uint8([0, 128, 255, 1, 2, 3, 4]), (6, 1))])
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", alpha)), RGB)
    grey = np.dstack([GREY, 255 - GREY])
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.png", grey))[..., 0], GREY)


def test_palettes_are_their_colours_in_images(tmp_path):
    picture = PIL.Image.fromarray(np.uint8([[0, 1], [1, 0]])).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], [[10, 20, 30], [40, 50, 60]])
    picture.putpalette([10, 10, 10, 40, 40, 40])
    picture.save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png")[..., 0], [[10, 40], [40, 10]])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_kept(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a.{suffix}", DEEP))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image[..., 0], DEEP)


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"planarconfig": "separate"}])
def test_sixteen_bits_of_colour_tiff_are_kept(tmp_path, options):
    deep = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], axis=-1)
    stored = deep.transpose(2, 0, 1) if "planarconfig" in options else deep
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **options)
    image = read_image(tmp_path / "a.tif")
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, deep)


def test_floats_in_0_to_1_are_kept_and_others_stretched(tmp_path):
    values = np.float32([[0.25, 0.5], [0.125, 0.75]])
    tifffile.imwrite(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], values)
    tifffile.imwrite(tmp_path / "b.tif", values * 8 - 3)  # -2, -1, 1, 3
    np.testing.assert_allclose(read_image(tmp_path / "b.tif")[..., 0], [[0.2, 0.6], [0.0, 1.0]], rtol=1e-6)
    tifffile.imwrite(tmp_path / "c.tif", np.dstack([values] * 3), photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif"), np.dstack([values] * 3))


def test_nifti_keeps_its_axes_and_a_fourth_is_channels(tmp_path):
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 4
    image = read_image(save_nifti(tmp_path / "a.nii.gz", volume))
    assert image.shape == (2, 3, 4, 1) and image.dtype == np.float32
    np.testing.assert_allclose(image[1, 2], (np.arange(20, 24) / 23)[:, None], rtol=1e-6)
    bytes_ = volume.astype(np.uint8)
    np.testing.assert_array_equal(read_image(save_nifti(tmp_path / "b.nii", bytes_))[..., 0], bytes_)
    assert read_image(save_nifti(tmp_path / "c.nii", bytes_[:, :, :1])).shape == (2, 3, 1)
    assert read_image(save_nifti(tmp_path / "d.nii", np.stack([bytes_] * 2, axis=-1))).shape == (2, 3, 4, 2)


def test_masks_are_the_numbers_in_the_file(tmp_path):
    numbers = np.uint8([[0, 3], [7, 255]])
    for suffix in ("png", "tif", "bmp"):
        np.testing.assert_array_equal(read_mask(save(tmp_path / f"a.{suffix}", numbers)), numbers)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "d.png", DEEP)), DEEP)
    one_bit = read_mask(save(tmp_path / "e.png", np.array([[True, False]])))
    np.testing.assert_array_equal(one_bit, [[255, 0]])
    np.testing.assert_array_equal(read_mask(save(tmp_path / "f.png", np.dstack([numbers] * 3))), numbers)
    np.testing.assert_array_equal(read_mask(save_nifti(tmp_path / "g.nii", numbers.astype(np.float32))), numbers)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp", "gif", "nii", "nii.gz"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.97])
def test_truncated_files_are_one_line_that_names_them(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    save_nifti(path, noise[..., None]) if "nii" in suffix else save(path, noise)
    assert read_mask(path).shape == (64, 64)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    for read in (read_image, read_mask):
        with pytest.raises(DatasetError) as raised:
            read(path)
        message = str(raised.value)
        assert message.startswith(f"{path}: cannot be read (") and message.endswith("Copy it again")
        assert "\n" not in message and ("it is empty" in message) == (kept == 0.0)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp", "gif", "nii", "nii.gz"])
def test_bytes_that_changed_are_another_image_or_one_line(tmp_path, suffix):
    path, rng = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    noise = rng.integers(0, 256, (16, 16), dtype=np.uint8)
    save_nifti(path, noise[..., None]) if "nii" in suffix else save(path, noise)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    refused = 0
    for _ in range(60):
        damaged = whole.copy()
        damaged[rng.integers(0, min(len(whole), 400), 3)] ^= rng.integers(1, 256, 3, dtype=np.uint8)
        path.write_bytes(damaged.tobytes())
        try:
            read_image(path)
        except DatasetError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert refused > 0 or suffix == "bmp"


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.97])
def test_a_stack_that_is_cut_off(tmp_path, kept):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8), metadata=None)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DatasetError, match=r"a\.tif: cannot be read \(.*Copy it again"):
        read_stack(path)


def test_what_is_no_image_at_all(tmp_path):
    for suffix in ("png", "tif", "nii"):
        path = tmp_path / f"a.{suffix}"
        path.write_text("hello " * 100)
        with pytest.raises(DatasetError, match=rf"a\.{suffix}: cannot be read \("):
            read_image(path)
    with pytest.raises(DatasetError, match=r"none\.png: cannot be read \("):
        read_image(tmp_path / "none.png")


def test_images_that_cannot_be_kept_as_they_are_say_why(tmp_path):
    deep = np.stack([DEEP] * 3, axis=-1)
    with pytest.raises(DatasetError, match=r"a\.png: is a 16-bit colour PNG, of which 8 bits .* save it as TIFF"):
        read_image(deep_colour_png(tmp_path / "a.png", deep))
    for suffix in ("gif", "png"):
        film = [PIL.Image.fromarray(page) for page in (GREY, 255 - GREY, GREY.copy())]
        film[0].save(tmp_path / f"b.{suffix}", save_all=True, append_images=film[1:])
        with pytest.raises(
            DatasetError, match=r"b\....: holds 3 pictures; save each as a file, or a volume as TIFF or"
        ):
            read_image(tmp_path / f"b.{suffix}")
    tifffile.imwrite(tmp_path / "c.tif", np.float32([[0.0, np.nan]]))
    with pytest.raises(DatasetError, match=r"c\.tif: holds values that are not finite; replace them"):
        read_image(tmp_path / "c.tif")
    with pytest.raises(DatasetError, match=r"d\.nii: must hold plain numbers in 2 to 4 axes, got uint8, shape"):
        read_image(save_nifti(tmp_path / "d.nii", np.ones((2, 2, 2, 2, 2), np.uint8)))
    with pytest.raises(DatasetError, match=r"e\.nii: must hold plain numbers in 2 to 4 axes, got complex64, shape"):
        read_image(save_nifti(tmp_path / "e.nii", np.ones((2, 2, 2), np.complex64)))


def test_a_picture_beyond_the_limit_of_pillow(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", GREY)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DatasetError, match=r"a\.png: Image size \(42 pixels\) exceeds limit .*; cut it into tiles"):
        read_image(path)


def test_masks_that_are_no_class_numbers_say_what_they_hold(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.png: is a colour picture with \(0, 0, 0\), \(9, 0, 0\); name"):
        read_mask(save(tmp_path / "a.png", np.uint8([[[0, 0, 0], [9, 0, 0]]])))
    tifffile.imwrite(tmp_path / "b.tif", np.float32([[0.0, 0.5, np.nan]]))
    with pytest.raises(DatasetError, match=r"b\.tif: class numbers must be whole, got 0\.0, 0\.5, nan"):
        read_mask(tmp_path / "b.tif")
    with pytest.raises(DatasetError, match=r"c\.nii: a mask has no channels, got shape \(2, 2, 2, 2\)"):
        read_mask(save_nifti(tmp_path / "c.nii", np.ones((2, 2, 2, 2), np.uint8)))
    tifffile.imwrite(tmp_path / "d.tif", np.float64([[0.0, 1e300]]))
    with pytest.raises(DatasetError, match=r"d\.tif: class numbers must be whole, got 0\.0, 1e\+300"):
        read_mask(tmp_path / "d.tif")


def test_mask_of_another_size_names_both_files(tmp_path):
    image, mask = save(tmp_path / "a.png", RGB), save(tmp_path / "b.png", GREY[:5])
    with pytest.raises(DatasetError) as raised:
        read_pair(image, mask)
    assert str(raised.value) == (
        f"{mask}: is 5 x 7, but its image {image} is 6 x 7; draw the mask on the image's own pixels"
    )


def test_volumes_that_lie_elsewhere_are_refused(tmp_path):
    values = np.zeros((2, 2, 2), np.uint8)
    image, mask = save_nifti(tmp_path / "a.nii", values), save_nifti(tmp_path / "b.nii", values, np.diag([-1, 1, 1, 1]))
    assert read_pair(image, image)[1].shape == (2, 2, 2)
    with pytest.raises(DatasetError, match=r"b\.nii: its affine differs from that of its image .*a\.nii; resample"):
        read_pair(image, mask)


def test_nifti_beside_another_format_is_refused_for_its_axes_may_be_turned(tmp_path):
    values = np.zeros((4, 4), np.uint8)
    image, mask = save_nifti(tmp_path / "a.nii.gz", values), save(tmp_path / "a.png", values)
    for one, other in ((image, mask), (mask, image)):
        with pytest.raises(DatasetError) as raised:
            read_pair(one, other)
        assert str(raised.value) == (
            f"{other}: has the axes of its image {one} in another order, for one is NIfTI and the other is not; save both "
            "in one format"
        )


@pytest.mark.parametrize(
    ("unit", "step", "refused"),
    [("sec", 2.0, True), ("msec", 40.0, True), ("sec", 1.0, False), ("sec", 0.0, False), ("unknown", 2.0, False)],
)
def test_a_fourth_axis_that_is_time_is_refused(tmp_path, unit, step, refused):
    volume = nibabel.Nifti1Image(np.zeros((2, 3, 4, 5), np.uint8), np.eye(4))
    volume.header.set_xyzt_units("mm", unit)
    volume.header["pixdim"][4] = step
    nibabel.save(volume, tmp_path / "a.nii")
    if not refused:
        assert read_image(tmp_path / "a.nii").shape == (2, 3, 4, 5)
        return
    with pytest.raises(DatasetError) as raised:
        read_image(tmp_path / "a.nii")
    assert str(raised.value) == (
        f"{tmp_path}/a.nii: is a time series of 5 volumes, {step:g} {unit} apart; save each time as a file or, if they are "
        "channels, without the unit of time in the header"
    )


def test_scales_of_nifti(tmp_path):
    values = np.float32([0.0, 1.5e6, 6e6]).reshape(3, 1, 1) + np.zeros((3, 2, 2), np.float32)
    for name, scale in (("a.nii.gz", 1e-6), ("b.nii.gz", 1.0), ("c.nii.gz", 1e30)):
        image = read_image(save_nifti(tmp_path / name, values * np.float32(scale)))
        np.testing.assert_allclose(image[:, 1, 1, 0], [0.0, 0.25, 1.0], rtol=1e-6)
    hounsfield = nibabel.Nifti1Image(
        np.int16([0, 1024, 4096]).reshape(3, 1, 1) + np.zeros((3, 2, 2), np.int16), np.eye(4)
    )
    hounsfield.header.set_slope_inter(0.5, -1024)  # read as -1024, -512, 1024
    nibabel.save(hounsfield, tmp_path / "d.nii.gz")
    np.testing.assert_allclose(read_image(tmp_path / "d.nii.gz")[:, 0, 0, 0], [0.0, 0.25, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(read_mask(tmp_path / "d.nii.gz")[:, 0, 0], [-1024, -512, 1024])


def test_stacks_are_read_page_by_page_in_order(tmp_path):
    pages = np.stack([GREY, GREY.T[:6, :6].repeat(2, axis=1)[:, :7], 255 - GREY])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif"), pages)
    pictures = [PIL.Image.fromarray(page) for page in pages]
    pictures[0].save(tmp_path / "b.tif", save_all=True, append_images=pictures[1:], compression="tiff_lzw")
    np.testing.assert_array_equal(read_stack(tmp_path / "b.tif"), pages)
    assert read_stack(save(tmp_path / "c.tif", GREY)).shape == (1, 6, 7)
    tifffile.imwrite(tmp_path / "d.tif", np.stack([RGB] * 2), photometric="rgb")
    with pytest.raises(DatasetError, match=r"d\.tif: must hold grey pages of one size, got shape \(2, 6, 7, 3\)"):
        read_stack(tmp_path / "d.tif")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", "a"), ("a.b.TIF", "a.b"), ("a.nii.gz", "a"), ("a.nii", "a"), ("a.txt", "a.txt")],
)
def test_stem(tmp_path, name, expected):
    assert stem(tmp_path / name) == expected
