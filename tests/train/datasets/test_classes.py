"""Tables of classes, and what the numbers of masks stand for."""

import json

import numpy as np
import pytest

from train.datasets import DatasetError
from train.datasets.classes import (
    NamedClass,
    colour_numbers,
    leave_out,
    nearest_known,
    numbering_of,
    numbering_without_table,
    numbers_of,
    read_class_table,
    read_number,
    written,
)

STREET = [NamedClass("sky", 0, "#808080"), NamedClass("road", 3, "#804080"), NamedClass("pole", 7, "#c0c080")]


def table(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_class_table(path)


def test_three_ways_to_write_the_same(tmp_path):
    entries = {
        "pole": {"value": 7, "colour": [192, 192, 128]},
        "sky": {"value": 0, "color": "#808080"},
        "road": {"value": 3, "colour": "#804080"},
    }
    assert table(tmp_path / "classes.json", entries) == STREET
    assert (
        table(tmp_path / "classes.csv", "name, value, colour\npole,7,#C0C080\nroad,3,#804080\nsky,0,#808080\n")
        == STREET
    )
    channels = "\ufeffname,value,r,g,b\nsky,0,128,128,128\nroad,3,128,64,128\npole,7,192,192,128\n"
    assert table(tmp_path / "classes.csv", channels) == STREET


def test_numbers_alone_and_colours_alone(tmp_path):
    assert table(tmp_path / "classes.json", {"vein": 2, "none": 0, "artery": 1}) == [
        NamedClass("none", 0, ""),
        NamedClass("artery", 1, ""),
        NamedClass("vein", 2, ""),
    ]
    # Without values the order is that of the table.
    assert table(tmp_path / "classes.json", {"tree": "#00ff00", "car": [255, 0, 0]}) == [
        NamedClass("tree", None, "#00ff00"),
        NamedClass("car", None, "#ff0000"),
    ]


def test_notepad_begins_a_file_with_a_mark(tmp_path):
    assert table(tmp_path / "classes.json", "\ufeff" + json.dumps({"none": 0, "vein": 1})) == [
        NamedClass("none", 0, ""),
        NamedClass("vein", 1, ""),
    ]


def test_beside_colours_what_is_0_is_black(tmp_path):
    def colours(content):
        return [entry.colour for entry in table(tmp_path / "classes.json", content)]

    assert colours({"none": 0, "artery": {"value": 1, "colour": "#ff0000"}, "unsure": 3}) == ["#000000", "#ff0000", ""]
    assert colours({"none": 0, "black": {"value": 1, "colour": "#000000"}}) == ["", "#000000"]
    assert colours({"one": 1, "artery": {"value": 2, "colour": "#ff0000"}}) == ["", "#ff0000"]
    assert colours({"none": 0, "artery": 1}) == ["", ""]


def test_numbers_as_they_are_typed():
    black = int(colour_numbers(np.zeros((1, 3), np.uint8))[0])
    for number, word in ((7, "7"), (-1, "-1"), (black, "#000000"), (black + 0xAB, "#0000ab")):
        assert written(number) == word and read_number(word) == number
    assert read_number("#0000AB") == black + 0xAB
    assert [read_number(word) for word in ("", "-", "1.5", "#12345", "vein")] == [None] * 5
    assert [leave_out(number) for number in (-1, black)] == ["--data.ignore -1", "--data.ignore '#000000'"]


def test_the_number_of_each_class():
    painted = [NamedClass("tree", None, "#00ff00"), NamedClass("car", None, "#ff0000")]
    assert numbering_of(STREET, frozenset({255})).values == [0, 3, 7]
    assert numbering_of(painted, frozenset()).values == []
    assert numbering_of([STREET[1], painted[0]], frozenset()).values == []
    for values in ([0, 255], [0, 1], [0, 1, 2]):
        assert numbering_without_table(dict.fromkeys(values), frozenset()).values == values


def test_values_and_colours_stand_for_classes_in_the_order_of_the_table():
    numbering = numbering_of(STREET, frozenset({255}))
    label, where = numbering.label(np.array([[7, 3], [255, 0]]))
    np.testing.assert_array_equal(label[where], [2, 1, 0])
    np.testing.assert_array_equal(where, [[True, True], [False, True]])
    painted = np.array([[[192, 192, 128], [128, 64, 128]]], np.uint8)
    np.testing.assert_array_equal(numbering.label(colour_numbers(painted))[0], [[2, 1]])
    # A colour is no class number, however small.
    assert numbers_of(NamedClass("black", 5, "#000000")) != {5, 0}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("classes.json", "[1, 2", "is no table of classes"),
        ("classes.json", {"a": 0, "b": {}}, "'b' has neither a value nor a colour"),
        (
            "classes.json",
            {"a": 0, "b": "red"},
            "the colour of 'b' must be #rrggbb or three numbers up to 255, got 'red'",
        ),
        ("classes.json", {"a": 0, "b": [1, 2, 300]}, "the colour of 'b' must be #rrggbb"),
        ("classes.json", {"a": 0, "b": 0}, "names the value 0 twice"),
        ("classes.csv", "name,value\na,0\na,1\n", "names the name a twice"),
        ("classes.csv", "class,value\na,0\n", "is no table of classes"),
        ("classes.json", {"a": 0}, "must name 2 to 256 classes, got 1"),
        (
            "classes.json",
            {"a": {"value": "0"}, "b": 1},
            "the value of 'a' must be a whole number below 16777216, got '0'",
        ),
        ("classes.json", {"a": 0, "b": True}, "the value of 'b' must be a whole number below 16777216, got True"),
        ("classes.json", {"a": 0.5, "b": 1}, "the value of 'a' must be a whole number below 16777216, got 0.5"),
        (
            "classes.json",
            {"a": 1 << 24, "b": 1},
            "the value of 'a' must be a whole number below 16777216, got 16777216",
        ),
    ],
)
def test_tables_that_say_nothing(name, content, message, tmp_path):
    with pytest.raises(DatasetError) as raised:
        table(tmp_path / name, content)
    assert message in str(raised.value) and name in str(raised.value)


def test_what_is_not_known_gets_the_nearest_class():
    label = np.array([[1, 0, 0, 0, 2]], np.uint8)
    where = np.array([[True, False, False, False, True]])
    np.testing.assert_array_equal(nearest_known(label, where)[0, [0, 1, 3, 4]], [1, 1, 2, 2])
    np.testing.assert_array_equal(nearest_known(label, where | True), label)
    np.testing.assert_array_equal(nearest_known(label, where & False), label)
    # Rows are far apart, so that the nearest lies in the same one.
    known = np.array([[True, False, False], [False, False, True]])
    classes = np.array([[1, 0, 0], [0, 0, 3]], np.uint8)
    assert nearest_known(classes, known)[0].tolist() == [1, 1, 3]
    assert nearest_known(classes, known, (3.0, 0.5))[0].tolist() == [1, 1, 1]
