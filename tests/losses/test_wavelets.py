"""The bounded CWMI loss: its terms, its bounds, and what it makes of scale, sign and absent classes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose

from cwmi_jax import wavelet_mutual_information
from cwmi_jax.losses import bounded_cwmi
from tests.golden import class_images, images, quick_jit, sigmoid, softmax, volume

RIGHT = 1e-4
loss = quick_jit(bounded_cwmi, static_argnames=("levels", "noise", "spatial_dims", "reduction"))
information = quick_jit(wavelet_mutual_information, static_argnames=("levels", "orientations", "noise", "spatial_dims"))


def binary():
    labels, logits = images(48, 40, 2)
    return logits[..., None], labels


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_two_classes_are_a_log_of_cross_entropy_and_an_information(x64, noise):
    logits, labels = binary()
    z = logits[..., 0]
    ce = optax.sigmoid_binary_cross_entropy(z, labels.astype(float)).mean(axis=(1, 2))
    of_bands = information(labels.astype(float), sigmoid(z), levels=3, noise=noise).mean(axis=-1) / 4
    result = loss(logits, labels, levels=3, noise=noise, ce_weight=0.7, reduction="none")
    assert_allclose(result, 0.7 * np.log(ce + RIGHT) - of_bands, rtol=1e-9)


def test_the_information_is_the_mean_over_the_classes_that_are_there(x64):
    labels, logits = class_images(32, 40, 3)
    logits = np.concatenate([logits, -1 + 0 * logits[..., :1]], axis=-1)
    y, p = (np.moveaxis(x, -1, 0) for x in (np.eye(4)[labels], softmax(logits)))
    of_bands = information(y, p, levels=2, noise=0.1).mean(axis=-1)[:3].mean() / 4
    ce = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    assert_allclose(loss(logits, labels, levels=2), np.log(ce + RIGHT) - of_bands, rtol=1e-9)


def test_smoothed_labels_bring_no_class_that_is_not_there(x64):
    labels, logits = class_images(32, 40, 3)
    logits = np.concatenate([logits, -1 + 0 * logits[..., :1]], axis=-1)
    smoothed = 0.9 * np.eye(4)[labels] + 0.1 / 4
    y, p = (np.moveaxis(x, -1, 0) for x in (smoothed, softmax(logits)))
    of_bands = information(y, p, levels=2, noise=0.1).mean(axis=-1)[:3].mean() / 4
    ce = optax.softmax_cross_entropy(logits, smoothed).mean()
    assert_allclose(loss(logits, smoothed, levels=2), np.log(ce + RIGHT) - of_bands, rtol=1e-9)


def test_volumes_have_three_orientations(x64):
    labels, logits = volume(8, 12, 16)
    of_bands = information(labels.astype(float), sigmoid(logits), levels=1, orientations=3, noise=0.1, spatial_dims=3)
    ce = optax.sigmoid_binary_cross_entropy(logits, labels.astype(float)).mean()
    result = loss(logits[..., None], labels, levels=1, spatial_dims=3)
    assert_allclose(result, np.log(ce + RIGHT) - of_bands[0] / 3, rtol=1e-9)


@pytest.mark.parametrize("classes", [1, 3])
def test_the_cross_entropy_pulls_with_a_sum_of_one_at_most(x64, classes):
    """Right and sure it pulls with less and less, wrong and sure with almost one, and half of that is on either class."""
    labels = class_images(32, 40, 3)[0] if classes == 3 else images(32, 40)[0][0]
    sides = (labels[..., None] == np.arange(classes)) if classes == 3 else (labels == 1)[..., None]
    sides = 2.0 * sides - 1

    @quick_jit
    def pull(logits):
        with_it = jax.grad(lambda z: bounded_cwmi(z, labels, levels=1))(logits)
        return jnp.abs(with_it - jax.grad(lambda z: bounded_cwmi(z, labels, levels=1, ce_weight=0.0))(logits)).sum()

    most = 1 if classes == 1 else 2  # What one class loses the others gain.
    pulls = [float(pull(confidence * sides)) for confidence in (-30, -3, 0, 3, 12, 16)]
    assert max(pulls) <= most
    assert pulls[0] < 0.1 and pulls[1] < 0.5 * most
    assert pulls[3] > 0.9 * most * 0.9
    assert pulls[4] < 0.2 and pulls[5] < 0.01


def test_bounds(x64):
    """Nothing is below a perfect prediction, whose information is that of a label seen through noise twice."""
    logits, labels = binary()
    perfect = 50 * (2.0 * labels[..., None] - 1)
    settings = dict(levels=3, reduction="none")
    least = np.asarray(loss(perfect, labels, **settings))
    assert (least > np.log(RIGHT) - np.log1p(1 / (0.1 * 2.1)) - 1e-3).all()
    for other in (logits, 3 * logits, 0.1 * perfect, -perfect):
        assert (np.asarray(loss(other, labels, **settings)) > least).all()


def test_a_surer_and_a_stronger_prediction_is_better_and_an_inverted_one_worse(x64):
    _, labels = binary()
    y = 2.0 * labels[..., None] - 1
    without = dict(levels=2, ce_weight=0.0)
    values = [float(loss(confidence * y, labels, **without)) for confidence in (0.1, 0.5, 2, 6)]
    assert (np.diff(values) < -0.1).all()
    assert_allclose(loss(-6 * y, labels, **without), values[-1], rtol=1e-6)
    assert loss(-6 * y, labels, levels=2) > loss(0 * y, labels, levels=2)
