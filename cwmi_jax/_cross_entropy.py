"""Cross entropy from logits, exact for saturated ones, and the class weights that balance it."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cwmi_jax._inputs import SegmentationInputs, finite
from cwmi_jax._meshes import vary_alike
from cwmi_jax._products import total
from cwmi_jax._settings import NOT_NEGATIVE, check_limits, is_visible


def mean_cross_entropy(inputs: SegmentationInputs, class_weights: str | ArrayLike | None) -> jax.Array:
    """Mean over an image's unmasked pixels of `-sum_c weight_c target_c log p_c`, in nats.

    Args:
        inputs: of `N` images.
        class_weights: "balanced", None for equal weights of 1, or one weight a class (two for one channel, and for each
            mask).

    Returns:
        `[N]`; 0 for an image that is wholly masked.
    """
    axes = tuple(range(1, inputs.spatial_dims + 1))
    pixels = inputs.pixels
    weights = class_weights_of(inputs, class_weights)
    if inputs.binary:
        logits, targets, weights = vary_alike(inputs.logits, inputs.targets, weights)
        losses = binary_cross_entropy(logits, targets, inputs.where, weights)
    else:
        weighted = jnp.expand_dims(weights, axes) * inputs.targets
        losses = -jnp.sum(weighted * _log_softmax(inputs.logits), axis=(*axes, -1))
    return losses / jnp.maximum(pixels, 1)


@jax.checkpoint
def _log_softmax(logits: jax.Array) -> jax.Array:
    """Computed again for the gradient, for which it would be kept beside the logits."""
    return finite(jax.nn.log_softmax(logits))


@jax.custom_vjp
def binary_cross_entropy(
    logits: jax.Array, targets: jax.Array, where: jax.Array | None, weights: jax.Array
) -> jax.Array:
    """`-sum(w_1 t log sigmoid(z) + w_0 (1 - t) log sigmoid(-z))` of each image, in nats.

    The derivative is written out because XLA computes the differentiated logarithm five times more slowly on a CPU.

    Args:
        logits: z, `[N, *shape]`.
        targets: t, probability of class 1, `[N, *shape]`.
        where: which pixels count, bool `[N, *shape]`, or None for all.
        weights: `[N, 2]`.
    """
    log_p, log_q = _log_sigmoids(logits)
    positive, negative = (jnp.expand_dims(weights[:, c], _pixels(logits)) for c in (1, 0))
    losses = -positive * targets * log_p - negative * _outside(targets, where) * log_q
    return total(losses, losses.ndim - 1)


def _forward(logits, targets, where, weights):
    return binary_cross_entropy(logits, targets, where, weights), (logits, targets, where, weights)


def _backward(saved, cotangent):
    logits, targets, where, weights = saved
    # Keeps the compiler from holding what the value was computed from until the gradient is due.
    logits = jax.lax.optimization_barrier(logits)
    log_p, log_q = _log_sigmoids(logits)
    outside = _outside(targets, where)
    pixels = _pixels(logits)
    positive, negative = (jnp.expand_dims(cotangent * weights[:, c], pixels) for c in (1, 0))
    of_logits = negative * outside * jax.nn.sigmoid(logits) - positive * targets * jax.nn.sigmoid(-logits)
    of_targets = negative * log_q - positive * log_p
    if where is not None:
        of_targets = jnp.where(where, of_targets, 0)
    of_weights = -jnp.stack([(outside * log_q).sum(axis=pixels), (targets * log_p).sum(axis=pixels)], axis=1)
    return of_logits, of_targets, None, cotangent[:, None] * of_weights


binary_cross_entropy.defvjp(_forward, _backward)


def log_probabilities(inputs: SegmentationInputs) -> tuple[jax.Array, jax.Array]:
    """`log p_c` and `log (1 - p_c)` of every class, each `[N, C, *shape]`, finite and exact for saturated logits."""
    if inputs.binary:
        log_p, log_q = _log_sigmoids(inputs.logits)
        return jnp.stack([log_q, log_p], axis=1), jnp.stack([log_p, log_q], axis=1)
    logits = finite(jnp.moveaxis(inputs.logits, -1, 1))
    # What all logits share is no part of a probability, and would take digits from the differences below.
    logits = logits - jax.lax.stop_gradient(logits.max(axis=1, keepdims=True))
    log_p = jax.nn.log_softmax(logits, axis=1)
    top = jax.nn.one_hot(logits.argmax(axis=1), inputs.classes, axis=1, dtype=bool)
    # 1 - p of the likeliest class may round to 0; it is the sum of the others. No other class is above one half.
    others = jax.nn.logsumexp(jnp.where(top, -jnp.inf, logits), axis=1, keepdims=True)
    everything = jax.nn.logsumexp(logits, axis=1, keepdims=True)
    return log_p, jnp.where(top, others - everything, jnp.log1p(-jnp.where(top, 0, jnp.exp(log_p))))


def _pixels(images: jax.Array) -> tuple[int, ...]:
    """The axes of the pixels of `[N, *shape]`."""
    return tuple(range(1, images.ndim))


def _outside(targets: jax.Array, where: jax.Array | None) -> jax.Array:
    return 1 - targets if where is None else jnp.where(where, 1 - targets, 0)


@jax.custom_jvp
def _log_sigmoids(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`log sigmoid` of the logits and of their negatives, finite for infinite ones too."""
    tail = jnp.log1p(jnp.exp(-jnp.abs(logits)))
    least = jnp.finfo(logits.dtype).min
    return jnp.clip(logits, least, 0) - tail, jnp.clip(-logits, least, 0) - tail


@_log_sigmoids.defjvp
def _log_sigmoids_jvp(primals, tangents):
    # As the compiler would differentiate it the logarithm takes five times as long, here too.
    (logits,), (tangent,) = primals, tangents
    return _log_sigmoids(logits), (jax.nn.sigmoid(-logits) * tangent, -jax.nn.sigmoid(logits) * tangent)


def class_weights_of(inputs: SegmentationInputs, class_weights: str | ArrayLike | None) -> jax.Array:
    """`[N, C]`, two classes for one channel and for a mask; balanced, see `cwmi_jax.losses.balanced_cross_entropy`."""
    pixels, classes = inputs.pixels, inputs.classes
    count, dtype = pixels.size, pixels.dtype
    if class_weights is None:
        return jnp.ones((count, classes), dtype)
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise ValueError(f"class_weights must be 'balanced', None or an array, got {class_weights!r}")
        return _balanced_weights(inputs)
    weights = jnp.asarray(class_weights)
    wanted = (classes,) if inputs.masks is None else (inputs.masks, classes)
    if inputs.masks == 1 and weights.shape == (classes,):
        weights = weights.reshape(wanted)
    if weights.shape != wanted:
        of_masks = "" if inputs.masks is None else f" of each mask, {wanted}"
        raise ValueError(
            f"class_weights must have one weight for each of {classes} classes{of_masks}, got the shape {weights.shape}"
        )
    if jnp.issubdtype(weights.dtype, jnp.complexfloating):
        raise TypeError(f"class_weights must be real, got {weights.dtype}")
    # Of the argument, for under `jit` even an array made of a list is traced.
    if all(map(is_visible, jax.tree.leaves(class_weights))):
        check_limits("class_weights", class_weights, NOT_NEGATIVE)
    return jnp.broadcast_to(weights.astype(dtype), (math.prod(inputs.leading), *wanted)).reshape(count, classes)


def _balanced_weights(inputs: SegmentationInputs) -> jax.Array:
    sizes = inputs.targets.sum(axis=tuple(range(1, inputs.spatial_dims + 1)))
    if inputs.binary:
        sizes = jnp.stack([inputs.pixels - sizes, sizes], axis=-1)
        smallest = sizes.min(axis=-1, keepdims=True)
        both = smallest > 0
        return jnp.where(both, sizes[:, ::-1] / jnp.where(both, smallest, 1), 1)
    present = sizes > 0
    classes = present.sum(axis=-1, keepdims=True).astype(sizes.dtype)
    return jnp.where(present, inputs.pixels[:, None] / jnp.where(present, classes * sizes, 1), 0)
