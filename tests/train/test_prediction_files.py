"""Files of predictions, read back by other programs' readers."""

import gzip

import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile

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


def test_two_classes_are_0_and_255_in_the_colours_of_the_user(tmp_path):
    wanted = probabilities(9, 7, 1)
    numbers = np.where(wanted[..., 0] > 0.5, 255, 0)
    for name, colours in (("a", ()), ("b", ("#102030", "#ff0000"))):
        file, _ = write_prediction(tmp_path, tmp_path / f"{name}.png", wanted, colours=colours)
        with PIL.Image.open(file) as mask:
            np.testing.assert_array_equal(np.asarray(mask), numbers)
            black, white = ([0x10, 0x20, 0x30], [255, 0, 0]) if colours else ([0] * 3, [255] * 3)
            painted = np.where(numbers[..., None] == 255, white, black)
            np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), painted)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_volume_of_pages_gives_pages(classes, tmp_path):
    wanted = probabilities(4, 6, 5, 1 if classes == 2 else classes)
    files = write_prediction(tmp_path, tmp_path / "stack.tif", wanted)
    assert [file.name for file in files] == ["stack_mask.tif", "stack_probability.tif"]
    expected = np.where(wanted[..., 0] > 0.5, 255, 0) if classes == 2 else wanted.argmax(axis=-1)
    with tifffile.TiffFile(files[0]) as file:
        assert len(file.pages) == 4 and file.pages[0].dtype == np.uint8
        np.testing.assert_array_equal(file.asarray(), expected)
    probability = wanted[..., 0] if classes == 2 else np.moveaxis(wanted, -1, 0)
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
