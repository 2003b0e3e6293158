"""Sums over the pixels of a pyramid's bands, taken over frequencies.

By Parseval, a sum over the pixels of a level of band j of image a times the conjugate of band k of image b is

    1/n sum_w g(w)^2 A_j(w) A_k(w) a^(w) conj(b^(w)),

so no band is ever made: a level's sums are the product of weight maps, one for each of the Q = K(K+1)/2 pairs of bands,
with the power and cross spectra of the images.
On the half space that a real FFT keeps, `w` and `-w` are taken together: the real part of a cross spectrum has the weight
`W(w) + W(-w)`, its imaginary part `W(w) - W(-w)`, where `W = g^2 A_j A_k`. The frequencies that are 0 on the last axis hold
both already and count half.

Spectra are complex arrays `[N, *grid]` of real FFTs; weight maps are `[Q, *grid]`.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cwmi_jax._filters import Array, FilterBank, Frequencies, align, angular_gains, crop, level_gain, namespace, uncrop
from cwmi_jax._fourier import irfft, rfft

# Weight maps are made and used in blocks of rows of so many entries: 16 MB in float32.
_BLOCK_ENTRIES = 2**22


class LevelSums(NamedTuple):
    """Covariances, as sums over the pixels of each level, of the bands of `d = y - gain p` and of p.

    Attributes:
        gain: `[N, L]`, the real multiple of p that leaves least of y.
        dd: `[N, L, K, K]`, real.
        pp: `[N, L, K, K]`, real.
        dp: `[N, L, K, K]`, complex for complex bands.
    """

    gain: jax.Array
    dd: jax.Array
    pp: jax.Array
    dp: jax.Array


def transform(images: jax.Array) -> jax.Array:
    """The spectra of real images `[N, *shape]`."""
    return rfft(images, images.ndim - 1)


def level_sums(y: jax.Array, p: jax.Array, bank: FilterBank, epsilon: float) -> LevelSums:
    """Covariances of all levels, taken of the residual of each level's best gain.

    A conditional covariance is a small difference of large numbers whenever p resembles y. What y has left once p is known
    does not change when a multiple of p is taken from y first, so the sums are taken of that residual.

    Args:
        y: spectra `[N, *grid]`.
        p: likewise.
        bank: the filters.
        epsilon: keeps the gain finite where p has no structure.
    """
    gains = _best_gains(y, p, bank, epsilon)
    levels = []
    for i in range(bank.levels):
        y, p = _crop(y, bank, i), _crop(p, bank, i)
        levels.append(_residual_sums(y, p, gains[:, i], bank, i))
    return LevelSums(gains, *(jnp.stack(sums, axis=1) for sums in zip(*levels, strict=True)))


def gradient_images(
    y: jax.Array,
    p: jax.Array,
    gain: jax.Array,
    residual: jax.Array,
    explained: jax.Array,
    quadrature: jax.Array,
    bank: FilterBank,
    *,
    quadrature_of_y: bool,
) -> jax.Array:
    """The transpose of `level_sums`.

    Images whose spectrum is, summed over levels,

        (E : residual) (y^ - gain p^) + (E : explained) p^ + i (O : quadrature) q^,

    with E and O the even and odd weight maps, `:` the sum over pairs of bands, and q^ = y^ or p^.

    Args:
        y: spectra `[N, *grid]`.
        p: likewise.
        gain: `[N, L]`.
        residual: `[N, L, K, K]`, real.
        explained: `[N, L, K, K]`, real.
        quadrature: `[N, L, K, K]`, real; real bands have none and ignore it.
        bank: the filters.
        quadrature_of_y: whether q is y or p.

    Returns:
        `[N, *shape]`, by one inverse real FFT.
    """
    cropped = [(y, p)]
    for i in range(1, bank.levels):
        cropped.append((_crop(cropped[-1][0], bank, i), _crop(cropped[-1][1], bank, i)))
    total: jax.Array | None = None
    for i in reversed(range(bank.levels)):
        flat = [_to_pairs(c[:, i], bank) for c in (residual, explained, quadrature)]
        level_gains = _per_image(gain[:, i], y)

        def spectrum(y, p, frequencies: Frequencies, i=i, level_gains=level_gains, flat=flat):
            even, odd = _pair_weights(frequencies, bank, i)
            of_d, of_p = _spread(flat[0], even), _spread(flat[1], even)
            real = of_d * (y.real - level_gains * p.real) + of_p * p.real
            imag = of_d * (y.imag - level_gains * p.imag) + of_p * p.imag
            if odd is not None:
                q, of_q = y if quadrature_of_y else p, _spread(flat[2], odd)
                real, imag = real - of_q * q.imag, imag + of_q * q.real
            return jax.lax.complex(real, imag)

        blocks = _blockwise(spectrum, *cropped[i], bank, i, _pair_count(bank))
        rows = cropped[i][0].shape[1]
        level = jnp.moveaxis(blocks, 0, 1).reshape(blocks.shape[1], -1, *blocks.shape[3:])[:, :rows]
        total = level if total is None else level + _uncrop(total, bank, i)
    assert total is not None
    return irfft(total / _multiplicity(bank, 0, gain.dtype)[None].astype(total.dtype), bank.shape)


def _best_gains(y: jax.Array, p: jax.Array, bank: FilterBank, epsilon: float) -> jax.Array:
    """`<y, p> / <p, p>` over the bands of each level, `[N, L]`; 0 where p has none."""

    def energies(y, p, frequencies: Frequencies) -> tuple[jax.Array, jax.Array]:
        multiplicity = _multiplicity(bank, 0, y.real.dtype)
        squares = [level_gain(frequencies, i + 1) ** 2 * multiplicity for i in range(bank.levels)]
        weights = jnp.asarray(namespace(squares[0]).stack(squares))
        return _contract(y.real * p.real + y.imag * p.imag, weights), _contract(p.real**2 + p.imag**2, weights)

    # The squared angular gains of all bands add up to 4 for w and -w together, for complex bands.
    scale = np.asarray([[4 / bank.pixels(i) for i in range(bank.levels)]], y.real.dtype)
    cross, power = (blocks.sum(axis=0) * scale for blocks in _blockwise(energies, y, p, bank, 0, bank.levels))
    return cross / (power + bank.orientations * epsilon)


def _residual_sums(y: jax.Array, p: jax.Array, gain: jax.Array, bank: FilterBank, halvings: int) -> list[jax.Array]:
    """`dd`, `pp` and `dp` of one level, each `[N, K, K]`."""
    gain = _per_image(gain, y)

    def sums(y, p, frequencies: Frequencies) -> list[jax.Array]:
        even, odd = _pair_weights(frequencies, bank, halvings)
        d = y - jax.lax.complex(gain, jnp.zeros_like(gain)) * p
        cross = d * jnp.conj(p)
        products = [_contract(x, even) for x in (d.real**2 + d.imag**2, p.real**2 + p.imag**2, cross.real)]
        if odd is not None:
            products.append(_contract(cross.imag, odd))
        return products

    blocks = _blockwise(sums, y, p, bank, halvings, _pair_count(bank))
    dd, pp, dp, *imag = (_to_matrices(block.sum(axis=0) / bank.pixels(halvings), bank) for block in blocks)
    return [dd, pp, jax.lax.complex(dp, *imag) if imag else dp]


@functools.lru_cache(maxsize=32)
def _static_band_gains(bank: FilterBank, halvings: int, dtype: np.dtype) -> np.ndarray:
    frequencies = bank.frequencies(halvings, np.dtype(np.float64), half=True)
    return np.asarray(_band_gains(frequencies, bank, halvings)).astype(dtype)


def _band_gains(frequencies: Frequencies, bank: FilterBank, halvings: int) -> Array:
    """Signed gains of a level's bands, `[K, *grid]`; products of two of them are the weights of that pair."""
    amplitude = 2 if bank.complex_valued else math.sqrt(2)
    columns = np.sqrt(_multiplicity(bank, halvings, frequencies[-1].dtype))
    radial = amplitude * level_gain(frequencies, halvings + 1) * columns
    return namespace(radial).stack([radial * angular for angular in angular_gains(frequencies, bank.oriented)])


def _pair_weights(frequencies: Frequencies, bank: FilterBank, halvings: int) -> tuple[jax.Array, jax.Array | None]:
    """Even and odd weight maps of every pair of bands of a level, each `[Q, *grid]`.

    The bands j and k share the frequencies that lie within the half spaces of both, and those whose mirror images do: the
    ones where their cosines have one sign. Real bands are even and share all.
    """
    if isinstance(frequencies[0], np.ndarray):
        # Without the barrier the compiler would multiply all the pairs out itself, in seconds.
        gains = jax.lax.optimization_barrier(_static_band_gains(bank, halvings, frequencies[0].dtype))
    else:
        gains = _band_gains(frequencies, bank, halvings)
    product = jnp.concatenate([gains[j][None] * gains[j:] for j in range(bank.orientations)])
    if not bank.complex_valued:
        return product if bank.oriented.order % 2 else jnp.abs(product), None
    even = jnp.maximum(product, 0)
    signs = jnp.concatenate([jnp.broadcast_to(gains[j], gains[j:].shape) for j in range(bank.orientations)])
    return even, jnp.where(signs > 0, even, -even)


def _pair_count(bank: FilterBank) -> int:
    return bank.orientations * (bank.orientations + 1) // 2


def _to_matrices(pairs: jax.Array, bank: FilterBank) -> jax.Array:
    """`[N, Q]` to symmetric matrices `[N, K, K]`."""
    index = np.zeros((bank.orientations, bank.orientations), int)
    index[np.triu_indices(bank.orientations)] = np.arange(_pair_count(bank))
    return pairs[:, np.maximum(index, index.T)]


def _to_pairs(matrices: jax.Array, bank: FilterBank) -> jax.Array:
    """The transpose: `[N, K, K]` to `[N, Q]`, adding up what belongs to one pair."""
    j, k = np.triu_indices(bank.orientations)
    return matrices[:, j, k] + jnp.where((j == k)[None], 0, matrices[:, k, j])


def _contract(products: jax.Array, weights: jax.Array) -> jax.Array:
    """Sums over frequencies: `[N, *grid]` with `[Q, *grid]` to `[N, Q]`."""
    products, weights = (x.reshape(x.shape[0], -1) for x in (products, weights))
    return jnp.einsum("nw,qw->nq", products, weights, precision=jax.lax.Precision.HIGHEST)


def _spread(coefficients: jax.Array, weights: jax.Array) -> jax.Array:
    """The transpose: `[N, Q]` with `[Q, *grid]` to `[N, *grid]`."""
    flat = weights.reshape(weights.shape[0], -1)
    spread = jnp.einsum("nq,qw->nw", coefficients, flat, precision=jax.lax.Precision.HIGHEST)
    return spread.reshape(-1, *weights.shape[1:])


def _blockwise(function: Callable, y: jax.Array, p: jax.Array, bank: FilterBank, halvings: int, maps: int):
    """Applies `function(y, p, frequencies)` to blocks of rows small enough for `maps` weight maps at once.

    Returns:
        What the function returns, with the blocks as an additional first axis. Rows are padded to whole blocks with zeros.
    """
    dtype = y.real.dtype
    first, *others = bank.frequencies(halvings, dtype, half=True)
    rows = first.shape[0]
    blocks = min(-(-maps * math.prod(y.shape[1:]) // _BLOCK_ENTRIES), rows)
    if blocks == 1:
        return jax.tree.map(lambda result: result[None], function(y, p, [first, *others]))
    size = -(-rows // blocks)
    blocks = -(-rows // size)

    def pad(array: jax.Array, axis: int) -> jax.Array:
        return jnp.pad(array, [(0, blocks * size - rows if a == axis else 0) for a in range(array.ndim)])

    padded = ((pad(y, 1), 1), (pad(p, 1), 1), (pad(jnp.asarray(first), 0), 0))

    def block(start: jax.Array):
        y_part, p_part, first_part = (jax.lax.dynamic_slice_in_dim(x, start, size, axis) for x, axis in padded)
        return function(y_part, p_part, [first_part, *others])

    return jax.lax.map(block, np.arange(blocks, dtype=np.int32) * size)


def _crop(spectrum: jax.Array, bank: FilterBank, halvings: int) -> jax.Array:
    """The frequencies below `pi / 2**halvings` of a half spectrum on a finer grid."""
    *sides, last = bank.grid(halvings)
    spectrum = spectrum[..., : last // 2 + 1]
    for axis, side in enumerate(sides, start=1):
        spectrum = crop(spectrum, axis, side)
    return spectrum


def _uncrop(spectrum: jax.Array, bank: FilterBank, halvings: int) -> jax.Array:
    """The transpose of `_crop`: a coarser half spectrum amidst zeros."""
    *sides, last = bank.grid(halvings)
    for axis, side in enumerate(sides, start=1):
        spectrum = uncrop(spectrum, axis, side)
    return jnp.pad(spectrum, [(0, 0)] * (spectrum.ndim - 1) + [(0, last // 2 + 1 - spectrum.shape[-1])])


def _multiplicity(bank: FilterBank, halvings: int, dtype: np.dtype) -> Array:
    """How much each frequency of the last axis counts: half at 0, where w and -w are both kept, else 1."""
    columns = np.ones(bank.grid(halvings)[-1] // 2 + 1, dtype)
    columns[0] = 0.5
    return align(columns, bank.spatial_dims)


def _per_image(values: jax.Array, spectra: jax.Array) -> jax.Array:
    """`[N]` shaped to broadcast against spectra."""
    return values.reshape(-1, *[1] * (spectra.ndim - 1))
