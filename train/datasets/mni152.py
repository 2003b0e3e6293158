"""The MNI152 brain that the nilearn wheel carries: axial slices, and blocks of the volume. Nothing is downloaded.

The image is the T1-weighted average of 152 people; foreground is its grey matter, a thin folded ribbon. All examples
come from this *one* averaged brain: scores on held-out ones show that the network learnt more than what it saw, not
that it would work on another person.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from nilearn import datasets

from train.datasets.builder import SegmentationBuilder
from train.datasets.contents import Contents, Files, Pair, Record

RESOLUTION_MM = 2  # edge of a voxel
LOWEST_MM, HIGHEST_MM = -30.0, 66.0  # heights of the slices used, in MNI space, ends included
MULTIPLE = 16  # the slices are cropped to the brain, with sides a multiple of this, pixels
THRESHOLD = 0.5  # probability of grey matter above which a pixel is foreground


class Brain(NamedTuple):
    """Slices of the brain, lowest first.

    Attributes:
        images: Grey values from 0 to 1, `[slices, H, W, 1]`, float32. Rows run from front to back, columns from left
            to right of the brain.
        labels: 1 on grey matter, else 0, `[slices, H, W]`, uint8.
        heights_mm: Height of each slice, `[slices]`.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    heights_mm: npt.NDArray[np.float64]


class Mni152(SegmentationBuilder):
    """Axial slices of the MNI152 average brain, 2 mm apart from -30 to 66 mm, cropped to the brain.

    Neighbouring slices are nearly the same picture: split them by height, not at random. The name says the height.
    """

    name = "mni152"
    PAGE = "https://nilearn.github.io"
    LICENSE = "free use with the notice of copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre"
    CITATION = "Fonov et al., Unbiased average age-appropriate atlases for pediatric studies, NeuroImage 54(1), 2011"

    def plan(self, files: Files) -> Contents:
        """See the base class."""
        del files
        brain = load_brain(RESOLUTION_MM)
        records = [
            Record(f"z{height:+04.0f}mm", "", functools.partial(_block, brain, (index, slice(None), slice(None))))
            for index, height in enumerate(brain.heights_mm)
        ]
        return Contents(records, channels=1, dtype=np.float32)


class Mni152Volume(SegmentationBuilder):
    """The MNI152 average brain as four volumes: bottom and top, each front and back, of its whole width.

    The same voxels as the slices of `mni152` but for the highest slice. One volume could not be split into training and
    held-out parts, and two would leave nothing to validate on. Left and right stay together: this brain is its own
    mirror image, so a held-out half would be a picture already seen. Blocks touch; the scores are those of a
    demonstration in 3-D.
    """

    name = "mni152_volume"
    PAGE, LICENSE, CITATION = Mni152.PAGE, Mni152.LICENSE, Mni152.CITATION

    def plan(self, files: Files) -> Contents:
        """See the base class."""
        del files
        brain = load_brain(RESOLUTION_MM)
        height, rows = (side // 2 for side in brain.labels.shape[:2])
        records = [
            Record(f"{level}_{end}", "", functools.partial(_block, brain, (upright, along, slice(None))))
            for level, upright in (("bottom", slice(height)), ("top", slice(height, 2 * height)))
            for end, along in (("back", slice(rows, None)), ("front", slice(rows)))
        ]
        return Contents(records, channels=1, spatial_dims=3, dtype=np.float32)


def load_brain(resolution_mm: int) -> Brain:
    """Reads the slices between two heights, cropped to the brain.

    Args:
        resolution_mm: Edge of a voxel, millimetres.

    Returns:
        The brain.
    """
    template = datasets.load_mni152_template(resolution=resolution_mm)
    probability = datasets.load_mni152_gm_template(resolution=resolution_mm)
    mask = datasets.load_mni152_brain_mask(resolution=resolution_mm)
    heights = template.affine[2, 3] + template.affine[2, 2] * np.arange(template.shape[2])
    used = (heights >= LOWEST_MM) & (heights <= HIGHEST_MM)
    images = _axial(np.asarray(template.dataobj, np.float32))[used]
    labels = _axial(np.asarray(probability.dataobj) > THRESHOLD)[used]
    window = _window(_axial(np.asarray(mask.dataobj) > 0)[used])
    # Resampling leaves values a little outside 0..1.
    return Brain(images[window].clip(0.0, 1.0)[..., None], labels[window].astype(np.uint8), heights[used])


def _axial(volume: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    # The volume is [left to right, back to front, bottom to top]; the first row of a picture is to be the front.
    return np.ascontiguousarray(volume.transpose(2, 1, 0)[:, ::-1])


def _window(brain: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    # One window for all slices: the empty surroundings are easy pixels that would only flatter the scores. Sides that
    # are a multiple of a power of two spare the network its padding and the pyramid slow transforms.
    edges = []
    for axis in (1, 2):
        inside = np.flatnonzero(brain.any(axis=(0, 3 - axis)))
        first, size = int(inside[0]), int(inside[-1]) + 1 - int(inside[0])
        grown = -size % MULTIPLE
        start = min(max(first - grown // 2, 0), max(brain.shape[axis] - size - grown, 0))
        edges.append(slice(start, start + size + grown))
    return slice(None), edges[0], edges[1]


def _block(brain: Brain, where: tuple[int | slice, slice, slice]) -> Pair:
    return Pair(brain.images[where], brain.labels[where])
