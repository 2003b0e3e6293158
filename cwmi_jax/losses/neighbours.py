"""SCNP: any loss of each pixel's worst neighbour in the place of the pixel."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._inputs import SegmentationInputs, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._settings import integer
from cwmi_jax.losses._morphology import extremum, square

_SHARED = ("activation", "where", "spatial_dims")


def scnp(loss: Callable[..., jax.Array], *, neighbourhood: int = 3) -> Callable[..., jax.Array]:
    """Same class neighbour penalisation: the loss of logits in which each pixel has its worst neighbour's.

    In each channel a pixel of the class takes the smallest logit among the pixels of the class in its neighbourhood, itself
    included, and any other pixel the greatest among the others. So a pixel is right no sooner than its neighbours are, and
    gradients gather where a structure would break or a speck appear. It is for training: there is nothing to penalise
    where labels are not known.

    Args:
        loss: as those in `LOSSES`, or `combine`'s.
        neighbourhood: its side, pixels, odd; of the width of the structures or less. 1 leaves the loss as it is.

    Returns:
        A loss with the arguments of `loss`. Labels above 1/2 are of a class. What `where` masks is no neighbour. Two
        channels are penalised by their difference, as one channel is.

    Raises:
        TypeError: a neighbourhood that is no integer, or a loss without the arguments that all share.
        ValueError: a neighbourhood that is not odd.

    References:
        Valverde, Papadopoulos, Larsen, Dahl, "Towards High-Quality Image Segmentation: Improving Topology Accuracy by
        Penalizing Neighbor Pixels", CVPR 2026, arXiv:2603.18671.

    Examples:
        >>> from cwmi_jax.losses import cross_entropy
        >>> labels = jnp.zeros((16, 16), int).at[7:10].set(1)
        >>> gap = jnp.where(labels == 1, 2.0, -2.0)[..., None].at[:, 8].set(-2.0)
        >>> [round(float(loss(gap, labels)), 2) for loss in (cross_entropy, scnp(cross_entropy))]
        [0.15, 0.2]
    """
    neighbourhood = integer("neighbourhood", neighbourhood, least=1)
    if neighbourhood % 2 == 0:
        raise ValueError(f"neighbourhood must be odd, got {neighbourhood}")
    known = inspect.signature(loss).parameters
    lacking = [name for name in _SHARED if name not in known]
    if lacking:
        raise TypeError(f"loss must have the arguments that those in LOSSES share, {loss} lacks {', '.join(lacking)}")
    shared = {name: known[name].default for name in _SHARED}

    @batched(trailing=1)
    def of_worst(logits: ArrayLike, labels: ArrayLike, **options: Any) -> jax.Array:
        inputs = segmentation_inputs(logits, labels, **{name: options[name] for name in shared})
        worst = _worst_neighbours(inputs, neighbourhood // 2)
        return loss(_as_given(worst, inputs, np.shape(logits)), labels, **options)

    @functools.wraps(loss)
    def penalised(logits: ArrayLike, labels: ArrayLike, **options: Any) -> jax.Array:
        return of_worst(logits, labels, **shared | options)

    name = getattr(loss, "__name__", "loss")
    penalised.__name__ = penalised.__qualname__ = f"scnp_{name}"
    penalised.__doc__ = f"`{name}` of each pixel's worst neighbour, see `cwmi_jax.losses.scnp`.\n\n{loss.__doc__ or ''}"
    return penalised


def _worst_neighbours(inputs: SegmentationInputs, radius: int) -> jax.Array:
    """Of each pixel and channel, the logit of its worst neighbour of the same class, `[N, C, *shape]`; 0 where masked."""
    logits, targets = (
        array[:, None] if inputs.binary else jnp.moveaxis(array, -1, 1) for array in (inputs.logits, inputs.targets)
    )
    inside = targets > 0.5
    outside = ~inside if inputs.where is None else inputs.where[:, None] & ~inside
    # The greatest logit of the others is the least of the negative ones.
    sides = jnp.concatenate([jnp.where(inside, logits, jnp.inf), jnp.where(outside, -logits, jnp.inf)], axis=1)
    for _ in range(radius):
        sides = extremum(sides, square(inputs.spatial_dims), -1)
    of_class, of_others = jnp.split(sides, 2, axis=1)
    return jnp.where(inside, of_class, jnp.where(outside, -of_others, 0))


def _as_given(values: jax.Array, inputs: SegmentationInputs, shape: tuple[int, ...]) -> jax.Array:
    """`[N, C, *shape]` in the shape of the logits that `inputs` were made of."""
    if inputs.masks is not None:
        values = inputs.by_mask(values[:, 0])
    elif inputs.binary and shape[-1] == 2:
        values = jnp.concatenate([jnp.zeros_like(values), values], axis=1)
    return jnp.moveaxis(values, 1, -1).reshape(shape)
