"""Components of class 0: what a thin structure, class 1, separates."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def components(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], int]:
    """Those that share sides (in volumes faces): numbered 1, 2, ... in the mask's shape, 0 on class 1, and how many."""
    labels, count = ndimage.label(~mask)
    return labels, count
