"""Masks that a table of classes says how to read: painted ones, and those whose palettes are painted."""

import json

import numpy as np
import PIL.Image
import pytest
import tifffile

from tests.train.datasets.tree import Tree, grey
from train.datasets.classes import NamedClass, colour_numbers, numbering_of
from train.datasets.masks import read_numbers
from train.datasets.readers import DatasetError

TABLE = [NamedClass("none", 0, "#000000"), NamedClass("artery", 1, "#ff0000"), NamedClass("vein", 2, "#0000ff")]
NUMBERING = numbering_of(TABLE, frozenset())
BLACK, RED, BLUE, GREEN = [0, 0, 0], [255, 0, 0], [0, 0, 255], [0, 255, 0]
PAINTED = np.uint8([[RED, BLACK, BLUE]])


def save(path, array, palette=None):
    picture = PIL.Image.fromarray(np.uint8(array))
    if palette:
        picture = picture.convert("P")
        picture.putpalette(np.ravel(palette).tolist())
    picture.save(path)
    return path


def classes(path, numbering=NUMBERING):
    return numbering.label(read_numbers(path, numbering).numbers)[0].tolist()


def test_pictures_are_read_by_the_colours(tmp_path):
    save(tmp_path / "a.png", PAINTED)
    save(tmp_path / "b.png", np.dstack([PAINTED, np.uint8([[0, 9, 255]])]))
    save(tmp_path / "c.tif", PAINTED)
    tifffile.imwrite(tmp_path / "d.tif", np.dstack([PAINTED, PAINTED[..., :1]]), photometric="rgb", extrasamples=[0])
    for name in ("a.png", "b.png", "c.tif", "d.tif"):
        assert classes(tmp_path / name) == [[1, 0, 2]], name
    tifffile.imwrite(tmp_path / "v.tif", np.stack([PAINTED, PAINTED[:, ::-1]]), photometric="rgb")
    assert classes(tmp_path / "v.tif") == [[[1, 0, 2]], [[2, 0, 1]]]
    tifffile.imwrite(tmp_path / "deep.tif", PAINTED.astype(np.uint16), photometric="rgb")
    with pytest.raises(DatasetError, match=r"deep\.tif: must hold colours of 8 bits, got uint16; save it as RGB PNG"):
        read_numbers(tmp_path / "deep.tif", NUMBERING)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_the_order_of_a_palette_means_nothing_where_classes_have_its_colours(tmp_path, suffix):
    """An exporter numbers the colours as they come: the same mask twice, and the classes must not change places."""
    one = save(tmp_path / f"a.{suffix}", [[1, 0, 2]], [BLACK, RED, BLUE])
    other = save(tmp_path / f"b.{suffix}", [[0, 1, 2]], [RED, BLACK, BLUE])
    assert classes(one) == classes(other) == [[1, 0, 2]]
    assert [read_numbers(path, NUMBERING).repainted for path in (one, other)] == [False, True]
    # Colours that do not occur may be any.
    assert classes(save(tmp_path / f"c.{suffix}", [[0, 0, 1]], [RED, BLACK, GREEN])) == [[1, 1, 0]]
    # Grey ones are colours, too.
    black_and_white = numbering_of([NamedClass("none", 0, "#000000"), NamedClass("cell", 1, "#ffffff")], frozenset())
    white_first = save(tmp_path / f"d.{suffix}", [[0, 1, 1]], [[255] * 3, BLACK, RED])
    assert classes(white_first, black_and_white) == [[1, 0, 0]]
    assert read_numbers(white_first, black_and_white).said == ()


def test_colours_without_numbers(tmp_path):
    numbering = numbering_of([entry._replace(value=None) for entry in TABLE], frozenset())
    mask = read_numbers(save(tmp_path / "a.png", [[0, 1, 2]], [RED, BLACK, BLUE]), numbering)
    assert numbering.label(mask.numbers)[0].tolist() == [[1, 0, 2]] and not mask.repainted


def test_a_colour_to_ignore_is_named_too(tmp_path):
    numbering = numbering_of(TABLE, frozenset(colour_numbers(np.uint8([[GREEN]])).ravel().tolist()))
    label, where = numbering.label(
        read_numbers(save(tmp_path / "a.png", [[0, 1, 2]], [RED, GREEN, BLUE]), numbering).numbers
    )
    assert label.tolist() == [[1, 0, 2]] and where.tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    "palette",
    [
        [BLACK, [128, 0, 0], [0, 128, 0]],  # of other colours, as in PASCAL VOC
        [BLACK, RED, GREEN],
        [BLACK, BLACK, BLACK],  # which tell nothing apart
    ],
)
def test_the_places_count_where_the_colours_say_nothing(tmp_path, palette):
    assert classes(save(tmp_path / "a.png", [[1, 0, 2]], palette)) == [[1, 0, 2]]
    by_number = numbering_of([entry._replace(colour="") for entry in TABLE], frozenset())
    assert classes(save(tmp_path / "b.png", [[1, 0, 2]], [BLUE, BLACK, RED]), by_number) == [[1, 0, 2]]


def test_colours_that_contradict_but_for_one_are_told(tmp_path):
    path = save(tmp_path / "a.png", [[1, 0, 2]], [GREEN, BLUE, RED])
    mask = read_numbers(path, NUMBERING)
    assert mask.numbers.tolist() == [[1, 0, 2]]
    (said,) = mask.said
    assert said == (
        f"{path}: is read by the places in its palette, where #0000ff, #ff0000 stand for other classes than in the table of "
        "classes; name all its colours, each once, to have it read by them"
    )


def test_a_folder_of_palettes_says_once_how_it_was_read(tmp_path, caplog):
    tree = Tree(tmp_path)
    (tree.root / "classes.json").write_text(
        json.dumps({entry.name: {"value": entry.value, "colour": entry.colour} for entry in TABLE})
    )
    orders = {"a": [0, 1, 2], "b": [2, 0, 1], "c": [1, 2, 0]}  # class at each place
    wanted = np.uint8([[0, 1, 2, 1]])
    for name, order in orders.items():
        tree.add(f"images/{name}.png", grey(1, 4))
        places = np.argsort(order)[wanted]
        save(tree.root / "masks" / f"{name}.png", places, [[BLACK, RED, BLUE][number] for number in order])
    dataset = tree.open()
    for example in dataset:
        np.testing.assert_array_equal(example.label, wanted)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tree.root}/masks/b.png and 1 more: read by the colours of the palette, which the table of classes names for "
        "other classes than their places"
    )


def test_what_is_to_be_said_of_a_mask_is_said_once(tmp_path, caplog):
    tree = Tree(tmp_path)
    tree.add("images/a.png", grey(1, 2))
    save(tree.root / "masks" / "a.png", [[0, 1]], [[255] * 3, BLACK, RED])
    save(tree.root / "view.png", [[1, 0]], [[255] * 3, BLACK, RED])
    (tree.root / "view").mkdir()
    (tree.root / "view.png").rename(tree.root / "view" / "a.png")
    tree.open(ignore=("view",))
    assert len(caplog.records) == 2 and "view/a.png: has a palette of greys" in caplog.text
    caplog.clear()
    tree.open()
    assert [record.getMessage().count("has a palette of greys alone") for record in caplog.records] == [1]
