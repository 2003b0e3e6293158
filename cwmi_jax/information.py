"""Mutual information of the oriented bands of two images, level by level.

Images are real arrays whose last `spatial_dims` axes are space, and periodic: the pyramid wraps around their edges. For
one level, stack the K bands of images y and p over its pixels and form the sums of products S_yy, S_pp, S_yp. With `e`
for `epsilon`,

    S_y|p = S_yy - S_yp (S_pp + e I)^-1 S_yp^H

is the covariance of y's bands that is left when p's are known. For jointly Gaussian bands
`log det S_yy - log det S_y|p` is their mutual information if they are complex, and twice that if they are real.

The sums are taken in the frequency domain, so a value costs two real FFTs and its gradient a third.

References:
    Lu, "Complex Wavelet Mutual Information Loss: A Multi-Scale Loss Function for Semantic Segmentation", ICML 2025,
    arXiv:2502.00563.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from cwmi_jax._filters import FilterBank
from cwmi_jax._gaussian import Conditional, adjoint, condition, log_det_and_inverse, matmul
from cwmi_jax._inputs import image_pair
from cwmi_jax._spectral_sums import LevelSums, gradient_images, level_sums, transform

# An image has structure at a level if more than this many rounding errors of its energy lie there.
_STRUCTURE = 64


def wavelet_conditional_log_det(
    y: jax.Array,
    p: jax.Array,
    *,
    levels: int = 4,
    orientations: int = 4,
    spatial_dims: int = 2,
    complex_valued: bool = True,
    epsilon: float = 5e-4,
    where: jax.Array | None = None,
) -> jax.Array:
    """Log determinant of what is left of y's bands when p's are known, `log det S_y|p`, at each level."""
    y, p, leading = image_pair(y, p, where=where, spatial_dims=spatial_dims)
    bank = FilterBank(y.shape[1:], levels, orientations, complex_valued)
    return _log_dets(y, p, bank, epsilon)[1].reshape(*leading, levels)


def wavelet_mutual_information(
    y: jax.Array,
    p: jax.Array,
    *,
    levels: int = 4,
    orientations: int = 4,
    spatial_dims: int = 2,
    complex_valued: bool = True,
    epsilon: float = 5e-4,
    where: jax.Array | None = None,
) -> jax.Array:
    """Mutual information."""
    y, p, leading = image_pair(y, p, where=where, spatial_dims=spatial_dims)
    bank = FilterBank(y.shape[1:], levels, orientations, complex_valued)
    label, conditional = _log_dets(y, p, bank, epsilon)
    return (label - conditional).reshape(*leading, levels)


class _Saved(NamedTuple):
    """What the gradient needs of the value's computation."""

    y: jax.Array
    p: jax.Array
    sums: LevelSums
    energy: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _log_dets(y: jax.Array, p: jax.Array, bank: FilterBank, epsilon: float) -> tuple[jax.Array, jax.Array]:
    """`log det S_yy` and `log det S_y|p` of images `[N, *shape]`, each `[N, L]`; 0 where y has no structure."""
    return _evaluate(y, p, bank, epsilon)[0]


def _evaluate(y, p, bank: FilterBank, epsilon: float) -> tuple[tuple[jax.Array, jax.Array], _Saved]:
    y_spectrum, p_spectrum = transform(y), transform(p)
    flat = y.reshape(y.shape[0], -1)
    energy = jnp.einsum("nx,nx->n", flat, flat, precision=jax.lax.Precision.HIGHEST)
    saved = _Saved(y_spectrum, p_spectrum, level_sums(y_spectrum, p_spectrum, bank, epsilon), energy)
    (label, _), conditional = _factor(saved, bank, epsilon)
    return (label, conditional.log_det), saved


def _factor(saved: _Saved, bank: FilterBank, epsilon: float) -> tuple[tuple[jax.Array, jax.Array], Conditional]:
    """Determinants and inverses of all levels and images at once."""
    gain, dd, pp, dp = saved.sums
    a = gain[..., None, None].astype(dp.dtype)
    dd, pp = dd.astype(dp.dtype), pp.astype(dp.dtype)
    yy = dd + a * (dp + adjoint(dp)) + a**2 * pp
    power = jnp.trace(yy.real, axis1=-2, axis2=-1)
    rounding = (_STRUCTURE * jnp.finfo(power.dtype).eps) ** 2 * saved.energy[:, None]
    known = power > rounding * _amplitudes(bank, power.dtype)
    label = log_det_and_inverse(yy, power / bank.orientations, known)
    return label, condition(dd, dp, pp, gain, epsilon, known)


def _amplitudes(bank: FilterBank, dtype: np.dtype) -> np.ndarray:
    """How many pixels of the image one pixel of each level stands for, `[L]`."""
    return np.asarray([2.0 ** (bank.spatial_dims * i) for i in range(bank.levels)], dtype)


def _forward(y, p, bank: FilterBank, epsilon: float):
    value, saved = _evaluate(y.value, p.value, bank, epsilon)
    # Which images are differentiated is known while tracing; an empty tuple carries it through the residuals.
    return value, (saved, () if y.perturbed else None, () if p.perturbed else None)


def _backward(bank: FilterBank, epsilon: float, residuals, cotangents):
    saved, y_perturbed, p_perturbed = residuals
    sums = saved.sums
    (_, label_inverse), conditional = _factor(saved, bank, epsilon)
    of_label, of_conditional = (
        jnp.zeros(c.shape, c.dtype) if isinstance(c, SymbolicZero) else c for c in cotangents
    )
    # d log det S_y|p = tr(X dS_yy) - 2 Re tr(W^H X dS_yp) + tr(W^H X W dS_pp), with X the inverse and W the regression
    # of y on p; with V = W - gain I it is written in the residual d as the value is.
    inverse, coefficients, correction = conditional[1:]
    explained = matmul(adjoint(coefficients), inverse)
    amplitude = _amplitudes(bank, sums.gain.dtype)[:, None, None]
    label_weight, weight = (amplitude * c[..., None, None] for c in (of_label, of_conditional))
    gradient = functools.partial(gradient_images, saved.y, saved.p, sums.gain, bank=bank)
    y_gradient = p_gradient = None
    if p_perturbed is not None:
        p_gradient = gradient(
            -weight * explained.real,
            weight * matmul(explained, correction).real,
            -weight * explained.imag,
            quadrature_of_y=True,
        )
    if y_perturbed is not None:
        of_y = label_weight * label_inverse.real
        y_gradient = gradient(
            weight * inverse.real + of_y,
            -weight * matmul(inverse, correction).real + sums.gain[..., None, None] * of_y,
            weight * explained.imag,
            quadrature_of_y=False,
        )
    return y_gradient, p_gradient


_log_dets.defvjp(_forward, _backward, symbolic_zeros=True)
