"""ISBI 2012: serial sections of a fly larva's nerve cord in the electron microscope, with the membranes of its cells."""

import functools
import pathlib

import numpy as np
import numpy.typing as npt

from train.datasets.builder import SegmentationBuilder
from train.datasets.contents import Contents, Files, Pair, Record
from train.datasets.matching import match_masks
from train.datasets.readers import DatasetError, describe_values, read_pair, stem
from train.datasets.stacks import read_stacks


class Isbi2012(SegmentationBuilder):
    """ISBI 2012: 30 serial sections of Drosophila larva nerve cord, 512 x 512 pixels of 4 nm, 50 nm apart.

    Annotation 0 is membrane, hence foreground; 255 is the inside of cells.
    """

    name = "isbi2012"
    IMAGES = 30
    PAGE = "https://imagej.net/events/isbi-2012-segmentation-challenge"
    LICENSE = "free for research with the citation; see the page"
    CITATION = (
        "Arganda-Carreras et al., Crowdsourcing the creation of image segmentation algorithms for connectomics, "
        "Frontiers in Neuroanatomy 9:142, 2015"
    )
    LAYOUT = """
        FOLDER/
          images/00.png ... 29.png
          labels/00.png ... 29.png
        or the files of the challenge
        FOLDER/
          train-volume.tif    30 grey pages
          train-labels.tif    30 pages, 0 on membranes, else 255
    """
    PATTERNS = (("images/*.png", "labels/*.png"), ("train-volume.tif", "train-labels.tif"))

    def plan(self, files: Files) -> Contents:
        """See the base class."""
        if "images/*.png" in files:
            pairs = match_masks(files["images/*.png"], files["labels/*.png"], key=stem)
            return Contents([Record(name, "", functools.partial(_drawn, *paths)) for name, *paths in pairs], channels=1)
        images, labels = read_stacks(*(paths[0] for paths in files.values()))
        path = files["train-labels.tif"][0]
        records = [
            Record(f"{index:02d}", "", functools.partial(_inverted, images[index][..., None], labels[index], path))
            for index in range(len(images))
        ]
        return Contents(records, channels=1, dtype=images.dtype, example_bytes=2 * images[0].nbytes)


def _drawn(image_path: pathlib.Path, label_path: pathlib.Path) -> Pair:
    image, label = read_pair(image_path, label_path)
    if image.shape[-1] != 1:
        raise DatasetError(f"{image_path}: must be grey, got {image.shape[-1]} channels; take the original file")
    return _inverted(image, label, label_path)


def _inverted(image: npt.NDArray[np.generic], label: npt.NDArray[np.integer], path: pathlib.Path) -> Pair:
    if not np.isin(label, (0, 255)).all():
        raise DatasetError(f"{path}: must hold 0 on membranes and 255 elsewhere, got {describe_values(label)}")
    return Pair(image, (label == 0).astype(np.uint8))
