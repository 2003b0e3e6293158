"""clDice: overlap of soft skeletons, so that a broken tube costs more than a thin one."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._inputs import reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched, vary_alike
from cwmi_jax._products import inner
from cwmi_jax._settings import POSITIVE, SHARE, integer, number


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
    """Dice and centreline Dice, `(1 - alpha) (1 - Dice) + alpha (1 - clDice)`, one vs rest.

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
    g, p = inputs.compared_classes()
    s_g, s_p = _soft_skeletons(g, iterations), _soft_skeletons(p, iterations)
    g, p, s_g, s_p = (array.reshape(*array.shape[:2], -1) for array in (g, p, s_g, s_p))
    one = jnp.ones_like(p)
    precision = (inner(s_p, g) + smooth) / (inner(s_p, one) + smooth)
    sensitivity = (inner(s_g, p) + smooth) / (inner(s_g, one) + smooth)
    centreline = 2 * precision * sensitivity / (precision + sensitivity)
    overlap = (2 * inner(p, g) + smooth) / (inner(p, one) + inner(g, one) + smooth)
    losses = (1 - alpha) * (1 - overlap) + alpha * (1 - centreline)
    return reduce_images(losses.mean(axis=1), inputs, reduction)


def _soft_skeletons(images: jax.Array, iterations: int) -> jax.Array:
    """Soft skeletons of `[N, C, *shape]`: what an opening removes from the image and from each of its erosions.

    Erosion takes the least of a pixel and its neighbours along the axes, dilation the greatest of its 3 x 3 (x 3)
    neighbourhood; beyond the edges there is nothing.
    """
    square = tuple(itertools.product((-1, 0, 1), repeat=images.ndim - 2))
    cross = tuple(offset for offset in square if np.abs(offset).sum() <= 1)

    # What a step computed is computed again for the gradient, which would otherwise hold a dozen images for each step.
    @jax.checkpoint
    def step(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
        image, background = carry
        eroded = _greatest(image, cross, -1)
        removed = jax.nn.relu(image - _greatest(eroded, square, 1))
        return (eroded, background * (1 - removed)), None

    image, background = vary_alike(images, jnp.ones_like(images))
    (_, background), _ = jax.lax.scan(step, (image, background), length=iterations + 1)
    return 1 - background


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _greatest(images: jax.Array, offsets: tuple[tuple[int, ...], ...], sign: int) -> jax.Array:
    """The greatest (`sign` 1) or least (-1) of `[N, C, *shape]` at some offsets from each pixel.

    Its gradient goes to the pixels that it came from, in equal shares. It is written out because XLA scatters that of a
    window's maximum, and takes thirty times as long on a CPU.
    """
    extremum = jnp.maximum if sign > 0 else jnp.minimum
    return functools.reduce(extremum, _shifted(images, offsets, -sign * np.inf))


def _greatest_forward(images, offsets, sign):
    result = _greatest(images, offsets, sign)
    # Without the barrier JAX forwards an argument of the step to its derivative, and loses it in the second one.
    return result, jax.lax.optimization_barrier((images, result))


def _greatest_backward(offsets, sign, saved, cotangent):
    images, result = saved
    origins = [part == result for part in _shifted(images, offsets, np.nan)]
    shares = cotangent / functools.reduce(jnp.add, [origin.astype(images.dtype) for origin in origins])
    back = tuple(tuple(-step for step in offset) for offset in offsets)
    arrivals = zip(_shifted(result, back, np.nan), _shifted(shares, back, 0), strict=True)
    return (functools.reduce(jnp.add, [jnp.where(images == there, share, 0) for there, share in arrivals]),)


_greatest.defvjp(_greatest_forward, _greatest_backward)


def _shifted(images: jax.Array, offsets: tuple[tuple[int, ...], ...], beyond: float) -> list[jax.Array]:
    """The values at some offsets, of one pixel at most, from each pixel of `[N, C, *shape]`."""
    edges = [(0, 0), (0, 0), *[(1, 1)] * (images.ndim - 2)]
    # Without the barrier the compiler asks for every pixel anew whether it lies beyond the edge.
    padded = jax.lax.optimization_barrier(jnp.pad(images, edges, constant_values=beyond))
    starts = [tuple(1 + step for step in offset) for offset in offsets]
    sides = images.shape[2:]
    return [
        padded[(..., *(slice(start, start + side) for start, side in zip(corner, sides, strict=True)))]
        for corner in starts
    ]
