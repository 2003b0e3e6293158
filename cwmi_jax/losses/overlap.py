"""Losses that compare areas: Dice and its relatives.

Every class counts, the background too. A class that label and prediction both lack agrees perfectly. One that the label
alone lacks costs its whole share however little of it is predicted, and gives no gradient, unless `smooth` is positive.

None of them is built on `optax.losses.dice_loss`, which has neither masks nor pooling over a batch and does not run under
`jit` for integer labels.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cwmi_jax._cross_entropy import mean_cross_entropy
from cwmi_jax._inputs import SegmentationInputs, mean_of_seen, reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._products import inner
from cwmi_jax._settings import flag, number


@batched(trailing=1)
def dice(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    smooth: float | jax.Array = 0.0,
    per_batch: bool = False,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Dice loss with squared denominators, `1 - mean_c (2 sum p_c g_c + s) / (sum p_c^2 + sum g_c^2 + s)`.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        smooth: `s`, pixels.
        per_batch: sums over all images as if they were one, as the CWMI paper's code does; only with reduction="mean".

    Returns:
        0 to 1.

    References:
        Milletari et al., "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation", 3DV 2016,
        arXiv:1606.04797.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[4].set(1)
        >>> round(float(dice(jnp.where(labels == 1, 9.0, -9.0)[..., None], labels)), 4)
        0.0
    """

    def coefficients(areas: _Areas) -> jax.Array:
        return _dice_coefficients(areas, smooth)

    return _overlap_loss(coefficients, logits, labels, per_batch, activation, where, spatial_dims, reduction)


@batched(trailing=1)
def jaccard(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    smooth: float | jax.Array = 0.0,
    per_batch: bool = False,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Jaccard (soft IoU) loss, `1 - mean_c (sum p_c g_c + s) / (sum (p_c + g_c - p_c g_c) + s)`.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        smooth: `s`, pixels.
        per_batch: sums over all images as if they were one, as the CWMI paper's code does; only with reduction="mean".

    Returns:
        0 to 1.

    References:
        Rahman and Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", ISVC 2016.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[:4].set(1)
        >>> round(float(jaccard(jnp.zeros((8, 8, 1)), labels)), 4)  # 1/4 of the pixels in common, 3/4 in the union
        0.6667
    """

    def coefficients(areas: _Areas) -> jax.Array:
        return _ratio(areas.common, areas.predicted + areas.labelled - areas.common, smooth)

    return _overlap_loss(coefficients, logits, labels, per_batch, activation, where, spatial_dims, reduction)


@batched(trailing=1)
def tversky(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: float | jax.Array = 0.5,
    beta: float | jax.Array = 0.5,
    smooth: float | jax.Array = 0.0,
    per_batch: bool = False,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Tversky loss, `1 - mean_c (TP_c + s) / (TP_c + alpha FP_c + beta FN_c + s)`.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        alpha: of the false positives `FP_c = sum p_c (1 - g_c)`.
        beta: of the false negatives `FN_c = sum (1 - p_c) g_c`; 0.5 for both is Dice without squares, 1 for both Jaccard.
        smooth: `s`, pixels.
        per_batch: sums over all images as if they were one, as the CWMI paper's code does; only with reduction="mean".

    Returns:
        0 to 1.

    References:
        Salehi et al., "Tversky loss function for image segmentation using 3D fully convolutional deep networks", MLMI 2017,
        arXiv:1706.05721.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[:4].set(1)
        >>> round(float(tversky(jnp.zeros((8, 8, 1)), labels, alpha=0.3, beta=0.7)), 4)
        0.5
    """

    def coefficients(areas: _Areas) -> jax.Array:
        dtype = areas.common.dtype
        false = number("alpha", alpha, dtype) * (areas.predicted - areas.common)
        missed = number("beta", beta, dtype) * (areas.labelled - areas.common)
        return _ratio(areas.common, areas.common + (false + missed), smooth)

    return _overlap_loss(coefficients, logits, labels, per_batch, activation, where, spatial_dims, reduction)


@batched(trailing=1)
def generalized_dice(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    per_batch: bool = False,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Generalised Dice loss, `1 - 2 sum_c w_c sum p_c g_c / sum_c w_c sum (p_c + g_c)`, with `w_c = 1 / (sum g_c)^2`.

    Small classes have as much say as large ones. A class that the label lacks weighs as much as the smallest that it has,
    so that false positives of it cost something.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        per_batch: sums over all images as if they were one; only with reduction="mean".

    Returns:
        0 to 1.

    References:
        Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations", DLMIA
        2017, arXiv:1707.03237.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[4].set(1)
        >>> round(float(generalized_dice(jnp.zeros((8, 8, 1)), labels)), 4)
        0.7812
    """

    def coefficients(areas: _Areas) -> jax.Array:
        present = areas.labelled > 0
        smallest = jnp.where(present, areas.labelled, jnp.inf).min(axis=1, keepdims=True)
        weights = jnp.where(present, (smallest / jnp.where(present, areas.labelled, 1)) ** 2, 1)
        both = areas.predicted + areas.labelled
        return _ratio((weights * 2 * areas.common).sum(axis=1), (weights * both).sum(axis=1), 0.0)[:, None]

    return _overlap_loss(coefficients, logits, labels, per_batch, activation, where, spatial_dims, reduction)


@batched(trailing=1)
def dice_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    dice_weight: float | jax.Array = 1.0,
    ce_weight: float | jax.Array = 1.0,
    class_weights: str | ArrayLike | None = None,
    smooth: float | jax.Array = 0.0,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """`dice_weight * dice + ce_weight * cross_entropy`, the default of many medical segmentation systems.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        dice_weight: of `dice`.
        ce_weight: of `cross_entropy`.
        class_weights: in the cross entropy: None for 1, "balanced" (see `balanced_cross_entropy`), or `[C]`, `[2]` for
            C = 1.
        smooth: of `dice`, pixels.

    Returns:
        No unit: a share and nats a pixel, added up.

    References:
        Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
        Methods 2021, arXiv:1809.10486.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[:4].set(1)
        >>> round(float(dice_cross_entropy(jnp.zeros((8, 8, 1)), labels)), 4)  # 1/3 and log 2
        1.0265
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    dice_weight = number("dice_weight", dice_weight, inputs.logits.dtype)
    ce_weight = number("ce_weight", ce_weight, inputs.logits.dtype)
    of_dice = 1 - _dice_coefficients(_areas(inputs), smooth).mean(axis=1)
    return reduce_images(
        dice_weight * of_dice + ce_weight * mean_cross_entropy(inputs, class_weights), inputs, reduction
    )


class _Areas(NamedTuple):
    """Sums over pixels of each class, `[N, C]`, with two classes for one channel.

    Attributes:
        common: of p g.
        predicted: of p.
        labelled: of g.
        predicted_squared: of p^2.
        labelled_squared: of g^2.
    """

    common: jax.Array
    predicted: jax.Array
    labelled: jax.Array
    predicted_squared: jax.Array
    labelled_squared: jax.Array


def _areas(inputs: SegmentationInputs) -> _Areas:
    pixels = math.prod(inputs.shape)
    g, p = (x.reshape(*x.shape[:2], pixels) for x in (inputs.class_targets(), inputs.class_probabilities()))
    one = jnp.ones_like(p)
    return _Areas(inner(p, g), inner(p, one), inner(g, one), inner(p, p), inner(g, g))


def _overlap_loss(
    coefficients: Callable[[_Areas], jax.Array],
    logits: ArrayLike,
    labels: ArrayLike,
    per_batch: bool,
    activation: str,
    where: ArrayLike | None,
    spatial_dims: int,
    reduction: str,
) -> jax.Array:
    """1 less the mean over classes of `coefficients`, `[N, C]` from areas `[N, C]`, 1 where all agrees."""
    per_batch = flag("per_batch", per_batch)
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    areas = _areas(inputs)
    if not per_batch:
        return reduce_images(1 - coefficients(areas).mean(axis=1), inputs, reduction)
    if reduction != "mean":
        raise ValueError(f"per_batch=True has no value for each image; use reduction='mean', got {reduction!r}")
    if inputs.masks is None:
        pooled = _Areas(*(area.sum(axis=0, keepdims=True) for area in areas))
        return 1 - coefficients(pooled).mean()
    pooled = _Areas(*(inputs.by_mask(area).sum(axis=0) for area in areas))
    seen = inputs.by_mask(inputs.pixels).sum(axis=0) > 0
    return mean_of_seen(1 - coefficients(pooled).mean(axis=1), seen)


def _dice_coefficients(areas: _Areas, smooth: float | jax.Array) -> jax.Array:
    """`[N, C]`, with squared denominators."""
    return _ratio(2 * areas.common, areas.predicted_squared + areas.labelled_squared, smooth)


def _ratio(numerator: jax.Array, denominator: jax.Array, smooth: float | jax.Array) -> jax.Array:
    """`(numerator + smooth) / (denominator + smooth)`, and 1 for 0 / 0."""
    smooth = number("smooth", smooth, numerator.dtype)
    numerator, denominator = numerator + smooth, denominator + smooth
    some = denominator != 0
    return jnp.where(some, numerator / jnp.where(some, denominator, 1), 1)
