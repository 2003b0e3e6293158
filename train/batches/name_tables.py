"""Tables that say something of images by their names, as people write them: groups and splits."""

import csv
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from train.datasets.readers import stem


def image_name(written: str) -> str:
    """The name of an image in its data set, from the name of a file.

    Args:
        written: with a suffix that is read or without, in composed or decomposed Unicode.
    """
    return unicodedata.normalize("NFC", stem(Path(written.strip())))


def read_name_table(path: Path, columns: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Reads what a CSV file says of each name.

    Args:
        path: of a file with the column `name` and one of the others.
        columns: the others; the first that the file has counts.

    Returns:
        The column, and what it says of each name, as `image_name` has it.

    Raises:
        OSError: it cannot be read.
        ValueError: it has no such columns, or says two things of one name.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        found = [column for column in columns if column in (reader.fieldnames or ())]
        if not found or "name" not in (reader.fieldnames or ()):
            raise ValueError(f"must have the columns name and {' or '.join(columns)}")
        said: dict[str, str] = {}
        for line in reader:
            name, value = image_name(line["name"] or ""), (line[found[0]] or "").strip()
            if (other := said.setdefault(name, value)) != value:
                raise ValueError(f"names the {found[0]} of {name!r} twice, {other!r} and {value!r}")
    return found[0], said
