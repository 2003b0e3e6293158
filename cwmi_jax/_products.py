"""Products in full precision, of which the default on GPUs and TPUs keeps 10 or 7 bits."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def inner(left: ArrayLike, right: ArrayLike) -> jax.Array:
    """`sum(left * right)` over the last axis, with ones for a mere sum.

    As a product of matrices, for XLA computes a logarithm or an exponential that is fused into a sum one number at a time.

    Args:
        left: `[..., X]`.
        right: `[..., X]`, or `[X]`.

    Returns:
        `[...]`.
    """
    return einsum("...x,...x->...", left, right)


def einsum(subscripts: str, *arrays: ArrayLike) -> jax.Array:
    """`jnp.einsum` in full precision."""
    return jnp.einsum(subscripts, *arrays, precision=jax.lax.Precision.HIGHEST)


def matmul(left: ArrayLike, right: ArrayLike) -> jax.Array:
    """`jnp.matmul` in full precision."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)
