"""The classes of masks: what their numbers and colours stand for, and what of them is to be ignored.

A table of classes lies beside the folders of images and masks, as `classes.json`

    {"background": 0, "artery": {"value": 1, "colour": "#ff0000"}, "vein": [0, 0, 255]}

or as `classes.csv` with the columns `name` and `value`, `colour`, or `r`, `g` and `b`. Classes are counted in the order of
their values, or of the table where one of them has none. A mask that is a colour picture is read by the colours, any other
by the values; `train.datasets.masks` says what of palettes. Beside classes with colours, the one of value 0 is black unless
the table says otherwise.
"""

import csv
import json
import pathlib
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from train.datasets.errors import DatasetError, listed
from train.datasets.pictures import JPEG_REMEDY, is_jpeg

TABLES = ("classes.json", "classes.csv")
"""Files that a table may be in."""

MAX_CLASSES = 256
"""Labels are kept in 8 bits."""

_COLOUR = 1 << 24  # Added to the number of a colour, so that no class number is the same.
_BLACK = "#000000"


class NamedClass(NamedTuple):
    """A line of a table of classes.

    Attributes:
        name: The class's.
        value: Its number in masks of one channel; None where only its colour is known.
        colour: As `#rrggbb`; empty where only its number is known.
    """

    name: str
    value: int | None
    colour: str


class Numbering(NamedTuple):
    """Which class the numbers of masks stand for; those of colours too, see `colour_numbers`.

    Attributes:
        classes: Number in the masks -> class, 0 and up.
        ignored: Numbers that stand for no class.
    """

    classes: Mapping[int, int]
    ignored: frozenset[int] = frozenset()

    @property
    def by_colour(self) -> bool:
        """Whether there are classes that have colours."""
        return any(number >= _COLOUR for number in self.classes)

    @property
    def known(self) -> Set[int]:
        """All numbers that stand for a class or are to be ignored."""
        return self.classes.keys() | self.ignored

    def class_of(self, number: int) -> int | None:
        """The class that a number stands for; -1 for one to be ignored, None for one that is not known."""
        return -1 if number in self.ignored else self.classes.get(number)

    def label(self, numbers: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """The classes of a mask, 0 where there is none, and where there is one.

        Args:
            numbers: Of the mask, `[*shape]`, each of them known.
        """
        known, places = np.unique(numbers, return_inverse=True)
        classes = np.array([self.classes.get(number, 0) for number in known.tolist()], np.uint8)
        where = np.array([number not in self.ignored for number in known.tolist()], np.bool_)
        return classes[places].reshape(numbers.shape), where[places].reshape(numbers.shape)

    @property
    def values(self) -> list[int]:
        """The number of each class that is not one of a colour; none where a class has but a colour."""
        found = {of_class: number for number, of_class in self.classes.items() if number < _COLOUR}
        return [found[of_class] for of_class in sorted(found)] if found.keys() == {*self.classes.values()} else []


def read_class_table(path: pathlib.Path) -> list[NamedClass]:
    """Reads a table of classes.

    Args:
        path: `classes.json` or `classes.csv`.

    Returns:
        The classes in their order.

    Raises:
        DatasetError: If it cannot be read, or a class has neither value nor colour, or one of another.
    """
    try:
        lines = _json_lines(path) if path.suffix == ".json" else _csv_lines(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: is no table of classes ({error!r}); see its form in the documentation") from error
    table = [_named_class(path, name, value, colour) for name, value, colour in lines]
    if any(entry.colour for entry in table) and all(entry.colour != _BLACK for entry in table):
        table = [entry._replace(colour=entry.colour or _BLACK) if entry.value == 0 else entry for entry in table]
    for what in ("name", "value", "colour"):
        given = [getattr(entry, what) for entry in table if getattr(entry, what) not in (None, "")]
        twice = [value for value in given if given.count(value) > 1]
        if twice:
            raise DatasetError(f"{path}: names the {what} {twice[0]} twice")
    values = [entry.value for entry in table]
    if len(table) < 2 or len(table) > MAX_CLASSES:
        raise DatasetError(f"{path}: must name 2 to {MAX_CLASSES} classes, got {len(table)}")
    return table if None in values else sorted(table, key=lambda entry: entry.value or 0)


def _json_lines(path: pathlib.Path) -> list[tuple[str, Any, Any]]:
    lines = []
    for name, entry in json.loads(path.read_text(encoding="utf-8-sig")).items():
        if isinstance(entry, Mapping):
            lines.append((name, entry.get("value"), entry.get("colour", entry.get("color"))))
        elif isinstance(entry, bool | int | float):
            lines.append((name, entry, None))
        else:
            lines.append((name, None, entry))
    return lines


def _csv_lines(path: pathlib.Path) -> list[tuple[str, Any, Any]]:
    lines = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for line in csv.DictReader(file, skipinitialspace=True):
            entry = {(column or "").strip().lower(): (value or "").strip() for column, value in line.items()}
            colour: Any = entry.get("colour") or entry.get("color") or None
            if entry.get("r"):
                colour = [int(entry[channel]) for channel in "rgb"]
            lines.append((entry["name"], int(entry["value"]) if entry.get("value") else None, colour))
    return lines


def _named_class(path: pathlib.Path, name: str, value: Any, colour: Any) -> NamedClass:
    if isinstance(colour, Sequence) and not isinstance(colour, str) and len(colour) == 3:
        colour = "#" + "".join(
            f"{channel:02x}" for channel in colour if isinstance(channel, int) and 0 <= channel < 256
        )
    colour = "" if colour is None else str(colour).lower()
    if colour and not re.fullmatch("#[0-9a-f]{6}", colour):
        raise DatasetError(f"{path}: the colour of {name!r} must be #rrggbb or three numbers up to 255, got {colour!r}")
    if value is not None and (type(value) is not int or abs(value) >= _COLOUR):
        raise DatasetError(f"{path}: the value of {name!r} must be a whole number below {_COLOUR}, got {value!r}")
    if value is None and not colour:
        raise DatasetError(f"{path}: {name!r} has neither a value nor a colour")
    return NamedClass(name, value, colour)


def colour_numbers(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """A number for each colour of a picture `[*shape, 3]`, other than those of all classes."""
    red, green, blue = np.moveaxis(picture.astype(np.int64), -1, 0)
    return _COLOUR + (red << 16) + (green << 8) + blue


def numbering_of(table: Sequence[NamedClass], ignored: frozenset[int]) -> Numbering:
    """What the numbers and colours of a table's classes stand for.

    Args:
        table: As `read_class_table` returns it, without what is to be ignored.
        ignored: Numbers that stand for no class.
    """
    classes = {entry.value: number for number, entry in enumerate(table) if entry.value is not None}
    classes |= {_number_of(entry.colour): number for number, entry in enumerate(table) if entry.colour}
    return Numbering(classes, ignored)


def numbers_of(entry: NamedClass) -> set[int]:
    """The numbers in masks that stand for a class of a table."""
    numbers = {entry.value} if entry.value is not None else set()
    return numbers | ({_number_of(entry.colour)} if entry.colour else set())


def _number_of(colour: str) -> int:
    return _COLOUR + int(colour[1:], 16)


def written(number: int) -> str:
    """A number of a mask as people write it, a colour as such."""
    return str(number) if number < _COLOUR else f"#{number - _COLOUR:06x}"


def read_number(word: str) -> int | None:
    """The number that `written` writes so; None for a word that is none."""
    if re.fullmatch("#[0-9a-fA-F]{6}", word):
        return _number_of(word)
    return int(word) if re.fullmatch("-?[0-9]+", word) else None


def leave_out(number: int) -> str:
    """The flag that has a number of a mask ignored, as it is typed into a shell."""
    return f"--data.ignore {written(number)}" if number < _COLOUR else f"--data.ignore '{written(number)}'"


def numbering_without_table(values: Mapping[int, pathlib.Path], ignored: frozenset[int]) -> Numbering:
    """What the numbers of masks stand for by themselves: 0 and 255, or 0, 1, ..., C - 1.

    Args:
        values: Every number that is in a mask -> a mask that it is in.
        ignored: Numbers that stand for no class.

    Raises:
        DatasetError: If they are others; names a mask and the remedy.
    """
    found = sorted(value for value in values if value not in ignored)
    if found == [0, 255]:
        return Numbering({0: 0, 255: 1}, ignored)
    if len(found) < 2:
        raise DatasetError(
            f"{values[found[0]]}: holds {found[0]} alone, as do all masks; two classes are needed"
            if found
            else f"the masks hold nothing but what data.ignore names, {', '.join(map(str, sorted(ignored)))}"
        )
    if found == list(range(len(found))) and len(found) <= MAX_CLASSES:
        return Numbering({value: value for value in found}, ignored)
    # The first value that does not fit points to the file, a gap to the value above it.
    wrong = next(value for place, value in enumerate(found) if value != place or place >= MAX_CLASSES)
    if is_jpeg(values[wrong]):
        remedy = JPEG_REMEDY
    elif [value for value in found if value != wrong] in ([0, 255], list(range(len(found) - 1))):
        remedy = f"leave it out with `{leave_out(wrong)}` where it stands for no class, or renumber the classes"
    else:
        remedy = f"name them in {TABLES[0]}, leave some out with --data.ignore, or renumber the classes"
    raise DatasetError(
        f"{values[wrong]}: holds {wrong}, all masks together {listed(found)}, where 0 and 255, or "
        f"0, 1, ..., C - 1 without a gap and C at most {MAX_CLASSES}, are read; {remedy}"
    )


def nearest_known(
    label: npt.NDArray[np.uint8], where: npt.NDArray[np.bool_], spacing: Sequence[float] | None = None
) -> npt.NDArray[np.uint8]:
    """Gives pixels of unknown class that of the nearest pixel of a known one.

    What is computed of a label's shapes then finds no border where only the knowledge ends.

    Args:
        label: `[*shape]`.
        where: `[*shape]`; False where the class is unknown.
        spacing: Distance of pixels along each axis, which says what is near; None for equal ones.

    Returns:
        The label; as it was where no class is known at all.
    """
    if where.all() or not where.any():
        return label
    nearest = ndimage.distance_transform_edt(~where, spacing, return_distances=False, return_indices=True)
    return label[tuple(nearest)]
