"""What of the masks of a folder stands for no class, as `data.ignore` names it."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from train.datasets.classes import NamedClass, numbers_of, read_number
from train.datasets.errors import DatasetError

_INVERTED = "not:"


class Ignored(NamedTuple):
    """What is to be ignored.

    Attributes:
        numbers: Of the masks, those of colours too, see `train.datasets.classes`.
        folders: Name of a folder of further masks -> whether what they hold is *not* to be ignored.
    """

    numbers: frozenset[int]
    folders: dict[str, bool]


def read_ignored(words: Sequence[str], table: Sequence[NamedClass], root: pathlib.Path) -> Ignored:
    """Reads the words of `data.ignore`.

    Args:
        words: Each a number, a colour as `#rrggbb`, the name of a class, or the name of a folder, with `not:` before it or
            without.
        table: The classes that have names.
        root: Folder that the folders of masks lie in.

    Returns:
        What they stand for; a number of the table stands for its colour, too, and a colour for its number.

    Raises:
        DatasetError: If there is no such class or folder.
    """
    numbers: set[int] = set()
    folders: dict[str, bool] = {}
    of_names = {entry.name: numbers_of(entry) for entry in table}
    for word in words:
        folder = word.removeprefix(_INVERTED)
        number = read_number(word)
        if number is not None:
            numbers |= {number}.union(*(of_class for of_class in of_names.values() if number in of_class))
        elif word in of_names:
            numbers |= of_names[word]
        elif (root / folder).is_dir():
            folders[folder] = word != folder
        else:
            classes = f", classes ({', '.join(of_names)})" if of_names else ""
            raise DatasetError(
                f"data.ignore must name numbers or colours (#rrggbb) of the masks{classes} or folders in {root}, got "
                f"{word!r}"
            )
    return Ignored(frozenset(numbers), folders)
