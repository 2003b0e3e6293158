"""The colours of classes, in pictures and in masks."""

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Class 0 is black. The first ones are Okabe and Ito's, told apart by colour-blind readers; all keep away from grey, white
# and the colours of errors.
_COLOURS = (
    "#000000",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#7b3fa0",
    "#8b5a2b",
    "#b8f04a",
    "#c8102e",
    "#30d5c8",
    "#ffb3ba",
    "#6b7a00",
    "#1a237e",
    "#b39dff",
    "#ff4fd8",
    "#00e05a",
    "#7a0019",
    "#b0c4b1",
    "#ffd8a8",
    "#005f5f",
)
_GOLDEN = 0.618034


def class_colours(count: int, given: Sequence[str] = ()) -> npt.NDArray[np.uint8]:
    """A colour for each class.

    Args:
        count: how many classes there are.
        given: the user's own, as `#rrggbb`; none for those of this program.

    Returns:
        `[count, 3]`, RGB. The first twenty are told apart at a glance.
    """
    if given:
        return np.array([_rgb(colour) for colour in given], np.uint8)
    further = [colorsys.hsv_to_rgb(_GOLDEN * number % 1, 0.5 + number % 3 / 4, 0.9) for number in range(count)]
    colours = [*map(_rgb, _COLOURS)] + [[round(255 * part) for part in rgb] for rgb in further]
    return np.array(colours[:count], np.uint8)


def _rgb(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
