"""Grey slices of nerve tissue in the electron microscope; foreground is the membrane between cells."""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from train.datasets.builder import Files, Pair, Plan, Record, SegmentationBuilder, match_masks
from train.datasets.files import DatasetError, describe_values, read_pair, read_stack, stem
from train.datasets.preparation import membranes


class Snemi3d(SegmentationBuilder):
    """SNEMI3D: 100 slices of mouse cortex, 1024 x 1024 pixels of 6 nm, 30 nm apart.

    Each slice is one image. Pixels on the boundary between two neurites, or in none, are foreground.
    """

    name = "snemi3d"
    IMAGES = 100
    PAGE = "https://zenodo.org/record/7142003"
    LICENSE = "see the page"
    CITATION = "Kasthuri et al., Saturated reconstruction of a volume of neocortex, Cell 162(3), 2015"
    LAYOUT = """
        FOLDER/
          train-input.tif     100 grey pages
          train-labels.tif    100 pages of neurite numbers
    """
    PATTERNS = (("train-input.tif", "train-labels.tif"),)

    @classmethod
    def plan(cls, files: Files) -> Plan:
        """See the base class."""
        images, instances = _stacks(*files.values())
        records = [
            Record(f"{index:03d}", "", functools.partial(_slice_of_instances, images[index], instances[index]))
            for index in range(len(images))
        ]
        return Plan(records, channels=1, dtype=images.dtype, example_bytes=2 * images[0].nbytes)


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

    @classmethod
    def plan(cls, files: Files) -> Plan:
        """See the base class."""
        if "images/*.png" in files:
            pairs = match_masks(files["images/*.png"], files["labels/*.png"], key=stem)
            return Plan([Record(name, "", functools.partial(_drawn, *paths)) for name, *paths in pairs], channels=1)
        images, labels = _stacks(*files.values())
        path = files["train-labels.tif"][0]
        records = [
            Record(f"{index:02d}", "", functools.partial(_inverted, images[index][..., None], labels[index], path))
            for index in range(len(images))
        ]
        return Plan(records, channels=1, dtype=images.dtype, example_bytes=2 * images[0].nbytes)


def _stacks(
    image_paths: Sequence[pathlib.Path], label_paths: Sequence[pathlib.Path]
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.integer]]:
    images, labels = read_stack(image_paths[0]), read_stack(label_paths[0])
    if images.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{image_paths[0]}: must hold 8- or 16-bit grey values, got {images.dtype}")
    if images.shape != labels.shape:
        raise DatasetError(f"{label_paths[0]}: has shape {labels.shape}, but {image_paths[0]} has {images.shape}")
    return images, labels


def _slice_of_instances(image: npt.NDArray[np.generic], instances: npt.NDArray[np.integer]) -> Pair:
    return image[..., None], membranes(instances)


def _drawn(image_path: pathlib.Path, label_path: pathlib.Path) -> Pair:
    image, label = read_pair(image_path, label_path)
    if image.shape[-1] != 1:
        raise DatasetError(f"{image_path}: must be grey, got {image.shape[-1]} channels; take the original file")
    return _inverted(image, label, label_path)


def _inverted(image: npt.NDArray[np.generic], label: npt.NDArray[np.integer], path: pathlib.Path) -> Pair:
    if not np.isin(label, (0, 255)).all():
        raise DatasetError(f"{path}: must hold 0 on membranes and 255 elsewhere, got {describe_values(label)}")
    return image, (label == 0).astype(np.uint8)
