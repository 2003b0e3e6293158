"""What a data set will hold: its examples before they are read, and what is known of them all."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Files = Mapping[str, Sequence[pathlib.Path]]
"""Pattern of names -> files."""


class Reading(NamedTuple):
    """How a folder of one's own is read; see `train.config.DataConfig`. Other data sets are read in one way.

    Attributes:
        ignore: What of the masks is to be ignored.
        image_names: Pattern of the names of images, with a `*` for what they have in common with their masks.
        mask_names: Likewise of masks.
    """

    ignore: tuple[str, ...] = ()
    image_names: str = ""
    mask_names: str = ""


AS_IS = Reading()
"""All pixels, and names that say by themselves what belongs together."""


class Pair(NamedTuple):
    """An image and what is known of its pixels.

    Attributes:
        image: `[*shape, channels]`.
        label: Class of each pixel, `[*shape]`.
        where: `[*shape]`, bool, False where the class is not known; None where all are.
    """

    image: npt.NDArray[Any]
    label: npt.NDArray[Any]
    where: npt.NDArray[np.bool_] | None = None


class Record(NamedTuple):
    """One example that is still to be read.

    Attributes:
        name: Unique in the data set.
        split: Part of the original set that it comes from, for example "training"; empty where there is none.
        load: Reads it.
        spacing: Millimetres from a pixel to the next along each axis; None unless those of all examples are known.
    """

    name: str
    split: str
    load: Callable[[], Pair]
    spacing: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a data set will hold.

    Attributes:
        records: The examples, in the order of the data set.
        channels: Channels of every image.
        classes: Number of classes.
        class_names: Name of each class; none where they have only their numbers.
        class_colours: Of each class, as `#rrggbb`; none where the data set says nothing of them.
        class_values: What the masks of a user hold for each class; none where they are colours alone, or not the user's.
        spatial_dims: 2 for images, 3 for volumes.
        dtype: Type in which images are kept; float32 is 0 to 1, the others use their full range.
        example_bytes: About the size of the largest example, uncompressed.
        facts: Further facts to record with the data, such as the seed of a draw.
    """

    records: Sequence[Record]
    channels: int
    classes: int = 2
    class_names: Sequence[str] = ()
    class_colours: Sequence[str] = ()
    class_values: Sequence[int] = ()
    spatial_dims: int = 2
    dtype: npt.DTypeLike = np.uint8
    example_bytes: int = 16 * 2**20
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
