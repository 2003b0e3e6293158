"""TIFF files as programs write them: types, depths, compressions, pages and their axes."""

import numpy as np
import PIL.Image
import pytest
import tifffile

from train.datasets.readers import DatasetError, read_image, read_mask, read_pair, read_spacing
from train.datasets.stacks import read_stack

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 6, 7), dtype=np.uint8)  # five pages
DEEP = RNG.integers(0, 65536, (6, 7), dtype=np.uint16)


def write(path, values, **options):
    tifffile.imwrite(path, values, **{"photometric": "minisblack", **options})
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"tile": (16, 16)},
        {"compression": "zlib"},
        {"compression": "zlib", "tile": (16, 16), "byteorder": ">", "bigtiff": True},
    ],
)
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_floats_from_0_to_1_are_kept_whatever_their_size(tmp_path, kind, options):
    values = RNG.random((6, 7)).astype(kind)
    image = read_image(write(tmp_path / "a.tif", values, **options))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[..., 0], values.astype(np.float32))


@pytest.mark.parametrize("options", [{}, {"byteorder": ">", "compression": "zlib"}])
@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint32", "uint64", "float16", "float64"])
def test_other_numbers_are_stretched_and_are_classes_in_masks(tmp_path, kind, options):
    values = np.array([[2, 4], [10, 6]]).astype(kind) - (8 if kind[0] == "i" else 0)  # signed ones are negative, too
    path = write(tmp_path / "a.tif", values, **options)
    np.testing.assert_allclose(read_image(path)[..., 0], [[0.0, 0.25], [1.0, 0.5]], rtol=1e-6)
    np.testing.assert_array_equal(read_mask(path), values.astype(np.int64))


def test_compressions_that_tifffile_leaves_to_pillow(tmp_path):
    for values in (GREY[0], DEEP, RNG.integers(-(2**30), 2**30, (6, 7), dtype=np.int32), np.float32(DEEP) / 7):
        PIL.Image.fromarray(values).save(tmp_path / "a.tif", compression="tiff_lzw")
        PIL.Image.fromarray(values).save(tmp_path / "b.tif")
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), read_image(tmp_path / "b.tif"))
        np.testing.assert_array_equal(
            read_image(tmp_path / "b.tif").dtype, values.dtype if values.dtype.kind == "u" else "f4"
        )


def test_compressed_numbers_that_nothing_reads_say_what_to_do(tmp_path):
    for name, values in (("a", np.float64(DEEP)), ("b", np.stack([DEEP] * 3, axis=-1))):
        path = write(
            tmp_path / f"{name}.tif", values, compression="zlib", photometric="rgb" if name == "b" else "minisblack"
        )
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages.first.tags["Compression"].overwrite(5)  # LZW, which only the header is read of
        colours = "RGB" if name == "b" else "MINISBLACK"
        with pytest.raises(DatasetError) as raised:
            read_image(path)
        assert str(raised.value) == (
            f"{path}: holds {values.dtype} of colour space {colours}, compressed as LZW; pip install imagecodecs, or save "
            "it without compression"
        )
    with pytest.raises(
        DatasetError, match=r"c\.tif: holds uint16 of colour space SEPARATED, .*; save it as grey or RGB"
    ):
        read_image(write(tmp_path / "c.tif", np.stack([DEEP] * 4, axis=-1), photometric="separated"))
    with pytest.raises(DatasetError, match=r"d\.tif: must hold plain numbers, got complex64"):
        read_image(write(tmp_path / "d.tif", DEEP.astype(np.complex64)))


def test_measured_channels_that_pillow_drops_are_refused(tmp_path):
    path = write(
        tmp_path / "a.tif", np.stack([GREY[0]] * 4, -1), photometric="rgb", extrasamples=[0], compression="zlib"
    )
    assert read_image(path).shape == (6, 7, 4)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["Compression"].overwrite(5)  # LZW, which only the header is read of
    with pytest.raises(
        DatasetError, match="holds uint8 of colour space RGB, compressed as LZW; pip install imagecodecs"
    ):
        read_image(path)


def test_big_endian_numbers_that_pillow_mixes_up_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", np.float32(DEEP), byteorder=">", compression="zlib")
    np.testing.assert_allclose(read_image(path)[..., 0], (DEEP - DEEP.min()) / np.ptp(DEEP.astype(float)), atol=1e-6)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["Compression"].overwrite(5)
    with pytest.raises(DatasetError, match="holds float32 of colour space MINISBLACK, compressed as LZW; pip install"):
        read_image(path)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_white_at_zero_is_turned_round_at_every_depth(tmp_path, compression):
    path = tmp_path / "a.tif"
    for values, top in ((GREY[0], 255), (DEEP, 65535)):
        # Pillow turns 8 bits round when it writes them, too, and no others.
        stored = PIL.Image.fromarray(top - values if top == 255 else values)
        stored.save(path, tiffinfo={262: 0}, compression=compression)
        np.testing.assert_array_equal(read_image(path)[..., 0], top - values)
        np.testing.assert_array_equal(read_mask(path), top - values.astype(np.int64))
    scan = GREY[0] > 99
    for photometric in (0, 1):
        PIL.Image.fromarray(scan).save(path, tiffinfo={262: photometric}, compression=compression)
        with tifffile.TiffFile(path) as file:
            assert file.pages.first.photometric == photometric
        np.testing.assert_array_equal(read_mask(path), np.where(scan, 255, 0))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
def test_white_at_zero_of_numbers_of_every_type(tmp_path, kind):
    values = np.array([[0, 4], [16, 8]], kind)
    path = write(tmp_path / "a.tif", values, photometric="miniswhite")
    if kind in ("uint8", "uint16"):
        np.testing.assert_array_equal(read_image(path)[..., 0], np.iinfo(kind).max - values)
    else:
        np.testing.assert_allclose(read_image(path)[..., 0], [[1.0, 0.75], [0.0, 0.5]], rtol=1e-6)
    unit = write(tmp_path / "b.tif", np.float64([[0.25, 0.5]]), photometric="miniswhite")
    np.testing.assert_array_equal(read_image(unit)[..., 0], [[0.75, 0.5]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_every_depth(tmp_path, orientation):
    turned = {
        1: DEEP,
        2: DEEP[:, ::-1],
        3: DEEP[::-1, ::-1],
        4: DEEP[::-1],
        5: DEEP.T,
        6: np.rot90(DEEP, -1),
        7: DEEP[::-1, ::-1].T,
        8: np.rot90(DEEP),
    }[orientation]
    for compression in (None, "tiff_lzw"):
        path = tmp_path / "a.tif"
        PIL.Image.fromarray(DEEP).save(path, tiffinfo={274: orientation}, compression=compression)
        np.testing.assert_array_equal(read_image(path)[..., 0], turned)
        PIL.Image.fromarray((DEEP >> 8).astype(np.uint8)).save(
            path, tiffinfo={274: orientation}, compression=compression
        )
        np.testing.assert_array_equal(read_image(path)[..., 0], turned >> 8)
    colours = np.stack([turned >> 8, turned >> 9, 255 - (turned >> 8)], axis=-1).astype(np.uint8)
    upright = np.stack([DEEP >> 8, DEEP >> 9, 255 - (DEEP >> 8)], axis=-1).astype(np.uint8)
    PIL.Image.fromarray(upright).convert("CMYK").save(path, tiffinfo={274: orientation})
    np.testing.assert_array_equal(read_image(path), colours)


def test_transparency_is_dropped_and_further_channels_are_kept(tmp_path):
    colours = RNG.integers(0, 65536, (6, 7, 5), dtype=np.uint16)
    path = write(tmp_path / "a.tif", colours[..., :4], photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(path), colours[..., :3])
    np.testing.assert_array_equal(read_image(write(tmp_path / "b.tif", colours, planarconfig="contig")), colours)
    planes = np.moveaxis(colours, -1, 0)
    np.testing.assert_array_equal(read_image(write(tmp_path / "c.tif", planes, planarconfig="separate")), colours)
    path = write(tmp_path / "e.tif", colours, photometric="rgb", extrasamples=["unassalpha", "unspecified"])
    np.testing.assert_array_equal(read_image(path), colours[..., [0, 1, 2, 4]])
    path = write(tmp_path / "f.tif", colours, photometric="rgb", extrasamples=["unspecified", "unspecified"])
    np.testing.assert_array_equal(read_image(path), colours)
    path = write(tmp_path / "d.tif", colours[..., :2], planarconfig="contig", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(path), colours[..., :1])


@pytest.mark.parametrize(
    "options", [{}, {"metadata": None}, {"bigtiff": True}, {"compression": "zlib"}, {"tile": (16, 16)}]
)
def test_pages_are_a_volume(tmp_path, options):
    path = write(tmp_path / "a.tif", GREY, **options)
    image, mask = read_pair(path, path)
    np.testing.assert_array_equal(image, GREY[..., None])
    np.testing.assert_array_equal(mask, GREY)
    colours = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
    np.testing.assert_array_equal(read_image(write(tmp_path / "b.tif", colours, photometric="rgb", **options)), colours)
    assert read_image(write(tmp_path / "c.tif", GREY[:1], **options)).shape == (6, 7, 1)


def test_pages_by_pillow_are_a_volume(tmp_path):
    pages = [PIL.Image.fromarray(page) for page in GREY]
    for compression in (None, "tiff_lzw", "packbits"):
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression=compression)
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY[..., None])
    pages = [PIL.Image.fromarray(page > 99) for page in GREY]
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:], compression="group4")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.tif"), np.where(GREY > 99, 255, 0))


HYPERSTACK = RNG.integers(0, 256, (5, 2, 6, 7), dtype=np.uint8)


@pytest.mark.parametrize("dialect", [{"imagej": True}, {"ome": True}])
def test_axes_are_those_that_the_file_names(tmp_path, dialect):
    def read(values, axes):
        return read_image(write(tmp_path / "a.tif", values, metadata={"axes": axes}, **dialect))

    np.testing.assert_array_equal(read(GREY, "ZYX"), GREY[..., None])
    np.testing.assert_array_equal(read(GREY, "CYX"), np.moveaxis(GREY, 0, -1))
    np.testing.assert_array_equal(read(HYPERSTACK, "ZCYX"), np.moveaxis(HYPERSTACK, 1, -1))
    for axes in ("TYX", "TZYX", "TCYX"):
        values = GREY if axes == "TYX" else HYPERSTACK
        with pytest.raises(
            DatasetError, match=rf"a\.tif: is a time series \(axes {axes}, 5 x .*\); save each time as a"
        ):
            read(values, axes)


def test_ome_may_put_channels_first(tmp_path):
    path = write(tmp_path / "a.tif", np.moveaxis(HYPERSTACK, 1, 0), ome=True, metadata={"axes": "CZYX"})
    np.testing.assert_array_equal(read_image(path), np.moveaxis(HYPERSTACK, 1, -1))


def test_axes_that_are_no_volume(tmp_path):
    for values, metadata in ((HYPERSTACK, {}), (GREY, {"axes": "YXZ"}), (HYPERSTACK, {"axes": "RZYX"})):
        with pytest.raises(
            DatasetError, match=r"a\.tif: has axes .*, where rows and columns .*; save each volume as a f"
        ):
            read_image(write(tmp_path / "a.tif", values, metadata=metadata))
    palette = {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16), "metadata": {"axes": "CYX"}}
    with pytest.raises(DatasetError, match=r"c\.tif: has axes CYX, 5 x 6 x 7, where rows and columns"):
        read_image(write(tmp_path / "c.tif", GREY, **palette))
    with pytest.raises(
        DatasetError, match=r"b\.tif: a mask has no channels, got shape \(6, 7, 5\); save class numbers"
    ):
        read_mask(write(tmp_path / "b.tif", GREY, imagej=True, metadata={"axes": "CYX"}))


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "CYX"])
def test_a_stack_is_its_pages_whatever_they_are_called(tmp_path, axes):
    np.testing.assert_array_equal(
        read_stack(write(tmp_path / "a.tif", GREY, imagej=True, metadata={"axes": axes})), GREY
    )


def test_thumbnails_are_passed_over_and_other_pictures_are_not(tmp_path):
    for name, thumbnail in (("a.tif", {"subfiletype": 1}), ("b.tif", {})):
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(GREY[0], photometric="minisblack", metadata=None)
            file.write(np.zeros((3, 2, 3), np.uint8), photometric="rgb", metadata=None, **thumbnail)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY[0][..., None])
    with pytest.raises(DatasetError) as raised:
        read_image(tmp_path / "b.tif")
    assert str(raised.value) == (
        f"{tmp_path / 'b.tif'}: holds pictures of several kinds (6 x 7 uint8, 3 x 2 x 3 uint8); save each as a file"
    )


def test_a_pyramid_is_its_largest_picture(tmp_path):
    large = RNG.integers(0, 256, (64, 64), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for step in (1, 2, 4):
            options = {"subfiletype": 1} if step > 1 else {}
            file.write(large[::step, ::step], photometric="minisblack", metadata=None, **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], large)


def test_a_part_of_a_volume_that_lies_in_several_files(tmp_path):
    whole = write(tmp_path / "whole.ome.tif", GREY[:2], ome=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(whole) as file:
        header = file.ome_metadata
    lost = header.replace('SizeZ="2"', 'SizeZ="4"')
    write(tmp_path / "a.tif", GREY[:2], description=lost, metadata=None)
    first = '<TiffData IFD="0" PlaneCount="2"/>'
    second = '<TiffData FirstZ="2" IFD="0" PlaneCount="2"><UUID FileName="c.tif">urn:uuid:1</UUID></TiffData>'
    assert first in lost
    write(tmp_path / "b.tif", GREY[:2], description=lost.replace(first, first + second), metadata=None)
    for name in ("a.tif", "b.tif"):
        with pytest.raises(
            DatasetError, match=rf"{name}: is a part of a volume whose other pages lie in other files; save"
        ):
            read_image(tmp_path / name)


@pytest.mark.parametrize("dialect", [{}, {"imagej": True}, {"ome": True}])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.999])
def test_a_volume_that_is_cut_off_is_whole_or_refused(tmp_path, dialect, compression, kept):
    axes = {"metadata": {"axes": "ZYX"}} if dialect else {}
    path = write(tmp_path / "a.tif", GREY, compression=compression, **dialect, **axes)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    try:
        # Where pixels come first, nobody needs the headers of the other pages behind them.
        np.testing.assert_array_equal(read_image(path), GREY[..., None])
        assert compression is None and kept >= 0.9
    except DatasetError as error:
        assert str(error).startswith(f"{path}: cannot be read (") and str(error).endswith("Copy it again")


def test_a_damaged_header_does_not_change_the_axes(tmp_path):
    path = write(tmp_path / "a.tif", HYPERSTACK, ome=True, metadata={"axes": "ZCYX"})
    for there, instead in ((b"OME>\0", b"OMF>\0"), (b"<Pixels", b"<Qixels")):
        damaged = tmp_path / "b.tif"
        damaged.write_bytes(path.read_bytes().replace(there, instead))
        with pytest.raises(DatasetError, match=r"b\.tif: cannot be read \(.*OME .*\); is it complete"):
            read_image(damaged)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"imagej": True, "metadata": {"axes": "ZYX", "unit": "um"}},
        {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 1}},
        {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
    ],
)
def test_bytes_that_changed_are_another_volume_or_one_line(tmp_path, options):
    path, rng = tmp_path / "a.tif", np.random.default_rng(1)
    whole = np.frombuffer(write(path, GREY, **options).read_bytes(), np.uint8)
    refused = 0
    for _ in range(50):
        damaged = whole.copy()
        damaged[rng.integers(0, min(len(whole), 400), 3)] ^= rng.integers(1, 256, 3, dtype=np.uint8)
        path.write_bytes(damaged.tobytes())
        for read in (read_image, read_mask, read_spacing):
            try:
                read(path)
            except DatasetError as error:
                refused += 1
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert refused > 0


def test_a_page_beyond_the_limit_of_pillow(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", DEEP)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DatasetError, match=r"a\.tif: is 6 x 7 pixels large; cut it into tiles"):
        read_image(path)


def test_what_a_file_is_called_does_not_matter(tmp_path):
    write(tmp_path / "a.png", np.float64([[0.25, 0.5]]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], [[0.25, 0.5]])
    PIL.Image.fromarray(GREY[0]).save(tmp_path / "b.tif", format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif")[..., 0], GREY[0])
