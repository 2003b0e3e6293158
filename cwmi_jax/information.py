"""Mutual information of the oriented bands of two images, level by level.

Images are real arrays whose last `spatial_dims` axes are space, and periodic: the pyramid wraps around their edges. For
one level, stack the K bands of images y and p over its pixels and form the sums of products S_yy, S_pp, S_yp. With `e`
for `epsilon`,

    S_y|p = S_yy - S_yp (S_pp + e I)^-1 S_yp^H

is the covariance of y's bands that is left when p's are known. For jointly Gaussian bands
`log det S_yy - log det S_y|p` is their mutual information if they are complex, and twice that if they are real.

With `noise` r both images are observed through white noise of the power t = r tr(S_yy) / K in each band: t is added to the
diagonals of S_yy, of S_pp and of S_y|p. Then the information sees the scale of p, whose bands must stand out of the noise as
y's do, it is at most about K log(1 / (2 r)), and it stops growing once the residual is below the noise.

The sums are taken in the frequency domain, so a value costs two real FFTs and its gradient a third.

References:
    Lu, "Complex Wavelet Mutual Information Loss: A Multi-Scale Loss Function for Semantic Segmentation", ICML 2025,
    arXiv:2502.00563.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._filters import FilterBank
from cwmi_jax._gaussian import Conditional, adjoint, condition, diagonal, log_det_and_inverse, trace
from cwmi_jax._inputs import image_pair
from cwmi_jax._meshes import batched
from cwmi_jax._products import inner, matmul
from cwmi_jax._settings import NOT_NEGATIVE, POSITIVE, bank_settings, constant
from cwmi_jax._spectral_sums import best_gain, gradient_images, level_sums, transform

# An image has structure at a level if more than this many rounding errors of its energy lie there.
_STRUCTURE = 64


@batched()
def wavelet_conditional_log_det(
    y: ArrayLike,
    p: ArrayLike,
    *,
    levels: int = 4,
    orientations: int | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    complex_valued: bool = True,
    epsilon: float = 5e-4,
    noise: float = 0.0,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Log determinant of what is left of y's bands when p's are known, `log det S_y|p`, at each level.

    It falls as p tells more about y, whatever the sign (and, without noise, the scale) in which it does; the CWMI loss is
    its sum over levels. It is computed from the residual of the best gain, which keeps it accurate in float32 where p is
    close to an affine image of y and S_y|p is a small difference of large numbers. Reverse-mode derivatives of any order,
    with respect to both images; forward mode (`jax.jvp`) is not defined.

    Args:
        y: real image `[..., H, W]`, or `[..., D, H, W]` with `spatial_dims=3`, with any leading axes. Any real dtype;
            half precision, integers and bools are widened to float32 inside.
        p: likewise, of the same shape.
        levels: octaves of the pyramid; the smallest must keep 4 pixels a side.
        orientations: K, bands a level: 1 to 16 for images, 3 or 6 for volumes; None for 4 and 3.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: the length of a pixel along each spatial axis, None for equal ones; their ratios alone matter, see
            `cwmi_jax.steerable_pyramid`.
        complex_valued: analytic bands, or their real parts.
        epsilon: `e`, a Python number, added to the diagonal of S_pp, a sum over pixels.
        noise: power of the noise through which both images are observed, a Python number, as a fraction of the mean power of
            y's bands at the level; see the module.
        where: bool `[..., H, W]`; False pixels are zero in both images.

    Returns:
        `[..., levels]`, fine to coarse, natural logarithms. Exactly 0, with a gradient of 0, at levels where y has no
        structure beyond rounding (an empty or full mask). A combination of bands that y lacks altogether (a label of
        straight lines along one axis) counts with the size of its rounding error. In float32 the result is within 1e-3
        of float64's for predictions near to, affine in, blurred from, shifted from or unrelated to y. Not so where p is an
        affine image of y plus one strong structure of another kind, such as a ramp whose ends meet in a step (0.02 to 2),
        nor for more than 8 orientations, whose bands are nearly dependent (12: 0.04 and more; 16: 3).

    Raises:
        TypeError: complex images, or a `where` that is not bool.
        ValueError: shapes that differ, an image too small for `levels`, or another number of orientations; the message
            names what fits.

    References:
        Lu, "Complex Wavelet Mutual Information Loss", ICML 2025, arXiv:2502.00563.

    Examples:
        >>> import jax
        >>> y, noise = jax.random.uniform(jax.random.key(0), (2, 64, 64))
        >>> near = wavelet_conditional_log_det(y, y + 0.1 * noise, levels=2)
        >>> far = wavelet_conditional_log_det(y, y + noise, levels=2)
        >>> bool((near < far).all())
        True
    """
    y, p, leading = image_pair(y, p, where=where, spatial_dims=spatial_dims)
    bank = FilterBank(y.shape[1:], *bank_settings(levels, orientations, complex_valued, spacing, y.ndim - 1))
    log_dets = _log_dets(y, p, bank, *_ridges(epsilon, noise))[1]
    return log_dets.reshape(*leading, bank.levels)


@batched()
def wavelet_mutual_information(
    y: ArrayLike,
    p: ArrayLike,
    *,
    levels: int = 4,
    orientations: int | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    complex_valued: bool = True,
    epsilon: float = 5e-4,
    noise: float = 0.0,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Mutual information of the bands of two images at each level, `log det S_yy - log det S_y|p`.

    A measure of how much of y's structure p shows, blind to the sign and, without noise, to the scale in which it does, or,
    negated, an image-to-image loss. See `wavelet_conditional_log_det` for S_y|p, accuracy and derivatives.

    Args:
        y: real image `[..., H, W]`, or `[..., D, H, W]` with `spatial_dims=3`, with any leading axes. Any real dtype;
            half precision, integers and bools are widened to float32 inside.
        p: likewise, of the same shape.
        levels: octaves of the pyramid; the smallest must keep 4 pixels a side.
        orientations: K, bands a level: 1 to 16 for images, 3 or 6 for volumes; None for 4 and 3.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: the length of a pixel along each spatial axis, None for equal ones; their ratios alone matter, see
            `cwmi_jax.steerable_pyramid`.
        complex_valued: analytic bands, or their real parts.
        epsilon: `e`, a Python number, added to the diagonal of S_pp, a sum over pixels.
        noise: power of the noise through which both images are observed, a Python number, as a fraction of the mean power of
            y's bands at the level; see the module.
        where: bool `[..., H, W]`; False pixels are zero in both images.

    Returns:
        `[..., levels]`, fine to coarse, in nats for jointly Gaussian complex bands (twice the nats of real ones). It counts
        one sample of the bands; 0 where y has no structure, and bounded by what `epsilon` or the noise leaves: mutual
        information with an exact copy would be infinite.

    Raises:
        TypeError: complex images, or a `where` that is not bool.
        ValueError: shapes that differ, an image too small for `levels`, or another number of orientations; the message
            names what fits.

    References:
        Lu, "Complex Wavelet Mutual Information Loss", ICML 2025, arXiv:2502.00563.

    Examples:
        >>> import jax
        >>> y, p = jax.random.uniform(jax.random.key(0), (2, 64, 64))
        >>> bool((wavelet_mutual_information(y, 1 - 3 * y) > wavelet_mutual_information(y, p)).all())
        True
    """
    y, p, leading = image_pair(y, p, where=where, spatial_dims=spatial_dims)
    bank = FilterBank(y.shape[1:], *bank_settings(levels, orientations, complex_valued, spacing, y.ndim - 1))
    label, conditional = _log_dets(y, p, bank, *_ridges(epsilon, noise))
    return (label - conditional).reshape(*leading, bank.levels)


@batched()
def wavelet_gain(
    y: ArrayLike,
    p: ArrayLike,
    *,
    levels: int = 4,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    epsilon: float = 5e-4,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The multiple of p that comes closest to y at each level, `tr S_yp / (tr S_pp + K e)`.

    What mutual information does not see: 1 where p is y, above 1 where p's structures are fainter than y's, negative where
    p is an inverted y. Watch it when masks come out inverted, or never sure. Orientations play no part.

    Args:
        y: real image `[..., H, W]`, or `[..., D, H, W]` with `spatial_dims=3`, with any leading axes. Any real dtype;
            half precision, integers and bools are widened to float32 inside.
        p: likewise, of the same shape.
        levels: octaves of the pyramid; the smallest must keep 4 pixels a side.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: the length of a pixel along each spatial axis, None for equal ones; their ratios alone matter, see
            `cwmi_jax.steerable_pyramid`.
        epsilon: `e`, a Python number, which keeps the gain finite where p has no structure; K is 4 in images, 3 in volumes.
        where: bool `[..., H, W]`; False pixels are zero in both images.

    Returns:
        `[..., levels]`, fine to coarse, without a unit; 0 where y or p has no structure.

    Raises:
        TypeError: complex images, or a `where` that is not bool.
        ValueError: shapes that differ, or an image too small for `levels`; the message names what fits.

    References:
        Legendre, "Nouvelles méthodes pour la détermination des orbites des comètes", 1805 (least squares).

    Examples:
        >>> import jax
        >>> y = jax.random.uniform(jax.random.key(0), (64, 64))
        >>> wavelet_gain(y, 0.9 - 0.5 * y, levels=2).round(3).tolist()
        [-2.0, -2.0]
    """
    y, p, leading = image_pair(y, p, where=where, spatial_dims=spatial_dims)
    bank = FilterBank(y.shape[1:], *bank_settings(levels, None, True, spacing, y.ndim - 1))
    gains = best_gain(
        transform(y), transform(p), bank, constant("epsilon", epsilon, POSITIVE), noise=0.0, sampled=False
    )
    return gains.reshape(*leading, bank.levels)


def _ridges(epsilon: float, noise: float) -> tuple[float, float]:
    """Both settings, checked."""
    return constant("epsilon", epsilon, POSITIVE), constant("noise", noise, NOT_NEGATIVE)


class _Saved(NamedTuple):
    """What the gradient needs of the value's computation.

    Attributes:
        y: spectra `[N, *grid]`.
        p: likewise.
        gain: `[N, L]`.
        label_inverse: of S_yy, `[N, L, K, K]`.
        conditional: of all levels and images.
    """

    y: jax.Array
    p: jax.Array
    gain: jax.Array
    label_inverse: jax.Array
    conditional: Conditional


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _log_dets(
    y: jax.Array, p: jax.Array, bank: FilterBank, epsilon: float, noise: float
) -> tuple[jax.Array, jax.Array]:
    """`log det S_yy` and `log det S_y|p` of images `[N, *shape]`, each `[N, L]`; 0 where y has no structure."""
    return _evaluate(y, p, bank, epsilon, noise)[0]


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _evaluate(
    y: jax.Array, p: jax.Array, bank: FilterBank, epsilon: float, noise: float
) -> tuple[tuple[jax.Array, jax.Array], _Saved]:
    y_spectrum, p_spectrum = transform(y), transform(p)
    gain, dd, pp, dp = level_sums(y_spectrum, p_spectrum, bank, epsilon, noise)
    a = gain[..., None, None].astype(dp.dtype)
    dd, pp = dd.astype(dp.dtype), pp.astype(dp.dtype)
    yy = dd + a * (dp + adjoint(dp)) + a**2 * pp
    power = trace(yy)
    flat = y.reshape(y.shape[0], -1)
    energy = inner(flat, flat)
    rounding = (_STRUCTURE * jnp.finfo(power.dtype).eps) ** 2 * energy[:, None]
    known = power > rounding * _amplitudes(bank, power.dtype)
    mean_power = power / bank.orientations
    ridge = noise * mean_power
    observed = yy + diagonal(ridge, bank.orientations).astype(yy.dtype)
    label_log_det, label_inverse = log_det_and_inverse(observed, mean_power, known)
    conditional = condition(dd, dp, pp, gain, epsilon + ridge, known, ridge=ridge)
    saved = _Saved(y_spectrum, p_spectrum, gain, label_inverse, conditional)
    return (label_log_det, conditional.log_det), saved


def _amplitudes(bank: FilterBank, dtype: np.dtype) -> np.ndarray:
    """How many pixels of the image one pixel of each level stands for, `[1, L]`."""
    return np.asarray([[bank.reduction(level) for level in range(bank.levels)]], dtype)


def _backward(bank: FilterBank, epsilon: float, noise: float, saved: _Saved, cotangents: tuple[jax.Array, jax.Array]):
    return _gradients(saved, *cotangents, bank, noise)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _gradients(
    saved: _Saved, label_cotangent: jax.Array, conditional_cotangent: jax.Array, bank: FilterBank, noise: float
) -> tuple[jax.Array, jax.Array]:
    """Gradients with respect to y and p, from those with respect to the determinants, `[N, L]`.

    With X the inverse of S_y|p and W the regression of y on p,

        d log det S_y|p = tr(X dS_yy) - 2 Re tr(W^H X dS_yp) + tr(W^H X W dS_pp);

    like the value it is written in the residual d = y - gain p, with W - gain I in the place of W. With noise, each of
    the two ridges on the diagonals is a multiple of tr S_yy.
    """
    gain, label_inverse = saved.gain, saved.label_inverse
    _, inverse, coefficients, correction = saved.conditional
    explained = matmul(adjoint(coefficients), inverse)
    amplitudes = _amplitudes(bank, gain.dtype)[..., None, None]
    label_weight, weight = (c[..., None, None] * amplitudes for c in (label_cotangent, conditional_cotangent))
    gradient = functools.partial(gradient_images, saved.y, saved.p, gain, bank=bank)
    p_gradient = gradient(
        -weight * explained.real,
        weight * matmul(explained, correction).real,
        -weight * explained.imag,
        quadrature_of_y=True,
    )
    # Where labels are not differentiated the compiler drops the other one.
    own = label_weight * label_inverse.real
    if noise:
        ridges = own + weight * (inverse + matmul(explained, coefficients)).real
        own = own + diagonal(noise / bank.orientations * trace(ridges), bank.orientations)
    y_gradient = gradient(
        weight * inverse.real + own,
        gain[..., None, None] * own - weight * matmul(inverse, correction).real,
        weight * explained.imag,
        quadrature_of_y=False,
    )
    return y_gradient, p_gradient


_log_dets.defvjp(_evaluate, _backward)
