"""SNEMI3D: slices of mouse cortex in the electron microscope, with the membranes between its cells."""

import functools

import numpy as np
import numpy.typing as npt
from skimage.segmentation import find_boundaries

from train.datasets.builder import SegmentationBuilder
from train.datasets.contents import Contents, Files, Pair, Record
from train.datasets.stacks import read_stacks


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

    def plan(self, files: Files) -> Contents:
        """See the base class."""
        images, instances = read_stacks(*(paths[0] for paths in files.values()))
        records = [
            Record(f"{index:03d}", "", functools.partial(_slice_of_instances, images[index], instances[index]))
            for index in range(len(images))
        ]
        return Contents(records, channels=1, dtype=images.dtype, example_bytes=2 * images[0].nbytes)


def _slice_of_instances(image: npt.NDArray[np.generic], instances: npt.NDArray[np.integer]) -> Pair:
    return Pair(image[..., None], membranes(instances))


def membranes(instances: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Pixels between or outside the instances of one slice.

    The boundary is two pixels thick: every pixel, of either instance, with one of its four neighbours in another
    (scikit-image's mode "thick"). Neighbouring slices do not count.

    Args:
        instances: Number of the instance of each pixel, 0 where there is none, `[H, W]`.

    Returns:
        1 on a boundary or where the number is 0, else 0, `[H, W]`.
    """
    return (find_boundaries(instances, connectivity=1, mode="thick") | (instances == 0)).astype(np.uint8)
