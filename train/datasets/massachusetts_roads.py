"""Massachusetts Roads: aerial photographs, with their roads."""

import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from train.datasets.builder import SegmentationBuilder
from train.datasets.colour_pairs import read_binary_pair, read_edge_padded
from train.datasets.contents import Contents, Files, Record
from train.datasets.matching import match_masks
from train.datasets.readers import stem


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

    def plan(self, files: Files) -> Contents:
        """See the base class."""
        paths = {name: pair for name, *pair in match_masks(*files.values(), key=stem)}
        counts = {}
        for name in tqdm(paths, desc="counting road pixels", unit="image", disable=None, leave=False):
            image, road, _ = read_binary_pair(*paths[name])
            counts[name] = visible_road_pixels(image, road)
        drawn = select_roads(counts, candidates=self.CANDIDATES, drawn=self.DRAWN, seed=self.SEED)
        return Contents(
            [Record(name, "train", functools.partial(read_edge_padded, *paths[name])) for name in drawn],
            channels=3,
            facts={"seed": self.SEED, "candidates": min(self.CANDIDATES, len(counts)), "images": len(counts)},
        )


def visible_road_pixels(image: npt.NDArray[np.uint8], road: npt.NDArray[np.bool_]) -> int:
    """Counts road pixels outside blank areas.

    The aerial images of Massachusetts are pure white where there is no photograph; the roads are drawn there all the
    same.

    Args:
        image: RGB, `[H, W, 3]`.
        road: True on roads, `[H, W]`.

    Returns:
        Number of pixels of a road that are not white.
    """
    return int((road & (image != 255).any(axis=-1)).sum())


def select_roads(counts: Mapping[str, int], *, candidates: int, drawn: int, seed: int) -> list[str]:
    """Draws images from those with most road.

    Args:
        counts: Visible road pixels of each image.
        candidates: Number of images with most road to draw from; equal counts are ordered by name.
        drawn: Number of images to draw.
        seed: Seed of the draw.

    Returns:
        Names of the drawn images, sorted; all candidates where there are not more.
    """
    best = sorted(counts, key=lambda name: (-counts[name], name))[:candidates]
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(best))[:drawn]
    return sorted(best[place] for place in order)
