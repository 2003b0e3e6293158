"""Conditional covariances of small random vectors, many at once, that stay accurate where prediction meets label.

The sweep operator (Goodnight, "A tutorial on the SWEEP operator", The American Statistician 1979) gives regression
coefficients, conditional covariance, determinant and inverse in one pass of elementwise operations. It stands here in the
place of a library's Cholesky factorisation because that answers NaN where rounding has made a covariance indefinite, and
a label drawn with straight lines alone has a singular one to begin with. A pivot that is lost in rounding is left out
instead.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cwmi_jax._meshes import vary_alike

# A pivot below this many rounding errors of what it was subtracted from is noise.
_NOISE = 8


class Conditional(NamedTuple):
    """What is left of y once p is known.

    Attributes:
        log_det: of the conditional covariance S_y|p plus its ridge, `[...]`, real.
        inverse: of the same, `[..., K, K]`.
        coefficients: W = S_yp (S_pp + e I)^-1, the regression of y on p, `[..., K, K]`.
        correction: W - gain I, the regression of the residual, which is small where W is close to the gain.
    """

    log_det: jax.Array
    inverse: jax.Array
    coefficients: jax.Array
    correction: jax.Array


def adjoint(matrix: jax.Array) -> jax.Array:
    """Conjugate transpose of the last two axes."""
    return jnp.conj(jnp.swapaxes(matrix, -1, -2))


def diagonal(values: jax.Array, size: int) -> jax.Array:
    """Multiples `[..., K, K]` of the identity."""
    return values[..., None, None] * np.eye(size, dtype=values.dtype).reshape([1] * values.ndim + [size, size])


def trace(matrix: jax.Array) -> jax.Array:
    """Real trace of the last two axes."""
    return jnp.trace(matrix.real, axis1=-2, axis2=-1)


def sweep(matrix: jax.Array, pivots: int, floor: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sweeps Hermitian positive semi-definite matrices on their first `pivots` rows.

    With `matrix = [[A, C], [C^H, D]]`, where A has `pivots` rows, the result is

        [[-A^-1, A^-1 C], [C^H A^-1, D - C^H A^-1 C]].

    Args:
        matrix: `[..., M, M]`, real or complex.
        pivots: how many rows to sweep.
        floor: `[...]`, real and positive. A row whose pivot does not exceed it is left out, as if its variable were
            not there, and counts as the floor in the determinant.

    Returns:
        The swept matrices `[..., M, M]` and the natural log of the determinant of A, `[...]`.
    """
    rows = np.arange(matrix.shape[-1]).reshape([1] * (matrix.ndim - 2) + [-1])

    def step(k: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        matrix, log_det = carry
        other = rows != k
        row = jax.lax.dynamic_index_in_dim(matrix, k, axis=-2, keepdims=False)
        pivot = jax.lax.dynamic_index_in_dim(row, k, axis=-1, keepdims=False).real
        known = pivot > floor
        inverse = jnp.where(known, 1 / jnp.where(known, pivot, 1), 0)[..., None].astype(matrix.dtype)
        scaled = jnp.where(other, row * inverse, 0)
        matrix = matrix - jnp.conj(row)[..., :, None] * scaled[..., None, :]
        scaled = scaled - jnp.where(other, 0, inverse)
        matrix = jnp.where(other[..., None, :], matrix, jnp.conj(scaled)[..., :, None])
        matrix = jnp.where(other[..., :, None], matrix, scaled[..., None, :])
        return matrix, log_det + jnp.log(jnp.where(known, pivot, floor))

    # A loop, not a row of 16 steps: the steps are small, and compiling them was half of the compilation.
    start, log_det = vary_alike(matrix, jnp.zeros_like(floor))
    return jax.lax.fori_loop(0, pivots, step, (start, log_det))


def log_det_and_inverse(covariance: jax.Array, scale: jax.Array, known: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Natural log of the determinant, and the inverse, of covariances whose rounding errors are those of `scale`.

    Args:
        covariance: `[..., K, K]`, Hermitian.
        scale: `[...]`, the size of the numbers that it was computed from.
        known: `[...]`, bool; elsewhere both results are 0.
    """
    floor = jnp.where(known, _NOISE * jnp.finfo(scale.dtype).eps * scale, 1)
    swept, log_det = sweep(covariance, covariance.shape[-1], floor)
    return jnp.where(known, log_det, 0), jnp.where(known[..., None, None], -swept, 0)


def condition(
    dd: jax.Array,
    dp: jax.Array,
    pp: jax.Array,
    gain: jax.Array,
    epsilon: float | jax.Array,
    known: jax.Array,
    ridge: float | jax.Array = 0.0,
) -> Conditional:
    """Conditional covariance of y, from the sums of the residual `d = y - gain p`.

    With R = (S_pp + e I)^-1 and a = gain, for every a,

        S_y|p = S_dd - S_dp R S_dp^H + a e (S_dp R + R S_dp^H) + a^2 e (I - e R),

    in which every term is small where d is; the textbook's S_yy - S_yp R S_yp^H is not.

    Args:
        dd: `[..., K, K]`, sums of products of d; real or complex, as the other two.
        dp: `[..., K, K]`, of d and p.
        pp: `[..., K, K]`, of p.
        gain: `[...]`, real.
        epsilon: `e`, added to the diagonal of S_pp, a number or `[...]`.
        known: `[...]`, bool; elsewhere log determinant and inverse are 0.
        ridge: added to the diagonal of S_y|p before its determinant and inverse are taken, a number or `[...]`.
    """
    k = dd.shape[-1]
    epsilon, ridge = (jnp.broadcast_to(jnp.asarray(x, gain.dtype), gain.shape) for x in (epsilon, ridge))
    identity, at_p, at_y = (diagonal(x, k).astype(dp.dtype) for x in (jnp.ones_like(gain), epsilon, ridge))
    e, a = (x[..., None, None].astype(dp.dtype) for x in (epsilon, gain))
    block = jnp.concatenate(
        [
            jnp.concatenate([pp + at_p, adjoint(dp)], axis=-1),
            jnp.concatenate([dp, dd], axis=-1),
        ],
        axis=-2,
    )
    # No pivot of S_pp + e I lies below e but by rounding.
    swept, _ = sweep(block, k, epsilon / 2)
    unexplained = e * -swept[..., :k, :k]
    regression = swept[..., k:, :k]
    shrinkage = identity - unexplained
    covariance = swept[..., k:, k:] + a * e * (regression + adjoint(regression)) + a**2 * e * shrinkage
    scale = trace(dd) / k + gain**2 * epsilon
    log_det, inverse = log_det_and_inverse(covariance + at_y, scale, known)
    return Conditional(log_det, inverse, regression + a * shrinkage, regression - a * unexplained)
