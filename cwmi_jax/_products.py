"""Products in full precision, of which the default on GPUs and TPUs keeps 10 or 7 bits."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


def inner(left: ArrayLike, right: ArrayLike) -> jax.Array:
    """`sum(left * right)` over the last axis, of arrays that are there: `[..., X]` and `[..., X]` or `[X]` to `[...]`."""
    return einsum("...x,...x->...", left, right)


def total(values: jax.Array, axes: int) -> jax.Array:
    """`sum(values)` over the last axes, of values that are yet to be computed.

    As a product of rows with a vector of ones. XLA computes a logarithm or an exponential that is fused into a sum one
    number at a time, and makes such a sum of a product with one single row.

    Args:
        values: `[..., *shape]`.
        axes: of the shape, one or more.

    Returns:
        `[...]`.
    """
    rows = einsum("...x,x->...", values, np.ones(values.shape[-1], values.dtype))
    return rows.sum(axis=tuple(range(1 - axes, 0)))


def einsum(subscripts: str, *arrays: ArrayLike) -> jax.Array:
    """`jnp.einsum` in full precision."""
    return jnp.einsum(subscripts, *arrays, precision=jax.lax.Precision.HIGHEST)


def matmul(left: ArrayLike, right: ArrayLike) -> jax.Array:
    """`jnp.matmul` in full precision."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)
