"""Masks with palettes: the place of a colour is the class, whatever the colours are, and a warning where that is news."""

import numpy as np
import PIL.Image
import pytest
import tifffile

from train.datasets.readers import read_image, read_mask

VOC = [
    0,
    0,
    0,
    128,
    0,
    0,
    0,
    128,
    0,
    128,
    128,
    0,
    0,
    0,
    128,
    128,
    0,
    128,
    0,
    128,
    128,
    128,
    128,
    128,
]  # the last is grey
BLACK_WHITE_RED = [0, 0, 0, 255, 255, 255, 255, 0, 0]


def save(path, places, palette, **options):
    picture = PIL.Image.fromarray(np.uint8(places)).convert("P")
    picture.putpalette(palette)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize(
    ("palette", "places"),
    [
        (VOC, [0, 7, 0, 7]),
        (VOC, [0, 1, 7, 7]),
        (BLACK_WHITE_RED, [0, 1, 0, 1]),
        (BLACK_WHITE_RED, [0, 1, 2, 1]),
        ([90, 10, 30] * 200 + VOC, [1, 207, 200, 0]),
    ],
)
def test_the_class_is_the_place_whichever_colours_a_file_uses(tmp_path, suffix, palette, places):
    np.testing.assert_array_equal(read_mask(save(tmp_path / f"a.{suffix}", [places], palette)), [places])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_few_bits(tmp_path, bits):
    places = np.resize(np.arange(min(2**bits, 8)), (3, 9))
    path = save(tmp_path / "a.png", places, np.resize(VOC, 3 * 2**bits).tolist())
    assert path.read_bytes()[24] == bits
    np.testing.assert_array_equal(read_mask(path), places)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_compressed_tiff_palettes(tmp_path, compression):
    path = save(tmp_path / "a.tif", [[0, 7, 7]], VOC, compression=compression)
    np.testing.assert_array_equal(read_mask(path), [[0, 7, 7]])
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 128, 128]])
    path = save(tmp_path / "a.tif", [[0, 7, 1]], VOC, compression=compression)
    np.testing.assert_array_equal(read_image(path), [[[0, 0, 0], [128, 128, 128], [128, 0, 0]]])


def test_pages_with_a_palette(tmp_path):
    pages = np.uint8([[[0, 1]], [[7, 7]], [[2, 0]]])
    colours = np.zeros((3, 256), np.uint16)
    colours[:, :8] = np.reshape(VOC, (8, 3)).T * 257
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), pages)
    image = read_image(tmp_path / "a.tif")
    assert image.shape == (3, 1, 2, 3)
    np.testing.assert_array_equal(image[1:, 0, 0], [[128, 128, 128], [0, 128, 0]])


def test_the_places_in_a_coloured_gif(tmp_path):
    places = [[0, 1, 2], [3, 3, 0]]
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.gif", places, VOC[:12])), places)


@pytest.mark.parametrize("values", [[0, 255], [255, 255], [0, 2], [0, 1], [7, 7]])
def test_a_gif_of_greys_holds_greys_for_its_writer_numbers_them_anew(tmp_path, caplog, values):
    PIL.Image.fromarray(np.uint8([values])).save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.gif"), [values])
    assert caplog.text == ""


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize(
    ("palette", "places", "greys"),
    [
        ([255, 255, 255, 0, 0, 0], [0, 1, 1], "255, 0"),  # white first: the classes change places
        ([255, 255, 255], [0, 0, 0], "255"),
        ([0, 0, 0, 2, 2, 2], [0, 1, 1], "0, 2"),
    ],
)
def test_greys_that_were_read_otherwise_are_told(tmp_path, caplog, suffix, palette, places, greys):
    path = save(tmp_path / f"a.{suffix}", [places], [*palette, 255, 0, 0])
    np.testing.assert_array_equal(read_mask(path), [places])
    (record,) = caplog.records
    used = ", ".join(map(str, sorted(set(places))))
    assert record.getMessage() == (
        f"{path}: has a palette of greys alone, {greys}, and is read as their places in it, {used}; if the greys are the "
        "classes, save it as a grey PNG"
    )
    read_image(path)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("palette", "places"),
    [
        ([0, 0, 0, 255, 255, 255], [0, 1, 1]),  # 0 and 255 are classes 0 and 1
        ([0, 0, 0, 255, 255, 255], [1, 1, 1]),
        ([0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 2, 1]),
        (VOC, [0, 7, 1]),
    ],
)
def test_nothing_is_said_where_both_readings_are_one(tmp_path, caplog, palette, places):
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", [places], palette)), [places])
    assert caplog.text == ""
