"""Losses of centrelines, of which a broken tube misses more than a thin one."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cwmi_jax._inputs import pixel_map, reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._products import inner
from cwmi_jax._settings import POSITIVE, SHARE, integer, number
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
        iterations: of the skeleton; half the width of the thickest structure in pixels.
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
    g, p, s_g, s_p = (array.reshape(*array.shape[:2], -1) for array in (g, p, s_g, s_p))
    one = jnp.ones_like(p)
    precision = (inner(s_p, g) + smooth) / (inner(s_p, one) + smooth)
    sensitivity = (inner(s_g, p) + smooth) / (inner(s_g, one) + smooth)
    centreline = 2 * precision * sensitivity / (precision + sensitivity)
    overlap = (2 * inner(p, g) + smooth) / (inner(p, one) + inner(g, one) + smooth)
    losses = (1 - alpha) * (1 - overlap) + alpha * (1 - centreline)
    return reduce_images(losses.mean(axis=1), inputs, reduction)


@batched(trailing=1)
def skeleton_recall(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    tubed_skeleton: ArrayLike,
    dice_ce_weight: float | jax.Array = 0.0,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Skeleton recall, `1 - sum T g p / sum T g`, of the foreground: what is missed of the label's centrelines.

    T is 1 on the centrelines of all classes of the foreground and near them, 0 elsewhere; each class is asked for the part
    that its label covers. A class that has none is found. Centrelines are made of the label alone, once, so that it
    costs little more than a cross entropy.

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
    asked, p = (array.reshape(*array.shape[:2], -1) for array in (jnp.where(tube[:, None], g, 0), p))
    size = inner(asked, jnp.ones_like(asked))
    # Of what is missed, for 1 less a share that is nearly 1 has few digits.
    missed = inner(asked, 1 - p) / jnp.where(size > 0, size, 1)
    losses = reduce_images(missed.mean(axis=1), inputs, reduction)
    if isinstance(dice_ce_weight, jax.Array) or dice_ce_weight > 0:
        losses = losses + dice_ce_weight * dice_cross_entropy(
            logits, labels, activation=activation, where=where, spatial_dims=spatial_dims, reduction=reduction
        )
    return losses
