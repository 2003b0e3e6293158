"""Distances of the oriented bands of two images, the paper's alternatives to mutual information."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._inputs import image_pair
from cwmi_jax._meshes import batched
from cwmi_jax._settings import choice
from cwmi_jax.pyramid import steerable_pyramid

# Wang et al. 2004, with a dynamic range of 1.
_SSIM_RADIUS, _SSIM_SIGMA = 5, 1.5
_SSIM_LUMINANCE, _SSIM_CONTRAST = 0.01**2, 0.03**2


@batched()
def wavelet_distance(
    y: ArrayLike,
    p: ArrayLike,
    *,
    kind: str,
    levels: int = 4,
    orientations: int | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    complex_valued: bool = True,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Compares the oriented bands of two images, level by level, pixel by pixel.

    These are the ablations of the CWMI paper; they make the bands, and cost several times the information term. With b the
    K-vector of bands at a pixel of a level:

    - "l1": mean over pixels of `sum_k |b_y,k - b_p,k|`;
    - "l2": mean over pixels of `sqrt(sum_k |b_y,k - b_p,k|^2)`;
    - "ssim": the mean structural similarity of the bands, of their moduli if they are complex, with a Gaussian window of 11
      of their pixels (sigma 1.5) and zeros beyond the edges. As in the paper's code it is the *index*, 1 for equal images:
      to bring images together minimise `1 - wavelet_distance(..., kind="ssim")`.

    Args:
        y: real image `[..., H, W]`, or `[..., D, H, W]` with `spatial_dims=3`.
        p: likewise, of the same shape.
        kind: "l1", "l2" or "ssim".
        levels: octaves; the smallest must keep 4 pixels a side.
        orientations: bands a level, 1 to 16 for images, 3 or 6 for volumes; None for 4 and 3.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: the length of a pixel along each spatial axis, None for equal ones; their ratios alone matter, see
            `cwmi_jax.steerable_pyramid`.
        complex_valued: analytic bands or real ones.
        where: bool `[..., H, W]`; False pixels are zero in both images.

    Returns:
        `[..., levels]`, in units of the images times the levels' amplitudes (see `cwmi_jax.pyramid`) for "l1" and "l2".

    Raises:
        TypeError: complex images, or a `where` that is not bool.
        ValueError: shapes that differ, an unknown `kind`, or a pyramid that does not fit.

    References:
        Lu, "Complex Wavelet Mutual Information Loss", ICML 2025, arXiv:2502.00563. Wang et al., "Image quality assessment:
        from error visibility to structural similarity", IEEE TIP 2004.

    Examples:
        >>> import jax
        >>> y, p = jax.random.uniform(jax.random.key(0), (2, 64, 64))
        >>> wavelet_distance(y, p, kind="l1", levels=3).shape
        (3,)
    """
    kind = choice("kind", kind, tuple(_KINDS))
    y, p, leading = image_pair(y, p, where=where, spatial_dims=spatial_dims)
    of_y, of_p = (
        steerable_pyramid(
            image,
            levels=levels,
            orientations=orientations,
            spatial_dims=spatial_dims,
            spacing=spacing,
            complex_valued=complex_valued,
        )
        for image in (y, p)
    )
    distances = [_KINDS[kind](a, b) for a, b in zip(of_y.bands, of_p.bands, strict=True)]
    return jnp.stack(distances, axis=-1).reshape(*leading, len(of_y.bands))


def _l1(y: jax.Array, p: jax.Array) -> jax.Array:
    return _mean(_modulus(_squares(y - p)).sum(axis=1))


def _l2(y: jax.Array, p: jax.Array) -> jax.Array:
    return _mean(_modulus(_squares(y - p).sum(axis=1)))


def _ssim(y: jax.Array, p: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(y):
        y, p = _modulus(_squares(y)), _modulus(_squares(p))
    y_mean, p_mean = _blur(y), _blur(p)
    y_variance, p_variance = _blur(y * y) - y_mean**2, _blur(p * p) - p_mean**2
    covariance = _blur(y * p) - y_mean * p_mean
    luminance = (2 * y_mean * p_mean + _SSIM_LUMINANCE) / (y_mean**2 + p_mean**2 + _SSIM_LUMINANCE)
    structure = (2 * covariance + _SSIM_CONTRAST) / (y_variance + p_variance + _SSIM_CONTRAST)
    return _mean(luminance * structure)


_KINDS = {"l1": _l1, "l2": _l2, "ssim": _ssim}


def _squares(bands: jax.Array) -> jax.Array:
    return jnp.real(bands) ** 2 + jnp.imag(bands) ** 2


def _modulus(squares: jax.Array) -> jax.Array:
    """A square root whose derivative at 0 is 0 and not infinite."""
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def _mean(values: jax.Array) -> jax.Array:
    """Over all axes but the first."""
    return values.mean(axis=tuple(range(1, values.ndim)))


def _blur(bands: jax.Array) -> jax.Array:
    """Bands `[N, K, *shape]` under a Gaussian window, zero beyond the edges."""
    offsets = np.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1)
    window = np.exp(-(offsets**2) / (2 * _SSIM_SIGMA**2))
    for axis in range(2, bands.ndim):
        padded = jnp.pad(bands, [(_SSIM_RADIUS, _SSIM_RADIUS) if a == axis else (0, 0) for a in range(bands.ndim)])
        side = bands.shape[axis]
        shifted = [jax.lax.slice_in_dim(padded, start, start + side, axis=axis) for start in range(window.size)]
        weighted = [float(w) * part for w, part in zip(window / window.sum(), shifted, strict=True)]
        bands = functools.reduce(jnp.add, weighted)
    return bands
