"""Colours of classes, told apart also by those who lack a kind of cones."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import rgb2lab
from skimage.util import img_as_float

from train.palette import class_colours, completed
from train.runs import pictures

# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG 2009, of
# full severity, for linear RGB.
SEEN = {
    "by most": np.eye(3),
    "without red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "without green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
}


def test_the_first_are_those_that_everybody_knows():
    assert class_colours(3).tolist() == [[0, 0, 0], [0, 158, 115], [240, 228, 66]]
    assert class_colours(1).tolist() == [[0, 0, 0]] and class_colours(3).dtype == np.uint8


@pytest.mark.parametrize(("eyes", "least"), [("by most", 24), ("without red cones", 11), ("without green cones", 11)])
def test_they_are_told_apart(eyes, least):
    """Two colours at a distance of 2.3 in CIELAB are just noticeably different."""
    rgb = img_as_float(class_colours(25))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SEEN[eyes]), 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1) + 1000 * np.eye(25)
    assert distances.min() > least


def test_they_are_not_those_of_errors_nor_of_what_is_not_known():
    others = (pictures.FALSE_POSITIVE, pictures.FALSE_NEGATIVE, pictures.WRONG_CLASS, pictures.UNKNOWN)
    classes, taken = rgb2lab(img_as_float(class_colours(25))), rgb2lab(np.array([to_rgb(colour) for colour in others]))
    assert np.linalg.norm(classes[:, None] - taken, axis=-1).min() > 24


def test_ones_own_colours():
    assert class_colours(2, ("#000000", "#e4572e")).tolist() == [[0, 0, 0], [228, 87, 46]]


def test_there_are_colours_for_any_number_of_classes():
    colours = class_colours(256)
    assert colours.shape == (256, 3) and not colours[0].any() and colours[1:].any(axis=1).all()
    np.testing.assert_array_equal(colours[25:49], colours[1:25])


def test_what_is_missing_gets_a_colour_that_no_class_has():
    assert completed(["", "#ff0000", "", "#f0e442", ""]) == ["#000000", "#ff0000", "#009e73", "#f0e442", "#0072b2"]
    assert completed(["", "#000000", "#009e73", ""]) == ["#f0e442", "#000000", "#009e73", "#0072b2"]
    assert completed(["#000000", ""]) == ["#000000", "#009e73"]
    assert completed(["#000000", "#ffffff"]) == ["#000000", "#ffffff"]
    assert completed(["", ""]) == []
    assert len(completed(["#123456", *[""] * 99])) == 100
