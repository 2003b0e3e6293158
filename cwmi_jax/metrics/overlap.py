"""Mean intersection over union and mean Dice of each image, over its classes."""

import math

import numpy as np
import numpy.typing as npt
from jax.typing import ArrayLike

from cwmi_jax._settings import dimensions
from cwmi_jax.metrics._masks import Scores, class_count, host_masks
from cwmi_jax.metrics.confusion import dice_from_confusion, iou_from_confusion


def mean_iou(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    num_classes: int = 2,
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
) -> Scores:
    """Intersection over union of an image, the mean over its classes, background included.

    Args:
        predictions: integer or bool classes `[..., H, W]`, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: as `predictions`.
        num_classes: how many classes there are.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64, 0 to 1. A class that label and prediction both lack counts as 1; so two empty masks score 1, as
        does an image that is wholly void.

    Raises:
        TypeError: floating point predictions or labels (threshold them first), or a `where` that is not bool.
        ValueError: shapes that do not match, or classes outside 0..num_classes-1; the message names them.

    References:
        Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010, there over a whole data set:
        `cwmi_jax.metrics.iou_from_confusion`.

    Examples:
        >>> from cwmi_jax.metrics import mean_iou
        >>> float(mean_iou([[1, 1, 0, 0]], [[1, 0, 0, 0]]).round(4))
        0.5833
    """
    counts = _confusion_matrices(predictions, labels, num_classes, where, spatial_dims)
    return np.asarray(iou_from_confusion(counts)).mean(axis=-1)


def mean_dice(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    num_classes: int = 2,
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
) -> Scores:
    """Dice's coefficient of an image, the mean over its classes, background included.

    Args:
        predictions: integer or bool classes `[..., H, W]`, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: as `predictions`.
        num_classes: how many classes there are.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64, 0 to 1. A class that label and prediction both lack counts as 1; so two empty masks score 1, as
        does an image that is wholly void.

    Raises:
        TypeError: floating point predictions or labels (threshold them first), or a `where` that is not bool.
        ValueError: shapes that do not match, or classes outside 0..num_classes-1; the message names them.

    References:
        Dice, "Measures of the amount of ecologic association between species", Ecology 1945.

    Examples:
        >>> from cwmi_jax.metrics import mean_dice
        >>> float(mean_dice([[1, 1, 0, 0]], [[1, 0, 0, 0]]).round(4))
        0.7333
    """
    counts = _confusion_matrices(predictions, labels, num_classes, where, spatial_dims)
    return np.asarray(dice_from_confusion(counts)).mean(axis=-1)


def _confusion_matrices(
    predictions: ArrayLike, labels: ArrayLike, num_classes: int, where: ArrayLike | None, spatial_dims: int
) -> npt.NDArray[np.int64]:
    """Counts of each image, `[..., C, C]`, pixels of label i predicted as j at `[..., i, j]`."""
    num_classes, spatial_dims = class_count(num_classes), dimensions(spatial_dims)
    predicted, true, known = host_masks(
        predictions, labels, num_classes=num_classes, where=where, spatial_dims=spatial_dims
    )
    leading = true.shape[:-spatial_dims]
    images = np.arange(math.prod(leading)).reshape(*leading, *[1] * spatial_dims)
    # Void pixels may hold anything, but are dropped before they are counted.
    cell = (images * num_classes + true.astype(np.int64)) * num_classes + predicted.astype(np.int64)
    counts = np.bincount(cell[known], minlength=images.size * num_classes**2)
    return counts.astype(np.int64).reshape(*leading, num_classes, num_classes)
