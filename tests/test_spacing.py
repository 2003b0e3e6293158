"""Pixels that are not squares: the pyramid, and what is computed of its bands, in the space of what was imaged."""

import functools
import math

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from cwmi_jax import (
    cwmi_loss,
    reconstruct,
    steerable_pyramid,
    wavelet_conditional_log_det,
    wavelet_distance,
    wavelet_gain,
    wavelet_mutual_information,
)
from cwmi_jax.losses import bounded_cwmi
from tests.golden import images, quick_jit, sigmoid, volume
from tests.thorough import crossed

# Shape, spacing, levels, orientations: even and odd sides, whose axes of long pixels are first, last and in the middle, and
# keep their sides at all levels, at some or at none but the first.
CASES = [
    ((16, 48), (3, 1), 3, 4),
    ((17, 41), (3, 1), 3, 5),
    ((40, 12), (0.8, 4.0), 3, 2),
    ((32, 25), (1, 1.5), 3, 1),
    ((33, 28), (0.7, 0.3), 3, 8),
    ((6, 20, 26), (5, 1, 1), 2, 3),
    ((9, 21, 18), (5, 1, 1), 2, 6),
    ((20, 17, 8), (1, 1, 2.5), 2, 3),
    ((16, 10, 24), (1, 2, 0.5), 2, 6),
]
each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_kind = pytest.mark.parametrize("complex_valued", [True, False])


def noise(shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape)


def settings_of(case, complex_valued=True):
    shape, spacing, levels, orientations = case
    return dict(
        levels=levels,
        orientations=orientations,
        spatial_dims=len(shape),
        spacing=spacing,
        complex_valued=complex_valued,
    )


@functools.cache
def there_and_back(case, complex_valued):
    """Three images, their pyramids and what those reconstruct."""
    images, settings = noise((3, *case[0])), settings_of(case, complex_valued)

    @quick_jit
    def run(images):
        split = steerable_pyramid(images, **settings)
        return split, reconstruct(split, spacing=settings["spacing"])

    return images, *run(images)


def stands_for(case, level):
    """How many pixels of the image one of a level does: an axis halves once the edge of the level, pi / 2^level, is below
    its Nyquist frequency.
    """
    _, spacing, _, _ = case
    return math.prod(max(1, 2**level * min(spacing) / length) for length in spacing)


@crossed("case, complex_valued", CASES, [False, True])
def test_reconstructs(case, complex_valued, x64):
    images, _, again = there_and_back(case, complex_valued)
    assert_allclose(again, images, atol=1e-12)


@each_case
def test_real_pyramid_is_a_tight_frame(case, x64):
    images, (high, bands, low), _ = there_and_back(case, False)
    energies = [np.sum(np.square(band)) / stands_for(case, level) for level, band in enumerate([*bands, low])]
    assert_allclose(np.sum(np.square(high)) + sum(energies), np.sum(images**2), rtol=1e-12)
    assert min(energies) > 0


@pytest.mark.parametrize(
    ("shape", "spacing", "grids"),
    [
        ((16, 48), (3, 1), [(16, 48), (16, 24), (12, 12)]),
        ((33, 41), (3, 1), [(33, 41), (33, 21), (25, 11)]),
        ((40, 12), (0.1, 0.4), [(40, 12), (20, 12), (10, 12)]),
        # As near to equal as headers in float32 tell, where nothing is rounded up.
        ((32, 16), (np.float32(0.7), 0.7), [(32, 16), (16, 8), (8, 4)]),
        ((33, 32), (np.float32(0.3), 0.1), [(33, 32), (33, 16), (25, 8)]),
    ],
)
def test_a_long_axis_halves_when_pixels_are_as_long(shape, spacing, grids):
    bands = jax.eval_shape(lambda image: steerable_pyramid(image, levels=3, spacing=spacing).bands, noise(shape))
    assert [band.shape[1:] for band in bands] == grids


def explicit_sums(case, complex_valued):
    """Of each level sums over pixels of the bands of two images, yy, yp and pp."""
    _, (_, bands, _), _ = there_and_back(case, complex_valued)
    for level in bands:
        y, p, _ = np.asarray(level).reshape(*level.shape[:2], -1)
        yield y @ y.conj().T, y @ p.conj().T, p @ p.conj().T


@crossed("case, complex_valued", CASES, [True, False])
def test_sums_over_frequencies_are_those_over_pixels_of_bands(case, complex_valued, x64):
    settings, epsilon = settings_of(case, complex_valued), 5e-4
    y, p, _ = noise((3, *case[0]))

    @quick_jit
    def run(y, p):
        gains = {key: settings[key] for key in ("levels", "spatial_dims", "spacing")}
        return (
            wavelet_conditional_log_det(y, p, **settings),
            wavelet_mutual_information(y, p, **settings),
            wavelet_gain(y, p, epsilon=1e-12, **gains),
        )

    expected = []
    for yy, yp, pp in explicit_sums(case, complex_valued):
        conditional = yy - yp @ np.linalg.inv(pp + epsilon * np.eye(len(pp))) @ yp.conj().T
        label, left = (np.linalg.slogdet(matrix)[1] for matrix in (yy, conditional))
        expected.append((left, label - left, np.trace(yp).real / np.trace(pp).real))
    assert_allclose(run(y, p), np.transpose(expected), rtol=1e-9, atol=1e-9)


def waves(seed, count=40):
    """Plane waves of a body of 60 x 64 mm that repeats: cycles along each axis, amplitude and phase."""
    rng = np.random.default_rng(seed)
    cycles = rng.integers(-11, 12, count), rng.integers(-31, 32, count)
    return [*zip(*cycles, rng.random(count), 6 * rng.random(count), strict=True)]


def sampled(waves, shape):
    """The body at `shape` places."""
    u, v = (np.arange(side) / side for side in shape)
    return sum(a * np.cos(2 * np.pi * (k * u[:, None] + m * v) + phase) for k, m, a, phase in waves)


SQUARE, OBLONG = (60, 64), (24, 64)
"""Pixels of the body: of 1 x 1 mm, and of 2.5 x 1 mm, which are enough for its waves."""


@each_kind
def test_bands_are_those_of_the_body_however_it_is_sampled(complex_valued, x64):
    """Pixel by pixel at the third level, whose pixels are of 4 x 4 mm for both; in energy at those before."""
    body = waves(0)
    run = quick_jit(
        lambda image, spacing: steerable_pyramid(image, levels=3, spacing=spacing, complex_valued=complex_valued),
        static_argnames="spacing",
    )
    square, oblong = run(sampled(body, SQUARE), None), run(sampled(body, OBLONG), (2.5, 1.0))
    assert [band.shape[1:] for band in oblong.bands] == [(24, 64), (24, 32), (15, 16)]
    assert_allclose(oblong.bands[2] * 2.5, square.bands[2], atol=1e-12 * np.abs(square.bands[2]).max())
    assert_allclose(oblong.lowpass * 2.5, square.lowpass, atol=1e-12 * np.abs(square.lowpass).max())
    for a, b, growth in zip(square.bands, oblong.bands, (1, 2, 2.5), strict=True):
        of_square, of_oblong = (np.mean(np.abs(band) ** 2, axis=(1, 2)) for band in (a, b))
        assert_allclose(of_oblong * growth**2, of_square, rtol=1e-12)
        assert of_square.min() > 0.01


@pytest.mark.parametrize("rows", [64, 32, 24])
def test_a_wave_at_45_degrees_of_the_body_is_half_way_between_orientations(rows, x64):
    """Of 2 orientations both have as much of it; of 4 that of 45 degrees has most, and those beside it the same."""
    image, spacing = sampled([(4, 4, 1, 0)], (rows, 64)), (64 / rows, 1)

    @quick_jit
    def run(image):
        return [steerable_pyramid(image, levels=3, orientations=k, spacing=spacing).bands[2] for k in (2, 4)]

    two, four = (np.sum(np.abs(bands) ** 2, axis=(1, 2)) for bands in run(image))
    assert_allclose(two[0], two[1], rtol=1e-12)
    assert np.argmax(four) == 1
    assert_allclose(four[0], four[2], rtol=1e-12)


def test_information_is_that_of_the_body_however_it_is_sampled(x64):
    of_y, of_noise = waves(1), waves(2)
    run = quick_jit(wavelet_mutual_information, static_argnames=("levels", "epsilon", "noise", "spacing"))
    results = []
    for shape, spacing in ((SQUARE, None), (OBLONG, (2.5, 1.0))):
        y = sampled(of_y, shape)
        results.append(run(y, y + sampled(of_noise, shape), levels=3, epsilon=1e-12, noise=0.1, spacing=spacing))
    assert_allclose(results[1], results[0], rtol=1e-9)
    assert np.min(results[0]) > 0.1


@pytest.mark.parametrize("spacing", [(2, 2), [0.3, 0.3], np.float32([1e-6, 1e-6]), (1, 1 + 1e-7)], ids=str)
def test_equal_lengths_are_none_to_the_bit(spacing):
    y, p = (noise((32, 27), seed).astype(np.float32) for seed in (1, 2))

    def run(y, p, spacing=spacing):
        split = steerable_pyramid(y, levels=2, spacing=spacing)
        return (
            split,
            reconstruct(split, spacing=spacing),
            jax.value_and_grad(lambda p: wavelet_conditional_log_det(y, p, levels=2, spacing=spacing).sum())(p),
            wavelet_gain(y, p, levels=2, spacing=spacing),
            wavelet_distance(y, p, levels=2, kind="l2", spacing=spacing),
        )

    expected = jax.make_jaxpr(functools.partial(run, spacing=None))(y, p)
    assert str(jax.make_jaxpr(run)(y, p)) == str(expected)


def small(count=2):
    """Logits and labels of pixels three times as long as wide."""
    labels, logits = images(16, 40, count)
    return logits[..., None], labels


@pytest.mark.parametrize("loss", [cwmi_loss, bounded_cwmi], ids=["cwmi", "bounded_cwmi"])
def test_gradients_are_those_of_finite_differences(loss, x64):
    logits, labels = small()
    run = quick_jit(jax.value_and_grad(lambda logits: loss(logits, labels, levels=3, spacing=(3, 1))))
    _, gradient = run(logits)
    rng, step = np.random.default_rng(0), 1e-5
    for _ in range(2):
        direction = rng.standard_normal(logits.shape)
        ahead, behind = (run(logits + sign * step * direction)[0] for sign in (1, -1))
        assert_allclose(np.vdot(gradient, direction), (ahead - behind) / (2 * step), rtol=1e-6)


def test_gradient_of_a_volume_is_that_of_finite_differences(x64):
    labels, logits = volume(6, 16, 21)
    settings = dict(spatial_dims=3, levels=2, spacing=(5, 1, 1))
    run = quick_jit(jax.value_and_grad(lambda logits: cwmi_loss(logits[..., None], labels, **settings)))
    _, gradient = run(logits)
    direction, step = np.random.default_rng(0).standard_normal(logits.shape), 1e-5
    ahead, behind = (run(logits + sign * step * direction)[0] for sign in (1, -1))
    assert_allclose(np.vdot(gradient, direction), (ahead - behind) / (2 * step), rtol=1e-6)


def test_losses_are_those_of_their_information(x64):
    """And every image of a batch has its own."""
    logits, labels = small()
    y, p = labels.astype(float), sigmoid(logits[..., 0])
    settings = dict(levels=3, spacing=(3.0, 1.0))

    @quick_jit
    def run(logits, y, p):
        alone = dict(ce_weight=0.0, reduction="none", **settings)
        return (
            cwmi_loss(logits, labels, **alone),
            wavelet_conditional_log_det(y, p, **settings).sum(axis=-1),
            bounded_cwmi(logits, labels, **alone),
            -wavelet_mutual_information(y, p, noise=0.1, **settings).mean(axis=-1) / 4,
        )

    cwmi, left, bounded, shared = run(logits, y, p)
    assert_allclose(cwmi, left, rtol=1e-9)
    assert_allclose(bounded, shared, rtol=1e-9)
    one = quick_jit(lambda logits: cwmi_loss(logits, labels[1], ce_weight=0.0, **settings))(logits[1])
    assert_allclose(one, cwmi[1], rtol=1e-9)


def test_distances_are_those_of_the_bands(x64):
    case = CASES[0]
    (y, p, _), (_, bands, _), _ = there_and_back(case, True)
    expected = [np.abs(level[0] - level[1]).sum(axis=0).mean() for level in bands]
    result = quick_jit(lambda y, p: wavelet_distance(y, p, kind="l1", **settings_of(case)))(y, p)
    assert_allclose(result, expected, rtol=1e-12)


def test_thick_slices_have_more_levels():
    """8 slices of 5 mm are 40 pixels of 1 mm: four levels, where equal pixels would have two."""
    thick = np.zeros((8, 64, 64), np.float32)
    bands = jax.eval_shape(
        lambda image: steerable_pyramid(image, levels=4, orientations=3, spatial_dims=3, spacing=(5, 1, 1)).bands, thick
    )
    assert [band.shape[1:] for band in bands] == [(8, 64, 64), (8, 32, 32), (8, 16, 16), (5, 8, 8)]
    for spacing, most in (((5, 1, 1), 4), (None, 2), ((1, 1, 5), 2)):
        with pytest.raises(ValueError, match=f"levels=5 .* levels can be 1 to {most}"):
            steerable_pyramid(thick, levels=5, orientations=3, spatial_dims=3, spacing=spacing)


@pytest.mark.parametrize(
    ("spacing", "message"),
    [(None, "not a pyramid: 2 levels"), ((1, 4), r"with spacing \(1, 4\): bands .* expected"), (2.0, "not a pyramid")],
)
def test_reconstruct_is_told_the_spacing(spacing, message):
    def run(image):
        return reconstruct(steerable_pyramid(image, levels=2, spacing=(4, 1)), spacing=spacing)

    with pytest.raises(ValueError, match=message):
        jax.eval_shape(run, np.zeros((16, 48), np.float32))
