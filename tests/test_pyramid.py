import functools

import jax
import jax.numpy as jnp
import numpy as np
import pyrtools
import pytest

from cwmi_jax import SteerablePyramid, reconstruct, steerable_pyramid, wavelet_conditional_log_det
from tests.golden import KINDS as BANDS
from tests.golden import figures, images, pyramid, quick_jit
from tests.thorough import crossed

SIZES = [(64, 64), (96, 128), (97, 131), (584, 565)]


def noise(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(dtype)


@functools.lru_cache
def there_and_back(**settings):
    """The pyramid and what it reconstructs, in one program."""

    @quick_jit
    def run(image):
        split = steerable_pyramid(image, **settings)
        return split, reconstruct(split)

    return run


@crossed("case, complex_valued", [*((s, 4) for s in SIZES), *(((50, 41), k) for k in range(1, 17))], [True, False])
def test_reconstructs_in_float32(case, complex_valued):
    shape, orientations = case
    image = noise(shape)
    levels = 4 if min(shape) >= 64 else 2
    _, again = there_and_back(levels=levels, orientations=orientations, complex_valued=complex_valued)(image)
    np.testing.assert_allclose(again, image, atol=1e-5)


@crossed("shape, complex_valued", SIZES, [True, False])
def test_reconstructs_in_float64(shape, complex_valued, x64):
    image = noise(shape, np.float64)
    _, again = there_and_back(levels=4, orientations=4, complex_valued=complex_valued)(image)
    np.testing.assert_allclose(again, image, atol=1e-12)


@crossed("orientations, complex_valued", [3, 6], [True, False])
def test_reconstructs_volumes_of_any_shape(orientations, complex_valued, x64):
    volumes = noise((2, 17, 20, 27), np.float64)
    split, again = there_and_back(levels=3, orientations=orientations, spatial_dims=3, complex_valued=complex_valued)(
        volumes
    )
    assert split.bands[2].shape == (2, orientations, 5, 5, 7)
    np.testing.assert_allclose(again, volumes, atol=1e-12)


@crossed("shape, orientations", [(50, 41), (64, 64)], [1, 2, 4, 5, 16])
def test_real_pyramid_is_a_tight_frame(shape, orientations, x64):
    image = noise(shape, np.float64)
    (high, bands, low), _ = there_and_back(levels=3, orientations=orientations, complex_valued=False)(image)
    energy = np.sum(high**2) + sum(np.sum(band**2) / 4**i for i, band in enumerate(bands)) + np.sum(low**2) / 4**3
    np.testing.assert_allclose(energy, np.sum(image**2), rtol=1e-12)


@pytest.mark.parametrize("orientations", [3, 6])
def test_real_pyramid_of_a_volume_is_a_tight_frame(orientations, x64):
    volume = noise((16, 21, 26), np.float64)
    settings = dict(levels=2, orientations=orientations, spatial_dims=3, complex_valued=False)
    (high, bands, low), _ = there_and_back(**settings)(volume)
    energy = np.sum(high**2) + np.sum(bands[0] ** 2) + np.sum(bands[1] ** 2) / 8 + np.sum(low**2) / 64
    np.testing.assert_allclose(energy, np.sum(volume**2), rtol=1e-12)


@crossed(
    "shape, kind",
    [(96, 128), (64, 64)],
    [(4, True), (1, False), *((k, kind) for k in (2, 3, 6) for kind in (True, False)), (4, False)],
)
def test_bands_of_pyrtools(shape, kind, x64):
    """pyrtools measures angles from the columns, and turns complex bands by the phase of the real ones."""
    orientations, complex_valued = kind
    image = noise(shape, np.float64)
    image -= image.mean()
    order = orientations - 1
    theirs = pyrtools.pyramids.SteerablePyramidFreq(
        image.T, height=3, order=order, is_complex=complex_valued
    ).pyr_coeffs
    settings = dict(levels=3, orientations=orientations, complex_valued=complex_valued)
    (high, bands, low), _ = there_and_back(**settings)(image)
    phase = (-1j) ** order if complex_valued else 1

    def agree(ours, other):
        np.testing.assert_allclose(ours, other.T, atol=1e-4 * np.abs(other).max())

    agree(high, theirs["residual_highpass"])
    agree(low, theirs["residual_lowpass"])
    for i, level in enumerate(bands):
        for k, band in enumerate(np.asarray(level)):
            agree(phase * band, theirs[(i, k)])


@crossed("case, kind", figures("cwmi"), BANDS)
def test_golden_bands(case, kind, x64):
    labels, _ = images(case["height"], case["width"], case["batch"], case["seed"])
    (high, bands, low), _ = there_and_back(**pyramid(case, kind))(labels.astype(np.float64))
    golden = case[kind]
    energies = np.stack([np.sum(np.abs(band) ** 2, axis=(-2, -1)) for band in bands], axis=1)
    np.testing.assert_allclose(energies, golden["label_band_energy"], rtol=1e-6)
    np.testing.assert_allclose(np.sum(high**2, axis=(1, 2)), golden["label_highpass_energy"], rtol=1e-6)
    np.testing.assert_allclose(np.sum(low**2, axis=(1, 2)), golden["label_lowpass_energy"], rtol=1e-6)
    samples = np.array([band[0, :, 1, 2] for band in bands])
    expected = np.array(golden["label_band_sample_row1_col2"]) @ [1, 1j]
    np.testing.assert_allclose(samples, expected, atol=1e-6 * np.abs(expected).max())


def explicit_log_det(y, p, epsilon=5e-4, **settings):
    """Section 2 of the paper's loss, on bands made one by one."""
    dims = settings.get("spatial_dims", 2)
    log_dets = []
    (_, of_y, _), _ = there_and_back(**settings)(y)
    (_, of_p, _), _ = there_and_back(**settings)(p)
    for a, b in zip(of_y, of_p, strict=True):
        a, b = (np.asarray(x).reshape(*x.shape[:-dims], -1) for x in (a, b))
        yy, yp, pp = (u @ v.conj().T for u, v in ((a, a), (a, b), (b, b)))
        conditional = yy - yp @ np.linalg.inv(pp + epsilon * np.eye(len(pp))) @ yp.conj().T
        log_dets.append(np.linalg.slogdet(conditional)[1])
    return np.array(log_dets)


@crossed(
    "case, complex_valued",
    [
        ((64, 64), 4, 4),
        ((97, 131), 4, 5),
        *(((50, 41), 3, k) for k in (1, 2, 3, 6)),
        *(((16, 21, 26), 2, k) for k in (3, 6)),
    ],
    [True, False],
)
def test_frequency_domain_equals_explicit_bands(case, complex_valued, x64):
    shape, levels, orientations = case
    y, p = noise(shape, np.float64, 1) > 0.6, noise(shape, np.float64, 2)
    y, p = y.astype(np.float64), 0.5 * p + 0.3 * y
    settings = dict(levels=levels, orientations=orientations, spatial_dims=len(shape), complex_valued=complex_valued)
    log_det = quick_jit(lambda y, p: wavelet_conditional_log_det(y, p, **settings))(y, p)
    np.testing.assert_allclose(log_det, explicit_log_det(y, p, **settings), rtol=1e-9, atol=1e-9)


def test_jit_and_batch_equal_single_images():
    images = noise((2, 3, 40, 48))
    whole = quick_jit(lambda x: steerable_pyramid(x, levels=2))(images)
    single = steerable_pyramid(images[1, 2], levels=2)
    mapped = jax.vmap(jax.vmap(lambda x: steerable_pyramid(x, levels=2)))(images)
    for a, b, c in zip(jax.tree.leaves(whole), jax.tree.leaves(single), jax.tree.leaves(mapped), strict=True):
        np.testing.assert_allclose(a[1, 2], b, atol=1e-5)
        np.testing.assert_allclose(c, a, atol=1e-5)


def test_gradient_of_reconstruction_is_the_identity():
    """A perfect inverse has the identity as Jacobian, so the gradient of a sum of squares is twice the image."""
    image = noise((40, 48))
    gradient = quick_jit(jax.grad(lambda x: jnp.sum(reconstruct(steerable_pyramid(x, levels=2)) ** 2)))(image)
    np.testing.assert_allclose(gradient, 2 * image, atol=1e-5)


def test_volumes_have_three_orientations_by_default():
    bands = quick_jit(functools.partial(steerable_pyramid, levels=1, spatial_dims=3))(noise((16, 16, 16))).bands
    assert [band.shape for band in bands] == [(3, 16, 16, 16)]


@pytest.mark.parametrize(
    "shape, settings, message",
    [
        ((31, 64), {}, "levels=4 .* levels can be 1 to 3"),
        ((64, 3), {"levels": 1}, "too small"),
        ((64, 64), {"orientations": 17}, "1 to 16 for images, got 17"),
        ((32, 32, 32), {"spatial_dims": 3, "orientations": 4}, "3 .* or 6 .* for volumes, got 4"),
        ((64,), {}, "2 spatial axes"),
        ((64, 64), {"spatial_dims": 1}, "spatial_dims must be 2 .* or 3 .*, got 1"),
    ],
)
def test_what_does_not_fit(shape, settings, message):
    with pytest.raises(ValueError, match=message):
        steerable_pyramid(noise(shape), **settings)


def test_complex_image():
    with pytest.raises(TypeError, match="image must be real, got complex64"):
        steerable_pyramid(noise((64, 64)) + np.complex64(1j))


def test_reconstruct_names_what_is_no_pyramid():
    split, _ = there_and_back(levels=4, orientations=4)(noise((64, 64)))
    with pytest.raises(ValueError, match="not a pyramid of images"):
        reconstruct(SteerablePyramid(split.highpass, split.bands[:3], split.lowpass))
