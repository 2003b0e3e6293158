"""The paper's data sets and ISBI 2012, on tiny trees of the original formats, and on the real images where they are."""

import hashlib
import pathlib

import numpy as np
import PIL.Image
import pytest
import tifffile

from train.datasets import DatasetError, open_dataset
from train.datasets.massachusetts_roads import MassachusettsRoads

REAL = pathlib.Path(__file__).parents[3].parent / "shared" / "data"

RNG = np.random.default_rng(0)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(array).save(path, **options)


def pixels(path):
    with PIL.Image.open(path) as picture:
        return np.asarray(picture)


def rgb(rows, columns):
    return RNG.integers(0, 255, (rows, columns, 3), dtype=np.uint8)


@pytest.fixture
def opened(tmp_path):
    """Opens a data set from the tree in `tmp_path / "source"`."""

    def call(name):
        return open_dataset(name, data_dir=tmp_path / "data", source=tmp_path / "source")

    return call


@pytest.fixture
def drive_tree(tmp_path):
    """One image of each split, 30 x 31 pixels, with a vessel down the last column of the test image."""
    images = {"21_training": rgb(30, 31), "01_test": rgb(30, 31)}
    vessels = np.zeros((2, 30, 31), np.uint8)
    vessels[0, 4] = 255
    vessels[1, :, 30] = 255
    for (stem, image), vessel in zip(images.items(), vessels, strict=True):
        number, split = stem.split("_")
        save(tmp_path / "source" / split / "images" / f"{stem}.tif", image, compression="tiff_lzw")
        save(tmp_path / "source" / split / "1st_manual" / f"{number}_manual1.gif", vessel)
        save(tmp_path / "source" / split / "mask" / f"{stem}_mask.gif", np.full((30, 31), 255, np.uint8))
    return images


def test_drive_is_padded_at_its_edges_and_vessels_are_foreground(drive_tree, opened, caplog):
    dataset = opened("drive")
    assert "drive: " in caplog.text and "gives 2 images, the whole set has 40" in caplog.text
    assert (dataset.name, dataset.classes, dataset.channels, dataset.spatial_dims) == ("drive", 2, 3, 2)
    assert dataset.names == ("01_test", "21_training") and dataset.original_splits == ("test", "training")
    test, training = dataset
    # 30 x 31 -> 32 x 32: one row above and below, one column at the end.
    expected = np.zeros((32, 32), np.int32)
    expected[:, 30:] = 1
    np.testing.assert_array_equal(test.label, expected)
    expected = np.zeros((32, 32), np.int32)
    expected[5] = 1
    np.testing.assert_array_equal(training.label, expected)
    image = drive_tree["21_training"]
    np.testing.assert_allclose(training.image[1:31, :31], image / 255, rtol=1e-6)
    np.testing.assert_allclose(training.image[31, 31], image[29, 30] / 255, rtol=1e-6)
    np.testing.assert_array_equal(training.image[0], training.image[1])
    assert training.image.dtype == np.float32 and training.label.dtype == np.int32


def test_drive_without_an_annotation_or_with_greys_in_it_names_the_file(drive_tree, opened, tmp_path):
    path = tmp_path / "source" / "training" / "1st_manual" / "21_manual1.gif"
    save(path, np.full((30, 31), 7, np.uint8))
    with pytest.raises(DatasetError, match=r"21_manual1\.gif: must hold 0 and 255 alone, got 7; take the original"):
        opened("drive")
    path.rename(path.with_name("22_manual1.gif"))
    with pytest.raises(DatasetError, match=r"21_training\.tif: no mask '21' in .*1st_manual for this image; add it"):
        opened("drive")


@pytest.mark.parametrize("nested", ["Warwick_QU_Dataset", "."])
def test_glas_is_padded_with_white_and_glands_are_background(tmp_path, opened, nested):
    folder = tmp_path / "source" / nested
    image = rgb(35, 33)
    glands = np.zeros((35, 33), np.uint8)
    glands[0, 0], glands[34, 32] = 1, 2
    save(folder / "testA_1.bmp", image)
    save(folder / "testA_1_anno.bmp", glands)
    save(folder / "train_10.bmp", rgb(32, 64))
    save(folder / "train_10_anno.bmp", np.ones((32, 64), np.uint8))
    (folder / "Grade.csv").write_text("name, patient ID\n")
    dataset = opened("glas")
    assert dataset.names == ("testA_1", "train_10") and dataset.original_splits == ("testA", "train")
    # 35 x 33 -> 64 x 64: 14 rows and 15 columns before, the rest after.
    expected = np.ones((64, 64), np.int32)
    expected[14, 15] = expected[48, 47] = 0
    np.testing.assert_array_equal(dataset[0].label, expected)
    np.testing.assert_allclose(dataset[0].image[14:49, 15:48], image / 255, rtol=1e-6)
    outside = np.ones((64, 64), bool)
    outside[14:49, 15:48] = False
    assert (dataset[0].image[outside] == 1).all()
    assert dataset[1].image.shape == (32, 64, 3) and not dataset[1].label.any()


def test_glas_needs_colour(tmp_path, opened):
    for name in ("train_1", "train_1_anno"):
        save(tmp_path / "source" / f"{name}.bmp", np.zeros((4, 4), np.uint8))
    with pytest.raises(DatasetError, match=r"train_1\.bmp: must be 8-bit RGB, got uint8 with 1 channels; take the"):
        opened("glas")


def test_snemi3d_slices_have_their_boundaries_as_foreground(tmp_path, opened):
    images = RNG.integers(0, 256, (2, 4, 4), dtype=np.uint8)
    instances = np.uint16([np.full((4, 4), 300), np.full((4, 4), 7)])
    instances[0, :, 2:] = 301  # a boundary down the middle
    instances[1, 0, 0] = 0  # outside every neurite
    (tmp_path / "source").mkdir()
    tifffile.imwrite(tmp_path / "source" / "train-input.tif", images, photometric="minisblack")
    tifffile.imwrite(tmp_path / "source" / "train-labels.tif", instances, photometric="minisblack")
    dataset = opened("snemi3d")
    assert dataset.names == ("000", "001") and dataset.channels == 1
    np.testing.assert_array_equal(dataset[0].label, [[0, 1, 1, 0]] * 4)
    np.testing.assert_array_equal(dataset[1].label, [[1, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4])
    np.testing.assert_allclose(dataset[1].image[..., 0], images[1] / 255, rtol=1e-6)


def test_stacks_that_do_not_fit_together_name_both(tmp_path, opened):
    (tmp_path / "source").mkdir()
    image, labels = tmp_path / "source" / "train-input.tif", tmp_path / "source" / "train-labels.tif"
    tifffile.imwrite(image, np.zeros((2, 4, 4), np.uint8), photometric="minisblack")
    tifffile.imwrite(labels, np.zeros((3, 4, 4), np.uint8), photometric="minisblack")
    with pytest.raises(DatasetError, match=r"labels\.tif: has shape \(3, 4, 4\), but .*input\.tif has \(2, 4, 4\)"):
        opened("snemi3d")
    tifffile.imwrite(image, np.zeros((3, 4, 4), np.float32), photometric="minisblack")
    with pytest.raises(DatasetError, match=r"input\.tif: must hold 8- or 16-bit grey values, got float32"):
        opened("snemi3d")


def roads_tree(folder, lengths):
    """Images whose first row holds a road of each length; the rest of every image is black."""
    for index, length in enumerate(lengths):
        road = np.zeros((30, 64), np.uint8)
        road[0, :length] = 255
        save(folder / "tiff" / "train" / f"image_{index}.tiff", np.zeros((30, 64, 3), np.uint8))
        save(folder / "tiff" / "train_labels" / f"image_{index}.tif", road)


def test_massachusetts_roads_draws_from_the_images_with_most_visible_road(tmp_path, opened, monkeypatch):
    roads_tree(tmp_path / "source", [10, 0, 30, 20, 64])
    # The longest road lies where there is no photograph.
    save(tmp_path / "source" / "tiff" / "train" / "image_4.tiff", np.full((30, 64, 3), 255, np.uint8))
    monkeypatch.setattr(MassachusettsRoads, "CANDIDATES", 3)
    monkeypatch.setattr(MassachusettsRoads, "DRAWN", 2)
    dataset = opened("massachusetts_roads")
    assert len(dataset) == 2 and set(dataset.names) < {"image_0", "image_2", "image_3"}
    assert dataset.facts["seed"] == 0 and dataset.facts["candidates"] == 3 and dataset.facts["images"] == 5
    for name, _, label, _ in dataset:
        # 30 rows -> 32: the road's row is repeated above it.
        length = {"image_0": 10, "image_2": 30, "image_3": 20}[name]
        assert label.shape == (32, 64) and label[:2, :length].all() and label.sum() == 2 * length


@pytest.mark.parametrize("layout", ["pictures", "stacks"])
def test_isbi2012_is_inverted(tmp_path, opened, layout):
    source = tmp_path / "source"
    images = RNG.integers(0, 256, (2, 3, 4), dtype=np.uint8)
    labels = np.full((2, 3, 4), 255, np.uint8)
    labels[0, 1] = labels[1, :, 3] = 0
    source.mkdir()
    if layout == "stacks":
        tifffile.imwrite(source / "train-volume.tif", images, photometric="minisblack")
        tifffile.imwrite(source / "train-labels.tif", labels, photometric="minisblack")
    else:
        for index in range(2):
            save(source / "images" / f"{index:02d}.png", images[index])
            save(source / "labels" / f"{index:02d}.png", labels[index])
    dataset = opened("isbi2012")
    assert dataset.names == ("00", "01") and (dataset.classes, dataset.channels) == (2, 1)
    np.testing.assert_array_equal(dataset[0].label, [[0] * 4, [1] * 4, [0] * 4])
    np.testing.assert_array_equal(dataset[1].label, [[0, 0, 0, 1]] * 3)
    np.testing.assert_allclose(dataset[1].image[..., 0], images[1] / 255, rtol=1e-6)


def test_isbi2012_refuses_colours_and_other_annotations(tmp_path, opened):
    save(tmp_path / "source" / "images" / "00.png", rgb(3, 4))
    save(tmp_path / "source" / "labels" / "00.png", np.zeros((3, 4), np.uint8))
    with pytest.raises(DatasetError, match=r"images/00\.png: must be grey, got 3 channels; take the original file"):
        opened("isbi2012")
    save(tmp_path / "source" / "images" / "00.png", np.zeros((3, 4), np.uint8))
    save(tmp_path / "source" / "labels" / "00.png", np.ones((3, 4), np.uint8))
    with pytest.raises(DatasetError, match=r"labels/00\.png: must hold 0 on membranes and 255 elsewhere, got 1"):
        opened("isbi2012")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("drive", ["training/1st_manual/*.gif", "21_training.tif", "drive.grand-challenge.org", "Staal"]),
        ("glas", ["*_anno.bmp", "Warwick_QU_Dataset/", "kaggle.com/datasets/sani84", "Sirinukunwattana"]),
        ("snemi3d", ["train-input.tif and train-labels.tif", "zenodo.org/record/7142003", "Kasthuri"]),
        ("massachusetts_roads", ["tiff/train/*.tiff", "10078660_15.tif", "~vmnih/data", "Mnih"]),
        ("isbi2012", ["images/*.png and labels/*.png or train-volume.tif", "isbi-2012-segmentation", "Arganda"]),
        ("folder", ["images/* and masks/*", "the same names; 0 and 255"]),
    ],
)
def test_a_wrong_folder_shows_what_is_expected_and_what_is_there(tmp_path, opened, name, expected):
    with pytest.raises(DatasetError) as raised:
        opened(name)
    assert f"{name}: there is no folder {tmp_path / 'source'}" in str(raised.value)
    (tmp_path / "source" / "holidays").mkdir(parents=True)
    (tmp_path / "source" / "beach.png").write_text("")
    with pytest.raises(DatasetError) as raised:
        opened(name)
    message = str(raised.value)
    origin = () if name == "folder" else ("licence: ", "citation: ")
    for part in (*expected, f"{name}: {tmp_path / 'source'} lacks ", *origin):
        assert part in message
    assert message.endswith(f"found in {tmp_path / 'source'}:\n  beach.png\n  holidays/")


def test_a_folder_around_the_archive_is_looked_into_unless_there_are_two(drive_tree, tmp_path):
    both = tmp_path / "both"
    both.mkdir()
    (tmp_path / "source").rename(both / "DRIVE")
    assert len(open_dataset("drive", data_dir=tmp_path / "data", source=both)) == 2
    for split in ("training", "test"):
        save(both / "copy" / split / "images" / "1.tif", rgb(4, 4))
        save(both / "copy" / split / "1st_manual" / "1.gif", np.zeros((4, 4), np.uint8))
    with pytest.raises(DatasetError, match=r"both holds several such folders; name one of DRIVE, copy"):
        open_dataset("drive", data_dir=tmp_path / "data", source=both)


@pytest.mark.skipif(not (REAL / "DRIVE").is_dir(), reason=f"no {REAL / 'DRIVE'}")
def test_real_drive(tmp_path):
    dataset = open_dataset("drive", data_dir=tmp_path, source=REAL / "DRIVE")
    assert len(dataset) == 40
    assert dataset.original_splits == ("test",) * 20 + ("training",) * 20
    for index in (0, 25):
        name, image, label, _ = dataset[index]
        split, number = dataset.original_splits[index], name[:2]
        source = pixels(REAL / "DRIVE" / split / "images" / f"{name}.tif")
        manual = pixels(REAL / "DRIVE" / split / "1st_manual" / f"{number}_manual1.gif") > 0
        assert image.shape == (608, 576, 3) and label.shape == (608, 576)
        np.testing.assert_array_equal(np.rint(image[12:-12, 5:-6] * 255), source)
        np.testing.assert_array_equal(label[12:-12, 5:-6], manual)
        assert not label[:12].any() and not label[:, -6:].any()


@pytest.mark.skipif(not (REAL / "ISBI2012").is_dir(), reason=f"no {REAL / 'ISBI2012'}")
def test_real_isbi2012(tmp_path):
    dataset = open_dataset("isbi2012", data_dir=tmp_path, source=REAL / "ISBI2012")
    assert len(dataset) == 30 and dataset.names[29] == "29"
    labels = np.stack([dataset[index].label for index in range(30)])
    assert labels.shape == (30, 512, 512)
    assert 0.2 < labels.mean() < 0.25  # about a fifth of the tissue is membrane
    source = pixels(REAL / "ISBI2012" / "labels" / "07.png")
    np.testing.assert_array_equal(labels[7] == 1, source == 0)
    images = {hashlib.sha256(example.image.tobytes()).digest() for example in dataset}
    assert len(images) == 30
