"""Sums over the pixels of a pyramid's bands, taken over frequencies.

By Parseval, a sum over the pixels of a level of band j of image a times the conjugate of band k of image b is

    1/n sum_w g(w)^2 A_j(w) A_k(w) a^(w) conj(b^(w)),

so no band is ever made: a level's sums are the product of weight maps, one for each of the Q = K(K+1)/2 pairs of bands,
with the power and cross spectra of the images.
On the half space that a real FFT keeps, `w` and `-w` are taken together: the real part of a cross spectrum has the weight
`W(w) + W(-w)`, its imaginary part `W(w) - W(-w)`, where `W = g^2 A_j A_k`. The frequencies that are 0 on the last axis hold
both already and count half.

Weight maps and products of spectra are made for a few rows of frequencies at a time, used, and forgotten.

Spectra are complex arrays `[N, *grid]` of real FFTs over the whole image; weight maps are `[Q, *grid]`.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cwmi_jax._filters import BEYOND, FilterBank, Frequencies, band_gains, crop, hidden, level_gain, shared_gain, uncrop
from cwmi_jax._fourier import irfft, rfft
from cwmi_jax._meshes import vary_alike
from cwmi_jax._products import einsum

# Numbers that a block's weight maps and products come to. On a CPU they are to stay in the cache of one core; elsewhere
# each block costs the start of a dozen kernels, and large ones are few.
_BLOCK_ENTRIES = {"cpu": 2**16, "default": 2**23}
# How many rows of an octave of frequencies the best gain is taken of, on either side of zero.
_ROWS_AN_OCTAVE = 4


class LevelSums(NamedTuple):
    """Covariances, as sums over the pixels of each level, of the bands of `d = y - gain p` and of p.

    Attributes:
        gain: `[N, L]`, the real multiple of p that leaves little of y.
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


def level_sums(y: jax.Array, p: jax.Array, bank: FilterBank, epsilon: float, noise: float) -> LevelSums:
    """Covariances of all levels, taken of the residual of each level's best gain.

    A conditional covariance is a small difference of large numbers whenever p resembles y. What y has left once p is known
    does not change when a multiple of p is taken from y first, so the sums are taken of that residual.

    Args:
        y: spectra `[N, *grid]`.
        p: likewise.
        bank: the filters.
        epsilon: keeps the gain finite where p has no structure.
        noise: in the bands of p, as a fraction of y's mean power; the gain is that of p so observed.
    """
    gain = best_gain(y, p, bank, epsilon, noise, sampled=True)
    dd, pp, dp, *imag = einsum(
        "xnlq,qjk->xnljk", _on_any_platform(_residual_sums, bank, y, p, gain), _pairs(bank, gain.dtype)
    )
    return LevelSums(gain, dd, pp, jax.lax.complex(dp, *imag) if imag else dp)


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
    coefficients = einsum("xnljk,qjk->xnlq", jnp.stack([residual, explained, quadrature]), _pairs(bank, gain.dtype))
    spectrum = functools.partial(_gradient_spectrum, quadrature_of_y=quadrature_of_y)
    return irfft(_on_any_platform(spectrum, bank, y, p, gain, coefficients), bank.shape)


def _on_any_platform(function: Callable, bank: FilterBank, *arrays: jax.Array):
    """Calls `function(*arrays, bank=..., entries=...)` with the size of blocks of the platform that it is compiled for."""
    images = arrays[0].shape[0]
    versions = {
        name: functools.partial(function, bank=bank, entries=entries) for name, entries in _BLOCK_ENTRIES.items()
    }
    shapes = {
        tuple(_block_rows(bank, levels, images, entries) for levels in _groups(bank))
        for entries in _BLOCK_ENTRIES.values()
    }
    return versions["default"](*arrays) if len(shapes) == 1 else jax.lax.platform_dependent(*arrays, **versions)


def best_gain(
    y: jax.Array, p: jax.Array, bank: FilterBank, epsilon: float, noise: float, *, sampled: bool
) -> jax.Array:
    """`<y, p> / (<p, p> + noise <y, y>)` over the bands of each level, `[N, L]`; 0 where p has none.

    Args:
        y: spectra `[N, *grid]`.
        p: likewise.
        bank: the filters.
        epsilon: keeps it finite where p has no structure.
        noise: as a fraction of y's power.
        sampled: of a sample of the rows alone. Covariances are right for any gain and accurate for a good one.
    """
    dtype = y.real.dtype
    vectors = bank.frequencies(0, dtype, half=True)
    counts = _multiplicity(vectors[-1])
    y, p = (spectrum[..., : counts.size] for spectrum in (y, p))
    for axis, side in enumerate(bank.shape[:-1] if sampled else ()):
        rows, share = _sampled_rows(side)
        y, p = (jnp.take(spectrum, rows, axis=axis + 1) for spectrum in (y, p))
        vectors[axis] = np.take(vectors[axis], rows, axis=axis)
        counts = counts * share.astype(dtype).reshape(vectors[axis].shape)
    octaves = 2 ** np.arange(bank.levels, dtype=dtype).reshape(-1, *[1] * bank.spatial_dims)
    weights = level_gain([vector[None] * octaves for vector in hidden(vectors)]) ** 2 * counts[None]
    # The squared angular gains of all bands add up to 4 for w and -w together, for complex bands.
    scale = np.asarray([[4 / bank.pixels(level) for level in range(bank.levels)]], dtype)
    cross = _contract(y.real * p.real + y.imag * p.imag, weights) * scale
    power = _contract(p.real**2 + p.imag**2, weights) * scale
    if noise:
        power = power + noise * _contract(y.real**2 + y.imag**2, weights) * scale
    return cross / (power + bank.orientations * epsilon)


def _sampled_rows(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Some rows of a spectrum, closer together the lower their frequency, and how many rows each stands for."""
    low = [0]
    while low[-1] < (side + 1) // 2:
        low.append(low[-1] + 1 + low[-1] // _ROWS_AN_OCTAVE)
    edges = np.minimum(low, (side + 1) // 2)
    rows, share = (edges[:-1] + edges[1:] - 1) // 2, np.diff(edges)
    # Row 0 has no mirror image. No level passes the Nyquist frequency.
    return np.concatenate([rows, side - rows[1:]]), np.concatenate([share, share[1:]])


def _residual_sums(y: jax.Array, p: jax.Array, gain: jax.Array, *, bank: FilterBank, entries: int) -> jax.Array:
    """`dd`, `pp` and `dp` of all levels, its imaginary part apart if it has one, `[3 or 4, N, L, Q]`."""

    def sums(others: Frequencies, _, parts: tuple[_Block, jax.Array]) -> tuple[None, jax.Array]:
        block, gain = parts
        even, odd = _pair_weights(block, others, bank, counted=True)
        p_rows = _rows(p, block)
        d = _rows(y, block) - jax.lax.complex(gain, jnp.zeros_like(gain)) * p_rows
        cross = d * jnp.conj(p_rows)
        products = [_contract(x, even) for x in (d.real**2 + d.imag**2, p_rows.real**2 + p_rows.imag**2, cross.real)]
        if odd is not None:
            products.append(_contract(cross.imag, odd))
        return None, jnp.stack(products)

    groups = []
    for levels in _groups(bank):
        owner, others, blocks = _blocks(bank, levels, y, entries)
        _, parts = jax.lax.scan(functools.partial(sums, others), None, (blocks, _per_block(gain, owner, y)))
        shares = (owner[:, None] == np.asarray(levels)) / np.asarray([bank.pixels(level) for level in levels])
        groups.append(einsum("bxnq,bl->xnlq", parts, shares.astype(parts.dtype)))
    return jnp.concatenate(groups, axis=2)


def _gradient_spectrum(
    y: jax.Array,
    p: jax.Array,
    gain: jax.Array,
    coefficients: jax.Array,
    *,
    bank: FilterBank,
    entries: int,
    quadrature_of_y: bool,
) -> jax.Array:
    """The spectrum of `gradient_images`, from coefficients of pairs `[3, N, L, Q]`."""

    def add(others: Frequencies, total: jax.Array, parts) -> tuple[jax.Array, None]:
        block, gain, (residual, explained, quadrature) = parts
        y_rows, p_rows = _rows(y, block), _rows(p, block)
        even, odd = _pair_weights(block, others, bank, counted=False)
        d_weight, p_weight = _spread(residual, even), _spread(explained, even)
        real = d_weight * (y_rows.real - gain * p_rows.real) + p_weight * p_rows.real
        imag = d_weight * (y_rows.imag - gain * p_rows.imag) + p_weight * p_rows.imag
        if odd is not None:
            q, q_weight = y_rows if quadrature_of_y else p_rows, _spread(quadrature, odd)
            real, imag = real - q_weight * q.imag, imag + q_weight * q.real
        return _add_rows(total, jax.lax.complex(real, imag), block), None

    total, _ = vary_alike(jnp.zeros_like(y), y)
    for levels in _groups(bank):
        owner, others, blocks = _blocks(bank, levels, y, entries)
        of_owners = jnp.take(jnp.moveaxis(coefficients, 2, 0), owner, axis=0)
        total, _ = jax.lax.scan(functools.partial(add, others), total, (blocks, _per_block(gain, owner, y), of_owners))
    return total


class _Block(NamedTuple):
    """Some rows of the frequencies of a level, or all blocks of several levels, with an axis more in front.

    Attributes:
        start: the first of the rows in the spectrum of the whole image, int32.
        rows: frequencies of the first axis. Rows that are another block's are put beyond the level, where gains are 0.
        octave: by which the frequencies of the other axes, in units of the group's first level, are those of this one.
        shared: `[*rows]`, the gain that all bands have in common.
    """

    start: jax.Array
    rows: jax.Array
    octave: jax.Array
    shared: jax.Array

    def frequencies(self, others: Frequencies) -> Frequencies:
        """One vector an axis."""
        return [self.rows, *(vector * self.octave for vector in others)]


def _groups(bank: FilterBank) -> list[range]:
    """Levels whose blocks have one shape: the finest, which is most of the work, and the others, on the grid of the second.

    One loop serves a group. A loop a level would not run faster, and takes twice as long to compile.
    """
    return [range(1), *([range(1, bank.levels)] if bank.levels > 1 else [])]


def _blocks(
    bank: FilterBank, levels: range, spectra: jax.Array, entries: int
) -> tuple[np.ndarray, Frequencies, _Block]:
    """The blocks of a group of levels, the level that each belongs to, `[B]`, and the frequencies of the other axes."""
    dtype, side = spectra.real.dtype, bank.shape[0]
    size = _block_rows(bank, levels, spectra.shape[0], entries)
    first, *_ = bank.frequencies(0, dtype, half=True)
    others = hidden(bank.frequencies(levels[0], dtype, half=True)[1:])
    owner, starts, rows = [], [], []
    for level in levels:
        for begin, end in _row_ranges(bank, level):
            for row in range(begin, end, size):
                start = min(row, side - size)
                own = np.arange(start, start + size) >= row
                own[end - start :] = False
                owner.append(level)
                starts.append(start)
                rows.append(np.where(own.reshape(-1, *first.shape[1:]), 2**level * first[start : start + size], BEYOND))
    octaves = 2 ** (np.asarray(owner) - levels[0]).astype(dtype).reshape(-1, *[1] * bank.spatial_dims)
    # Before the loop: within it the compiler would compute the gain again for every pair of bands.
    frequencies = [*hidden([np.stack(rows)]), *(vector[None] * octaves for vector in others)]
    shared = shared_gain(frequencies, bank.oriented.order)
    return (
        np.asarray(owner),
        others,
        _Block(jnp.asarray(starts, np.int32), frequencies[0], jnp.asarray(octaves), shared),
    )


def _block_rows(bank: FilterBank, levels: range, images: int, entries: int) -> int:
    """How many rows a block of a group of levels has."""
    if not isinstance(images, int):
        images = 1  # The symbolic batch of an exported program, which may be any.
    _, *others = bank.frequencies(levels[0], np.dtype(np.float32), half=True)
    row = math.prod(vector.size for vector in others) * (2 * _pair_count(bank) + 4 * images)
    longest = max(end - begin for begin, end in _row_ranges(bank, levels[0]))
    blocks = -(-longest // max(1, entries // row))
    return -(-longest // blocks)


def _row_ranges(bank: FilterBank, level: int) -> list[tuple[int, int]]:
    """Where the rows of a level are in the spectrum of the whole image: those of positive and of negative frequency."""
    side, rows = bank.shape[0], bank.grid(level)[0]
    return [(0, side)] if level == 0 else [(0, rows - rows // 2), (side - rows // 2, side)]


def _rows(spectrum: jax.Array, block: _Block) -> jax.Array:
    """The block's part of a spectrum of the whole image."""
    size, *sides, columns = block.shared.shape
    rows = jax.lax.dynamic_slice_in_dim(spectrum, block.start, size, axis=1)[..., :columns]
    for axis, side in enumerate(sides, start=2):
        rows = crop(rows, axis, side)
    return rows


def _add_rows(total: jax.Array, rows: jax.Array, block: _Block) -> jax.Array:
    """The transpose: adds the block's part to a spectrum of the whole image."""
    for axis, side in enumerate(total.shape[2:-1], start=2):
        rows = uncrop(rows, axis, side)
    start = [jnp.zeros_like(block.start)] * total.ndim
    start[1] = block.start
    return jax.lax.dynamic_update_slice(total, jax.lax.dynamic_slice(total, start, rows.shape) + rows, start)


def _pair_weights(
    block: _Block, others: Frequencies, bank: FilterBank, *, counted: bool
) -> tuple[jax.Array, jax.Array | None]:
    """Even and odd weight maps of every pair of bands of a level, each `[Q, *rows]`.

    The bands j and k share the frequencies that lie within the half spaces of both, and those whose mirror images do: the
    ones where their cosines have one sign. Real bands are even and share all.

    Args:
        block: rows.
        others: frequencies of the other axes.
        bank: the filters.
        counted: whether each frequency counts as often as it occurs in a sum over the half spectrum.
    """
    shared = (2 if bank.complex_valued else math.sqrt(2)) * block.shared
    if counted:
        shared = shared * np.sqrt(_multiplicity(others[-1]))
    gains = band_gains(shared, block.frequencies(others), bank.oriented)
    j, k = np.triu_indices(bank.orientations)
    # Gathered, not sliced and joined: what the compiler fuses with a concatenation it computes one number at a time.
    first, second = gains[j], gains[k]
    product = first * second
    if not bank.complex_valued:
        return product if bank.oriented.order % 2 else jnp.abs(product), None
    even = jnp.maximum(product, 0)
    return even, jnp.where(first > 0, even, -even)


def _pair_count(bank: FilterBank) -> int:
    return bank.orientations * (bank.orientations + 1) // 2


def _pairs(bank: FilterBank, dtype: np.dtype) -> np.ndarray:
    """Where each pair stands in a symmetric matrix: `[Q, K, K]`, of zeros and ones."""
    j, k = np.triu_indices(bank.orientations)
    places = np.zeros((j.size, bank.orientations, bank.orientations), dtype)
    places[np.arange(j.size), j, k] = places[np.arange(j.size), k, j] = 1
    return places


def _contract(products: jax.Array, weights: jax.Array) -> jax.Array:
    """Sums over frequencies: `[N, *rows]` with `[Q, *rows]` to `[N, Q]`."""
    products, weights = (x.reshape(x.shape[0], -1) for x in (products, weights))
    return einsum("nw,qw->nq", products, weights)


def _spread(coefficients: jax.Array, weights: jax.Array) -> jax.Array:
    """The transpose: `[N, Q]` with `[Q, *rows]` to `[N, *rows]`."""
    spread = einsum("nq,qw->nw", coefficients, weights.reshape(weights.shape[0], -1))
    return spread.reshape(-1, *weights.shape[1:])


def _multiplicity(last: np.ndarray | jax.Array) -> np.ndarray:
    """How much each frequency of the last axis counts: half at 0, where w and -w are both kept, else 1."""
    columns = np.ones(last.shape, last.dtype)
    columns[..., 0] = 0.5
    return columns


def _per_block(gain: jax.Array, owner: np.ndarray, spectra: jax.Array) -> jax.Array:
    """`[N, L]` as `[B, N, ...]`, shaped to broadcast against rows of spectra."""
    return jnp.take(gain.T, owner, axis=0).reshape(owner.size, -1, *[1] * (spectra.ndim - 1))
