"""Losses of the oriented bands of the steerable pyramid, beside `cwmi_jax.cwmi_loss`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cwmi_jax._cross_entropy import mean_cross_entropy
from cwmi_jax._inputs import reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._settings import number, orientations_or_default
from cwmi_jax.information import wavelet_mutual_information

# Cross entropy, in nats, below which an image is right for all purposes, and is left alone.
_RIGHT = 1e-4


@batched(trailing=1)
def bounded_cwmi(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    levels: int = 4,
    orientations: int | None = None,
    noise: float = 0.1,
    ce_weight: float | jax.Array = 1.0,
    class_weights: str | ArrayLike | None = None,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    complex_valued: bool = True,
    reduction: str = "mean",
) -> jax.Array:
    """CWMI whose terms stay in proportion: information through noise, and a cross entropy on a logarithmic scale.

        ce_weight * log(cross_entropy + 1e-4) - mean_i I_i / K        (i = 1..levels, K orientations)

    `I_i` is the mutual information of the bands of label and prediction at level i, both observed through noise (see
    `cwmi_jax.wavelet_mutual_information`). It differs from the information term of `cwmi_jax.cwmi_loss` in what a short
    training suffers from there: it stops growing where little is left to explain, and sees whether the structures of the
    prediction are as strong as those of the label. The cross entropy of a logarithmic scale pulls in proportion to what is
    left of it, as an information does, so that neither term drowns the other from the first step to the last: the moduli of
    its gradient add up to 1 at most, of several channels to 2. It needs no epochs of cross entropy before it.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
            The information is one vs rest; the mean over the classes that an image has, so that those it lacks do not weaken
            it.
        levels: octaves of the pyramid. The smallest must keep 4 pixels a side: up to 5 for a side of 64, 8 for 512.
        orientations: bands a level, 1 to 16 for images, 3 or 6 for volumes; None for 4 and 3.
        noise: its power in each band, a Python number, as a fraction of the mean power of the label's bands at the level.
        ce_weight: of the logarithm; 0 leaves the information alone.
        class_weights: in the cross entropy, as for `cwmi_jax.cwmi_loss`.
        complex_valued: complex bands, or their real parts.
        spacing: see `cwmi_jax.losses` and `cwmi_jax.steerable_pyramid`.

    Returns:
        Nats. It can be negative, and is no less than about `ce_weight log(1e-4) - log(1 / (2 noise))`.

    Raises:
        ValueError: too many levels for the image, or another number of orientations.

    References:
        Lu, "Complex Wavelet Mutual Information Loss", ICML 2025, arXiv:2502.00563, for the information; noise and logarithm
        are ours, see "Results" in the documentation.

    Examples:
        >>> labels = jnp.zeros((64, 64), int).at[20:40, 30:33].set(1)
        >>> right, inverted = (sign * jnp.where(labels == 1, 6.0, -6.0)[..., None] for sign in (1, -1))
        >>> bool(bounded_cwmi(right, labels) < bounded_cwmi(inverted, labels))
        True
    """
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    ce_weight = number("ce_weight", ce_weight, inputs.logits.dtype)
    orientations = orientations_or_default(orientations, inputs.spatial_dims)
    # The transforms need their memory more than the gradient needs what is quickly computed again.
    y, p = inputs.compared_classes(keep=False)
    information = wavelet_mutual_information(
        y,
        p,
        levels=levels,
        orientations=orientations,
        spatial_dims=inputs.spatial_dims,
        spacing=spacing,
        complex_valued=complex_valued,
        noise=noise,
    )
    present = _varies(y, inputs.where)
    losses = -jnp.mean(information, axis=-1).sum(axis=-1, where=present) / (
        orientations * jnp.maximum(present.sum(axis=-1), 1).astype(information.dtype)
    )
    # Also for a weight of 0, so that wrong class weights are found; the compiler drops what is not used.
    cross_entropy = mean_cross_entropy(inputs, class_weights)
    if isinstance(ce_weight, jax.Array) or ce_weight > 0:
        losses = losses + ce_weight * jnp.log(cross_entropy + _RIGHT)
    return reduce_images(losses, inputs, reduction)


def _varies(targets: jax.Array, where: jax.Array | None) -> jax.Array:
    """Which classes an image has, `[N, C]` of `[N, C, *shape]`: a label of one that it lacks is the same all over."""
    axes, known = tuple(range(2, targets.ndim)), None if where is None else where[:, None]
    least = jnp.min(targets, axis=axes, where=known, initial=jnp.inf)
    return jnp.max(targets, axis=axes, where=known, initial=-jnp.inf) > least
