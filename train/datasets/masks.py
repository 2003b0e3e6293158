"""Reading the masks of a folder by a table of classes: by their numbers or, where they are painted, by their colours."""

import pathlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from train.datasets.classes import Numbering, colour_numbers, written
from train.datasets.errors import DatasetError, listed
from train.datasets.nifti import is_nifti
from train.datasets.pictures import Stored, doubt, painted
from train.datasets.readers import class_numbers, read_stored


class Mask(NamedTuple):
    """A mask that is read.

    Attributes:
        numbers: `[*shape]`, as a `Numbering` knows them.
        repainted: Whether it has a palette whose colours were read, since its places would be other classes.
        said: What is to be said of its palette.
    """

    numbers: npt.NDArray[np.int64]
    repainted: bool = False
    said: tuple[str, ...] = ()


def read_numbers(path: pathlib.Path, numbering: Numbering) -> Mask:
    """Reads a mask.

    A picture of three channels is read by its colours where classes have some. A palette is read by the places of its
    colours; by the colours where classes have all those that occur, and they would be other classes by their places.

    Args:
        path: The file.
        numbering: What the table of classes says; of no classes where there is none.

    Raises:
        DatasetError: If it cannot be read, or holds channels, colours that cannot be read, or numbers with a fraction.
    """
    stored = read_stored(path, mask=True)
    if numbering.by_colour and stored.palette is not None:
        return _by_palette(path, stored, numbering)
    if numbering.by_colour and stored.values.shape[-1] == 3 and not is_nifti(path):
        if stored.values.dtype != np.uint8:
            raise DatasetError(f"{path}: must hold colours of 8 bits, got {stored.values.dtype}; save it as RGB PNG")
        return Mask(colour_numbers(stored.values))
    return Mask(class_numbers(path, stored.values), said=doubt(stored, path))


def _by_palette(path: pathlib.Path, stored: Stored, numbering: Numbering) -> Mask:
    used = np.unique(stored.values)
    colours = colour_numbers(painted(Stored(used[:, None], stored.palette))).tolist()
    named = [colour in numbering.known for colour in colours]
    places = [place in numbering.known for place in used.tolist()]
    differing = [
        written(colour)
        for place, colour, known in zip(used.tolist(), colours, named, strict=True)
        if known and numbering.class_of(place) != numbering.class_of(colour)
    ]
    # Two places of one colour are told apart by nothing but their places.
    if differing and all(named) and len(set(colours)) == len(colours):
        return Mask(colour_numbers(painted(stored)), repainted=any(places))
    said = () if all(named) else doubt(stored, path)
    if differing:
        said = (
            f"{path}: is read by the places in its palette, where {listed(differing)} stand for other classes than in the "
            "table of classes; name all its colours, each once, to have it read by them",
        )
    return Mask(class_numbers(path, stored.values), said=said)
