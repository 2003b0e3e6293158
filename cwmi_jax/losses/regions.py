"""Region Mutual Information: what is left of a pixel's neighbourhood once the predicted neighbourhood is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._cross_entropy import log_probabilities
from cwmi_jax._gaussian import Conditional, adjoint, condition
from cwmi_jax._inputs import SegmentationInputs, reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._products import einsum, matmul, total
from cwmi_jax._settings import SHARE, integer, number

# Of the released code: added to the diagonals of the prediction's covariance and of the conditional one, sums over pixels.
_EPSILON = 5e-4


@batched(trailing=1)
def rmi(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    radius: int = 3,
    pool: int = 3,
    rmi_weight: float | jax.Array = 0.5,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Region Mutual Information (RMI) loss, `(1 - rmi_weight) cross_entropies + rmi_weight R`.

    Label and probability of every class are max-pooled, and the `radius x radius` neighbourhoods of their pixels, as vectors
    of `d = radius^2` numbers (`radius^3` for volumes), are taken for Gaussian:

        R = sum_c log det (S_g|p,c + e I) / 2d ,    S_g|p = S_gg - S_gp (S_pp + e I)^-1 S_pg ,    e = 5e-4,

    with centred sums over the neighbourhoods that lie within the image. Where the prediction meets the label S_g|p is a
    small difference of large numbers; it comes from the residual of the best gain instead, as CWMI's does. The cross
    entropies are binary, each class against the rest, summed over pixels and classes, and divided by the pixels plus one.
    With one channel both classes count, for a maximum of p is not one of 1 - p.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
            Masked pixels are zero in label and probability and have no cross entropy.
        radius: side of a neighbourhood in pooled pixels.
        pool: side and stride of the pooling window in pixels; 1 for none.
        rmi_weight: of `R`, 0 to 1.

    Returns:
        Nats. It can be negative.

    Raises:
        ValueError: an image too small for `radius` and `pool`.

    References:
        Zhao et al., "Region Mutual Information Loss for Semantic Segmentation", NeurIPS 2019, arXiv:1910.12037.

    Examples:
        >>> labels = jnp.zeros((24, 24), int).at[10:13].set(1)
        >>> sure = jnp.where(labels == 1, 6.0, -6.0)[..., None]
        >>> bool(rmi(sure, labels) < rmi(jnp.zeros_like(sure), labels))
        True
    """
    radius, pool = integer("radius", radius, least=1), integer("pool", pool, least=1)
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    rmi_weight = number("rmi_weight", rmi_weight, inputs.logits.dtype, SHARE)
    pooled = [_pooled_side(side, pool) for side in inputs.shape]
    if min(pooled) < radius:
        raise ValueError(
            f"pool={pool} leaves {tuple(pooled)} of {inputs.shape} pixels, too few for radius={radius}; "
            f"use larger images or a smaller pool"
        )
    g, p = (_max_pool(image, pool) for image in (inputs.class_targets(), inputs.class_probabilities()))
    regions = _region_log_det(g, p, radius).sum(axis=1) / (2 * radius**inputs.spatial_dims)
    losses = (1 - rmi_weight) * _cross_entropies(inputs) + rmi_weight * regions
    return reduce_images(losses, inputs, reduction)


def _cross_entropies(inputs: SegmentationInputs) -> jax.Array:
    """Binary cross entropies of every class, summed, over one more than the pixels, `[N]`."""
    targets = inputs.class_targets()
    log_p, log_complement = log_probabilities(inputs)
    losses = inputs.inside(-targets * log_p - (1 - targets) * log_complement)
    return total(losses, losses.ndim - 1) / (inputs.pixels + 1)


def _pooled_side(side: int, pool: int) -> int:
    return (side + 2 * (pool // 2) - pool) // pool + 1


def _max_pool(images: jax.Array, pool: int) -> jax.Array:
    """Maxima of windows side by side, `[N, C, *shape]`, the first of which begins half a window before the image."""
    spatial = range(2, images.ndim)
    sides = [_pooled_side(images.shape[axis], pool) for axis in spatial]
    before = pool // 2
    padding = [
        (before, pool * side - before - images.shape[axis], 0) for axis, side in zip(spatial, sides, strict=True)
    ]
    padded = jax.lax.pad(images, np.asarray(-np.inf, images.dtype), [(0, 0, 0), (0, 0, 0), *padding])
    for axis, side in zip(spatial, sides, strict=True):
        windows = padded.reshape(*padded.shape[:axis], side, pool, *padded.shape[axis + 1 :])
        padded = windows.max(axis=axis + 1)
    return padded


def _neighbourhoods(images: jax.Array, radius: int) -> jax.Array:
    """Neighbourhoods of the pixels of `[N, C, *shape]`, `[N, C, d, pixels]`, centred."""
    sides = [side - radius + 1 for side in images.shape[2:]]
    offsets = np.ndindex(*[radius] * len(sides))
    shifted = [
        images[(..., *(slice(start, start + side) for start, side in zip(offset, sides, strict=True)))]
        for offset in offsets
    ]
    vectors = jnp.stack([part.reshape(*part.shape[:2], -1) for part in shifted], axis=2)
    return vectors - vectors.mean(axis=-1, keepdims=True)


def _region_log_det(g: jax.Array, p: jax.Array, radius: int) -> jax.Array:
    """`log det (S_g|p + e I)` of the neighbourhoods in images `[N, C, *shape]`, `[N, C]`."""
    axes = tuple(range(2, g.ndim))
    centred_g, centred_p = (image - image.mean(axis=axes, keepdims=True) for image in (g, p))
    power = (centred_p**2).sum(axis=axes) + _EPSILON
    shortfall = ((centred_p * (centred_p - centred_g)).sum(axis=axes) + _EPSILON) / power
    # The result does not depend on the gain, but for its rounding.
    shortfall = jax.lax.stop_gradient(shortfall)
    # g - gain p, without the rounding of a product that is nearly g.
    residual = (g - p) + shortfall.reshape(*shortfall.shape, *[1] * len(axes)) * p
    return _conditional_log_det(_neighbourhoods(residual, radius), _neighbourhoods(p, radius), 1 - shortfall)


@jax.custom_vjp
def _conditional_log_det(residual: jax.Array, p: jax.Array, gain: jax.Array) -> jax.Array:
    """`log det (S_g|p + e I)` of vectors `g = residual + gain p`, `[N, C, d, pixels]`, `[N, C]`."""
    return _condition(residual, p, gain).log_det


def _condition(residual: jax.Array, p: jax.Array, gain: jax.Array) -> Conditional:
    sums = functools.partial(einsum, "ncix,ncjx->ncij")
    of_residual, with_p, of_p = sums(residual, residual), sums(residual, p), sums(p, p)
    known = jnp.ones(gain.shape, bool)
    return condition(of_residual, with_p, of_p, gain, _EPSILON, known, ridge=_EPSILON)


def _forward(residual, p, gain):
    return _conditional_log_det(residual, p, gain), (residual, p, gain)


def _backward(saved, cotangent):
    """With X the inverse of S_g|p + e I and W the regression of the residual on p: 2 X (residual - W p), -W^T of that."""
    residual, p, gain = saved
    conditional = _condition(residual, p, gain)
    unexplained = residual - matmul(conditional.correction, p)
    of_residual = 2 * cotangent[..., None, None] * matmul(conditional.inverse, unexplained)
    return of_residual, -matmul(adjoint(conditional.correction), of_residual), jnp.zeros_like(gain)


_conditional_log_det.defvjp(_forward, _backward)
