"""What is done to the images and annotations of the paper's data sets before training, on the host.

Foreground, class 1, is the thin class everywhere: membrane, the tissue between glands, vessel, road.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from skimage.segmentation import find_boundaries


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


def pad_to_multiple(
    values: npt.NDArray[np.generic], multiple: int, *, fill: int | None = None
) -> npt.NDArray[np.generic]:
    """Pads the two sides of an image up to the next multiple, half before and half after (the odd pixel after).

    Args:
        values: Image or mask, `[H, W, ...]`.
        multiple: What the sides shall be a multiple of, pixels.
        fill: Value of the new pixels; None repeats the edge.

    Returns:
        The padded array.
    """
    grown = [-side % multiple for side in values.shape[:2]]
    widths = [(add // 2, add - add // 2) for add in grown] + [(0, 0)] * (values.ndim - 2)
    if fill is None:
        return np.pad(values, widths, mode="edge")
    return np.pad(values, widths, constant_values=fill)


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
