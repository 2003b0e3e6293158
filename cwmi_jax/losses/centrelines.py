"""Losses of centrelines, of which a broken tube misses more than a thin one."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cwmi_jax._inputs import pixel_map, reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._products import inner
from cwmi_jax._settings import POSITIVE, SHARE, integer, number, spacing_or_ones
from cwmi_jax.losses._distance_transform import distance_transform, per_class
from cwmi_jax.losses._morphology import soft_skeletons
from cwmi_jax.losses.overlap import dice_cross_entropy


@batched(trailing=1)
def dice_cldice(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: float | jax.Array = 0.5,
    iterations: int = 10,
    smooth: float | jax.Array = 1.0,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Dice and centreline Dice, `(1 - alpha) (1 - Dice) + alpha (1 - clDice)`, of the foreground.

    clDice is the harmonic mean of topology precision, the share of the prediction's soft skeleton `S_p` within the label,
    and topology sensitivity, the share of the label's within the prediction, `(sum S_p g + s) / (sum S_p + s)` and
    `(sum S_g p + s) / (sum S_g + s)`; Dice is `(2 sum p g + s) / (sum p + sum g + s)`. A soft skeleton is what openings
    remove from an image and its erosions, by neighbours along the axes, with dilation by 3 x 3 (x 3) pixels.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
            Masked pixels are zero in label and probability.
        alpha: of clDice, 0 to 1.
        iterations: of the skeleton; half the width of the thickest structure in pixels. One that is thicker than
            `2 iterations + 2` has no skeleton and no part in the term, so that a miss of it costs Dice alone.
        smooth: `s`, pixels; positive.

    Returns:
        0 to 1.

    References:
        Shit et al., "clDice - A Novel Topology-Preserving Loss Function for Tubular Structure Segmentation", CVPR 2021,
        arXiv:2003.07311.

    Examples:
        >>> labels = jnp.zeros((16, 16), int).at[7:10].set(1)
        >>> broken = labels.at[:, 8].set(0)
        >>> thin = labels.at[7].set(0).at[9].set(0)
        >>> losses = [dice_cldice(jnp.where(x == 1, 9.0, -9.0)[..., None], labels, alpha=1.0) for x in (broken, thin)]
        >>> [round(float(loss), 2) for loss in losses]
        [0.03, 0.0]
    """
    iterations = integer("iterations", iterations, least=0)
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    alpha = number("alpha", alpha, inputs.logits.dtype, SHARE)
    smooth = number("smooth", smooth, inputs.logits.dtype, POSITIVE)
    g, p = inputs.foreground_classes()
    s_g, s_p = soft_skeletons(g, iterations), soft_skeletons(p, iterations)
    g, p, s_g, s_p = (_rows(array) for array in (g, p, s_g, s_p))
    one = jnp.ones_like(p)
    precision = (inner(s_p, g) + smooth) / (inner(s_p, one) + smooth)
    sensitivity = (inner(s_g, p) + smooth) / (inner(s_g, one) + smooth)
    losses = _beside_dice(g, p, precision, sensitivity, alpha, smooth)
    return reduce_images(losses.mean(axis=1), inputs, reduction)


@batched(trailing=1)
def dice_cbdice(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: float | jax.Array = 0.5,
    iterations: int = 10,
    smooth: float | jax.Array = 1.0,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Dice and centreline boundary Dice, `(1 - alpha) (1 - Dice) + alpha (1 - cbDice)`, of the foreground.

    Where clDice asks whether a centreline lies within the other's structure, cbDice asks how deep it lies there, compared
    with how deep it should, in thin branches as in thick ones. With the depth `D`, the distance to the outside over the
    largest in the image, the skeleton `S`, both of the label or of the prediction thresholded at 1/2, and the weight
    `W = S / D` of a centreline, `S / D^2` in volumes, it is the harmonic mean of

        precision = (sum W_p p D_g + s) / (sum W_p p (D_p p (1 - S_g) + D_g S_g) + s)
        sensitivity = (sum W_g p D_p + s) / (sum W_g (D_g (1 - S_p p) + D_p p S_p) + s)

    Gradients flow through p alone, where it is above 1/2: a structure that is missed altogether is left to Dice. The paper
    adds a cross entropy, `combine({"ce": 0.5, "cbdice": 0.5})`.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
            Masked pixels are zero in label and probability.
        alpha: of cbDice, 0 to 1.
        iterations: of the skeleton; half the width of the thickest structure in pixels. One that is thicker than
            `2 iterations + 2` has no skeleton and no part in the term, so that a miss of it costs Dice alone.
        smooth: `s`, pixels; positive.
        spacing: see `cwmi_jax.losses`; only the ratios matter, and not to skeletons, which are thinned by pixels.

    Returns:
        0 to 1 but for odd predictions: one that is thin in the label's thick branches and thick about its thin ones may have
        a cbDice above 1.

    References:
        Shi et al., "Centerline Boundary Dice Loss for Vascular Segmentation", MICCAI 2024, arXiv:2407.01517.

    Examples:
        >>> labels = jnp.zeros((32, 32), int).at[8:23].set(1)
        >>> moved = jnp.where(jnp.roll(labels, 3, axis=0) == 1, 9.0, -9.0)[..., None]
        >>> [round(float(loss(moved, labels, alpha=1.0)), 2) for loss in (dice_cldice, dice_cbdice)]
        [0.0, 0.36]
    """
    iterations = integer("iterations", iterations, least=0)
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    lengths = spacing_or_ones(spacing, inputs.spatial_dims)
    alpha = number("alpha", alpha, inputs.logits.dtype, SHARE)
    smooth = number("smooth", smooth, inputs.logits.dtype, POSITIVE)
    g, p = inputs.foreground_classes()
    both = jnp.concatenate([g > 0.5, p > 0.5], axis=1)
    depths = _depths(both, lengths).astype(p.dtype)
    skeletons = soft_skeletons(both.astype(p.dtype), iterations)
    weights = skeletons / jnp.where(skeletons > 0, depths, 1) ** (inputs.spatial_dims - 1)
    (d_g, d_p), (s_g, s_p), (w_g, w_p) = (jnp.split(_rows(array), 2, axis=1) for array in (depths, skeletons, weights))
    g, p = _rows(g), _rows(p)
    w_p = w_p * p
    precision = (inner(w_p, d_g) + smooth) / (inner(w_p, d_p * p * (1 - s_g) + d_g * s_g) + smooth)
    sensitivity = (inner(w_g, p * d_p) + smooth) / (inner(w_g, d_g * (1 - s_p * p) + d_p * p * s_p) + smooth)
    losses = _beside_dice(g, p, precision, sensitivity, alpha, smooth)
    return reduce_images(losses.mean(axis=1), inputs, reduction)


@batched(trailing=1)
def skeleton_recall(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    tubed_skeleton: ArrayLike | None = None,
    dice_ce_weight: float | jax.Array = 0.0,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Skeleton recall, `1 - sum T g p / sum T g`, of the foreground: what is missed of the label's centrelines.

    T is 1 on the centrelines of all classes of the foreground and near them, 0 elsewhere; each class is asked for the part
    where its label `g` is above 1/2. A class that has none is found. Centrelines are made of the label alone, once, so
    that it costs little more than a cross entropy.

    What is predicted beside the centrelines costs nothing: alone, it is fulfilled by foreground everywhere. The paper's loss
    has `dice_ce_weight=1`.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        tubed_skeleton: T, `[..., *shape]`, of `cwmi_jax.weight_maps.tubed_skeleton`; one map for all classes.
        dice_ce_weight: of `dice_cross_entropy`, which is added.

    Returns:
        0 to 1, and what is added.

    References:
        Kirchhoff et al., "Skeleton Recall Loss for Connectivity Conserving and Resource Efficient Segmentation of Thin
        Tubular Structures", ECCV 2024, arXiv:2404.03010.

    Examples:
        >>> from cwmi_jax.weight_maps import tubed_skeleton
        >>> labels = jnp.zeros((16, 32), int).at[4:11].set(1)
        >>> thin = jnp.full((16, 32, 1), -9.0).at[5:10].set(9.0)
        >>> broken = jnp.where(labels == 1, 9.0, -9.0)[..., None].at[:, 14:18].set(-9.0)
        >>> losses = [skeleton_recall(x, labels, tubed_skeleton=tubed_skeleton(labels)) for x in (thin, broken)]
        >>> [round(float(loss), 2) for loss in losses]
        [0.01, 0.14]
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    dice_ce_weight = number("dice_ce_weight", dice_ce_weight, inputs.logits.dtype)
    tube = pixel_map("tubed_skeleton", tubed_skeleton, inputs) > 0
    g, p = inputs.foreground_classes()
    asked, p = _rows((tube[:, None] & (g > 0.5)).astype(p.dtype)), _rows(p)
    size = inner(asked, jnp.ones_like(asked))
    # Of what is missed, for 1 less a share that is nearly 1 has few digits.
    missed = inner(asked, 1 - p) / jnp.where(size > 0, size, 1)
    losses = reduce_images(missed.mean(axis=1), inputs, reduction)
    if isinstance(dice_ce_weight, jax.Array) or dice_ce_weight > 0:
        losses = losses + dice_ce_weight * dice_cross_entropy(
            logits, labels, activation=activation, where=where, spatial_dims=spatial_dims, reduction=reduction
        )
    return losses


def _beside_dice(
    g: jax.Array,
    p: jax.Array,
    precision: jax.Array,
    sensitivity: jax.Array,
    alpha: float | jax.Array,
    smooth: float | jax.Array,
) -> jax.Array:
    """A loss of centrelines and that of Dice, `[N, C]`, of label and probability, `[N, C, pixels]`."""
    one = jnp.ones_like(p)
    centreline = 2 * precision * sensitivity / (precision + sensitivity)
    overlap = (2 * inner(p, g) + smooth) / (inner(p, one) + inner(g, one) + smooth)
    return (1 - alpha) * (1 - overlap) + alpha * (1 - centreline)


def _depths(masks: jax.Array, spacing: tuple[float, ...]) -> jax.Array:
    """Distances of `[N, C, *shape]` to the outside, over the largest of each; 1 everywhere where there is no outside."""
    distances = per_class(distance_transform, masks, spacing)
    distances = jnp.where(jnp.isfinite(distances), distances, 1)
    largest = distances.max(axis=tuple(range(2, masks.ndim)), keepdims=True)
    return distances / jnp.where(largest > 0, largest, 1)


def _rows(images: jax.Array) -> jax.Array:
    """`[N, C, *shape]` as `[N, C, pixels]`."""
    return images.reshape(*images.shape[:2], -1)
