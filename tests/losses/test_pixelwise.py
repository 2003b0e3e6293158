"""Cross entropies and their weighted forms against optax, scikit-learn and pixels one by one."""

import functools

import jax
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from cwmi_jax.losses import (
    adaptive_boundary_weighted,
    balanced_cross_entropy,
    cross_entropy,
    focal,
    weighted_cross_entropy,
)
from cwmi_jax.weight_maps import abw_weight_map, unet_weight_map
from tests.golden import quick_jit, sigmoid, softmax, volume
from tests.losses.cases import COUNT, batch, evaluate, holes, maps
from tests.versions import enable_x64


def balanced(label, classes):
    """Of each pixel, by its class: of two the larger weighs 1, of more each as scikit-learn has it."""
    present, sizes = np.unique(label, return_counts=True)
    weights = np.zeros(classes)
    weights[present] = compute_class_weight("balanced", classes=present, y=label.ravel())
    return (weights / weights[present[sizes.argmax()]] if classes == 2 else weights)[label]


def sklearn_s(logits, label, weights=None):
    """Mean over pixels of the weighted negative log likelihood, by scikit-learn; logits of one channel or of several."""
    p = softmax(logits) if logits.shape[-1] > 1 else np.concatenate([sigmoid(-logits), sigmoid(logits)], axis=-1)
    weights = None if weights is None else weights.ravel()
    p = p.reshape(-1, p.shape[-1])
    return log_loss(label.ravel(), p, sample_weight=weights, normalize=False, labels=range(p.shape[1])) / label.size


def each_image(reference, logits, labels, *rest):
    return [reference(*arrays) for arrays in zip(logits, labels, *rest, strict=True)]


def run(loss, *arrays, **settings):
    return quick_jit(functools.partial(loss, reduction="none", **settings))(*arrays)


@pytest.mark.parametrize("channels", [1, 3])
def test_cross_entropy_is_optax_s_and_scikit_learn_s(x64, channels):
    logits, labels = batch(channels)
    each, _, _ = evaluate("ce", logits, labels)
    assert_allclose(each, each_image(sklearn_s, logits, labels), rtol=1e-9)
    if channels == 1:
        pixels = optax.sigmoid_binary_cross_entropy(logits[..., 0], labels.astype(float))
    else:
        pixels = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    assert_allclose(each, pixels.mean(axis=(1, 2)), rtol=1e-9)


def test_cross_entropy_of_a_class_that_is_ruled_out_is_optax_s(x64):
    """Class 2: where it is not the label it costs nothing, where it is all there is, and pulls as any other does."""
    logits, labels = batch(3)
    logits[..., 2] = -np.inf
    labels[:4] %= 2
    assert (labels[4:] == 2).any(axis=(1, 2)).all()
    each, _, gradient = evaluate("ce", logits, labels)
    pixels = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    assert_allclose(each, pixels.mean(axis=(1, 2)), rtol=1e-9)
    assert np.isposinf(each[4:]).all()
    assert_allclose(gradient, (softmax(logits) - np.eye(3)[labels]) / labels.size, rtol=1e-9, atol=1e-18)


def test_cross_entropy_of_unmasked_pixels_alone(x64):
    logits, labels = batch()
    where = holes()
    each, _, _ = evaluate("ce", logits, labels, where)
    pixels = optax.sigmoid_binary_cross_entropy(logits[..., 0], labels.astype(float))
    seen = np.arange(COUNT) != 1
    assert_allclose(each[seen], np.mean(pixels[seen], axis=(1, 2), where=where[seen]), rtol=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_cross_entropy_of_probable_labels_is_optax_s(x64, channels):
    logits, _ = batch(channels)
    random = np.random.default_rng(0).uniform(size=logits.shape)
    if channels == 1:
        expected = optax.sigmoid_binary_cross_entropy(logits, random)[..., 0]
    else:
        random /= random.sum(axis=-1, keepdims=True)
        expected = optax.softmax_cross_entropy(logits, random)
    assert_allclose(run(cross_entropy, logits, random), expected.mean(axis=(1, 2)), rtol=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_balanced_cross_entropy_weighs_classes_by_their_sizes(x64, channels):
    logits, labels = batch(channels)
    each, _, _ = evaluate("balanced_ce", logits, labels)
    expected = each_image(lambda z, y: sklearn_s(z, y, balanced(y, max(channels, 2))), logits, labels)
    assert_allclose(each, expected, rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 2.5])
def test_focal_loss_of_two_classes_is_optax_s(x64, gamma):
    logits, labels = batch()
    result = run(focal, logits, labels, gamma=gamma, class_weights=None)
    expected = optax.sigmoid_focal_loss(logits[..., 0], labels.astype(float), alpha=None, gamma=gamma)
    assert_allclose(result, expected.mean(axis=(1, 2)), rtol=1e-9)


def test_focal_loss_of_three_classes_weighs_by_what_is_missing(x64):
    logits, labels = batch(3)
    p = np.take_along_axis(softmax(logits), labels[..., None], axis=-1)[..., 0]
    shares = np.stack([balanced(label, 3) for label in labels]) * (1 - p) ** 2
    each, _, _ = evaluate("focal", logits, labels)
    assert_allclose(each, each_image(sklearn_s, logits, labels, shares), rtol=1e-9)


@pytest.mark.parametrize("loss", [cross_entropy, focal, weighted_cross_entropy])
@pytest.mark.parametrize("channels", [1, 3])
def test_weights_of_classes(x64, loss, channels):
    """They count as often as they say: 2 is as if those pixels came twice, 0 as if they were missing."""
    weights = np.array([0.0, 1.0, 2.0] if channels == 3 else [0.5, 3.0])
    logits, labels = batch(channels)
    given = {"weight_map": np.zeros(labels.shape)} if loss is weighted_cross_entropy else {}
    share = 1
    if loss is focal:
        p = sigmoid(logits) if channels == 1 else softmax(logits)
        p = np.concatenate([1 - p, p], axis=-1) if channels == 1 else p
        share = (1 - np.take_along_axis(p, labels[..., None], axis=-1)[..., 0]) ** 2
    result = run(loss, logits, labels, class_weights=weights, **given)
    assert_allclose(result, each_image(sklearn_s, logits, labels, weights[labels] * share), rtol=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_weight_map_is_added_to_the_weight_of_the_class(x64, channels):
    logits, labels = batch(channels)
    given = maps("wce", labels, channels)["weight_map"]
    assert given.max() > 1
    each, _, _ = evaluate("wce", logits, labels)
    weights = [balanced(label, max(channels, 2)) + weight for label, weight in zip(labels, given, strict=True)]
    assert_allclose(each, each_image(sklearn_s, logits, labels, weights), rtol=1e-9)


def boundary_weighted(logits, label, weights):
    """A pixel at a time."""
    total = loss = 0.0
    for z, y, (background, boundary) in zip(logits.ravel(), label.ravel(), weights.reshape(-1, 2), strict=True):
        if y == 1 and boundary >= background:
            total, loss = total + boundary, loss + boundary * np.log1p(np.exp(-z))
        if y == 0 or boundary <= background:
            total, loss = total + background, loss + background * np.log1p(np.exp(z))
    return loss / total


def test_boundary_weights_choose_one_class_at_each_pixel(x64):
    """Equal weights count for both classes, and a border that weighs less than the background is background."""
    logits, labels = batch()
    given = maps("abw", labels)["weight_maps"]
    given[:, :8, :, 1] = given[:, :8, :, 0]
    given[:, 8:12, :, 1] = 0.5 * given[:, 8:12, :, 0]
    each, _, _ = evaluate("abw", logits, labels, given={"weight_maps": given})
    assert_allclose(each, each_image(boundary_weighted, logits, labels, given), rtol=1e-9)


def test_boundary_weights_of_0_cost_nothing():
    logits, labels = batch(dtype=np.float32)
    given = maps("abw", labels)["weight_maps"]
    given[3] = 0
    each, _, gradient = evaluate("abw", logits, labels, given={"weight_maps": given})
    assert each[3] == 0
    assert (gradient[3] == 0).all()
    assert each[2] > 0


def test_volumes(x64):
    label, logits = volume(6, 7, 8)
    logits = logits[..., None]
    p = sigmoid((2 * label[..., None] - 1) * logits)[..., 0]
    even = balanced(label, 2)
    weight_map, weight_maps = unet_weight_map(label), abw_weight_map(label)

    @quick_jit
    def results(logits, label):
        solid = dict(spatial_dims=3)
        return dict(
            ce=cross_entropy(logits, label, **solid),
            balanced=balanced_cross_entropy(logits, label, **solid),
            focal=focal(logits, label, **solid),
            wce=weighted_cross_entropy(logits, label, weight_map=weight_map, **solid),
            abw=adaptive_boundary_weighted(logits, label, weight_maps=weight_maps, **solid),
        )

    expected = dict(
        ce=sklearn_s(logits, label),
        balanced=sklearn_s(logits, label, even),
        focal=sklearn_s(logits, label, even * (1 - p) ** 2),
        wce=sklearn_s(logits, label, even + weight_map),
        abw=boundary_weighted(logits, label, weight_maps),
    )
    jax.tree.map(functools.partial(assert_allclose, rtol=1e-9), results(logits, label), expected)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_focal_loss_does_not_depend_on_an_offset_of_all_logits(offset):
    """Half a nat apart, as float32 has them at 1e4 too."""
    logits, labels = batch(3, dtype=np.float32)
    each, _, _ = evaluate("focal", np.round(2 * logits) / 2 + np.float32(offset), labels)
    with enable_x64(True):
        expected, _, _ = evaluate("focal", (np.round(2 * logits) / 2).astype(np.float64), labels)
    assert_allclose(each, expected, rtol=3e-5)


@pytest.mark.parametrize(
    ("loss", "change", "error", "message"),
    [
        (focal, dict(gamma=-0.5), ValueError, "gamma must be finite and not negative, got -0.5"),
        (focal, dict(gamma=np.nan), ValueError, "gamma must be finite and not negative, got nan"),
        (cross_entropy, dict(class_weights="even"), ValueError, "'balanced', None or an array, got 'even'"),
        (cross_entropy, dict(class_weights=[1.0]), ValueError, r"each of 2 classes, got the shape \(1,\)"),
        (focal, dict(class_weights=[1.0, -1.0]), ValueError, r"be finite and not negative, got \[1\.0, -1\.0\]"),
        (
            weighted_cross_entropy,
            dict(weight_map=None),
            ValueError,
            r"weight_map is needed, of shape \(2, 8, 9\); cwmi",
        ),
        (weighted_cross_entropy, dict(weight_map=np.ones((8, 9))), ValueError, r"shape \(2, 8, 9\), got \(8, 9\)"),
        (weighted_cross_entropy, dict(weight_map=np.ones((2, 8, 9), complex)), TypeError, "real, got complex"),
        (adaptive_boundary_weighted, dict(weight_maps=None), ValueError, r"weight_maps is needed.*\(2, 8, 9, 2\)"),
        (
            adaptive_boundary_weighted,
            dict(weight_maps=np.ones((2, 8, 9))),
            ValueError,
            r"weight_maps must have the shape \(2, 8, 9, 2\), got \(2, 8, 9\)",
        ),
        (
            adaptive_boundary_weighted,
            dict(logits=np.zeros((2, 8, 9, 3), np.float32), weight_maps=np.ones((2, 8, 9, 2))),
            ValueError,
            r"adaptive_boundary_weighted is defined for two classes \(1 or 2 channels of logits\), got 3 channels",
        ),
    ],
)
def test_wrong_arguments_are_named(loss, change, error, message):
    arguments = dict(logits=np.zeros((2, 8, 9, 1), np.float32), labels=np.zeros((2, 8, 9), int))
    with pytest.raises(error, match=message):
        loss(**arguments | change)
