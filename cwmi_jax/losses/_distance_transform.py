"""Exact Euclidean distance transforms inside a program, on any accelerator, for images and volumes."""

import math

import jax
import jax.numpy as jnp

from cwmi_jax._meshes import vary_alike

# Larger than every squared distance in an image, and small enough for a step to be added.
_FAR = 2**30


def distance_transform(mask: jax.Array) -> jax.Array:
    """Distance of every pixel to the nearest one where the mask is False, in pixels; infinite if there is none.

    Separable: along the first axis by running extrema; along the others by erosions with a parabola, one neighbour a step,
    until nothing changes, which takes as many steps as the largest distance (Lotufo and Zampirolli, "Fast multidimensional
    parallel Euclidean distance transform based on mathematical morphology", SIBGRAPI 2001). In integers, so exact.

    Args:
        mask: `[N, *shape]`, bool.

    Returns:
        `[N, *shape]`, float32.
    """
    squares = _squares_along_first_axis(mask)
    for axis in range(2, mask.ndim):
        squares = _erode_along(squares, axis)
    return jnp.where(squares < _FAR, jnp.sqrt(squares.astype(jnp.float32)), math.inf)


def signed_distance(mask: jax.Array) -> jax.Array:
    """Kervadec's level set of `[N, *shape]`: the distance to the mask outside of it, and inside 1 less that to the outside.

    0 everywhere for an empty or full mask, as in `cwmi_jax.weight_maps.signed_distance_map`.
    """
    inside, outside = distance_transform(mask), distance_transform(~mask)
    signed = jnp.where(mask, 1 - inside, outside)
    return jnp.where(jnp.isfinite(signed), signed, 0)


def boundary_distance(mask: jax.Array) -> jax.Array:
    """Distance of every pixel of `[N, *shape]` to the nearest one of the other kind; 0 where there is no other kind."""
    distance = jnp.where(mask, distance_transform(mask), distance_transform(~mask))
    return jnp.where(jnp.isfinite(distance), distance, 0)


def _squares_along_first_axis(mask: jax.Array) -> jax.Array:
    position = jax.lax.broadcasted_iota(jnp.int32, mask.shape, 1)
    # Half the bits of the range, so that the squares fit.
    far = math.isqrt(_FAR)
    before = jax.lax.cummax(jnp.where(mask, -far, position), axis=1)
    after = jax.lax.cummin(jnp.where(mask, far, position), axis=1, reverse=True)
    distance = jnp.minimum(jnp.minimum(position - before, after - position), far)
    return jnp.where(distance < far - mask.shape[1], distance**2, _FAR)


def _erode_along(squares: jax.Array, axis: int) -> jax.Array:
    """Minima over shifts j along the axis of `squares` shifted by j plus j^2."""
    side = squares.shape[axis]
    edge = [(1, 1) if a == axis else (0, 0) for a in range(squares.ndim)]

    def change(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        squares, k, _ = carry
        # The k-th step away costs k^2 - (k - 1)^2 more.
        # Without the barrier the compiler asks for every pixel anew whether it lies beyond the edge.
        padded = jax.lax.optimization_barrier(jnp.pad(squares, edge, constant_values=_FAR))
        before, after = (jax.lax.slice_in_dim(padded, start, start + side, axis=axis) for start in (0, 2))
        nearer = jnp.minimum(before, after) + (2 * k - 1)
        return jnp.minimum(squares, nearer), k + 1, (nearer < squares).any()

    def goes_on(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        _, k, changed = carry
        return changed & (k < side)

    squares, changed = vary_alike(squares, jnp.bool_(True))
    return jax.lax.while_loop(goes_on, change, (squares, jnp.int32(1), changed))[0]
