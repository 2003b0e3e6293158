"""The front door of the metrics: predictions and labels, checked, and one value an image out."""

import math
from collections.abc import Callable
from typing import TypeAlias

import jax
import numpy as np
import numpy.typing as npt
from jax.typing import ArrayLike

from cwmi_jax._inputs import check_where
from cwmi_jax._settings import dimensions, integer, is_visible

Mask: TypeAlias = npt.NDArray[np.bool_]
Scores: TypeAlias = npt.NDArray[np.float64]

_MOST_CLASSES = math.isqrt(2**31 - 1)


def each_image(
    score: Callable[[Mask, Mask, Mask], float],
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None,
    spatial_dims: int,
) -> Scores:
    """Applies `score(prediction, label, where)` to every image of two masks.

    Args:
        score: of one image, from bool masks `[*shape]`. Prediction and label are False where `where` is, and that is True
            somewhere: an image of nothing but void is given as two empty masks without void.
        predictions: `[..., *shape]`, bool or integers 0 and 1.
        labels: as `predictions`.
        where: bool `[..., *shape]`, False on void pixels; None for all True.
        spatial_dims: how many axes `shape` has, 2 or 3.

    Returns:
        `[...]`, float64.
    """
    spatial_dims = dimensions(spatial_dims)
    predicted, true, known = host_masks(predictions, labels, num_classes=2, where=where, spatial_dims=spatial_dims)
    leading, shape = true.shape[:-spatial_dims], true.shape[-spatial_dims:]
    predicted, true = (mask.astype(bool) & known for mask in (predicted, true))
    known = known | ~known.any(axis=tuple(range(-spatial_dims, 0)), keepdims=True)
    images = zip(*(mask.reshape(-1, *shape) for mask in (predicted, true, known)), strict=True)
    return np.array([score(*masks) for masks in images], np.float64).reshape(leading)


def bounding_box(mask: Mask) -> tuple[slice, ...]:
    """The smallest box that holds class 1 of a mask, which is not empty."""
    axes = range(mask.ndim)
    held = (np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes)
    return tuple(slice(places[0], places[-1] + 1) for places in held)


def host_masks(
    predictions: ArrayLike, labels: ArrayLike, *, num_classes: int, where: ArrayLike | None, spatial_dims: int
) -> tuple[np.ndarray, np.ndarray, Mask]:
    """Checks classes `[..., *shape]` whose values can be seen, and returns them as NumPy arrays of their own dtypes.

    Args:
        predictions: integers or bool.
        labels: integers or bool, of the same shape.
        num_classes: values where `where` is True lie below.
        where: bool, of the same shape; None for all True.
        spatial_dims: how many axes `shape` has, 2 or 3.

    Returns:
        Predictions, labels and `where`.
    """
    predicted, true = _on_host("predictions", predictions), _on_host("labels", labels)
    if predicted.shape != true.shape:
        raise ValueError(f"predictions and labels must have one shape, got {predicted.shape} and {true.shape}")
    if true.ndim < spatial_dims or 0 in true.shape:
        axes = "[..., H, W]" if spatial_dims == 2 else "[..., D, H, W]"
        raise ValueError(f"predictions and labels must be {axes} with spatial_dims={spatial_dims}, got {true.shape}")
    known = None if where is None else _on_host("where", where)
    if known is not None:
        check_where(known, true.shape, "the labels")
    for name, classes in (("predictions", predicted), ("labels", true)):
        check_classes(name, classes)
        check_range(name, classes, num_classes, known)
    return predicted, true, np.ones(true.shape, bool) if known is None else known


def class_count(num_classes: int) -> int:
    """`num_classes`, at least 2, and few enough for int32 to number the cells of a table."""
    count = integer("num_classes", num_classes, least=2)
    if count > _MOST_CLASSES:
        raise ValueError(f"num_classes can be 2 to {_MOST_CLASSES}, for int32 to number all pairs, got {count}")
    return count


def check_classes(name: str, classes: np.ndarray | jax.Array) -> None:
    """Raises unless an array holds classes: integers, or bool for two."""
    if classes.dtype != bool and not np.issubdtype(classes.dtype, np.integer):
        raise TypeError(
            f"{name} must be integer or bool classes, got {classes.dtype}; "
            f"threshold probabilities, as in `probabilities > 0.5`"
        )


def check_range(name: str, classes: ArrayLike, num_classes: int, where: ArrayLike | None) -> None:
    """Raises a ValueError that names the classes outside 0..num_classes-1, where values can be seen."""
    if not is_visible(classes) or not is_visible(where):
        return
    seen = np.asarray(classes) if where is None else np.asarray(classes)[np.asarray(where)]
    if seen.size == 0 or (seen.min() >= 0 and seen.max() < num_classes):
        return
    outside = np.unique(seen[(seen < 0) | (seen >= num_classes)])
    more = ", ..." if len(outside) > 3 else ""
    raise ValueError(
        f"{name} must lie within 0..{num_classes - 1}, got {', '.join(map(str, outside[:3]))}{more} "
        f"in {np.isin(seen, outside).sum()} of {math.prod(seen.shape)} pixels"
    )


def _on_host(name: str, array: ArrayLike) -> np.ndarray:
    if not is_visible(array):
        raise TypeError(
            f"{name} must be an array whose values this process holds, got {array}; this metric runs on the host: "
            f"call it outside `jit`, where `confusion_matrix` works"
        )
    return np.asarray(array)
