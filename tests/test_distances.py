import functools

import jax
import numpy as np
import pytest

from cwmi_jax import wavelet_distance
from tests.golden import KINDS as BANDS
from tests.golden import case_name, figures, images, pyramid, quick_jit, sigmoid

KINDS = ["l1", "l2", "ssim"]


@pytest.mark.parametrize("bands", BANDS)
@pytest.mark.parametrize("case", figures("cwmi"), ids=case_name)
def test_golden(case, bands, x64):
    labels, logits = images(case["height"], case["width"], case["batch"], case["seed"])
    of_kinds = quick_jit(lambda y, p: [wavelet_distance(y, p, kind=kind, **pyramid(case, bands)) for kind in KINDS])
    for kind, distances in zip(KINDS, of_kinds(labels.astype(np.float64), sigmoid(logits)), strict=True):
        expected = case[bands]["distance_per_level"][kind]
        np.testing.assert_allclose(distances.mean(axis=0), expected, rtol=1e-6, err_msg=kind)


@pytest.mark.parametrize("kind, equal", [("l1", 0), ("l2", 0), ("ssim", 1)])
def test_equal_images_and_their_gradient(kind, equal):
    y = np.random.default_rng(0).uniform(size=(2, 40, 48)).astype(np.float32)
    distance = jax.value_and_grad(lambda p: wavelet_distance(y, p, kind=kind, levels=2).sum())
    value, gradient = quick_jit(distance)(y)
    np.testing.assert_allclose(value, 4 * equal, atol=1e-6)
    np.testing.assert_allclose(gradient, 0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_volumes_gradient_and_mask(kind, x64):
    y, p = np.random.default_rng(0).uniform(size=(2, 8, 10, 12))
    where = np.arange(8)[:, None, None] < np.full((8, 10, 12), 5)

    function = functools.partial(wavelet_distance, kind=kind, levels=2, orientations=3, spatial_dims=3)
    run = quick_jit(jax.value_and_grad(lambda p: function(y, p).sum()))
    direction = np.random.default_rng(1).standard_normal(p.shape)
    ahead, behind = (run(p + sign * 1e-6 * direction)[0] for sign in (1, -1))
    np.testing.assert_allclose(np.vdot(run(p)[1], direction), (ahead - behind) / 2e-6, rtol=1e-5)
    distance = quick_jit(function)
    masked = quick_jit(functools.partial(function, where=where))
    np.testing.assert_allclose(masked(y, p), distance(y * where, p * where), rtol=1e-12)


def test_unknown_kind():
    with pytest.raises(ValueError, match=r"kind must be one of 'l1', 'l2', 'ssim', got 'l3'"):
        wavelet_distance(np.ones((64, 64)), np.ones((64, 64)), kind="l3")
