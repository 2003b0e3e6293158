"""Losses that count pixels one by one: cross entropy and its weighted forms.

None of them is built on optax, whose cross entropies know neither a mask nor weights, and whose focal loss has one weight
for two classes and no softmax.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cwmi_jax._cross_entropy import class_weights_of, log_probabilities, mean_cross_entropy
from cwmi_jax._inputs import SegmentationInputs, pixel_map, reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._products import total
from cwmi_jax._settings import number


@batched(trailing=1)
def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    class_weights: str | ArrayLike | None = None,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Cross entropy, `-mean sum_c w_c g_c log p_c`, computed from logits and exact for saturated ones.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        class_weights: `w`: None for 1, "balanced" (see `balanced_cross_entropy`), or `[C]`, `[2]` for C = 1.

    Returns:
        Nats a pixel.

    References:
        Good, "Rational decisions", Journal of the Royal Statistical Society B 1952.

    Examples:
        >>> round(float(cross_entropy(jnp.zeros((8, 8, 1)), jnp.ones((8, 8), int))), 4)
        0.6931
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    return reduce_images(mean_cross_entropy(inputs, class_weights), inputs, reduction)


def balanced_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Cross entropy in which each class of an image has the same say, whatever its size.

    Of two classes the larger weighs 1 and the smaller as many times more as it has fewer pixels, as in the CWMI paper. Of
    more, a class of `n_c` of an image's `n` pixels weighs `n / (k n_c)` where k classes are present: 1 in the mean over
    pixels. (The paper's rule, `(n - n_c) / min_j n_j`, would let the smallest class multiply all others.) A class alone in
    its image weighs 1.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.

    Returns:
        Nats a pixel.

    References:
        Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015, arXiv:1504.06375.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[4].set(1)  # 1 of 8 rows: weights 1 and 7
        >>> round(float(balanced_cross_entropy(jnp.zeros((8, 8, 1)), labels)), 4)
        1.213
    """
    return cross_entropy(
        logits,
        labels,
        class_weights="balanced",
        activation=activation,
        where=where,
        spatial_dims=spatial_dims,
        reduction=reduction,
    )


@batched(trailing=1)
def focal(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: float | jax.Array = 2.0,
    class_weights: str | ArrayLike | None = "balanced",
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Focal loss, `-mean sum_c w_c g_c (1 - p_c)^gamma log p_c`: cross entropy that turns from what is already right.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        gamma: not negative; 0 is the cross entropy.
        class_weights: `w`: "balanced" (see `balanced_cross_entropy`), None for 1, or `[C]`, `[2]` for C = 1.

    Returns:
        Nats a pixel.

    References:
        Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv:1708.02002.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[:4].set(1)
        >>> round(float(focal(jnp.zeros((8, 8, 1)), labels)), 4)  # a quarter of log 2
        0.1733
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    gamma = number("gamma", gamma, inputs.logits.dtype)
    log_p, log_complement = log_probabilities(inputs)
    per_class = (..., *[None] * inputs.spatial_dims)
    weights = class_weights_of(inputs, class_weights)[per_class] * jnp.exp(gamma * log_complement)
    losses = _sum(weights * inputs.class_targets(), -log_p)
    return reduce_images(losses / jnp.maximum(inputs.pixels, 1), inputs, reduction)


@batched(trailing=1)
def weighted_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weight_map: ArrayLike | None = None,
    class_weights: str | ArrayLike | None = "balanced",
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """U-Net's weighted cross entropy (WCE), `-mean (w_label + m) log p_label`, with a map m of what must not be missed.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
        weight_map: `m`, `[..., *shape]`, such as `cwmi_jax.weight_maps.unet_weight_map`'s.
        class_weights: `w`: "balanced" (see `balanced_cross_entropy`), None for 1, or `[C]`, `[2]` for C = 1.

    Returns:
        Nats a pixel.

    References:
        Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
        arXiv:1505.04597.

    Examples:
        >>> weight_map = jnp.zeros((8, 8)).at[4].set(8.0)
        >>> loss = weighted_cross_entropy(jnp.zeros((8, 8, 1)), jnp.ones((8, 8), int), weight_map=weight_map)
        >>> round(float(loss), 4)  # twice log 2
        1.3863
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    weights = pixel_map("weight_map", weight_map, inputs)[:, None] * inputs.class_targets()
    mapped = _sum(weights, -log_probabilities(inputs)[0]) / jnp.maximum(inputs.pixels, 1)
    return reduce_images(mean_cross_entropy(inputs, class_weights) + mapped, inputs, reduction)


@batched(trailing=1)
def adaptive_boundary_weighted(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weight_maps: ArrayLike | None = None,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Adaptive boundary weighted (ABW) cross entropy: `-sum_c sum w_c log p_c / sum_c sum w_c` of two classes.

    The weights grow towards the middle of each background component's border and let it move by a pixel or two: with the
    maps A_0, A_1 and the label y, `w_1 = y A_1` where `A_1 >= A_0` and 0 elsewhere, and `w_0 = A_0` where `w_1 <= A_0` and 0
    elsewhere.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
            C = 1 or 2, or any number of masks that overlap: the loss is defined for two classes.
        weight_maps: `A_0` and `A_1`, `[..., *shape, 2]`, of `cwmi_jax.weight_maps.abw_weight_map`.

    Returns:
        Nats a pixel. 0 where all weights are.

    Raises:
        ValueError: more than two classes.

    References:
        Liu et al., "Boundary Learning by Using Weighted Propagation in Convolution Network", arXiv:1905.09226.

    Examples:
        >>> from cwmi_jax.weight_maps import abw_weight_map
        >>> labels = jnp.zeros((8, 8), int).at[4].set(1)
        >>> loss = adaptive_boundary_weighted(jnp.zeros((8, 8, 1)), labels, weight_maps=abw_weight_map(labels))
        >>> round(float(loss), 4)
        0.6931
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    require_binary("adaptive_boundary_weighted", inputs)
    background, boundary = jnp.moveaxis(pixel_map("weight_maps", weight_maps, inputs, channels=2), 1, 0)
    of_boundary = jnp.where(boundary >= background, inputs.targets * boundary, 0)
    of_background = jnp.where(of_boundary <= background, background, 0)
    losses = mean_under_weights(inputs, jnp.stack([of_background, of_boundary], axis=1))
    return reduce_images(losses, inputs, reduction)


def mean_under_weights(inputs: SegmentationInputs, weights: jax.Array) -> jax.Array:
    """`-sum weights log p / sum weights` of each image, `[N]`, with weights `[N, C, *shape]`; 0 where all weights are."""
    total = weights.reshape(weights.shape[0], -1).sum(axis=1)
    return _sum(weights, -log_probabilities(inputs)[0]) / jnp.where(total > 0, total, 1)


def require_binary(name: str, inputs: SegmentationInputs) -> None:
    """Raises a ValueError unless there are two classes."""
    if not inputs.binary:
        raise ValueError(
            f"{name} is defined for two classes (1 or 2 channels of logits), got {inputs.classes} channels"
        )


def _sum(weights: jax.Array, values: jax.Array) -> jax.Array:
    """`sum weights values` of each image, `[N]`."""
    return total(weights * values, values.ndim - 1)
