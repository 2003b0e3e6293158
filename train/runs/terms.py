"""What the two terms of a CWMI loss do to the logits while a network is trained: which of them pulls, where, and how much.

The information term does not see the sign of a prediction, and that of the paper's loss never weakens as it is fulfilled;
the cross entropy does both. A run whose masks come out inverted, speckled or never sure shows here why.

What is not there is infinite, and not NaN, which would stop whoever trains with `jax_debug_nans`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cwmi_jax import wavelet_gain


class Terms(NamedTuple):
    """Of a CWMI loss.

    Attributes:
        information: the loss without its cross entropy, a function of logits, labels and `where`, a scalar.
        levels: how many its pyramid has.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: from a pixel to the next along each axis; None for 1.
    """

    information: Callable[..., jax.Array]
    levels: int
    spatial_dims: int
    spacing: tuple[float, ...] | None = None


def observe(
    terms: Terms,
    batch: Mapping[str, jax.Array],
    logits: jax.Array,
    gradient: jax.Array,
    *,
    due: jax.Array,
    axis_name: str | None = None,
) -> dict[str, jax.Array]:
    """Probabilities, gradients and gains of a batch.

    Foreground are the pixels of all classes but the first. A pull is minus the gradient with respect to the logit of
    foreground, summed over pixels: positive where it makes foreground more likely.

    Args:
        terms: as `train.runs.phases` gives them.
        batch: `labels` and `where`, both `[B, *shape]`.
        logits: `[B, *shape, C]`.
        gradient: the loss's with respect to the logits.
        due: bool, whether to compute anything; infinite otherwise.
        axis_name: name of the devices that split the batch in equal parts; None for one device.

    Returns:
        Scalars over the whole batch: `probability/foreground` and `probability/background`, means of the probability of
        foreground over the pixels that are, infinite where there are none; for the terms `information` and `cross_entropy`
        `TERM/gradient_norm`, `TERM/pull_on_foreground` and `TERM/pull_on_background`; and `gain/level_I` from 1, see
        `cwmi_jax.wavelet_gain`, means over images and the classes that they have.
    """
    labels, where = batch["labels"], batch["where"]
    binary = logits.shape[-1] == 1
    foreground = jax.nn.sigmoid(logits[..., 0]) if binary else 1 - jax.nn.softmax(logits)[..., 0]
    places = {"foreground": where & (labels > 0), "background": where & (labels == 0)}

    def of_pixels() -> dict[str, jax.Array]:
        of_information = jax.grad(lambda z: terms.information(z, labels, where=where))(logits)
        sums = {}
        for name, slope in (("information", of_information), ("cross_entropy", gradient - of_information)):
            pull = -slope[..., 0] if binary else slope[..., 0]
            sums[f"{name}/gradient_norm"] = jnp.sum(slope**2)
            sums |= {f"{name}/pull_on_{place}": jnp.sum(pull, where=mask) for place, mask in places.items()}
        sums |= {f"probability/{place}": jnp.sum(foreground, where=mask) for place, mask in places.items()}
        gains = _gains(terms, logits, labels, where)
        return sums | {f"gain/level_{level}": gain for level, gain in enumerate(gains, 1)}

    nothing = jax.tree.map(lambda value: jnp.full(value.shape, jnp.inf, value.dtype), jax.eval_shape(of_pixels))
    values = jax.lax.cond(due, of_pixels, lambda: nothing)
    pixels = {f"probability/{place}": jnp.sum(mask, dtype=logits.dtype) for place, mask in places.items()}
    devices = 1.0
    if axis_name is not None:
        values, pixels = jax.lax.pmean((values, pixels), axis_name)
        devices = jax.lax.psum(1.0, axis_name)
    for name, count in pixels.items():
        values[name] = jnp.where(count > 0, values[name] / jnp.where(count > 0, count, 1), jnp.inf)
    # A device's gradient is that of the mean over its own images.
    norms = {name: jnp.sqrt(value / devices) for name, value in values.items() if name.endswith("gradient_norm")}
    return values | norms


def _gains(terms: Terms, logits: jax.Array, labels: jax.Array, where: jax.Array) -> jax.Array:
    """Means over images, and over classes if there are more than two, `[levels]`."""
    classes = logits.shape[-1]
    if classes > 2:
        p = jnp.moveaxis(jax.nn.softmax(logits), -1, 1)
        y = jnp.moveaxis(jax.nn.one_hot(labels, classes), -1, 1)
        where = jnp.broadcast_to(where[:, None], p.shape)
    else:
        p = jax.nn.sigmoid(logits[..., -1] - (logits[..., 0] if classes == 2 else 0))
        y = labels == 1
    gains = wavelet_gain(y, p, levels=terms.levels, spatial_dims=terms.spatial_dims, spacing=terms.spacing, where=where)
    # What an image lacks has a gain of 0 at every level.
    there = (gains != 0).any(axis=-1, keepdims=True)
    axes = tuple(range(gains.ndim - 1))
    return gains.sum(axis=axes) / jnp.maximum(there.sum(axis=axes), 1)
