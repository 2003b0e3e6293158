"""Files of predictions, read back by other programs' readers."""

import gzip
import json

import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile

from tests.train.datasets.tree import Tree
from train.datasets.readers import read_image, read_spacing
from train.palette import class_colours
from train.prediction_files import write_prediction

AFFINE = np.array([[0, 0.7, 0, 5], [0.8, 0, 0, -6], [0, 0, 2.5, 7], [0, 0, 0, 1]])


def probabilities(*shape):
    values = np.random.default_rng(0).random(shape, np.float32)
    return values / values.sum(axis=-1, keepdims=True) if shape[-1] > 1 else values


def write_volume(path, shape, qform, sform, kind=nibabel.Nifti1Image):
    image = kind(np.zeros(shape, np.int16), AFFINE)
    image.set_qform(AFFINE if qform else None, qform)
    image.set_sform(AFFINE if sform else None, sform)
    image.header.set_zooms((0.8, 0.7, 2.5, 3.0)[: len(shape)])
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(0.5, 3)
    image.header["cal_max"] = 1000
    nibabel.save(image, path)
    return nibabel.load(path)


@pytest.mark.parametrize(("qform", "sform"), [(1, 1), (1, 0), (0, 2), (4, 2), (0, 0)])
@pytest.mark.parametrize("shape", [(6, 7, 8), (6, 7, 8, 1), (6, 7, 1), (6, 7)])
def test_a_prediction_lies_where_its_image_does(qform, sform, shape, tmp_path):
    """Codes, matrices, sizes and units of the header, whichever of them the file has."""
    image = write_volume(tmp_path / "v.nii.gz", shape, qform, sform)
    spatial = tuple(side for side in shape if side > 1)
    files = write_prediction(tmp_path, tmp_path / "v.nii.gz", probabilities(*spatial, 1))
    assert [file.name for file in files] == ["v_mask.nii.gz", "v_probability.nii.gz"]
    for file, dtype in zip(files, (np.uint8, np.float32), strict=True):
        written = nibabel.load(file)
        assert written.shape == shape[:3] and written.get_data_dtype() == dtype
        np.testing.assert_array_equal(written.affine, image.affine)
        for form in ("sform", "qform"):
            there, wanted = (getattr(one.header, f"get_{form}")(coded=True) for one in (written, image))
            assert there[1] == wanted[1]
            np.testing.assert_array_equal(there[0], wanted[0])
        assert written.header.get_zooms() == image.header.get_zooms()[:3]
        assert written.header.get_xyzt_units() == ("mm", "sec")
        # Neither a scale nor a range of greys of the image's.
        scale = np.frombuffer(gzip.decompress(file.read_bytes())[112:120], np.float32)
        assert scale.tolist() == [1, 0] and written.header["cal_max"] == 0


def test_classes_are_the_last_axis_of_a_nifti(tmp_path):
    write_volume(tmp_path / "v.nii", (6, 7, 8, 1), 1, 1, nibabel.Nifti2Image)
    wanted = probabilities(6, 7, 8, 3)
    mask, probability = map(nibabel.load, write_prediction(tmp_path, tmp_path / "v.nii", wanted))
    np.testing.assert_array_equal(probability.get_fdata(), wanted)
    np.testing.assert_array_equal(mask.get_fdata(), wanted.argmax(axis=-1))
    np.testing.assert_array_equal(probability.affine, AFFINE)
    assert isinstance(mask, nibabel.Nifti2Image) and probability.header.get_zooms()[3] == 1


def test_the_numbers_of_a_mask_have_colours(tmp_path):
    wanted = probabilities(9, 7, 12)
    files = write_prediction(tmp_path / "out", tmp_path / "a.jpg", wanted)
    assert [file.name for file in files] == ["a_mask.png", "a_probability.tif"]
    with PIL.Image.open(files[0]) as mask:
        np.testing.assert_array_equal(np.asarray(mask), wanted.argmax(axis=-1))
        np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), class_colours(12)[wanted.argmax(axis=-1)])
    np.testing.assert_array_equal(tifffile.imread(files[1]), np.moveaxis(wanted, -1, 0))


def of_classes(classes, count):
    """Probabilities whose mask is given."""
    share = np.eye(count, dtype=np.float32)[classes]
    return share[..., 1:] if count == 2 else share


@pytest.mark.parametrize(
    ("masks", "table", "kind"),
    [
        ([0, 255], None, "L"),
        ([0, 1], None, "P"),
        ([0, 1, 2], None, "P"),
        ([0, 10, 20], {"background": 0, "artery": 10, "vein": 20}, "P"),
        ([0, 255], {"rest": {"value": 0, "colour": "#ffffff"}, "road": {"value": 255, "colour": "#ff0000"}}, "P"),
        ([7, 1000, 40000], {"a": 7, "b": 1000, "c": 40000}, "I;16"),
        ([-1, 0, 70000], {"a": -1, "b": 0, "c": 70000}, "F"),
    ],
    ids=str,
)
def test_predicted_masks_are_the_users_own(masks, table, kind, tmp_path):
    """Their numbers, as another program reads them, and what is prepared of them in place of the user's."""
    classes = np.random.default_rng(0).integers(0, len(masks), (8, 9))
    drawn = np.array(masks)[classes]
    tree = Tree(tmp_path)
    tree.add("images/a.png", classes.astype(np.uint8))
    tifffile.imwrite(tree.root / "masks" / "a.tif", drawn.astype(np.int32))
    if table:
        (tree.root / "classes.json").write_text(json.dumps(table))
    dataset = tree.open()
    assert dataset.class_values == tuple(masks)
    settings = {"values": dataset.class_values, "colours": dataset.class_colours}
    mask, _ = write_prediction(
        tmp_path / "out", tree.root / "images" / "a.png", of_classes(classes, len(masks)), **settings
    )
    with PIL.Image.open(mask) as picture:
        assert picture.mode == kind
        np.testing.assert_array_equal(np.asarray(picture), drawn)
        if kind == "P":
            colours = class_colours(len(masks), dataset.class_colours)
            np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), colours[classes])
    (tree.root / "masks" / "a.tif").unlink()
    mask.rename(tree.root / "masks" / mask.name.replace("_mask", ""))
    again = tree.open()
    np.testing.assert_array_equal(again[0].label, classes)
    assert again.class_values == dataset.class_values


@pytest.mark.parametrize(
    ("values", "dtype"), [((0, 10, 20), np.uint8), ((-1, 0, 300), np.int16), ((0, 1, 70000), np.int32)]
)
def test_the_users_numbers_in_a_nifti(values, dtype, tmp_path):
    write_volume(tmp_path / "v.nii.gz", (6, 7, 8), 1, 1)
    classes = np.random.default_rng(0).integers(0, 3, (6, 7, 8))
    mask, _ = write_prediction(tmp_path / "out", tmp_path / "v.nii.gz", of_classes(classes, 3), values=values)
    assert nibabel.load(mask).get_data_dtype() == dtype
    np.testing.assert_array_equal(nibabel.load(mask).get_fdata(), np.array(values)[classes])


def test_the_users_numbers_in_pages(tmp_path):
    classes = np.random.default_rng(0).integers(0, 2, (4, 6, 5))
    mask, _ = write_prediction(tmp_path, tmp_path / "v.tif", of_classes(classes, 2), values=(0, 7))
    np.testing.assert_array_equal(tifffile.imread(mask), 7 * classes)


def test_where_the_users_numbers_are_not_known(tmp_path):
    """Data sets of this program, runs of earlier versions, and tables of colours alone, whose numbers are the palette's."""
    classes = np.random.default_rng(0).integers(0, 2, (6, 5))
    for colours, scale in (((), 255), (("#ffffff", "#ff0000"), 1)):
        mask, _ = write_prediction(tmp_path, tmp_path / "a.png", of_classes(classes, 2), colours=colours)
        with PIL.Image.open(mask) as picture:
            np.testing.assert_array_equal(np.asarray(picture), scale * classes)
            red = np.asarray(picture.convert("RGB"))[classes == 1]
            assert (red == ([255, 0, 0] if colours else 255)).all()
    write_volume(tmp_path / "v.nii", (6, 7, 8), 1, 1)
    classes = np.random.default_rng(0).integers(0, 2, (6, 7, 8))
    mask, _ = write_prediction(tmp_path / "out", tmp_path / "v.nii", of_classes(classes, 2))
    np.testing.assert_array_equal(nibabel.load(mask).get_fdata(), classes)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_volume_of_pages_gives_pages(classes, tmp_path):
    wanted = probabilities(4, 6, 5, 1 if classes == 2 else classes)
    files = write_prediction(tmp_path, tmp_path / "stack.tif", wanted)
    assert [file.name for file in files] == ["stack_mask.tif", "stack_probability.tif"]
    expected = np.where(wanted[..., 0] > 0.5, 255, 0) if classes == 2 else wanted.argmax(axis=-1)
    with tifffile.TiffFile(files[0]) as file:
        assert len(file.pages) == 4 and file.pages[0].dtype == np.uint8
        np.testing.assert_array_equal(file.asarray(), expected)
    # ImageJ's order: of each slice a page a class.
    probability = wanted[..., 0] if classes == 2 else np.moveaxis(wanted, -1, 1)
    np.testing.assert_array_equal(tifffile.imread(files[1]), probability)


def test_what_is_written_again_replaces_both_files_and_what_fails_replaces_none(tmp_path, monkeypatch):
    first, second = probabilities(9, 7, 1), probabilities(9, 7, 1)[::-1]
    files = write_prediction(tmp_path, tmp_path / "a.png", first)
    write_prediction(tmp_path, tmp_path / "a.png", second)
    np.testing.assert_array_equal(tifffile.imread(files[1]), second[..., 0])
    before = [file.read_bytes() for file in files]

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(ValueError, match=r"cannot be written \(No space left on device\)"):
        write_prediction(tmp_path, tmp_path / "a.png", first)
    assert [file.read_bytes() for file in files] == before
    assert sorted(tmp_path.iterdir()) == sorted(files)


@pytest.mark.parametrize(
    "written",
    [
        {"imagej": True, "resolution": (5, 4), "metadata": {"axes": "ZYX", "spacing": 1.5, "unit": "um"}},
        {"imagej": True, "resolution": (0.5, 0.4), "metadata": {"axes": "ZYX", "spacing": 40.0, "unit": "nm"}},
        {"imagej": True, "resolution": (1 / 0.7, 1 / 0.6), "metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "mm"}},
        {
            "ome": True,
            "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2},
        },
        {"imagej": True, "metadata": {"axes": "ZYX"}},
    ],
    ids=["um", "nm", "mm", "ome", "unknown"],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_volume_of_pages_keeps_its_spacing(written, classes, tmp_path):
    path = tmp_path / "v.tif"
    tifffile.imwrite(path, np.zeros((4, 6, 5), np.uint8), **written)
    spacing = read_spacing(path)
    assert (spacing is None) == (list(written["metadata"]) == ["axes"])
    for file in write_prediction(tmp_path / "out", path, probabilities(4, 6, 5, 1 if classes == 2 else classes)):
        assert read_spacing(file) == (None if spacing is None else pytest.approx(spacing, rel=1e-6))
        assert read_image(file).shape == (4, 6, 5, 3 if classes == 3 and "probability" in file.name else 1)
    # The unit that ImageJ shows, which it writes in ASCII.
    unit = written["metadata"].get("unit", "um" if "ome" in written else None)
    with tifffile.TiffFile(file) as probability:
        assert probability.imagej_metadata.get("unit") == {"um": r"\u00B5m"}.get(unit, unit)


def test_the_probabilities_of_a_picture_keep_its_spacing(tmp_path):
    path = tmp_path / "p.tif"
    tifffile.imwrite(path, np.zeros((6, 5), np.uint8), imagej=True, resolution=(5, 4), metadata={"unit": "um"})
    _, probability = write_prediction(tmp_path / "out", path, probabilities(6, 5, 3))
    assert read_spacing(probability) == pytest.approx((2.5e-4, 2e-4))
    assert read_image(probability).shape == (6, 5, 3)
