"""Colour images of retinas, of stained tissue and from the air, padded to sizes that a U-Net halves evenly."""

import functools
import pathlib

import numpy as np
from tqdm import tqdm

from train.datasets.builder import Files, Pair, Plan, Record, SegmentationBuilder, match_masks
from train.datasets.files import DatasetError, describe_values, read_pair, stem
from train.datasets.preparation import pad_to_multiple, select_roads, visible_road_pixels

MULTIPLE = 32  # pixels; five halvings


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

    @classmethod
    def plan(cls, files: Files) -> Plan:
        """See the base class."""
        records = [
            Record(image.stem, split, functools.partial(_edge_padded, image, mask))
            for split in ("test", "training")
            for _, image, mask in match_masks(
                files[f"{split}/images/*.tif"], files[f"{split}/1st_manual/*.gif"], key=_number
            )
        ]
        return Plan(sorted(records, key=lambda record: record.name), channels=3)


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

    @classmethod
    def plan(cls, files: Files) -> Plan:
        """See the base class."""
        pairs = match_masks(files["*[0-9].bmp"], files["*_anno.bmp"], key=lambda path: path.stem.removesuffix("_anno"))
        return Plan(
            [Record(name, name.split("_")[0], functools.partial(_between_glands, *paths)) for name, *paths in pairs],
            channels=3,
        )


class MassachusettsRoads(SegmentationBuilder):
    """Massachusetts Roads: 120 aerial images, 1500 x 1500 pixels of 1 m, padded to 1504 x 1504 by repeating the edge.

    They are drawn from the 300 images of the training part with most road outside blank areas. The paper's own draw is
    not known; this one is made with `SEED`, which is recorded with the data, as are the names.
    """

    name = "massachusetts_roads"
    IMAGES = 120
    PAGE = "https://www.kaggle.com/datasets/balraj98/massachusetts-roads-dataset"
    LICENSE = "not stated; see https://www.cs.toronto.edu/~vmnih/data/"
    CITATION = "Mnih, Machine learning for aerial image labeling, PhD thesis, University of Toronto, 2013"
    LAYOUT = """
        FOLDER/
          tiff/train/10078660_15.tiff ...
          tiff/train_labels/10078660_15.tif ...
    """
    PATTERNS = (("tiff/train/*.tiff", "tiff/train_labels/*.tif"),)
    CANDIDATES = 300
    DRAWN = 120
    SEED = 0

    @classmethod
    def plan(cls, files: Files) -> Plan:
        """See the base class."""
        paths = {name: pair for name, *pair in match_masks(*files.values(), key=stem)}
        counts = {}
        for name in tqdm(paths, desc="counting road pixels", unit="image", disable=None, leave=False):
            image, road = _binary_pair(*paths[name])
            counts[name] = visible_road_pixels(image, road)
        drawn = select_roads(counts, candidates=cls.CANDIDATES, drawn=cls.DRAWN, seed=cls.SEED)
        return Plan(
            [Record(name, "train", functools.partial(_edge_padded, *paths[name])) for name in drawn],
            channels=3,
            facts={"seed": cls.SEED, "candidates": min(cls.CANDIDATES, len(counts)), "images": len(counts)},
        )


def _number(path: pathlib.Path) -> str:
    return path.name.split("_")[0]


def _colour_pair(image_path: pathlib.Path, mask_path: pathlib.Path) -> Pair:
    image, mask = read_pair(image_path, mask_path)
    if image.dtype != np.uint8 or image.shape[-1] != 3:
        raise DatasetError(
            f"{image_path}: must be 8-bit RGB, got {image.dtype} with {image.shape[-1]} channels; take the original"
        )
    return image, mask


def _binary_pair(image_path: pathlib.Path, mask_path: pathlib.Path) -> Pair:
    image, mask = _colour_pair(image_path, mask_path)
    if not np.isin(mask, (0, 255)).all():
        raise DatasetError(f"{mask_path}: must hold 0 and 255 alone, got {describe_values(mask)}; take the original")
    return image, mask == 255


def _edge_padded(image_path: pathlib.Path, mask_path: pathlib.Path) -> Pair:
    image, mask = _binary_pair(image_path, mask_path)
    return pad_to_multiple(image, MULTIPLE), pad_to_multiple(mask, MULTIPLE)


def _between_glands(image_path: pathlib.Path, annotation_path: pathlib.Path) -> Pair:
    image, glands = _colour_pair(image_path, annotation_path)
    return pad_to_multiple(image, MULTIPLE, fill=255), pad_to_multiple(glands, MULTIPLE, fill=0) == 0
