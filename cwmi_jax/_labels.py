"""Labels, checked and made probabilities: of classes that exclude each other, or of masks that may overlap."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._settings import is_visible

Labels: TypeAlias = np.ndarray | jax.Array

_SUM = 0.05
"""By how much a sum of probabilities may miss 1: those of many classes in half precision do by some hundredths."""


def unnarrowed(classes: ArrayLike) -> Labels:
    """An array whose values can be checked: JAX without x64 would cut NumPy's 64 bits down to 32 first."""
    return classes if isinstance(classes, np.ndarray) else jnp.asarray(classes)


def as_int32(classes: Labels, num_classes: int) -> jax.Array:
    """Integer or bool classes; those outside of 0..num_classes-1 remain outside."""
    if classes.dtype.itemsize > 4:
        library = np if isinstance(classes, np.ndarray) else jnp
        classes = library.where((classes >= 0) & (classes < num_classes), classes, num_classes)
    return jnp.asarray(classes.astype(np.int32))


def targets_of_classes(labels: Labels, shape: tuple[int, ...], known: jax.Array | None, dtype: np.dtype) -> jax.Array:
    """Probabilities of classes that exclude each other.

    Args:
        labels: integer or bool classes `[..., *shape]`, or probabilities `[..., *shape, C]` (for C = 1 also
            `[..., *shape]`), any float dtype.
        shape: of the logits, `[..., *shape, C]`.
        known: which labels are to be checked, bool `[..., *shape]`; None for all.
        dtype: of the result.

    Returns:
        Of the logits' shape; for C = 1 the probability of class 1.
    """
    *images, classes = shape
    if jnp.issubdtype(labels.dtype, jnp.floating):
        labels = _with_channel(labels, shape)
        if labels.shape != shape:
            hint = f"; classes `{shape[:-1]}` must be integers" if labels.shape == shape[:-1] else ""
            raise ValueError(
                f"labels that are probabilities must have the logits' shape {shape}, got {labels.shape}{hint}"
            )
        probabilities = _probabilities(labels, known)
        if classes > 1:
            _check_sums(labels, known)
        return probabilities.astype(dtype)
    if labels.shape != tuple(images):
        raise ValueError(
            f"labels that are classes must have the logits' shape less the classes, {tuple(images)}, got {labels.shape}; "
            f"one-hot labels must be floating point"
        )
    numbers = _integers(labels, max(classes, 2), known, f"{classes} channel(s) of logits")
    if classes == 1:
        return (numbers == 1).astype(dtype)[..., None]
    return jax.nn.one_hot(numbers, classes, dtype=dtype)


def targets_of_masks(labels: Labels, shape: tuple[int, ...], known: jax.Array | None, dtype: np.dtype) -> jax.Array:
    """Probabilities of masks that may overlap, one a channel.

    Args:
        labels: bool or integers 0 and 1, or probabilities, `[..., *shape, C]` (for C = 1 also `[..., *shape]`).
        shape: of the logits, `[..., *shape, C]`.
        known: which labels are to be checked, bool `[..., *shape]` or of the logits' shape; None for all.
        dtype: of the result.

    Returns:
        Of the logits' shape.
    """
    labels = _with_channel(labels, shape)
    if labels.shape != shape:
        raise ValueError(
            f"labels must have the logits' shape {shape} with activation='sigmoid', a mask for each channel, "
            f"got {labels.shape}; classes that exclude each other need activation='softmax'"
        )
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return _probabilities(labels, known).astype(dtype)
    return (_integers(labels, 2, known, "each mask") == 1).astype(dtype)


def _with_channel(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Labels of one channel with its axis, where that was left out."""
    return labels[..., None] if shape[-1] == 1 and labels.shape == shape[:-1] else labels


def _probabilities(labels: Labels, known: jax.Array | None) -> jax.Array:
    """Floating point labels, checked to lie within 0..1 where they can be seen."""
    labels = jnp.asarray(labels)
    seen = _seen(labels, known)
    if seen is not None and not np.all((seen >= 0) & (seen <= 1)):
        raise ValueError(f"labels that are probabilities must lie within 0..1, got {_extremes(seen)}")
    return labels


def _check_sums(labels: Labels, known: jax.Array | None) -> None:
    """Whether probabilities of classes add up to 1, where they can be seen: masks that overlap do not."""
    seen = _seen(labels, known)
    if seen is None or not seen.size:
        return
    sums = seen.astype(np.float32).sum(axis=-1)
    if np.any(abs(sums - 1) > _SUM):
        raise ValueError(
            f"labels that are probabilities must add up to 1 over the classes, got sums of {_extremes(sums)}; masks that "
            f"overlap need activation='sigmoid', and what is to be ignored is masked with `where`"
        )


def _integers(labels: Labels, num_classes: int, known: jax.Array | None, whose: str) -> jax.Array:
    """Integer or bool labels as int32, checked to lie below the number of classes of `whose` where they can be seen."""
    if labels.dtype != bool and not jnp.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels must be integer or bool classes, or floating point probabilities, got {labels.dtype}")
    largest = num_classes - 1
    seen = None if labels.dtype == bool else _seen(labels, known)
    if seen is not None and seen.size and (seen.min() < 0 or seen.max() > largest):
        painted = ", or write `labels > 0` where 255 is foreground" if largest == 1 else ""
        raise ValueError(
            f"labels must lie within 0..{largest} for {whose}, got {_extremes(seen)}; "
            f"mask what is to be ignored with `where`{painted}"
        )
    return as_int32(labels, num_classes)


def _seen(labels: Labels, known: jax.Array | None) -> np.ndarray | None:
    """The labels that are known, if they can be looked at."""
    if not is_visible(labels) or not is_visible(known):
        return None
    return np.asarray(labels) if known is None else np.asarray(labels)[np.asarray(known)]


def _extremes(values: np.ndarray) -> str:
    return f"{np.min(values)}..{np.max(values)}"
