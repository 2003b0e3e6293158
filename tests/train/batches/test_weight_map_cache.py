"""Weight maps are made once, and found again."""

import concurrent.futures
import errno
import functools
import time

import numpy as np
import pytest

from cwmi_jax.losses import MAPS
from train.batches.weight_map_cache import WeightMapCache

LABEL = np.array([[0, 1, 0, 0], [0, 1, 0, 1]], np.int32)


class Counted:
    """A map function that knows which masks it was asked for."""

    def __init__(self, function=lambda mask: mask * 2.0):
        self.masks = []
        self.function = function
        self.__qualname__ = "twice"

    def __call__(self, mask):
        self.masks.append(mask)
        return self.function(mask)


def cache(function, folder=None, **settings):
    return WeightMapCache({"weight_map": function}, **{"dataset": "some", "classes": 2, "folder": folder, **settings})


@pytest.mark.parametrize("on_disk", [False, True])
def test_each_image_is_asked_for_once(tmp_path, on_disk):
    twice = Counted()
    maps = cache(twice, tmp_path if on_disk else None)
    for _ in range(3):
        np.testing.assert_array_equal(maps("a", LABEL)["weight_map"], 2 * LABEL)
        np.testing.assert_array_equal(maps("b", 1 - LABEL)["weight_map"], 2 - 2 * LABEL)
    assert len(twice.masks) == 2
    np.testing.assert_array_equal(twice.masks[0], LABEL == 1)
    assert twice.masks[0].dtype == bool and maps("a", LABEL)["weight_map"].dtype == np.float32


def test_folder_serves_the_next_run_and_holds_nothing_else(tmp_path):
    cache(Counted(), tmp_path)("a/../b c", LABEL)
    again = Counted()
    np.testing.assert_array_equal(cache(again, tmp_path)("a/../b c", LABEL)["weight_map"], 2 * LABEL)
    assert not again.masks
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.parent == tmp_path / "some" / "twice" and file.suffix == ".npy"


def test_a_map_does_not_depend_on_the_unit_of_a_header():
    """Two walls of pixels of 250 nm in millimetres: sigma is 5 pixels of the finest axis."""
    mask = np.zeros((9, 12), np.int32)
    mask[:, 3], mask[:, 7:9] = 1, 1

    def weights(spacing):
        return cache(MAPS["wce"]["weight_map"])("a", mask, spacing)["weight_map"]

    np.testing.assert_allclose(weights((2.5e-4, 2.5e-4)), weights(None), rtol=1e-6)
    # d1 = d2 = 1, and 1 and 2 pixels; three times that where columns are three rows wide.
    np.testing.assert_allclose(weights((0.25, 0.25))[4, [3, 7]], 10 * np.exp([-4 / 50, -9 / 50]), rtol=1e-6)
    np.testing.assert_allclose(weights((2.5e-4, 7.5e-4))[4, [3, 7]], 10 * np.exp([-36 / 50, -81 / 50]), rtol=1e-6)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize(
    ("name", "label"),
    [("a_b", LABEL), ("a/b ", LABEL), ("a/b", 1 - LABEL), ("a/b", LABEL.reshape(4, 2))],
)
def test_other_images_have_other_maps(tmp_path, on_disk, name, label):
    twice = Counted()
    maps = cache(twice, tmp_path if on_disk else None)
    maps("a/b", LABEL)
    np.testing.assert_array_equal(maps(name, label)["weight_map"], 2 * label)
    assert len(twice.masks) == 2


@pytest.mark.parametrize("settings", [{"dataset": "other"}, {"dataset": "some "}, {"classes": 3}])
def test_data_sets_share_a_folder(tmp_path, settings):
    cache(Counted(), tmp_path)("a", LABEL)
    other = Counted()
    cache(other, tmp_path, **settings)("a", LABEL)
    assert other.masks


def test_settings_of_a_partial_tell_maps_apart(tmp_path):
    function = MAPS["wce"]["weight_map"]
    wide = cache(functools.partial(function, sigma=50.0), tmp_path)("a", LABEL)["weight_map"]
    narrow = cache(functools.partial(function, sigma=0.5), tmp_path)("a", LABEL)["weight_map"]
    np.testing.assert_allclose(wide, function(LABEL, sigma=50.0), rtol=1e-6)
    np.testing.assert_allclose(narrow, function(LABEL, sigma=0.5), rtol=1e-6)


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "pickle", "other"])
def test_damaged_file_is_made_again_with_a_warning(tmp_path, damage):
    cache(Counted(), tmp_path)("a", LABEL)
    (file,) = tmp_path.rglob("*.npy")
    whole = file.read_bytes()
    if damage == "pickle":
        np.save(file, np.array([{}], object), allow_pickle=True)
    elif damage == "other":
        np.save(file, np.zeros((5, 5), np.float32))
    else:
        file.write_bytes({"empty": b"", "cut": whole[:-3], "garbage": b"PK\x03\x04" + whole[4:]}[damage])
    again = Counted()
    with pytest.warns(UserWarning, match=r"the weight map .*a-\w+\.npy is damaged and is made again"):
        np.testing.assert_array_equal(cache(again, tmp_path)("a", LABEL)["weight_map"], 2 * LABEL)
    assert len(again.masks) == 1 and file.read_bytes() == whole


@pytest.mark.parametrize("on_disk", [False, True])
def test_threads_share_the_work(tmp_path, on_disk):
    def slow(mask):
        time.sleep(0.02)
        return mask * 2.0

    counted = Counted(slow)
    maps = cache(counted, tmp_path if on_disk else None)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: maps("a", LABEL), range(8)):
            np.testing.assert_array_equal(made["weight_map"], 2 * LABEL)
    assert len(counted.masks) == 1


@pytest.mark.parametrize("loss", MAPS)
def test_the_library_s_maps_of_two_classes(tmp_path, loss):
    label = np.kron(LABEL, np.ones((3, 3), np.int32))
    maps = WeightMapCache(MAPS[loss], dataset="some", classes=2, folder=tmp_path)
    for _ in range(2):
        made = maps("a", label)
        assert made.keys() == MAPS[loss].keys()
        for keyword, function in MAPS[loss].items():
            np.testing.assert_allclose(made[keyword], function(label), rtol=1e-6)
            assert made[keyword].dtype == (bool if "skeleton" in keyword else np.float32)


def test_more_classes_have_a_map_each():
    label = np.array([[0, 1, 1, 2, 2, 2, 0]], np.int32)
    made = WeightMapCache(MAPS["boundary"], dataset="some", classes=3)("a", label)["distance_map"]
    # By hand: distances to the class, and within it 1 less than those to the others, negative.
    np.testing.assert_array_equal(np.moveaxis(made, -1, 0)[:, 0], [
        [0, 1, 2, 3, 2, 1, 0],
        [1, 0, 0, 1, 2, 3, 4],
        [3, 2, 1, 0, -1, 0, 1],
    ])  # fmt: skip


def test_a_map_of_labels_is_made_of_all_classes_at_once():
    label = np.zeros((5, 12), np.int32)
    label[1:4, :6], label[1:4, 6:] = 1, 2
    made = WeightMapCache(MAPS["skeleton_recall"], dataset="some", classes=3)("a", label)["tubed_skeleton"]
    assert made.dtype == bool and made.shape == label.shape
    # The band's middle row and one to each side, through both classes.
    np.testing.assert_array_equal(made[:, 3:9], (label > 0)[:, 3:9])


def test_errors(tmp_path):
    with pytest.raises(ValueError, match=r"abw_weight_map makes 2 channels of one mask.*; 'some' has 3"):
        WeightMapCache(MAPS["abw"], dataset="some", classes=3)("a", LABEL)
    with pytest.raises(ValueError, match=r"twice must make a map \(2, 4\) of 'a', .* got \(4, 2\)"):
        cache(Counted(np.transpose))("a", LABEL)
    with pytest.raises(
        ValueError, match=r"the function for weight_map must have a name to be kept on disk, got .*lambda"
    ):
        cache(lambda mask: mask, tmp_path)


def test_full_disk_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(file, array):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match=r"cannot keep a weight map: No space left on device: '.*a-\w+\.npy'"):
        cache(Counted(), tmp_path)("a", LABEL)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory: '.*file/some/twice/a-\w+\.npy'"):
        cache(Counted(), tmp_path / "file")("a", LABEL)
