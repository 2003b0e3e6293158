"""What may be wrong with the files of a data set, said in one line."""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import PIL.Image

_SHOWN_VALUES = 8


class DatasetError(ValueError):
    """Files of a data set that are missing, broken or not what they should be; says which, and the remedy."""


@contextlib.contextmanager
def one_line(path: pathlib.Path) -> Iterator[None]:
    """Raises a DatasetError that names the file, in place of whatever a reader raises."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of "corrupt EXIF data" in a cut TIFF before it raises.
            warnings.simplefilter("ignore", UserWarning)
            yield
    except (DatasetError, MemoryError):
        raise
    except PIL.Image.DecompressionBombError as error:
        raise DatasetError(f"{path}: {error}; cut it into tiles") from error
    except Exception as error:  # by the readers of six formats, at whatever byte is wrong
        empty = path.is_file() and not path.stat().st_size
        reason = "it is empty" if empty else (str(error) or type(error).__name__).splitlines()[0]
        raise DatasetError(f"{path}: cannot be read ({reason}); is it complete? Copy it again") from error


def listed(values: Sequence[Any]) -> str:
    """Lists values for an error.

    Args:
        values: Any.

    Returns:
        For example "0, 1, 7"; the first few where there are many.
    """
    shown = ", ".join(str(value) for value in values[:_SHOWN_VALUES])
    return shown if len(values) <= _SHOWN_VALUES else f"{shown}, ... ({len(values)} values)"


def size(shape: Sequence[object]) -> str:
    """Writes the sides of an array for an error, for example "584 x 565"."""
    return " x ".join(str(side) for side in shape)
