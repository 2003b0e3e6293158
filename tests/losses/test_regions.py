"""RMI against windows one by one and NumPy's determinants, and in float32 where prediction meets label."""

import functools
import math

import jax
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax.losses import regions, rmi
from tests.golden import class_images, images, quick_jit, sigmoid, softmax, volume
from tests.versions import enable_x64

EPSILON = 5e-4


def pooled(image, pool):
    """Maxima of windows, one by one; they begin half a window before the image, and a last one that sticks out is dropped
    unless half a window is enough for it.
    """
    sides = [(side + 2 * (pool // 2)) // pool for side in image.shape]
    result = np.empty(sides)
    for place in np.ndindex(*sides):
        starts = [pool * i - pool // 2 for i in place]
        result[place] = image[tuple(slice(max(start, 0), start + pool) for start in starts)].max()
    return result


def left_over(g, p, radius, pool):
    """Log det of the conditional covariance of one class, by the textbook."""
    vectors = []
    for image in (g, p):
        windows = sliding_window_view(pooled(image, pool), (radius,) * image.ndim)
        columns = windows.reshape(-1, radius**image.ndim)
        vectors.append(columns - columns.mean(axis=0))
    g, p = vectors
    inverse = np.linalg.inv(p.T @ p + EPSILON * np.eye(p.shape[1]))
    conditional = g.T @ g - g.T @ p @ inverse @ p.T @ g
    return np.linalg.slogdet(conditional + EPSILON * np.eye(p.shape[1]))[1]


def rmi_of(p, label, radius=3, pool=3, rmi_weight=0.5):
    """From probabilities `[*shape, C]`, C at least two, and classes."""
    entropies = terms = 0
    for c in range(p.shape[-1]):
        g = (label == c).astype(float)
        entropies -= np.log(np.where(label == c, p[..., c], 1 - p[..., c])).sum() / (label.size + 1)
        terms += left_over(g, p[..., c], radius, pool) / (2 * radius**label.ndim)
    return (1 - rmi_weight) * entropies + rmi_weight * terms


def run(logits, labels, **settings):
    return quick_jit(functools.partial(rmi, **settings))(logits, labels)


@pytest.mark.parametrize("shape", [(24, 21), (25, 19), (23, 20)])
def test_two_classes(x64, shape):
    labels, logits = images(*shape, 2)
    p = np.stack([sigmoid(-logits), sigmoid(logits)], axis=-1)
    expected = [rmi_of(*pair) for pair in zip(p, labels, strict=True)]
    assert_allclose(run(logits[..., None], labels, reduction="none"), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "settings", [{}, dict(radius=2, pool=1), dict(radius=4, pool=2, rmi_weight=1.0), dict(radius=1)]
)
def test_three_classes(x64, settings):
    label, logits = class_images(26, 25, 3)
    assert_allclose(run(logits, label, **settings), rmi_of(softmax(logits), label, **settings), rtol=1e-9)


def test_volumes(x64):
    label, logits = volume(9, 10, 11)
    p = np.stack([sigmoid(-logits), sigmoid(logits)], axis=-1)
    settings = dict(radius=2, pool=2)
    assert_allclose(run(logits[..., None], label, spatial_dims=3, **settings), rmi_of(p, label, **settings), rtol=1e-9)


def test_masked_pixels_are_zero_in_both_images_and_have_no_cross_entropy(x64):
    labels, logits = images(24, 21, 1)
    where = np.ones(labels.shape, bool)
    where[0, 5:11] = False
    p = np.stack([sigmoid(-logits), sigmoid(logits)], axis=-1)[0]
    terms = sum(left_over((labels[0] == c) * where[0], p[..., c] * where[0], 3, 3) for c in (0, 1)) / 18
    right = np.where(labels[0] == 1, p[..., 1], p[..., 0])[where[0]]
    expected = -np.log(right).sum() / (where.sum() + 1) + terms / 2
    assert_allclose(run(logits[..., None], labels, where=where), expected, rtol=1e-9)


@pytest.mark.parametrize("pool", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(11, 12), (13, 10), (7, 8, 6)])
def test_pooling_is_that_of_windows_one_by_one(shape, pool):
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    result = quick_jit(functools.partial(regions._max_pool, pool=pool))(image[None, None])
    assert_array_equal(result[0, 0], pooled(image, pool))


def noise(y):
    return np.random.default_rng(0).standard_normal(y.shape)


PREDICTIONS = {
    "within 1e-2": lambda y: y + 1e-2 * noise(y),
    "within 1e-3": lambda y: y + 1e-3 * noise(y),
    "within 1e-4": lambda y: y + 1e-4 * noise(y),
    "within 1e-5": lambda y: y + 1e-5 * noise(y),
    "within 1e-6": lambda y: y + 1e-6 * noise(y),
    "y": lambda y: y,
    "0.2 + 0.6 y": lambda y: 0.2 + 0.6 * y,
    "0.8 - 0.6 y": lambda y: 0.8 - 0.6 * y,
    "0.01 + 0.98 y": lambda y: 0.01 + 0.98 * y,
    "0.3": lambda y: np.full(y.shape, 0.3),
    "random": lambda y: sigmoid(noise(y)),
}
KINDS = ("classes", "probable labels")


@quick_jit
def log_dets_and_gradients(y, p):
    """Of images `[N, 1, H, W]`, as RMI takes them of each class."""

    def total(p):
        log_dets = regions._region_log_det(regions._max_pool(y, 3), regions._max_pool(p, 3), 3)[:, 0]
        return log_dets.sum(), log_dets

    gradients, log_dets = jax.grad(total, has_aux=True)(p)
    return log_dets, gradients


@functools.cache
def near_the_label(kind):
    """Log det and gradient of each prediction in float32 and float64, from the same numbers, rounded to float32."""
    label = images(96, 90)[0].astype(np.float32)
    if kind == "probable labels":
        label = (0.3 + 0.4 * label + np.random.default_rng(1).uniform(-0.1, 0.1, label.shape)).astype(np.float32)
    p = np.stack([predict(label.astype(float)) for predict in PREDICTIONS.values()]).astype(np.float32)
    y = np.broadcast_to(label, p.shape)
    single = log_dets_and_gradients(y, p)
    with enable_x64(True):
        double = log_dets_and_gradients(y.astype(np.float64), p.astype(np.float64))
        return [[np.asarray(part) for part in parts] for parts in (single, double)]


@pytest.mark.parametrize("name", PREDICTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_float32_near_the_label(kind, name):
    (log_dets, gradients), (expected, of_wide) = near_the_label(kind)
    at = list(PREDICTIONS).index(name)
    assert log_dets.dtype == gradients.dtype == np.float32
    assert_allclose(log_dets[at], expected[at], atol=1e-3, rtol=0)
    # That of a constant prediction is 0 but for rounding.
    least = 1e-6 * np.linalg.norm(of_wide[-1])
    assert np.linalg.norm(gradients[at] - of_wide[at]) <= 2e-3 * np.linalg.norm(of_wide[at]) + least


@pytest.mark.parametrize(("name", "gain"), [("y", 1), ("0.2 + 0.6 y", 0.6), ("0.01 + 0.98 y", 0.98)])
def test_affine_predictions_leave_epsilon_and_its_share(name, gain):
    """With p = b + a g, S_g|p = e S_gg (a^2 S_gg + e I)^-1, and e is small beside S_gg; the ridge is e again."""
    log_dets, _ = near_the_label("classes")[0]
    assert_allclose(log_dets[list(PREDICTIONS).index(name)], 9 * np.log(EPSILON * (1 + 1 / gain**2)), atol=5e-3)


def test_float32_of_confident_predictions():
    """Within 5e-2 to nothing of the label; rounded probabilities cannot be as near to 1 as to 0."""
    labels, logits = images(48, 45, 4)
    confidence = np.array([3.0, 9.0, 15.0, 90.0])[:, None, None]
    logits = (confidence * (2 * labels - 1) + logits)[..., None].astype(np.float32)
    settings = dict(rmi_weight=1.0, reduction="none")
    result = run(logits, labels, **settings)
    with enable_x64(True):
        assert_allclose(result, run(logits.astype(np.float64), labels, **settings), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(radius=0), "radius must be 1 or more, got 0"),
        (dict(pool=0), "pool must be 1 or more, got 0"),
        (dict(radius=5), r"pool=3 leaves \(8, 4\) of \(24, 10\) pixels, too few for radius=5; use larger"),
        (dict(pool=6), r"pool=6 leaves \(5, 2\) of \(24, 10\) pixels, too few for radius=3"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        rmi(np.zeros((24, 10, 1), np.float32), np.zeros((24, 10), int), **change)


def test_the_smallest_image_has_one_neighbourhood_without_variance():
    """Nothing but epsilon is left of nine numbers, for each of two classes."""
    labels, logits = images(7, 7)
    assert math.isclose(
        float(run(logits[..., None].astype(np.float32), labels, rmi_weight=1.0)), np.log(EPSILON), rel_tol=1e-5
    )
