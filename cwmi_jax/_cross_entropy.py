"""Cross entropy from logits, exact for saturated ones, and the class weights that balance it."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cwmi_jax._inputs import SegmentationInputs, is_visible


def weighted_cross_entropy(inputs: SegmentationInputs, class_weights: str | ArrayLike | None) -> jax.Array:
    """Mean over an image's unmasked pixels of `-sum_c weight_c target_c log p_c`, in nats.

    Args:
        inputs: of `N` images.
        class_weights: "balanced", None for equal weights of 1, or one weight a class (two for one channel).

    Returns:
        `[N]`; 0 for an image that is wholly masked.
    """
    axes = tuple(range(1, inputs.where.ndim))
    pixels = inputs.where.sum(axis=axes).astype(inputs.logits.dtype)
    weights = _class_weights(inputs, class_weights, pixels)
    shape = (-1, *[1] * len(axes))
    if inputs.binary:
        negative, positive = (weights[:, c].reshape(shape) for c in (0, 1))
        outside = jnp.where(inputs.where, 1 - inputs.targets, 0)
        losses = binary_cross_entropy(inputs.logits, positive * inputs.targets, negative * outside)
    else:
        log_p = jax.nn.log_softmax(inputs.logits)
        losses = -jnp.sum(weights.reshape(*shape, weights.shape[1]) * inputs.targets * log_p, axis=-1)
    return losses.sum(axis=axes) / jnp.maximum(pixels, 1)


@jax.custom_jvp
def binary_cross_entropy(logits: jax.Array, positive: jax.Array, negative: jax.Array) -> jax.Array:
    """`-positive log sigmoid(logits) - negative log sigmoid(-logits)`, elementwise.

    The derivative is written out because automatic differentiation of the logarithm costs four times the value.
    """
    log_p, log_q = _log_sigmoids(logits)
    return -positive * log_p - negative * log_q


@binary_cross_entropy.defjvp
def _(primals, tangents):
    logits, positive, negative = primals
    log_p, log_q = _log_sigmoids(logits)
    slope = negative * jax.nn.sigmoid(logits) - positive * jax.nn.sigmoid(-logits)
    change = slope * tangents[0] - log_p * tangents[1] - log_q * tangents[2]
    return -positive * log_p - negative * log_q, change


def _log_sigmoids(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`log sigmoid` of the logits and of their negatives."""
    tail = jnp.log1p(jnp.exp(-jnp.abs(logits)))
    return jnp.minimum(logits, 0) - tail, jnp.minimum(-logits, 0) - tail


def _class_weights(inputs: SegmentationInputs, class_weights: str | ArrayLike | None, pixels: jax.Array) -> jax.Array:
    """`[N, C]`, two classes for one channel.

    Balanced, a class of `n_c` of an image's pixels weighs `(sum_j n_j - n_c) / min_j n_j` over the classes that are
    present: of two, the larger weighs 1 and the smaller as many times more as it has fewer pixels. A class that has the
    image to itself weighs 1.
    """
    classes = 2 if inputs.binary else inputs.logits.shape[-1]
    count, dtype = pixels.size, pixels.dtype
    if class_weights is None:
        return jnp.ones((count, classes), dtype)
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise ValueError(f"class_weights must be 'balanced', None or an array, got {class_weights!r}")
        sizes = inputs.targets.sum(axis=tuple(range(1, inputs.where.ndim)))
        if inputs.binary:
            sizes = jnp.stack([pixels - sizes, sizes], axis=-1)
        total = sizes.sum(axis=-1, keepdims=True)
        smallest = jnp.where(sizes > 0, sizes, total).min(axis=-1, keepdims=True)
        alone = smallest == total
        return jnp.where(alone, 1, (total - sizes) / jnp.where(alone, 1, smallest))
    weights = jnp.asarray(class_weights)
    if weights.shape != (classes,):
        raise ValueError(f"class_weights must have one weight for each of {classes} classes, got the shape {weights.shape}")
    if is_visible(weights) and not bool((weights >= 0).all()):
        raise ValueError(f"class_weights must not be negative, got {weights}")
    return jnp.broadcast_to(weights.astype(dtype), (count, classes))
