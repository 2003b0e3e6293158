"""Counts of pixels by label and prediction, inside `jit`, and the scores that follow from them.

Counts add up, scores do not: sum the counts of batches, devices and hosts, then take the score. Intersection over union of a
data set is not the mean over its images (`cwmi_jax.metrics.mean_iou` gives one value an image).
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.typing import ArrayLike

from cwmi_jax._inputs import check_where
from cwmi_jax._labels import Labels, as_int32, unnarrowed
from cwmi_jax._meshes import batched
from cwmi_jax.metrics._masks import check_classes, check_range, class_count

_Counts: TypeAlias = jax.Array | npt.NDArray[np.float64]


@batched(trailing=None)
def confusion_matrix(
    logits_or_classes: ArrayLike, labels: ArrayLike, *, num_classes: int, where: ArrayLike | None = None
) -> jax.Array:
    """Counts of pixels by label and prediction, summed over everything.

    Works under `jit`, `vmap` and `pmap`: `vmap` it for one matrix an image, `jax.lax.psum` it over devices. Pixels that
    fill up a batch have `where` False, and the sum over batches is exactly that of the data set. Add steps on the host as
    int64: int32 is full after 2^31 pixels, 800 batches of ten 512 x 512 images.

    Args:
        logits_or_classes: floating point is logits `[..., C]`, with the prediction argmax over C, the first of equals, or
            with C = 1 class 1 where the logit is above 0. Integer or bool is predicted classes `[...]`.
        labels: integer or bool classes `[...]`.
        num_classes: C; 2 for logits of one channel.
        where: bool `[...]`. False pixels count nowhere, and classes there may hold anything.

    Returns:
        int32 `[num_classes, num_classes]`; pixels of label i predicted as j at `[i, j]`. Inside `jit` classes outside
        0..num_classes-1 cannot be seen and count nowhere.

    Raises:
        TypeError: labels that are not classes, or a `where` that is not bool.
        ValueError: shapes that do not match, or classes outside 0..num_classes-1 where they can be seen; the message names
            the value.

    References:
        Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010: counts over all images.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from cwmi_jax.metrics import confusion_matrix
        >>> labels = jnp.array([[0, 0, 1], [1, 1, 255]])
        >>> logits = jnp.array([[-3.0, 2.0, 4.0], [1.0, -1.0, 0.5]])[..., None]
        >>> count = jax.jit(lambda *batch: confusion_matrix(*batch, num_classes=2, where=batch[1] != 255))
        >>> count(logits, labels).tolist()
        [[1, 1], [1, 2]]
    """
    num_classes = class_count(num_classes)
    labels = unnarrowed(labels)
    check_classes("labels", labels)
    predicted = _predicted_classes(unnarrowed(logits_or_classes), labels.shape, num_classes)
    mask = None if where is None else jnp.asarray(where)
    if mask is not None:
        check_where(mask, labels.shape, "the labels")
    check_range("predictions", predicted, num_classes, mask)
    check_range("labels", labels, num_classes, mask)

    predicted, labels = as_int32(predicted, num_classes), as_int32(labels, num_classes)
    counted = (predicted >= 0) & (predicted < num_classes) & (labels >= 0) & (labels < num_classes)
    if mask is not None:
        counted &= mask
    # A cell that the table does not have drops the pixel.
    cells = num_classes * num_classes
    cell = jnp.where(counted, labels * num_classes + predicted, cells)
    counts = jnp.zeros(cells, np.int32).at[cell.ravel()].add(1, mode="drop")
    return counts.reshape(num_classes, num_classes)


def iou_from_confusion(confusion: ArrayLike) -> _Counts:
    """Intersection over union of each class (Jaccard's index), `TP / (TP + FP + FN)`.

    Args:
        confusion: counts `[..., C, C]`, pixels of label i predicted as j at `[..., i, j]`, NumPy (int64 for whole data sets)
            or JAX.

    Returns:
        `[..., C]`, 0 to 1; float64 for NumPy, JAX's default float for JAX. A class that labels and predictions both lack
        has no pixels to get wrong: 1.

    Raises:
        ValueError: the last two axes differ.

    References:
        Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 1912.

    Examples:
        >>> from cwmi_jax.metrics import iou_from_confusion
        >>> iou_from_confusion([[6, 2, 0], [1, 3, 0], [0, 0, 0]]).round(4).tolist()
        [0.6667, 0.5, 1.0]
    """
    hits, union = _hits_and_union(confusion)
    return _share(hits, union)


def dice_from_confusion(confusion: ArrayLike) -> _Counts:
    """Dice's coefficient of each class (F1 score), `2 TP / (2 TP + FP + FN)`.

    Args:
        confusion: counts `[..., C, C]`, pixels of label i predicted as j at `[..., i, j]`, NumPy (int64 for whole data sets)
            or JAX.

    Returns:
        `[..., C]`, 0 to 1; float64 for NumPy, JAX's default float for JAX. A class that labels and predictions both lack
        has no pixels to get wrong: 1.

    Raises:
        ValueError: the last two axes differ.

    References:
        Dice, "Measures of the amount of ecologic association between species", Ecology 1945.

    Examples:
        >>> from cwmi_jax.metrics import dice_from_confusion
        >>> dice_from_confusion([[6, 2, 0], [1, 3, 0], [0, 0, 0]]).round(4).tolist()
        [0.8, 0.6667, 1.0]
    """
    hits, union = _hits_and_union(confusion)
    return _share(2 * hits, hits + union)


def _predicted_classes(predictions: Labels, shape: tuple[int, ...], num_classes: int) -> Labels:
    """Classes `[...]` from them, or from logits `[..., C]`."""
    if not jnp.issubdtype(predictions.dtype, jnp.floating):
        check_classes("predictions", predictions)
        if predictions.shape != shape:
            raise ValueError(f"predictions and labels must have one shape, got {predictions.shape} and {shape}")
        return predictions
    channels = (1, 2) if num_classes == 2 else (num_classes,)
    if predictions.shape not in [(*shape, count) for count in channels]:
        raise ValueError(
            f"floating point predictions are logits and must have the labels' shape {shape} and an axis of "
            f"{' or '.join(map(str, channels))} at the end, got {predictions.shape}"
        )
    return predictions[..., 0] > 0 if predictions.shape[-1] == 1 else jnp.argmax(jnp.asarray(predictions), axis=-1)


def _hits_and_union(confusion: ArrayLike) -> tuple[_Counts, _Counts]:
    """`TP` and `TP + FP + FN` of each class, `[..., C]`, floating point."""
    counts = confusion if isinstance(confusion, jax.Array) else np.asarray(confusion)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"confusion must be [..., C, C], got the shape {counts.shape}")
    # Before sums are taken, which int32 may not hold.
    counts = counts.astype(jnp.result_type(float) if isinstance(counts, jax.Array) else np.float64)
    hits = counts.diagonal(axis1=-2, axis2=-1)
    # In this order no sum exceeds the number of pixels.
    return hits, counts.sum(axis=-1) + (counts.sum(axis=-2) - hits)


def _share(part: _Counts, whole: _Counts) -> _Counts:
    """`part / whole`, 1 where the whole is nothing."""
    library = jnp if isinstance(whole, jax.Array) else np
    nothing = whole == 0
    return library.where(nothing, 1.0, part / library.where(nothing, 1.0, whole))
