"""Centrelines of masks, by scikit-image, of which no component goes without one."""

import numpy as np
from scipy import ndimage

from cwmi_jax._extras import require


def centrelines(mask: np.ndarray) -> np.ndarray:
    """Thins the True pixels of `[H, W]` (Zhang, Suen) or `[D, H, W]` (Lee, Kashyap, Chu) to lines.

    In volumes scikit-image deletes whole components of even width: a tube of 4 x 4 voxels has no voxel in its middle. Those
    are thinned on a grid of twice as many voxels, where widths are odd.

    Returns:
        Bool, of the mask's shape; at least one pixel of each component, with neighbours across corners.

    Raises:
        ImportError: without scikit-image.
    """
    thin = require("skimage.morphology", "scikit-image").skeletonize
    lines: np.ndarray = thin(mask).astype(bool)
    components, count = ndimage.label(mask, np.ones([3] * mask.ndim))
    if len(np.unique(components[lines])) == count:
        return lines
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        component = components[box] == number
        if not lines[box][component].any():
            lines[box] |= _coarse(thin(_fine(component)))
    return lines


def _fine(mask: np.ndarray) -> np.ndarray:
    """With a pixel between each two neighbours along an axis, True where both are; its sides are odd."""
    for axis in range(mask.ndim):
        first, second = (np.moveaxis(mask, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        finer = np.repeat(np.moveaxis(mask, axis, 0), 2, axis=0)[:-1]
        finer[1::2] = first & second
        mask = np.moveaxis(finer, 0, axis)
    return mask


def _coarse(lines: np.ndarray) -> np.ndarray:
    """Pixels of the grid that `_fine` refined; what lies between two belongs to the first."""
    coarse = np.zeros([(side + 1) // 2 for side in lines.shape], bool)
    coarse[tuple(index // 2 for index in np.nonzero(lines))] = True
    return coarse
