"""Exact Euclidean distance transforms inside a program, on any accelerator, for images and volumes."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from cwmi_jax._meshes import vary_alike

# More pixels than any side has.
_FAR = 2**30


def distance_transform(mask: jax.Array, spacing: Sequence[float]) -> jax.Array:
    """Distance of every pixel to the nearest one where the mask is False; infinite if there is none.

    Separable: along the first axis by running extrema; along the others by parabolas, one neighbour further a step, until
    nothing changes, which takes as many steps as the largest distance has pixels (Lotufo and Zampirolli, "Fast
    multidimensional parallel Euclidean distance transform based on mathematical morphology", SIBGRAPI 2001). Squares are
    whole numbers in float32 where all pixels are cubes, so exact up to 4096 pixels, and rounded once an axis where not.

    Args:
        mask: `[N, *shape]`, bool.
        spacing: the length of a pixel along each axis of `shape`.

    Returns:
        `[N, *shape]`, float32.
    """
    unit = min(spacing)
    # In that unit squares stay within the range of float32.
    first, *others = ((length / unit) ** 2 for length in spacing)
    squares = first * _squares_along_first_axis(mask)
    for axis, square in enumerate(others, start=2):
        squares = _nearest_along(squares, axis, square)
    return unit * jnp.sqrt(squares)


def per_class(transform: Callable, masks: jax.Array, spacing: Sequence[float]) -> jax.Array:
    """One of the transforms of `[N, *shape]` here, of `[N, C, *shape]`."""
    return transform(masks.reshape(-1, *masks.shape[2:]), spacing).reshape(masks.shape)


def signed_distance(mask: jax.Array, spacing: Sequence[float]) -> jax.Array:
    """Kervadec's level set of `[N, *shape]`: the distance to the mask outside of it, and inside minus that to the outside.

    Inside the smallest length is added. 0 everywhere for an empty or full mask. Both as in
    `cwmi_jax.weight_maps.signed_distance_map`.
    """
    inside, outside = distance_transform(mask, spacing), distance_transform(~mask, spacing)
    signed = jnp.where(mask, min(spacing) - inside, outside)
    return jnp.where(jnp.isfinite(signed), signed, 0)


def boundary_distance(mask: jax.Array, spacing: Sequence[float]) -> jax.Array:
    """Distance of every pixel of `[N, *shape]` to the nearest one of the other kind; 0 where there is no other kind."""
    distance = jnp.where(mask, distance_transform(mask, spacing), distance_transform(~mask, spacing))
    return jnp.where(jnp.isfinite(distance), distance, 0)


def _squares_along_first_axis(mask: jax.Array) -> jax.Array:
    """Squared distances along the first axis of `shape`, in pixels."""
    position = jax.lax.broadcasted_iota(jnp.int32, mask.shape, 1)
    before = jax.lax.cummax(jnp.where(mask, -_FAR, position), axis=1)
    after = jax.lax.cummin(jnp.where(mask, _FAR, position), axis=1, reverse=True)
    distance = jnp.minimum(position - before, after - position)
    return jnp.where(distance < mask.shape[1], distance.astype(jnp.float32) ** 2, math.inf)


def _nearest_along(squares: jax.Array, axis: int, square: float) -> jax.Array:
    """Minima over shifts j along the axis of `squares` shifted by j plus `square` j^2."""
    side = squares.shape[axis]
    edge = [(side, side) if a == axis else (0, 0) for a in range(squares.ndim)]
    padded = jnp.pad(squares, edge, constant_values=math.inf)

    def change(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        nearest, k, _ = carry
        before, after = (jax.lax.dynamic_slice_in_dim(padded, side + shift, side, axis) for shift in (-k, k))
        other = jnp.minimum(before, after) + square * (k * k).astype(jnp.float32)
        return jnp.minimum(nearest, other), k + 1, (other < nearest).any()

    def goes_on(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        _, k, changed = carry
        # What a step further costs grows with each step, so that once one changes nothing none will.
        return changed & (k < side)

    squares, changed = vary_alike(squares, jnp.bool_(True))
    return jax.lax.while_loop(goes_on, change, (squares, jnp.int32(1), changed))[0]
