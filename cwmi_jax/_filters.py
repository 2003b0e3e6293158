"""Polar-separable filters of the steerable pyramid, in any number of dimensions.

Level `i = 0..N-1` passes the two octaves around its centre, `pi / 2**(i+1)` radians per sample. At a frequency vector `w` in
units of that centre, of radius `rho = |w|`, it has the radial gain `cos(pi/2 log2 rho)`, which is what Portilla and
Simoncelli's product of low- and highpass filters comes to; orientation `k` has a unit axis `d_k` and the angular gain
`max(w.d_k / rho, 0)**n`.

Frequencies are physical. Where samples are not equally far apart along all axes, "per sample" is per the smallest
spacing. An axis whose samples are `r` times that apart has frequencies up to `pi / r`, and is cropped from that level on
whose edge lies below.

Frequencies are vectors, one an axis, and follow from static shapes. Gains are computed from them in the program: as
constants they would outweigh it.

References:
    Portilla and Simoncelli, "A parametric texture model based on joint statistics of complex wavelet coefficients",
    IJCV 2000.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MIN_SIDE = 4
"""Pixels that the coarsest level keeps a side, at the least."""

BEYOND = 4.0
"""A frequency that no level passes, in units of a level's centre: twice its edge."""

Frequencies = Sequence[jax.Array]
"""One vector an axis, each shaped to broadcast against the others, in units of a level's centre."""


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
        ratios: how many times the smallest spacing that of each axis is.
    """

    shape: tuple[int, ...]
    levels: int
    orientations: int
    complex_valued: bool
    ratios: tuple[float, ...]

    def __post_init__(self) -> None:
        make_orientations(self.spatial_dims, self.orientations)
        if min(self.shape) < MIN_SIDE:
            raise ValueError(f"images of {self.shape} are too small: every side needs {MIN_SIDE} pixels at the least")
        smallest = min(side * ratio for side, ratio in zip(self.shape, self.ratios, strict=True))
        deepest = int(round(smallest, 6) / MIN_SIDE).bit_length()
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

    def grid(self, level: int) -> tuple[int, ...]:
        """Sides of the smallest grid that holds every frequency below `pi / 2**level`."""
        return tuple(map(math.ceil, self._sides(level)))

    def pixels(self, level: int) -> float:
        """The pixels of that grid as they enter sums: not rounded to whole ones."""
        return math.prod(self._sides(level))

    def reduction(self, level: int) -> float:
        """How many pixels of the image one pixel of that grid stands for."""
        return math.prod(self.shape) / self.pixels(level)

    def _sides(self, level: int) -> list[float]:
        return [side * min(1, ratio / 2**level) for side, ratio in zip(self.shape, self.ratios, strict=True)]

    def frequencies(self, level: int, dtype: np.dtype, *, half: bool) -> list[np.ndarray]:
        """The frequencies of that grid, in the order of the FFT and in units of the level's centre, `pi / 2**(level+1)`.

        The Nyquist frequency of an even side has no sign, and a real image no direction there. It is put beyond the level,
        and that of a whole axis beyond all levels, so that the highpass has it. With `half` the last axis has those alone
        that are neither negative nor the Nyquist frequency.
        """
        vectors = []
        for side, n, ratio in zip(self.shape, self.grid(level), self.ratios, strict=True):
            vector = 2 ** (level + 2) * np.fft.fftfreq(n, side / n) / ratio
            if n % 2 == 0:
                vector[n // 2] = BEYOND
            vectors.append(vector)
        if half:
            vectors[-1] = vectors[-1][: (vectors[-1].size + 1) // 2]
        return [
            np.expand_dims(vector.astype(dtype), [other for other in range(self.spatial_dims) if other != axis])
            for axis, vector in enumerate(vectors)
        ]


def hidden(vectors: Sequence[np.ndarray]) -> list[jax.Array]:
    """Arrays that the compiler does not see, lest it work the filters out itself and keep them as constants."""
    return jax.lax.optimization_barrier([jnp.asarray(vector) for vector in vectors])


def level_gain(frequencies: Frequencies) -> jax.Array:
    """Radial gain of the level in whose units the frequencies are."""
    return _lobe(_octaves(frequencies))


def highpass_gain(frequencies: Frequencies) -> jax.Array:
    """Radial gain of what lies above the finest level, in whose units the frequencies are."""
    return _lobe(jnp.minimum(_octaves(frequencies) - 1, 0))


def lowpass_gain(frequencies: Frequencies) -> jax.Array:
    """Radial gain of what lies below the coarsest level, of frequencies in units of the level after it."""
    return _lobe(jnp.maximum(_octaves(frequencies), 0))


def shared_gain(frequencies: Frequencies, order: int) -> jax.Array:
    """What the gains of a level's bands have in common, the radial gain over `rho**order`."""
    octaves = _octaves(frequencies)
    return _lobe(octaves) * jnp.exp2(-order * jnp.clip(octaves, -1, 1))


def band_gains(shared: jax.Array, frequencies: Frequencies, oriented: Orientations) -> jax.Array:
    """Signed gains of a level's bands, `[K, *grid]`: the radial gain times `sign(cos) c |cos|**n` of the angle to each axis.

    The analytic filter of an axis has twice this gain where it is positive, and 0 elsewhere.

    Args:
        shared: from `shared_gain` of the same frequencies and order n.
        frequencies: in units of the level's centre.
        oriented: axes.
    """
    axes = oriented.axes.astype(shared.dtype).T
    components = axes.reshape(*axes.shape, *[1] * shared.ndim)
    # rho times the cosine.
    projections = _total([vector[None] * component for vector, component in zip(frequencies, components, strict=True)])
    shared = (oriented.gain * shared)[None]
    if oriented.order == 0:
        return shared * jnp.sign(projections)
    return shared * projections * jnp.abs(projections) ** (oriented.order - 1)


def align(array: np.ndarray | jax.Array, rank: int):
    """The same array with axes of 1 in front, so that it broadcasts against those of a rank where that must be said."""
    return array.reshape([1] * (rank - array.ndim) + list(array.shape))


def _total(terms: Sequence[jax.Array]) -> jax.Array:
    return functools.reduce(operator.add, terms)


def _octaves(frequencies: Frequencies) -> jax.Array:
    """`log2 rho`; a large negative number at zero frequency."""
    squared = _total([vector**2 for vector in frequencies])
    return 0.5 * jnp.log2(jnp.maximum(squared, jnp.finfo(squared.dtype).tiny))


def _lobe(octaves: jax.Array) -> jax.Array:
    """`cos(pi/2 octaves)` over two octaves, else 0; its square and its neighbour's add up to 1.

    A Taylor series to within rounding of float64: the compiler computes it many numbers at a time, but a cosine one by one.
    """
    squared = jnp.minimum(octaves**2, 1)
    series = [(-1) ** k * (math.pi / 2) ** (2 * k) / math.factorial(2 * k) for k in range(12)]
    cosine = functools.reduce(lambda total, term: total * squared + term, reversed(series), jnp.zeros_like(squared))
    return jnp.where(squared < 1, cosine, 0)


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
