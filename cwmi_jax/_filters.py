"""Polar-separable filters of the steerable pyramid, in any number of dimensions.

A frequency is a vector `w` in radians per sample, of radius `r = |w|`. Level `i = 1..N` passes the two octaves around
`pi / 2**i` with the radial gain `cos(pi/2 log2(r 2**i / pi))`, which is what Portilla and Simoncelli's product of low- and
highpass filters comes to; orientation `k` has a unit axis `d_k` and the angular gain `max(w.d_k / r, 0)**n`.

Frequencies are vectors, one an axis. They follow from static shapes and so do the filters: all functions
here compute in NumPy on NumPy vectors. On traced vectors they compute in `jax.numpy`, for images whose filters
are too large to be constants of the compiled program.

References:
    Portilla and Simoncelli, "A parametric texture model based on joint statistics of complex wavelet coefficients",
    IJCV 2000.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MIN_SIDE = 4
"""Pixels that the coarsest level keeps a side, at the least."""

Array = np.ndarray | jax.Array
Frequencies = Sequence[Array]
"""One vector an axis, each shaped to broadcast against the others."""


class Orientations(NamedTuple):
    """The axes of a set of oriented filters.

    Attributes:
        axes: unit vectors `[K, spatial_dims]`.
        order: the power `n` of the cosine between a frequency and an axis.
        gain: `c`, with which the squares of `c cos**n` add up to 1 over the axes.
    """

    axes: np.ndarray
    order: int
    gain: float


@functools.lru_cache
def make_orientations(spatial_dims: int, orientations: int) -> Orientations:
    """Axes that divide the half circle evenly, or those of the cube (3) or of the icosahedron (6)."""
    if spatial_dims == 2:
        if not 1 <= orientations <= 16:
            raise ValueError(f"orientations must be 1 to 16 for images, got {orientations}")
        angle = np.pi * np.arange(orientations) / orientations
        if orientations == 1:
            angle = angle + 1e-6  # cos**0 jumps at the edge of its half-plane, where no frequency may lie.
        order = orientations - 1
        gain = 2**order * math.factorial(order) / math.sqrt(orientations * math.factorial(2 * order))
        return Orientations(np.stack([np.cos(angle), np.sin(angle)], axis=-1), order, gain)
    if orientations == 3:
        return Orientations(np.eye(3), 1, 1.0)
    if orientations == 6:
        golden = (1 + math.sqrt(5)) / 2
        first = np.array([[0, 1, golden], [0, 1, -golden]]) / math.hypot(1, golden)
        axes = np.concatenate([np.roll(first, shift, axis=1) for shift in range(3)])
        return Orientations(axes, 2, math.sqrt(5 / 6))
    raise ValueError(
        f"orientations must be 3 (the axes of the cube) or 6 (of the icosahedron) for volumes, got {orientations}"
    )


@dataclasses.dataclass(frozen=True)
class FilterBank:
    """The static facts of a pyramid over images of one shape.

    Attributes:
        shape: sides of the image, 2 or 3 of them, in pixels.
        levels: how many octaves.
        orientations: K, how many bands a level.
        complex_valued: analytic bands, or their real parts.
    """

    shape: tuple[int, ...]
    levels: int
    orientations: int
    complex_valued: bool

    def __post_init__(self) -> None:
        make_orientations(self.spatial_dims, self.orientations)
        smallest = min(self.shape)
        if smallest < MIN_SIDE:
            raise ValueError(f"images of {self.shape} are too small: every side needs {MIN_SIDE} pixels at the least")
        deepest = (smallest // MIN_SIDE).bit_length()
        if not 1 <= self.levels <= deepest:
            raise ValueError(
                f"levels={self.levels} does not fit images of {self.shape}: the smallest level must keep {MIN_SIDE} "
                f"pixels a side, so levels can be 1 to {deepest}"
            )

    @property
    def spatial_dims(self) -> int:
        """2 for images, 3 for volumes."""
        return len(self.shape)

    @property
    def oriented(self) -> Orientations:
        """Axes and angular gain."""
        return make_orientations(self.spatial_dims, self.orientations)

    def grid(self, halvings: int) -> tuple[int, ...]:
        """Sides of the smallest grid that holds every frequency below `pi / 2**halvings`."""
        return tuple(-(-side // 2**halvings) for side in self.shape)

    def pixels(self, halvings: int) -> float:
        """The pixels of that grid as they enter sums: not rounded to whole ones."""
        return math.prod(self.shape) / 2 ** (self.spatial_dims * halvings)

    def frequencies(self, halvings: int, dtype: np.dtype, *, half: bool) -> list[np.ndarray]:
        """The frequencies of that grid, in the order of the FFT and in radians per sample.

        With `half` the last axis has those of a real FFT alone.
        """
        vectors = [
            2 * np.pi * np.fft.fftfreq(n, side / n) for side, n in zip(self.shape, self.grid(halvings), strict=True)
        ]
        if half:
            vectors[-1] = np.abs(vectors[-1][: vectors[-1].size // 2 + 1])
        return [
            np.expand_dims(vector.astype(dtype), [other for other in range(self.spatial_dims) if other != axis])
            for axis, vector in enumerate(vectors)
        ]


def level_gain(frequencies: Frequencies, level: int) -> Array:
    """Radial gain of level 1, 2, ..."""
    return _lobe(_octaves(frequencies) + level)


def highpass_gain(frequencies: Frequencies) -> Array:
    """Radial gain of what lies above level 1."""
    octaves = _octaves(frequencies)
    return _lobe(namespace(octaves).minimum(octaves, 0))


def lowpass_gain(frequencies: Frequencies, levels: int) -> Array:
    """Radial gain of what lies below level `levels`."""
    octaves = _octaves(frequencies)
    return _lobe(namespace(octaves).maximum(octaves + (levels + 1), 0))


def angular_gains(frequencies: Frequencies, oriented: Orientations) -> list[Array]:
    """`sign(cos) c |cos|**n` of the angle between every frequency and each axis; 0 at zero frequency.

    The analytic filter of an axis has twice this gain where it is positive, and 0 elsewhere.
    """
    radius = _radius(frequencies)
    gains = []
    for axis in oriented.axes:
        cosine = _total([vector * float(a) for vector, a in zip(frequencies, axis, strict=True)]) / radius
        if oriented.order == 0:
            gains.append(oriented.gain * namespace(cosine).sign(cosine))
        else:
            gains.append(oriented.gain * cosine * namespace(cosine).abs(cosine) ** (oriented.order - 1))
    return gains


def align(array: Array, rank: int) -> Array:
    """The same array with axes of 1 in front, so that it broadcasts against those of a rank where that must be said."""
    return array.reshape([1] * (rank - array.ndim) + list(array.shape))


def namespace(array: Array) -> ModuleType:
    """NumPy for what is static, `jax.numpy` for what is traced."""
    return np if isinstance(array, np.ndarray) else jnp


def _total(terms: Sequence[Array]) -> Array:
    return functools.reduce(operator.add, terms)


def _radius(frequencies: Frequencies) -> Array:
    """`|w|`, with a tiny number for 0 lest it divide or enter a logarithm."""
    squared = _total([vector * vector for vector in frequencies])
    xp = namespace(squared)
    return xp.sqrt(xp.maximum(squared, xp.finfo(squared.dtype).tiny))


def _octaves(frequencies: Frequencies) -> Array:
    """`log2(r / pi)`."""
    radius = _radius(frequencies)
    return namespace(radius).log2(radius / math.pi)


def _lobe(octaves: Array) -> Array:
    """One hump of a cosine over two octaves; its square and its neighbour's add up to 1."""
    xp = namespace(octaves)
    return xp.where(xp.abs(octaves) < 1, xp.cos(math.pi / 2 * octaves), 0)


def crop(spectrum: jax.Array, axis: int, side: int) -> jax.Array:
    """The `side` lowest frequencies of an axis, in the order of the FFT."""
    whole = spectrum.shape[axis]
    if side == whole:
        return spectrum
    low = jax.lax.slice_in_dim(spectrum, 0, side - side // 2, axis=axis)
    high = jax.lax.slice_in_dim(spectrum, whole - side // 2, whole, axis=axis)
    return jnp.concatenate([low, high], axis=axis)


def uncrop(spectrum: jax.Array, axis: int, side: int) -> jax.Array:
    """The transpose of `crop`: an axis amidst zeros on a grid of `side` frequencies."""
    whole = spectrum.shape[axis]
    if side == whole:
        return spectrum
    low, high = jnp.split(spectrum, [whole - whole // 2], axis=axis)
    gap = [side - whole if a == axis % spectrum.ndim else size for a, size in enumerate(spectrum.shape)]
    return jnp.concatenate([low, jnp.zeros(gap, spectrum.dtype), high], axis=axis)
