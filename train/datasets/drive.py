"""DRIVE: photographs of retinas, with their vessels."""

import functools
import pathlib

from train.datasets.builder import SegmentationBuilder
from train.datasets.colour_pairs import read_edge_padded
from train.datasets.contents import Contents, Files, Record
from train.datasets.matching import match_masks


class Drive(SegmentationBuilder):
    """DRIVE: 40 photographs of retinas, 584 x 565 pixels, padded to 608 x 576 by repeating the edge.

    Vessels of the first manual annotation are foreground. The field of view is not used.
    """

    name = "drive"
    IMAGES = 40
    PAGE = "https://drive.grand-challenge.org/"
    LICENSE = "research and education, no redistribution; see the page"
    CITATION = (
        "Staal, Abramoff, Niemeijer, Viergever and van Ginneken, Ridge-based vessel segmentation in color images of "
        "the retina, IEEE Transactions on Medical Imaging 23(4), 2004"
    )
    LAYOUT = """
        FOLDER/
          training/images/21_training.tif ... 40_training.tif
          training/1st_manual/21_manual1.gif ... 40_manual1.gif
          test/images/01_test.tif ... 20_test.tif
          test/1st_manual/01_manual1.gif ... 20_manual1.gif
    """
    PATTERNS = (("training/images/*.tif", "training/1st_manual/*.gif", "test/images/*.tif", "test/1st_manual/*.gif"),)

    def plan(self, files: Files) -> Contents:
        """See the base class."""
        records = [
            Record(image.stem, split, functools.partial(read_edge_padded, image, mask))
            for split in ("test", "training")
            for _, image, mask in match_masks(
                files[f"{split}/images/*.tif"], files[f"{split}/1st_manual/*.gif"], key=_number
            )
        ]
        return Contents(sorted(records, key=lambda record: record.name), channels=3)


def _number(path: pathlib.Path) -> str:
    return path.name.split("_")[0]
