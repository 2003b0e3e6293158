"""The colours of classes, alike in masks and in pictures."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_BLACK = "#000000"
# The first four are Okabe and Ito's without those that stand for errors. Each of the others is, of all colours that are not
# near black or white, the one that is furthest in CIELAB from those before it, from those of errors and from grey, as seen
# by most people and by those without red or green cones.
_COLOURS = (
    *("009e73", "f0e442", "0072b2", "d55e00", "0000ff", "2d0f87", "00ff87", "781e1e"),
    *("e100ff", "5a0f4b", "a5a55a", "d2004b", "87ffc3", "784b00", "a50087", "00e1f0"),
    *("1e69e1", "4b00c3", "96c3a5", "a5e15a", "3c694b", "f01ec3", "78a5ff", "f04b3c"),
)


def class_colours(count: int, given: Sequence[str] = ()) -> npt.NDArray[np.uint8]:
    """A colour for each class: black for class 0, then 24 that are told apart, which come back where there are more.

    Args:
        count: number of classes.
        given: the user's own, as `#rrggbb`; none for those of this program.

    Returns:
        `[count, 3]`, RGB.
    """
    if given:
        return _rgb("".join(colour.removeprefix("#") for colour in given))
    return np.concatenate([np.zeros((1, 3), np.uint8), np.resize(_rgb("".join(_COLOURS)), (max(count - 1, 0), 3))])[
        :count
    ]


def completed(given: Sequence[str]) -> list[str]:
    """Colours of a user's own with those of this program where one is missing.

    Args:
        given: of each class as `#rrggbb`, or empty.

    Returns:
        Of each class; black for class 0, the others in the order of this program, none twice before all are taken. None
        at all where none is given.
    """
    if not any(given):
        return []
    free = itertools.cycle([f"#{digits}" for digits in _COLOURS if f"#{digits}" not in given] or [_BLACK])
    return [
        colour or (_BLACK if number == 0 and _BLACK not in given else next(free)) for number, colour in enumerate(given)
    ]


def _rgb(digits: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, 3)
