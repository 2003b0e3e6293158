"""A folder whose masks do not know every pixel, and whose classes have names."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest

from tests.train.datasets.tree import BINARY, THREE, Tree, grey, rgb

VOID = np.uint8([[0, 1, 255, 255, 2], [0, 1, 1, 255, 2]])
KNOWN = VOID != 255


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def classes(tree, table):
    (tree.root / "classes.json").write_text(json.dumps(table))


def test_a_number_to_ignore(tree):
    tree.pair(mask=VOID)
    assert "--data.ignore 255" in tree.error()
    dataset = tree.open(ignore=("255",))
    assert dataset.classes == 3
    example = dataset[0]
    np.testing.assert_array_equal(example.where, KNOWN)
    np.testing.assert_array_equal(example.label[KNOWN], VOID[KNOWN])
    # The nearest class that is known.
    np.testing.assert_array_equal(example.label[0], [0, 1, 1, 2, 2])
    assert dataset.images[0].pixels == (2, 3, 2)


def test_several_numbers_and_two_classes(tree):
    tree.pair(mask=np.uint8([[0, 255, 128, 64]]))
    dataset = tree.open(ignore=("128", "64"))
    assert dataset.classes == 2
    np.testing.assert_array_equal(dataset[0].where, [[True, True, False, False]])
    np.testing.assert_array_equal(dataset[0].label[0, :2], [0, 1])


def test_without_void_every_pixel_counts(tree):
    tree.pair(mask=THREE)
    assert tree.open()[0].where.all()


def test_a_field_of_view_says_what_is_not_to_be_ignored(tree):
    """As retina sets have it; and a folder of what is."""
    tree.pair(mask=BINARY)
    view = np.uint8([[255, 255, 255, 0]] * 3)
    tree.add("view/a.png", view)
    tree.add("blots/a.png", np.uint8([[0, 1, 0, 0]] * 3))
    np.testing.assert_array_equal(tree.open(ignore=("not:view",))[0].where, view > 0)
    np.testing.assert_array_equal(tree.open(ignore=("view",))[0].where, view == 0)
    both = tree.open(ignore=("not:view", "blots"))[0].where
    np.testing.assert_array_equal(both, [[True, False, True, False]] * 3)
    # Its names may follow another rule than those of the masks.
    (tree.root / "view" / "a.png").rename(tree.root / "view" / "a_view.png")
    np.testing.assert_array_equal(tree.open(ignore=("not:view",))[0].where, view > 0)
    (tree.root / "view" / "a_view.png").unlink()
    tree.add("view/a.png", view[:2])
    assert tree.error(ignore=("view",)).startswith(
        "mine/view/a.png: is 2 x 4, but its image mine/images/a.png is 3 x 4"
    )


def test_a_field_of_view_as_jpeg_has_blurred_edges(tree):
    round_ = np.uint8(np.hypot(*(np.indices((32, 32)) - 16)) < 12) * 255
    tree.pair(image=grey(32, 32), mask=np.uint8(np.eye(32) * 255))
    path = tree.add("view/a.jpg", round_)
    message = tree.error(ignore=("not:view",))
    assert message.startswith("mine/view/a.jpg: holds 0, 1, 2, ")
    assert message.endswith(" values), where 0 is read as outside; JPEG alters values: save masks as PNG")
    path.unlink()
    tree.add("view/a.jpg", np.full((32, 32), 255, np.uint8))
    assert tree.open(ignore=("not:view",))[0].where.all()


def test_names_and_values_of_a_table(tree):
    classes(tree, {"none": 0, "artery": 50, "vein": 100, "unsure": 150, "nowhere": 200})
    tree.pair(mask=np.uint8([[0, 50, 100, 150]]))
    dataset = tree.open(ignore=("unsure",))
    assert dataset.class_names == ("none", "artery", "vein", "nowhere") and dataset.classes == 4
    assert dataset.class_colours == ()
    np.testing.assert_array_equal(dataset[0].label, [[0, 1, 2, 2]])
    np.testing.assert_array_equal(dataset[0].where, [[True, True, True, False]])
    # By its number is the same.
    np.testing.assert_array_equal(tree.open(ignore=("150",))[0].where, dataset[0].where)
    assert tree.open().class_names[3] == "unsure"


def test_without_a_table_classes_are_called_by_their_numbers(tree):
    tree.pair(mask=THREE)
    assert tree.open().class_names == ("0", "1", "2")


def test_colours_of_a_table(tree):
    classes(tree, {"sky": "#808080", "tree": [128, 128, 0], "void": [0, 0, 0]})
    painted = np.uint8([[[128, 128, 128], [128, 128, 0], [0, 0, 0]]])
    tree.pair("a", rgb(1, 3), painted)
    tree.pair("b", rgb(1, 3), painted[:, ::-1])
    dataset = tree.open(ignore=("void",))
    assert dataset.class_names == ("sky", "tree") and dataset.class_colours == ("#808080", "#808000")
    np.testing.assert_array_equal(dataset[0].label[0, :2], [0, 1])
    np.testing.assert_array_equal(dataset[1].where, [[False, True, True]])
    tree.pair("c", rgb(1, 3), painted + np.uint8(1))
    assert tree.error() == (
        "mine/masks/c.png: holds #010101, which mine/classes.json does not name; add it there, or leave it out with "
        "`--data.ignore '#010101'`"
    )
    painted[0, 2] = 9
    tree.add("masks/c.png", painted)
    assert not tree.open(ignore=("void", "#090909"))[2].where[0, 2]


@pytest.mark.parametrize(
    ("ignore", "message"),
    [
        ("void", "data.ignore must name numbers or colours (#rrggbb) of the masks or folders in mine, got 'void'"),
        (
            "not:view",
            "data.ignore must name numbers or colours (#rrggbb) of the masks or folders in mine, got 'not:view'",
        ),
    ],
)
def test_what_is_nowhere(ignore, message, tree):
    tree.pair()
    assert tree.error(ignore=(ignore,)) == message


def test_names_of_a_table_are_listed(tree):
    classes(tree, {"none": 0, "vessel": 255})
    tree.pair()
    assert (
        "numbers or colours (#rrggbb) of the masks, classes (none, vessel) or folders in mine, got 'vesel'"
        in tree.error(ignore=("vesel",))
    )


def test_a_number_that_the_table_does_not_name(tree):
    classes(tree, {"none": 0, "vessel": 1})
    tree.pair(mask=THREE)
    assert tree.error() == (
        "mine/masks/a.png: holds 2, which mine/classes.json does not name; add it there, or leave it out with "
        "`--data.ignore 2`"
    )


def test_a_table_needs_two_classes_that_are_left(tree):
    """One class would be right everywhere, with a score of 1."""
    classes(tree, {"none": 0, "vessel": 255})
    tree.pair()
    assert tree.error(ignore=("none",)) == (
        "mine/classes.json: holds vessel alone beside what data.ignore names; two classes are needed"
    )
    assert "holds nothing beside what data.ignore names; two classes" in tree.error(ignore=("0", "255"))


def test_the_table_of_the_documentation(tree):
    """As `docs/how-to/own-data.md` has it: two classes have no colour there."""
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "own-data.md").read_text()
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tree.root / "classes.json").write_text(text)
    tree.pair("a", grey(1, 4), np.uint8([[0, 1, 2, 3]]))
    tree.pair("b", grey(1, 4), np.uint8([[[0, 0, 0], [255, 0, 0], [0, 0, 255], [0, 0, 0]]]))
    dataset = tree.open()
    assert dataset.class_names == ("background", "artery", "vein", "unsure")
    assert dataset.class_colours == ("#000000", "#ff0000", "#0000ff", "#009e73")
    np.testing.assert_array_equal(dataset[0].label, [[0, 1, 2, 3]])
    np.testing.assert_array_equal(dataset[1].label, [[0, 1, 2, 0]])


def test_negative_numbers_are_ignored(tree):
    tree.add("images/a.nii", np.zeros((2, 2, 2), np.uint8))
    tree.add("masks/a.nii", np.int16([[[-1, 0], [1, 1]], [[0, 0], [1, 0]]]))
    assert "`--data.ignore -1`" in tree.error()
    np.testing.assert_array_equal(tree.open(ignore=("-1",))[0].where.ravel(), [False] + [True] * 7)


def test_a_colour_masks_jpeg_is_told_apart(tree):
    classes(tree, {"none": 0, "vessel": {"value": 1, "colour": "#ff0000"}})
    tree.add("images/a.png", grey(16, 16))
    tree.add("masks/a.jpg", np.kron(np.eye(2)[..., None] * [255, 0, 0], np.ones((8, 8, 1))).astype(np.uint8))
    assert tree.error().endswith("does not name; JPEG alters values: save masks as PNG")


def test_a_mask_of_nothing_but_void(tree):
    tree.pair("a", mask=VOID)
    tree.pair("b", mask=np.full_like(VOID, 255))
    assert tree.error(ignore=("255",)) == (
        "mine/masks/b.png: holds nothing but what is to be ignored; remove it and its image"
    )


def test_what_is_said_of_what_no_mask_holds(tree, caplog):
    tree.pair(mask=BINARY)
    with caplog.at_level(logging.WARNING):
        tree.open(ignore=("7",))
    assert "no mask holds 7, which data.ignore names" in caplog.text
    classes(tree, {"none": 0, "vessel": 255, "lesion": 3})
    with caplog.at_level(logging.WARNING):
        tree.open()
    assert "no mask holds the classes lesion of" in caplog.text


def test_another_choice_of_what_to_ignore_is_other_data(tree):
    tree.pair("a", mask=np.uint8([[0, 1, 2, 3]]))
    every, some = tree.open(), tree.open(ignore=("3",))
    assert (every.classes, some.classes) == (4, 3) and every.checksum != some.checksum
    assert tree.open().path == every.path != some.path


def test_a_camera_of_twelve_bits(tree, caplog):
    """Beside 8 bits: white is white in both."""
    deep = np.uint16([[0, 2048, 4095]])
    tree.pair("a", deep, np.uint8([[0, 1, 1]]))
    tree.pair("b", np.uint8([[0, 128, 255]]), np.uint8([[0, 1, 1]]))
    with caplog.at_level(logging.WARNING):
        dataset = tree.open()
    assert (
        "the 16-bit images hold 4095 at most: they are read as images of 12 bits, in which 4095 is white" in caplog.text
    )
    assert dataset.white == 4095
    np.testing.assert_allclose(dataset[0].image[..., 0], deep / 4095, atol=1e-5)
    np.testing.assert_allclose(dataset[0].image, dataset[1].image, atol=2e-3)


def test_sixteen_bits_that_use_their_range(tree, caplog):
    tree.pair("a", np.uint16([[0, 20000, 40000]]), np.uint8([[0, 1, 1]]))
    with caplog.at_level(logging.WARNING):
        dataset = tree.open()
    assert not caplog.text and dataset.white == 65535
    np.testing.assert_allclose(dataset[0].image[..., 0], [[0, 20000 / 65535, 40000 / 65535]], rtol=1e-6)


def test_other_data_sets_leave_no_choice(tmp_path):
    from train.datasets import DatasetError, Reading, prepare

    for reading, name in ((Reading(ignore=("255",)), "ignore"), (Reading(mask_names="*_1stHO"), "mask_names")):
        with pytest.raises(DatasetError, match=rf"data\.{name} is for the data set 'folder', got .* for 'mni152'"):
            prepare("mni152", data_dir=tmp_path, reading=reading)


def test_grey_masks_beside_a_table_of_colours(tree):
    classes(tree, {"sky": {"value": 0, "colour": "#808080"}, "tree": {"value": 1, "colour": "#808000"}})
    tree.pair("a", grey(1, 2), np.uint8([[0, 1]]))
    tree.pair("b", grey(1, 2), np.uint8([[[128, 128, 0], [128, 128, 128]]]))
    dataset = tree.open()
    np.testing.assert_array_equal(dataset[0].label, [[0, 1]])
    np.testing.assert_array_equal(dataset[1].label, [[1, 0]])
