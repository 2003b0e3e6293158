"""Distances between the foregrounds of two masks."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jax.typing import ArrayLike
from scipy import ndimage

from cwmi_jax._nearest import to_nearest
from cwmi_jax._settings import dimensions, spacing_or_ones
from cwmi_jax.metrics._masks import Mask, Scores, bounding_box, each_image


def modified_hausdorff(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
) -> Scores:
    """Modified Hausdorff distance between the pixels of class 1, the "HD" of the paper's tables.

    The mean distance from a pixel of one to the nearest of the other, in the worse direction. All pixels count, not those of
    the border alone, so it is far smaller than the distances of `hausdorff95`.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: the length of a pixel along each spatial axis, such as millimetres; None for 1 along all.

    Returns:
        `[...]`, float64, in the unit of `spacing`, or pixels. With exactly one mask empty the image's diagonal, which is
        more than any distance in it, where scikit-image says infinity; with both empty 0.

    Raises:
        TypeError: floating point masks (threshold them first), or a `where` that is not bool.
        ValueError: shapes that do not match, values other than 0 and 1, or a spacing that is not positive; the message
            names them.

    References:
        Dubuisson and Jain, "A modified Hausdorff distance for object matching", ICPR 1994.

    Examples:
        >>> from cwmi_jax.metrics import modified_hausdorff
        >>> float(modified_hausdorff([[1, 1, 0, 0, 0]], [[0, 1, 0, 0, 1]]))
        1.5
    """
    lengths = spacing_or_ones(spacing, dimensions(spatial_dims))

    def score(prediction: Mask, label: Mask, _: Mask) -> float:
        if not (prediction.any() and label.any()):
            return _without_foreground(prediction, label, lengths)
        box = bounding_box(prediction | label)
        return max(float(distances.mean()) for distances in _distances(prediction[box], label[box], lengths))

    return each_image(score, predictions, labels, where=where, spatial_dims=spatial_dims)


def hausdorff95(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
) -> Scores:
    """95th percentile of the distances between the borders of class 1, "HD95".

    From each border pixel of either mask to the nearest border pixel of the other, both directions in one list, with linear
    interpolation: the definition of MedPy and of most published tables. (MONAI and DeepMind's surface-distance take the
    larger of the percentiles of the two directions instead.) A border pixel has a 4-neighbour (6 in volumes) of class 0, or
    one that is void or outside the image.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: the length of a pixel along each spatial axis, such as millimetres; None for 1 along all.

    Returns:
        `[...]`, float64, in the unit of `spacing`, or pixels. With exactly one mask empty the image's diagonal, which is
        more than any distance in it; with both empty 0.

    Raises:
        TypeError: floating point masks (threshold them first), or a `where` that is not bool.
        ValueError: shapes that do not match, values other than 0 and 1, or a spacing that is not positive; the message
            names them.

    References:
        Huttenlocher et al., "Comparing images using the Hausdorff distance", IEEE TPAMI 1993, for percentiles; Maier-Hein et
        al., "Metrics reloaded: recommendations for image analysis validation", Nature Methods 2024, for the variants.

    Examples:
        >>> from cwmi_jax.metrics import hausdorff95
        >>> float(hausdorff95([[1, 1, 0, 0, 0]], [[0, 1, 0, 0, 1]]).round(4))
        2.7
    """
    lengths = spacing_or_ones(spacing, dimensions(spatial_dims))

    def score(prediction: Mask, label: Mask, _: Mask) -> float:
        if not (prediction.any() and label.any()):
            return _without_foreground(prediction, label, lengths)
        box = bounding_box(prediction | label)
        distances = _distances(_border(prediction[box]), _border(label[box]), lengths)
        return float(np.percentile(np.concatenate(distances), 95))

    return each_image(score, predictions, labels, where=where, spatial_dims=spatial_dims)


def _without_foreground(prediction: Mask, label: Mask, spacing: tuple[float, ...]) -> float:
    """The distance between two masks of which one is empty, or both."""
    if not (prediction.any() or label.any()):
        return 0.0
    return math.hypot(*np.multiply(label.shape, spacing))


def _border(mask: Mask) -> Mask:
    return mask & ~ndimage.binary_erosion(mask)


def _distances(first: Mask, second: Mask, spacing: tuple[float, ...]) -> list[npt.NDArray[np.float64]]:
    """From each pixel of one mask to the nearest of the other, and back."""
    return [to_nearest(end, np.nonzero(start), spacing)[0] for start, end in ((first, second), (second, first))]
