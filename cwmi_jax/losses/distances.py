"""Losses that weigh an error by how far it lies from a boundary."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cwmi_jax._inputs import SegmentationInputs, pixel_map, reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._products import inner
from cwmi_jax._settings import number, spacing_or_ones
from cwmi_jax.losses._distance_transform import boundary_distance, per_class, signed_distance


@batched(trailing=1)
def boundary(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    distance_map: ArrayLike | None = None,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Boundary loss, `mean phi p`: probability weighted by the signed distance to the label's boundary, one vs rest.

    It has no lower bound that holds for all labels, and its gradient does not depend on the prediction's boundary: combine
    it with a loss of areas, as in `combine({"dice": 1.0, "boundary": 0.01})`.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
            Labels above 1/2 are inside; masked pixels are outside for the distances computed here.
        distance_map: `phi`, `[..., *shape]`, or `[..., *shape, C]` for C > 2, of
            `cwmi_jax.weight_maps.signed_distance_map`: positive outside, 0 or negative inside. None computes it in the
            program at every step, which costs more than the rest of the loss.
        spacing: see `cwmi_jax.losses`; of distances computed here, for a map that is given has its own.

    Returns:
        The unit of `spacing` or of the map; pixels without. An image with an empty or full mask has `phi = 0` and the loss
        0.

    References:
        Kervadec et al., "Boundary loss for highly unbalanced segmentation", MIDL 2019, arXiv:1812.07032.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[4].set(1)  # rows at 4, 3, 2, 1, 0, 1, 2 and 3 pixels
        >>> float(boundary(jnp.zeros((8, 8, 1)), labels))
        1.0
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    lengths = spacing_or_ones(spacing, inputs.spatial_dims)
    targets, p = inputs.compared_classes()
    if distance_map is None:
        phi = per_class(signed_distance, targets > 0.5, lengths).astype(p.dtype)
    else:
        phi = pixel_map("distance_map", distance_map, inputs, channels=None if inputs.binary else inputs.classes)
    return reduce_images(_mean_product(phi.reshape(p.shape), p, inputs), inputs, reduction)


@batched(trailing=1)
def hausdorff_dt(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: float | jax.Array = 2.0,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Hausdorff distance loss by distance transforms, `mean (p - g)^2 (d_p^alpha + d_g^alpha)`, one vs rest.

    `d_g` is the distance of a pixel to the nearest one on the other side of the label's boundary, `d_p` that of the
    prediction thresholded at 1/2, through which no gradient flows. Both are exact and computed in the program, without a
    call to the host; their cost grows with the largest distance in the batch.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
            Labels above 1/2 are inside; masked pixels are outside for the distances.
        alpha: how much more a far error costs.
        spacing: see `cwmi_jax.losses`.

    Returns:
        The unit of `spacing`, or pixels, to the power of `alpha`. An empty or full mask has no boundary, and adds distances
        of 0.

    References:
        Karimi and Salcudean, "Reducing the Hausdorff Distance in Medical Image Segmentation with Convolutional Neural
        Networks", IEEE TMI 2020, arXiv:1904.10030.

    Examples:
        >>> labels = jnp.zeros((8, 8), int).at[4].set(1)  # squares of 4, 3, 2, 1, 1, 1, 2 and 3 pixels
        >>> float(hausdorff_dt(jnp.zeros((8, 8, 1)), labels))
        1.40625
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    lengths = spacing_or_ones(spacing, inputs.spatial_dims)
    targets, p = inputs.compared_classes()
    alpha = number("alpha", alpha, p.dtype)
    both = jnp.concatenate([targets > 0.5, p > 0.5], axis=1)
    of_label, of_prediction = jnp.split(per_class(boundary_distance, both, lengths).astype(p.dtype) ** alpha, 2, axis=1)
    weights = of_label + of_prediction
    return reduce_images(_mean_product(weights, (p - targets) ** 2, inputs), inputs, reduction)


def _mean_product(left: jax.Array, right: jax.Array, inputs: SegmentationInputs) -> jax.Array:
    """Mean over an image's unmasked pixels and classes of a product of `[N, C, *shape]` that is 0 where masked, `[N]`."""
    left, right = (array.reshape(array.shape[0], -1) for array in (left, right))
    return inner(left, right) / jnp.maximum(inputs.pixels * (left.shape[1] / math.prod(inputs.shape)), 1)
