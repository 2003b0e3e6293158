"""Prepares a data set once, so that runs only read it: `python -m train.prepare drive --source DRIVE`."""

import dataclasses
import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from train.command_line import fail, parse

if TYPE_CHECKING:
    from train.datasets import Dataset

_SIZES = 4
"""Sizes that are listed, the most common first."""


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is prepared.

    Attributes:
        name: drive, glas, snemi3d, massachusetts_roads, isbi2012, mni152, mni152_volume, or folder for your own
            `images/` and `masks/`.
        source: folder of the original archive, or the one that holds `images/` and `masks/`.
        folder: where prepared data sets are kept; `--data.folder` of a run.
        ignore: `--data.ignore` of a run.
        image_names: `--data.image-names` of a run.
        mask_names: `--data.mask-names` of a run.
    """

    name: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="NAME")]]
    source: str = ""
    folder: str = "data"
    ignore: tuple[str, ...] = ()
    image_names: str = ""
    mask_names: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepares a data set from the command line, and says what it holds.

    Args:
        arguments: those of the process when None.

    Returns:
        Exit status: 0, or 1 or, where the command line is wrong, 2 after a message that says what is wrong.
    """
    try:
        wanted = parse(Preparation, arguments, prog="python -m train.prepare", description=__doc__)
        # Here, so that `--help` answers at once.
        from train.datasets import DATASETS, Reading, SegmentationDataset, prepare

        reading = Reading(wanted.ignore, wanted.image_names, wanted.mask_names)
        path = prepare(wanted.name, data_dir=wanted.folder, source=wanted.source or None, reading=reading)
        said = contents(SegmentationDataset(path))
    except ValueError as error:
        return fail(error)
    builder = DATASETS[wanted.name]
    print(f"{wanted.name}: {said}\nin {path}")
    if builder.LICENSE:
        print(f"licence: {builder.LICENSE}\ncite: {builder.CITATION}")
    return 0


def contents(dataset: "Dataset") -> str:
    """Says what a data set holds; reads no image.

    Args:
        dataset: the images.

    Returns:
        Number, sizes and channels of the images, and the share of the pixels that each class has, and that none has.
    """
    from train.datasets import typical_spacing

    sizes = Counter(facts.shape for facts in dataset.images)
    pixels = np.sum([facts.pixels for facts in dataset.images], axis=0)
    unknown = 1 - pixels.sum() / sum(math.prod(facts.shape) for facts in dataset.images)
    common = [
        " x ".join(map(str, size)) + (f" ({n})" if len(sizes) > 1 else "") for size, n in sizes.most_common(_SIZES)
    ]
    more = f" and {len(sizes) - _SIZES} other sizes" if len(sizes) > _SIZES else ""
    shares = zip(dataset.class_names, pixels / pixels.sum(), strict=True)
    classes = ", ".join(f"{name}: {part:.1%}" for name, part in shares)
    spacing = typical_spacing(dataset, range(len(dataset)))
    apart = (
        "" if spacing is None else f", {' x '.join(f'{length:g}' for length in spacing)} {dataset.length_unit} apart"
    )
    return (
        f"{len(dataset)} images of {', '.join(common)}{more} pixels{apart} with {dataset.channels} "
        f"channel{'s' * (dataset.channels > 1)}; "
        f"{dataset.classes} classes, share of pixels {classes}" + (f"; to be ignored {unknown:.1%}" if unknown else "")
    )


if __name__ == "__main__":
    sys.exit(main())
