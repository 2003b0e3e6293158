"""Anyone's images and masks: every kind that is read, and every kind of mistake."""

import json

import nibabel
import numpy as np
import pytest
import tifffile

from tests.train.datasets.tree import BINARY, RNG, THREE, Tree, grey, rgb
from train.datasets import DatasetError, survey, typical_spacing
from train.prepare import contents


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_pictures_of_every_format_and_size_in_the_order_of_their_names(tree):
    images = {"c": grey(), "a": grey(5, 2), "b.x": grey(1, 1), "d": grey(), "e": grey()}
    for (stem, image), suffix in zip(images.items(), ("png", "TIF", "bmp", "gif", "jpeg"), strict=True):
        tree.add(f"images/{stem}.{suffix}", image)
        tree.add(f"masks/{stem}.png", np.resize(BINARY, image.shape))
    (tree.root / "images" / "notes.txt").write_text("microscope 2")
    (tree.root / "masks" / ".DS_Store").write_text("")
    dataset = tree.open()
    assert dataset.names == ("a", "b.x", "c", "d", "e")
    assert (dataset.classes, dataset.channels, dataset.spatial_dims) == (2, 1, 2)
    assert dataset.original_splits == ("",) * 5
    for name, image, label, _ in list(dataset)[:4]:
        np.testing.assert_allclose(image[..., 0], images[name] / 255, rtol=1e-6)
        np.testing.assert_array_equal(label, np.resize(BINARY, label.shape) == 255)


@pytest.mark.parametrize("masks", [BINARY, BINARY // 255, BINARY > 0], ids=["0 and 255", "0 and 1", "one bit"])
def test_two_classes(tree, masks):
    tree.add("images/a.png", rgb())
    tree.add("masks/a.png", masks)
    assert tree.open().classes == 2
    np.testing.assert_array_equal(tree.open()[0].label, BINARY == 255)


def test_more_classes_may_be_spread_over_the_masks(tree):
    for name, values in (("a", THREE), ("b", np.where(THREE == 1, 3, 0)), ("c", np.zeros_like(THREE))):
        tree.add(f"images/{name}.png", rgb())
        tree.add(f"masks/{name}.png", values.astype(np.uint8))
    dataset = tree.open()
    assert dataset.classes == 4 and dataset.channels == 3
    np.testing.assert_array_equal(dataset[0].label, THREE)
    np.testing.assert_array_equal(dataset[1].label, [[0, 3, 0, 0], [3, 3, 0, 0], [0] * 4])


def test_transparency_is_dropped(tree):
    image = rgb()
    tree.add("images/a.png", np.dstack([image, grey()]))
    tree.add("images/b.png", image)
    for name in "ab":
        tree.add(f"masks/{name}.png", BINARY)
    dataset = tree.open()
    assert dataset.channels == 3
    np.testing.assert_array_equal(dataset[0].image, dataset[1].image)


def test_what_is_called_transparency_is_told_once_for_it_may_be_a_channel(tree, caplog):
    for name in "ab":
        # As tifffile writes four channels unless it is told otherwise.
        tifffile.imwrite(tree.root / "images" / f"{name}.tif", RNG.integers(0, 65536, (3, 4, 4), dtype=np.uint16))
        tree.add(f"masks/{name}.png", BINARY)
    assert tree.open().channels == 3
    said = [record.getMessage() for record in caplog.records if "transparency" in record.getMessage()]
    assert said == [
        f"{tree.root}/images/a.tif and 1 more: read without the transparency; if it is a channel that was measured, save it "
        "as an unspecified sample"
    ]


def test_sixteen_bits_are_kept_beside_eight(tree):
    deep = RNG.integers(0, 65536, (3, 4), dtype=np.uint16)
    shallow = grey()
    tree.add("images/a.png", deep)
    tree.add("images/b.png", shallow)
    for name in "ab":
        tree.add(f"masks/{name}.png", BINARY)
    dataset = tree.open()
    np.testing.assert_array_equal(np.rint(dataset[0].image[..., 0].astype(np.float64) * 65535), deep)
    np.testing.assert_allclose(dataset[1].image[..., 0], shallow / 255, rtol=1e-6)


def test_floats_beside_eight_and_sixteen_bits(tree):
    values = RNG.random((3, 4), dtype=np.float32)
    tree.add("images/a.tif", values)
    tree.add("images/b.png", np.full((3, 4), 51, np.uint8))
    deep = np.full((3, 4), 13107, np.uint16)
    deep[0, 0] = 65535
    tree.add("images/c.png", deep)
    for name in "abc":
        tree.add(f"masks/{name}.png", BINARY)
    a, b, c = tree.open()
    np.testing.assert_array_equal(a.image[..., 0], values)
    np.testing.assert_allclose([b.image[1:], c.image[1:]], 0.2, rtol=1e-6)


def spaced(tree, name, spacing):
    """A NIfTI volume and its mask, whose voxels are so many millimetres apart."""
    for part, values in (
        ("images", RNG.random((4, 5, 6), dtype=np.float32)),
        ("masks", np.eye(4, 30).reshape(4, 5, 6)),
    ):
        path = tree.root / part / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.diag([*spacing, 1])), path)


def test_millimetres_between_voxels(tree):
    spaced(tree, "a", (3.0, 0.5, 0.75))
    spaced(tree, "b", (2.0, 0.5, 0.75))
    spaced(tree, "c", (9.0, 0.5, 0.75))
    dataset = tree.open()
    assert dataset.length_unit == "mm"
    assert [facts.spacing for facts in dataset.images] == [(length, 0.5, 0.75) for length in (3, 2, 9)]
    assert typical_spacing(dataset, [0, 1, 2]) == (3, 0.5, 0.75)
    assert typical_spacing(dataset, [1, 2]) == (5.5, 0.5, 0.75)


def test_micrometres_between_pixels_of_a_microscope(tree):
    for name in "ab":
        for part, dtype in (("images", np.float32), ("masks", np.uint8)):
            tifffile.imwrite(
                tree.root / part / f"{name}.tif",
                np.eye(4, 30).reshape(4, 5, 6).astype(dtype),
                imagej=True,
                resolution=(4, 4),
                metadata={"axes": "ZYX", "spacing": 1.0, "unit": "um"},
            )
    dataset = tree.open()
    assert dataset.length_unit == "\N{MICRO SIGN}m"
    assert typical_spacing(dataset, [0, 1]) == pytest.approx((1.0, 0.25, 0.25))
    assert "4 x 5 x 6 pixels, 1 x 0.25 x 0.25 \N{MICRO SIGN}m apart" in contents(dataset)
    # On disk they are what they were before data sets had units of their own.
    written = json.loads((dataset.path / "complete.json").read_text())["images"]
    assert written[0][-1] == pytest.approx([1e-3, 2.5e-4, 2.5e-4])


def test_lengths_of_two_units_are_not_compared(tree, caplog):
    spaced(tree, "a", (3.0, 0.5, 0.75))
    for part, dtype in (("images", np.float32), ("masks", np.uint8)):
        tifffile.imwrite(
            tree.root / part / "b.tif", np.eye(4, 30).reshape(4, 5, 6).astype(dtype), photometric="minisblack"
        )
    dataset = tree.open()
    assert [facts.spacing for facts in dataset.images] == [None, None] and dataset.length_unit == "pixels"
    assert "images/b.tif does not say how far apart its pixels lie" in caplog.text
    assert typical_spacing(dataset, [0, 1]) is None


def test_axes_of_different_directions_are_told(tree, caplog):
    spaced(tree, "a", (1.0, 1.0, 1.0))
    spaced(tree, "b", (1.0, 1.0, 1.0))
    tree.open()
    assert caplog.text == ""
    for part in ("images", "masks"):
        path = tree.root / part / "c.nii.gz"
        volume = nibabel.load(tree.root / part / "a.nii.gz")
        turned = np.array([[0, 0, -1, 9], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        nibabel.save(nibabel.Nifti1Image(np.asarray(volume.dataobj), turned), path)
    tree.open()
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tree.root}/images/a.nii.gz has its axes in the directions RAS, and {tree.root}/images/c.nii.gz in ASL: they are "
        "read in the order of each file; turn all the same way, as nibabel.as_closest_canonical does"
    )


def test_volumes(tree):
    volume = RNG.random((4, 5, 6), dtype=np.float32)
    labels = RNG.integers(0, 3, (4, 5, 6)).astype(np.int16)
    tree.add("images/a.nii.gz", volume)
    tree.add("masks/a.nii", labels)
    dataset = tree.open()
    assert dataset.names == ("a",) and (dataset.classes, dataset.spatial_dims) == (3, 3)
    np.testing.assert_array_equal(dataset[0].image[..., 0], volume)
    np.testing.assert_array_equal(dataset[0].label, labels)


def test_one_image_is_enough_to_prepare(tree):
    tree.add("images/a.png", grey())
    tree.add("masks/a.png", BINARY)
    assert len(tree.open()) == 1


def test_empty_folders_show_what_is_expected(tree):
    with pytest.raises(DatasetError, match=r"lacks images/\* and masks/\*") as raised:
        tree.open()
    assert "masks/a.png, b.png" in str(raised.value)
    tree.add("images/a.png", grey())
    with pytest.raises(DatasetError, match=r"mine lacks masks/\*\n"):
        tree.open()
    (tree.root / "masks" / "notes.txt").write_text("to do")
    assert tree.error() == (
        "mine/masks: holds no image; supported: .nii.gz, .nii, .png, .tif, .tiff, .jpg, .jpeg, .bmp, .gif"
    )


def test_image_without_mask_and_mask_without_image(tree):
    tree.pair()
    extra = tree.add("images/b.tif", grey())
    assert tree.error() == "mine/images/b.tif: no mask 'b' in mine/masks for this image; add it or remove this"
    extra.unlink()
    tree.add("masks/B.png", BINARY)
    assert tree.error() == "mine/masks/B.png: no image 'B' in mine/images for this mask; add it or remove this"


def test_two_files_of_one_name(tree):
    tree.pair()
    tree.add("images/a.tif", grey())
    assert tree.error() == "mine/images/a.tif: has the same name as a.png; keep one of them"


def test_what_is_no_image(tree):
    tree.pair()
    (tree.root / "images" / "film.avi").write_text("")
    assert tree.error().startswith("mine/images/film.avi: is of no supported kind (.nii.gz, .nii, .png")
    (tree.root / "images" / "film.avi").unlink()
    (tree.root / "masks" / "more").mkdir()
    assert tree.error() == "mine/masks/more: is a folder; the files must lie in mine/masks itself"


def test_truncated_image(tree):
    tree.pair()
    path = tree.root / "images" / "a.png"
    path.write_bytes(path.read_bytes()[:-30])
    assert tree.error().startswith("mine/images/a.png: cannot be read (")


def test_mask_of_another_size(tree):
    tree.pair(image=grey(3, 5))
    assert tree.error() == (
        "mine/masks/a.png: is 3 x 4, but its image mine/images/a.png is 3 x 5; draw the mask on the image's own pixels"
    )


def test_mixed_channels(tree):
    tree.pair("a", grey())
    tree.pair("b", rgb())
    assert tree.error() == (
        "mine/images/b.png: has 2 spatial axes and 3 channels, but mine/images/a.png has 2 spatial axes and 1 channel; "
        "convert one of them"
    )


def test_pictures_beside_volumes(tree):
    tree.pair()
    tree.add("images/v.nii", np.zeros((2, 3, 4), np.uint8))
    tree.add("masks/v.nii", np.zeros((2, 3, 4), np.uint8))
    assert "v.nii: has 3 spatial axes and 1 channel, but mine/images/a.png has 2 spatial axes" in tree.error()


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ([0, 1, 3, 3], "holds 3, all masks together 0, 1, 3, where"),
        ([0, 128, 255, 0], "holds 128, all masks together 0, 128, 255, where"),
        ([2, 2, 0, 0], "holds 2, all masks together 0, 2, where"),
    ],
)
def test_masks_with_unexpected_values(tree, second, found):
    tree.pair("a", mask=np.zeros((1, 4), np.uint8), image=grey(1, 4))
    tree.pair("b", mask=np.uint8([second]), image=grey(1, 4))
    message = tree.error()
    assert message.startswith(f"mine/masks/b.png: {found} 0 and 255, or 0, 1, ..., C - 1 without a gap")
    assert message.endswith("renumber the classes")


def test_zero_and_one_in_one_mask_and_255_in_another(tree):
    tree.pair("a", mask=BINARY)
    tree.pair("b", mask=BINARY // 255)
    assert tree.error().startswith("mine/masks/a.png: holds 255, all masks together 0, 1, 255, where")


def test_masks_of_one_class(tree):
    tree.pair("a", mask=np.zeros_like(BINARY))
    tree.pair("b", mask=np.zeros_like(BINARY))
    assert tree.error() == "mine/masks/a.png: holds 0 alone, as do all masks; two classes are needed"


def test_instance_numbers_are_no_classes(tree):
    tree.pair(image=grey(20, 20), mask=np.arange(400, dtype=np.uint16).reshape(20, 20))
    message = tree.error()
    assert "holds 256, all masks together 0, 1, 2, 3, 4, 5, 6, 7, ... (400 values)" in message
    assert "C at most 256" in message


def test_jpeg_masks_are_told_apart(tree):
    tree.add("images/a.png", grey(16, 16))
    tree.add("masks/a.jpg", np.kron(np.eye(4), np.full((4, 4), 255)).astype(np.uint8))
    assert tree.error().endswith("JPEG alters values: save masks as PNG")


def test_an_image_too_large_for_one_example(tree, monkeypatch):
    monkeypatch.setattr(survey, "MAX_BYTES", 2**20)
    tree.pair(image=grey(1024, 512), mask=np.resize(BINARY, (1024, 512)))
    assert tree.error() == "mine/images/a.png: takes 3 MiB, more than the 1 MiB of one example; cut it"


def test_negative_class_numbers(tree):
    tree.add("images/a.nii", np.zeros((2, 2, 2), np.uint8))
    tree.add("masks/a.nii", np.full((2, 2, 2), -1, np.int16) + np.eye(2, dtype=np.int16))
    assert tree.error().startswith("mine/masks/a.nii: holds -1, all masks together -1, 0, where")
