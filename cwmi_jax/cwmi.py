"""The Complex Wavelet Mutual Information loss."""

from collections.abc import Sequence

import jax
from jax.typing import ArrayLike

from cwmi_jax._cross_entropy import mean_cross_entropy
from cwmi_jax._inputs import reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._settings import number, orientations_or_default
from cwmi_jax.information import wavelet_conditional_log_det


@batched(trailing=1)
def cwmi_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    levels: int = 4,
    orientations: int | None = None,
    ce_weight: float | jax.Array = 0.9,
    class_weights: str | ArrayLike | None = "balanced",
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    complex_valued: bool = True,
    epsilon: float = 5e-4,
    reduction: str = "mean",
) -> jax.Array:
    """Complex Wavelet Mutual Information (CWMI) loss for segmentation of thin and small structures.

    The label and the predicted probability of a class go through a complex steerable pyramid, and the loss is what is left
    of the label's oriented bands once the prediction's are known, summed over levels, plus a cross entropy:

        ce_weight * cross_entropy + sum_i log det S_y|p,i        (i = 1..levels)

    Minimising it maximises a lower bound of the mutual information of label and prediction at every scale. See
    `cwmi_jax.wavelet_conditional_log_det` for S_y|p.

    Args:
        logits: `[..., H, W, C]`, or `[..., D, H, W, C]` with `spatial_dims=3`, with any leading axes, none included. Any
            float dtype; half precision is widened to float32 inside, and -inf rules a class out. C = 1 is a sigmoid. C = 2
            is a softmax and compares class 1 alone: class 0 is its mirror image 1 - p, whose bands differ in sign only, so
            it has the same covariances and would add the same term again. C > 2 is a softmax and compares every class with
            the rest; the information term is the mean over the C classes, and 0 for a class that an image lacks.
        labels: integer or bool classes `[..., H, W]`, or probabilities `[..., H, W, C]` (for C = 1 also `[..., H, W]`).
            Inside `jit` a class outside 0..C-1 cannot be seen and counts as none, or, where there are two, as background.
        levels: octaves of the pyramid. The smallest must keep 4 pixels a side: up to 5 for a side of 64, 8 for 512.
        orientations: bands a level, 1 to 16 for images, 3 or 6 for volumes; None for 4 and 3.
        ce_weight: of the cross entropy; 0 leaves the information term alone. It may be traced, as class weights may; what
            makes the program (sizes, flags, `epsilon`) may not.
        class_weights: in the cross entropy: "balanced" (from each image's own classes: the larger of two weighs 1, the
            smaller as many times more as it has fewer pixels; of more, each weighs in proportion to the inverse of its
            size, 1 in the mean over pixels), None, or an array `[C]`, `[2]` for C = 1.
        activation: "softmax" for classes of which a pixel has one, "sigmoid" for C masks that may overlap. Then each channel
            is a problem of two classes by itself, as C = 1 is, with labels `[..., H, W, C]` and class weights `[C, 2]`, and
            an image's loss is the mean over its channels; see `cwmi_jax.losses`.
        where: bool `[..., H, W]`. False pixels (ignore regions, padding) are zero in both images and have no part in the
            cross entropy; labels there may hold anything.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: the length of a pixel along each spatial axis, such as `(3.0, 0.7, 0.7)`, where they differ. Scales and
            directions are then physical, as if the image had been sampled anew at the smallest of them, and more levels may
            fit; see `cwmi_jax.steerable_pyramid`. None for equal ones; only the ratios matter.
        complex_valued: complex bands, or the real ones of the paper's CWMI-Real.
        epsilon: a Python number, added to the diagonal of the prediction's covariance, a sum over pixels.
        reduction: "mean" over images, without those that are wholly masked, or "none".

    Returns:
        A scalar for "mean", `[...]` for "none"; nats. It is no distance: it can be negative, and its least value depends on
        `epsilon` and `levels`. An image without structure (an empty or full mask) has an information term of exactly 0.

    Raises:
        TypeError: logits that are not floating point, a `where` that is not bool, or a setting of another type, or traced
            where it must not be; the message names it.
        ValueError: shapes that do not match, labels outside 0..C-1 where they can be seen, too many levels for the image,
            an unknown option, or a setting out of range; the message names the value.

    References:
        Lu, "Complex Wavelet Mutual Information Loss: A Multi-Scale Loss Function for Semantic Segmentation", ICML 2025,
        arXiv:2502.00563.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from cwmi_jax import cwmi_loss
        >>> logits = jax.random.normal(jax.random.key(0), (2, 64, 64, 1))
        >>> labels = jnp.zeros((2, 64, 64), int).at[:, 20:40, 30:33].set(1)
        >>> cwmi_loss(logits, labels).shape
        ()
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    ce_weight = number("ce_weight", ce_weight, inputs.logits.dtype)
    orientations = orientations_or_default(orientations, inputs.spatial_dims)
    # The transforms need their memory more than the gradient needs what is quickly computed again.
    y, p = inputs.compared_classes(keep=False)
    log_dets = wavelet_conditional_log_det(
        y,
        p,
        levels=levels,
        orientations=orientations,
        spatial_dims=inputs.spatial_dims,
        spacing=spacing,
        complex_valued=complex_valued,
        epsilon=epsilon,
    )
    losses = log_dets.sum(axis=-1).mean(axis=-1)
    # Also for a weight of 0, so that wrong class weights are found; the compiler drops what is not used.
    cross_entropy = mean_cross_entropy(inputs, class_weights)
    if isinstance(ce_weight, jax.Array) or ce_weight > 0:
        losses = losses + ce_weight * cross_entropy
    return reduce_images(losses, inputs, reduction)
