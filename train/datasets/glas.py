"""GlaS: stained tissue of the colon, with its glands."""

import functools
import pathlib

from train.datasets.builder import SegmentationBuilder
from train.datasets.colour_pairs import read_colour_pair
from train.datasets.contents import Contents, Files, Pair, Record
from train.datasets.matching import match_masks
from train.datasets.padding import MULTIPLE, pad_to_multiple


class Glas(SegmentationBuilder):
    """GlaS: 165 images of stained colon, of several sizes, padded with white to multiples of 32.

    The tissue between the glands, annotation 0 and the padding, is foreground; glands are class 0.
    """

    name = "glas"
    IMAGES = 165
    PAGE = "https://www.kaggle.com/datasets/sani84/glasmiccai2015-gland-segmentation"
    LICENSE = "research only, no commercial use; see https://glas.grand-challenge.org/Dataset"
    CITATION = (
        "Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge contest, Medical "
        "Image Analysis 35, 2017"
    )
    LAYOUT = """
        FOLDER/
          Warwick_QU_Dataset/
            train_1.bmp, train_1_anno.bmp ... testA_1.bmp, testA_1_anno.bmp ... testB_1.bmp, testB_1_anno.bmp ...
    """
    PATTERNS = (("*_anno.bmp", "*[0-9].bmp"),)

    def plan(self, files: Files) -> Contents:
        """See the base class."""
        pairs = match_masks(files["*[0-9].bmp"], files["*_anno.bmp"], key=lambda path: path.stem.removesuffix("_anno"))
        return Contents(
            [Record(name, name.split("_")[0], functools.partial(_between_glands, *paths)) for name, *paths in pairs],
            channels=3,
        )


def _between_glands(image_path: pathlib.Path, annotation_path: pathlib.Path) -> Pair:
    image, glands, _ = read_colour_pair(image_path, annotation_path)
    return Pair(pad_to_multiple(image, MULTIPLE, fill=255), pad_to_multiple(glands, MULTIPLE, fill=0) == 0)
