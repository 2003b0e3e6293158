"""The steerable pyramid: an image as oriented bands at several scales, and back.

Images are real and periodic: filters wrap around their edges. Each level has half the sides of the one before, rounded up.
Amplitudes grow as the number of pixels shrinks, by 2 a level and spatial axis (4 for images, 8 for volumes), as they do in
pyrtools; where a side is rounded up, bands are scaled so that their energy, the sum of squares over pixels, is the one that
sides which need no rounding would give.

With a `spacing` whose lengths differ, scales and directions are those of what was imaged, not of the array. The finest
level is as fine as the axis of the smallest spacing allows. An axis whose pixels are r times as long lacks the highest
frequencies. It keeps its side down to the level whose pixels are that long, and shrinks with the others from there.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._filters import (
    FilterBank,
    align,
    band_gains,
    crop,
    hidden,
    highpass_gain,
    lowpass_gain,
    shared_gain,
    uncrop,
)
from cwmi_jax._fourier import fft, ifft
from cwmi_jax._inputs import real_image
from cwmi_jax._meshes import run_batched
from cwmi_jax._settings import bank_settings, dimensions, spacing_ratios


class SteerablePyramid(NamedTuple):
    """The bands of an image.

    Attributes:
        highpass: what lies above the finest level, real `[..., *shape]`.
        bands: one array a level, fine to coarse, `[..., K, *shape_i]`, complex or real.
        lowpass: what lies below the coarsest level, real `[..., *shape_N]`.
    """

    highpass: jax.Array
    bands: tuple[jax.Array, ...]
    lowpass: jax.Array


def steerable_pyramid(
    image: ArrayLike,
    *,
    levels: int = 4,
    orientations: int | None = None,
    spatial_dims: int = 2,
    spacing: Sequence[float] | None = None,
    complex_valued: bool = True,
) -> SteerablePyramid:
    """Splits an image into oriented bands, one octave a level.

    Args:
        image: real `[..., H, W]`, or `[..., D, H, W]` with `spatial_dims=3`; half precision is widened to float32.
        levels: how many octaves; the smallest level must keep 4 pixels a side.
        orientations: K, bands a level: 1 to 16 for images, at angles `pi k / K` from the direction of rows; 3 (axes of the
            cube) or 6 (of the icosahedron) for volumes; None for 4 and 3.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: the length of a pixel along each spatial axis, such as millimetres; None for equal ones. Only their ratios
            matter.
        complex_valued: analytic bands, whose modulus is the local amplitude and whose phase the local position of a
            structure; otherwise real ones.

    Returns:
        The bands and both residuals. The real pyramid is a tight frame: the image's sum of squares is the highpass's, plus
        level i's over `4**(i-1)`, i = 1..N, plus the lowpass's over `4**N` (8 for volumes; with a spacing how many pixels of
        the image one of the level stands for).

    Raises:
        TypeError: a complex image.
        ValueError: an image too small for `levels`, another number of orientations, or a spacing that is not positive; the
            message names what fits.

    References:
        Simoncelli and Freeman, "The steerable pyramid", ICIP 1995. Portilla and Simoncelli, "A parametric texture model
        based on joint statistics of complex wavelet coefficients", IJCV 2000.

    Examples:
        >>> import jax
        >>> image = jax.random.normal(jax.random.key(0), (97, 131))
        >>> [band.shape for band in steerable_pyramid(image, levels=2).bands]
        [(4, 97, 131), (4, 49, 66)]
    """
    spatial_dims = dimensions(spatial_dims)
    image = real_image("image", image, spatial_dims)
    settings = bank_settings(levels, orientations, complex_valued, spacing, spatial_dims)
    bank = FilterBank(image.shape[-spatial_dims:], *settings)
    return run_batched(functools.partial(_split, bank=bank), image, image.ndim - spatial_dims, image)


@functools.partial(jax.jit, static_argnames="bank")
def _split(image: jax.Array, bank: FilterBank) -> SteerablePyramid:
    spectrum = fft(image, bank.spatial_dims)
    high, low = _residual_gains(bank, image.dtype)
    highpass = ifft(spectrum * align(high, spectrum.ndim), bank.spatial_dims).real
    bands = []
    for i in range(bank.levels):
        spectrum = _cropped(spectrum, bank, i)
        filters = _filters(bank, i, image.dtype, analytic=bank.complex_valued)
        filtered = jnp.expand_dims(spectrum, -bank.spatial_dims - 1) * align(filters, spectrum.ndim + 1)
        band = _scale(bank, i) * ifft(filtered, bank.spatial_dims)
        bands.append(band if bank.complex_valued else band.real)
    coarsest = _cropped(spectrum, bank, bank.levels) * align(low, spectrum.ndim)
    lowpass = _scale(bank, bank.levels) * ifft(coarsest, bank.spatial_dims).real
    return SteerablePyramid(highpass, tuple(bands), lowpass)


def reconstruct(pyramid: SteerablePyramid, *, spacing: Sequence[float] | None = None) -> jax.Array:
    """The image of a steerable pyramid, the inverse of `steerable_pyramid`.

    Bands that have been changed give the image whose pyramid is closest to them if they are real.

    Args:
        pyramid: as `steerable_pyramid` returns it; levels, orientations, spatial axes and whether it is complex follow from
            its shapes and dtype.
        spacing: as it was made with.

    Returns:
        Real `[..., *shape]`. It equals the image to within rounding: about 1e-6 of its range in float32.

    Raises:
        ValueError: arrays whose shapes are not those of a pyramid, or of one with that spacing.

    References:
        Simoncelli and Freeman, "The steerable pyramid", ICIP 1995.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> image = jax.random.normal(jax.random.key(0), (97, 131))
        >>> bool(jnp.allclose(reconstruct(steerable_pyramid(image)), image, atol=1e-5))
        True
    """
    bank = _bank_of(pyramid, spacing)
    leading = pyramid.highpass.ndim - bank.spatial_dims
    return run_batched(functools.partial(_join, bank=bank), pyramid.highpass, leading, pyramid)


@functools.partial(jax.jit, static_argnames="bank")
def _join(pyramid: SteerablePyramid, bank: FilterBank) -> jax.Array:
    dtype = pyramid.highpass.dtype
    high, low = (align(gains, pyramid.highpass.ndim) for gains in _residual_gains(bank, dtype))
    total = fft(pyramid.lowpass, bank.spatial_dims) * low / _scale(bank, bank.levels)
    for i in reversed(range(bank.levels)):
        band = pyramid.bands[i]
        band = (band * _phase(bank)).real if bank.complex_valued else band
        filters = align(jnp.conj(_filters(bank, i, dtype, analytic=False)), band.ndim)
        level = (fft(band, bank.spatial_dims) * filters).sum(axis=-bank.spatial_dims - 1) / _scale(bank, i)
        total = level + _uncropped(total, bank, i)
    total = total + fft(pyramid.highpass, bank.spatial_dims) * high
    return ifft(total, bank.spatial_dims).real


def _axes(bank: FilterBank) -> range:
    return range(-bank.spatial_dims, 0)


def _scale(bank: FilterBank, level: int) -> float:
    """What gives a grid of rounded sides the energy of one of sides that are not."""
    return math.sqrt(math.prod(bank.grid(level)) / bank.pixels(level))


def _phase(bank: FilterBank) -> complex:
    """The real band is the real part of the complex one times this."""
    return (-1j) ** bank.oriented.order


def _filters(bank: FilterBank, level: int, dtype: np.dtype, *, analytic: bool) -> jax.Array:
    """Filters of a level, `[K, *grid]`, complex."""
    frequencies = hidden(bank.frequencies(level, dtype, half=False))
    signed = band_gains(shared_gain(frequencies, bank.oriented.order), frequencies, bank.oriented)
    if analytic:
        return _as_complex(2 * jnp.maximum(signed, 0))
    return _phase(bank) * _as_complex(signed if bank.oriented.order % 2 else jnp.abs(signed))


def _residual_gains(bank: FilterBank, dtype: np.dtype) -> tuple[jax.Array, jax.Array]:
    """Highpass on the image's grid and lowpass on the coarsest, complex."""
    high = highpass_gain(hidden(bank.frequencies(0, dtype, half=False)))
    low = lowpass_gain(hidden(bank.frequencies(bank.levels, dtype, half=False)))
    return _as_complex(high), _as_complex(low)


def _as_complex(gains: jax.Array) -> jax.Array:
    return jax.lax.complex(gains, jnp.zeros_like(gains))


def _cropped(spectrum: jax.Array, bank: FilterBank, level: int) -> jax.Array:
    for axis, side in zip(_axes(bank), bank.grid(level), strict=True):
        spectrum = crop(spectrum, axis, side)
    return spectrum


def _uncropped(spectrum: jax.Array, bank: FilterBank, level: int) -> jax.Array:
    """The transpose of `_cropped` from a coarser grid to that of `level`."""
    for axis, side in zip(_axes(bank), bank.grid(level), strict=True):
        spectrum = uncrop(spectrum, axis, side)
    return spectrum


def _bank_of(pyramid: SteerablePyramid, spacing: Sequence[float] | None) -> FilterBank:
    """The static facts of a pyramid, from its shapes: the spatial axes are those on which the lowpass is smaller.

    With a spacing there are as many as that has lengths, for the lowpass may not be smaller on all.
    """
    highpass, bands, lowpass = pyramid
    smaller = sum(high != low for high, low in zip(highpass.shape, lowpass.shape, strict=False))
    spatial_dims = smaller if spacing is None else np.size(spacing)
    levels = len(bands)
    if spatial_dims not in (2, 3) or not levels:
        raise ValueError(f"not a pyramid: {levels} levels, highpass {highpass.shape}, lowpass {lowpass.shape}")
    leading, shape = highpass.shape[:-spatial_dims], highpass.shape[-spatial_dims:]
    orientations = bands[0].shape[len(leading)]
    bank = FilterBank(shape, levels, orientations, jnp.iscomplexobj(bands[0]), spacing_ratios(spacing, spatial_dims))
    expected = [(*leading, orientations, *bank.grid(i)) for i in range(levels)]
    if [band.shape for band in bands] != expected or lowpass.shape != (*leading, *bank.grid(levels)):
        raise ValueError(
            f"not a pyramid of images {highpass.shape} with spacing {spacing}: bands {[band.shape for band in bands]}, "
            f"lowpass {lowpass.shape}; expected {expected} and {(*leading, *bank.grid(levels))}"
        )
    return bank
