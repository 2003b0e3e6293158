"""Exact Euclidean distances to the nearest of some pixels, on the host."""

import numpy as np
from scipy import ndimage


def to_nearest(
    targets: np.ndarray, at: tuple[np.ndarray, ...], spacing: tuple[float, ...]
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The distance from each of some pixels to the nearest target, and where that is.

    Args:
        targets: bool, `True` at one pixel or more.
        at: the pixels, as `np.nonzero` gives them.
        spacing: the length of a pixel along each axis.
    """
    # Of distances SciPy would make those of all pixels, in half a dozen passes over them.
    indices = ndimage.distance_transform_edt(~targets, spacing, return_distances=False, return_indices=True)
    places = tuple(indices[(slice(None), *at)])
    squares = sum(((there - here) * length) ** 2 for there, here, length in zip(places, at, spacing, strict=True))
    return np.sqrt(squares), places
