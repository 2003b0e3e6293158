"""The CWMI loss: golden figures, cross entropy, masks, forms of labels, degenerate inputs, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax import cwmi_loss, wavelet_conditional_log_det
from tests.golden import KINDS, case_name, class_images, figures, images, pyramid, quick_jit, softmax, volume
from tests.thorough import crossed
from tests.versions import enable_x64

PRECISIONS = [(np.float64, 1e-6, 1e-5), (np.float32, 3e-5, 1e-4)]
"""Dtype, and tolerances of values and of gradients."""
SMALL = dict(levels=1, orientations=1)

_jit = functools.partial(
    quick_jit,
    static_argnames=("levels", "orientations", "spatial_dims", "complex_valued", "epsilon", "reduction"),
)
balanced_loss = _jit(cwmi_loss)
weighted_loss = _jit(lambda logits, labels, weights, **rest: cwmi_loss(logits, labels, class_weights=weights, **rest))
unweighted_loss = _jit(functools.partial(cwmi_loss, class_weights=None))


def loss(logits, labels, *, class_weights="balanced", **settings):
    if isinstance(class_weights, str):
        return balanced_loss(logits, labels, **settings)
    if class_weights is None:
        return unweighted_loss(logits, labels, **settings)
    return weighted_loss(logits, labels, np.asarray(class_weights), **settings)


def cross_entropy(logits, labels, **settings):
    """The cross entropy alone, an image at a time."""
    with_it, without = (
        loss(logits, labels, ce_weight=weight, reduction="none", **SMALL, **settings) for weight in (1.0, 0.0)
    )
    return with_it - without


@_jit
def losses_and_gradient(logits, labels, **settings):
    """The losses of the images, and the gradient of their mean."""

    def mean(logits):
        losses = cwmi_loss(logits, labels, reduction="none", **settings)
        return losses.mean(), losses

    gradient, losses = jax.grad(mean, has_aux=True)(logits)
    return losses, gradient


@_jit
def loss_and_gradient(logits, labels, **settings):
    return jax.value_and_grad(lambda logits: cwmi_loss(logits, labels, **settings))(logits)


@quick_jit
def loss_and_gradient_unweighted(logits, labels):
    return jax.value_and_grad(lambda logits: cwmi_loss(logits, labels, class_weights=None))(logits)


def binary(height=48, width=40, batch=2, dtype=np.float32):
    labels, logits = images(height, width, batch)
    return logits[..., None].astype(dtype), labels


@crossed("case, kind, precision", figures("cwmi"), KINDS, PRECISIONS)
def test_loss_and_gradient_are_those_of_the_authors_code(case, kind, precision):
    dtype, tolerance, of_gradient = precision
    height, width = case["height"], case["width"]
    labels, logits = images(height, width, case["batch"], case["seed"])
    assert_allclose(labels.mean(), case["foreground_fraction"], rtol=1e-12)
    with enable_x64(dtype == np.float64):
        both = functools.partial(losses_and_gradient, logits[..., None].astype(dtype), labels, **pyramid(case, kind))
        losses, _ = both(ce_weight=0.9)
        information, gradient = both(ce_weight=0.0)
    expected = case[kind]
    assert_allclose(losses, expected["loss_ce_weight_0.9_balanced_per_image"], rtol=tolerance)
    assert_allclose(np.mean(np.asarray(information)), expected["sum_over_levels_mean_over_images"], rtol=tolerance)
    gradient = np.asarray(gradient)[..., 0]
    assert gradient.dtype == dtype
    norm = expected["grad_logits_norm"]
    assert_allclose(np.linalg.norm(gradient), norm, rtol=of_gradient)
    assert_allclose(np.abs(gradient).sum(), expected["grad_logits_abs_sum"], rtol=of_gradient)
    samples = gradient[:, [3, height // 2, height - 2], [5, width // 3, width - 7]]
    assert_allclose(samples, expected["grad_logits_samples"], rtol=of_gradient, atol=1e-6 * norm)


@pytest.mark.parametrize("case", figures("cwmi")[1:3], ids=case_name)
def test_balanced_weights_are_those_of_the_authors_code(x64, case):
    labels, logits = images(case["height"], case["width"], case["batch"], case["seed"])
    each = np.take_along_axis(np.asarray(case["class_weights"])[:, None], labels.reshape(len(labels), 1, -1), axis=-1)
    expected = optax.sigmoid_binary_cross_entropy(logits, labels.astype(float)) * each.reshape(labels.shape)
    assert_allclose(cross_entropy(logits[..., None], labels), expected.mean(axis=(1, 2)), rtol=1e-9)


@crossed("case, precision", figures("multiclass"), PRECISIONS)
def test_information_of_classes_is_that_of_a_pyramid_in_space(case, precision):
    dtype, tolerance, _ = precision
    labels, logits = class_images(case["height"], case["width"], case["classes"], case["seed"])
    fractions = np.bincount(labels.ravel()) / labels.size
    assert_allclose(fractions, case["class_fractions"], rtol=1e-12)
    with enable_x64(dtype == np.float64):
        result = loss(logits.astype(dtype), labels, ce_weight=0.0, **pyramid(case, "complex"))
    assert_allclose(result, case["mean_over_classes_sum_over_levels"], rtol=tolerance)


@pytest.mark.parametrize("weights", [None, (0.5, 2.0), (0.0, 1.0)])
@pytest.mark.parametrize("channels", [1, 2])
def test_cross_entropy_of_two_classes_is_optax_s(x64, channels, weights):
    logits, labels = binary(dtype=np.float64)
    each = optax.sigmoid_binary_cross_entropy(logits[..., 0], labels.astype(float))
    each = each * np.asarray((1.0, 1.0) if weights is None else weights)[labels]
    if channels == 2:
        logits = np.concatenate([np.sin(logits), logits + np.sin(logits)], axis=-1)
    result = cross_entropy(logits, labels, class_weights=weights)
    assert_allclose(result, each.mean(axis=(1, 2)), rtol=1e-9)


@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 1.0)])
def test_cross_entropy_of_three_classes_is_optax_s(x64, weights):
    labels, logits = class_images(16, 20, 3)
    each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    each = each * np.asarray((1.0, 1.0, 1.0) if weights is None else weights)[labels]
    result = cross_entropy(logits, labels, class_weights=weights)
    assert_allclose(result, each.mean(), rtol=1e-9)


@pytest.mark.parametrize(
    ("channels", "sizes", "weights"),
    [
        (1, (48, 16), (1.0, 3.0)),
        (2, (16, 48), (3.0, 1.0)),
        (1, (64, 0), (1.0, 0.0)),
        (3, (32, 16, 16), (2 / 3, 4 / 3, 4 / 3)),
        (3, (32, 31, 1), (2 / 3, 64 / 93, 64 / 3)),
        (3, (48, 16, 0), (2 / 3, 2.0, 0.0)),
        (3, (0, 64, 0), (0.0, 1.0, 0.0)),
    ],
)
def test_balanced_weights_worked_out_by_hand(x64, channels, sizes, weights):
    labels = np.repeat(np.arange(len(sizes)), sizes).reshape(1, 8, 8)
    logits = np.random.default_rng(0).standard_normal((1, 8, 8, channels))
    by_hand = cross_entropy(logits, labels, class_weights=weights)
    assert_allclose(cross_entropy(logits, labels), by_hand, rtol=1e-9)


def test_balanced_weights_are_each_image_s_own_and_see_unmasked_pixels_alone(x64):
    logits, labels = binary(dtype=np.float64)
    labels[1] = 0
    labels[1, 10:20, 10:20] = 1
    where = np.ones(labels.shape, bool)
    where[1, 5:15] = False
    together = cross_entropy(logits, labels, where=where)
    for i in range(2):
        y, seen = labels[i], where[i]
        n1, n0 = (seen & (y == 1)).sum(), (seen & (y == 0)).sum()
        each = optax.sigmoid_binary_cross_entropy(logits[i, ..., 0], y.astype(float))
        each = each * np.where(y == 1, max(n0 / n1, 1), max(n1 / n0, 1))
        assert_allclose(together[i], np.mean(each, where=seen), rtol=1e-9)


@pytest.mark.parametrize("weight", [0, 0.0, 0.9, 2.5])
def test_weight_of_the_cross_entropy(x64, weight):
    logits, labels = binary(dtype=np.float64)
    static = functools.partial(cwmi_loss, ce_weight=weight, reduction="none", **SMALL)
    without = loss(logits, labels, ce_weight=0.0, reduction="none", **SMALL)
    change = quick_jit(static)(logits, labels) - without
    assert_allclose(change, weight * cross_entropy(logits, labels), rtol=1e-9)


def test_no_weight_leaves_the_log_dets_alone(x64):
    logits, labels = binary(dtype=np.float64)
    p = 1 / (1 + np.exp(-logits[..., 0]))
    for complex_valued in (True, False):
        settings = dict(levels=2, orientations=3, complex_valued=complex_valued)
        expected = quick_jit(functools.partial(wavelet_conditional_log_det, **settings))(labels.astype(float), p).sum(
            axis=-1
        )
        assert_allclose(loss(logits, labels, ce_weight=0.0, reduction="none", **settings), expected, rtol=1e-9)


def test_two_channels_are_one_channel_of_their_difference(x64):
    logits, labels = binary(dtype=np.float64)
    first = 3 * np.cos(logits)
    value, gradient = loss_and_gradient(np.concatenate([first, first + logits], axis=-1), labels, **SMALL)
    expected, of_difference = loss_and_gradient(logits, labels, **SMALL)
    assert_allclose(value, expected, rtol=1e-9)
    assert_allclose(gradient, np.concatenate([-of_difference, of_difference], axis=-1), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "form",
    [
        lambda labels: labels.astype(bool),
        lambda labels: labels.astype(np.int8),
        lambda labels: labels.astype(np.uint8),
        lambda labels: labels.astype(np.float32),
        lambda labels: labels.astype(np.float16)[..., None],
    ],
    ids=["bool", "int8", "uint8", "probabilities", "probabilities with an axis"],
)
def test_forms_of_binary_labels_agree(form):
    logits, labels = binary()
    assert_array_equal(loss(logits, form(labels), **SMALL), loss(logits, labels, **SMALL))


@pytest.mark.parametrize("classes", [2, 3])
def test_one_hot_probabilities_agree_with_classes(classes):
    labels, logits = class_images(16, 20, classes)
    logits = logits.astype(np.float32)
    one_hot = np.eye(classes, dtype=np.float32)[labels]
    assert_array_equal(loss(logits, one_hot, **SMALL), loss(logits, labels.astype(np.uint8), **SMALL))


@pytest.mark.parametrize("leading", [(), (4,), (2, 1, 2)])
def test_reduction_keeps_or_averages_all_leading_axes(x64, leading):
    logits, labels = binary(batch=4, dtype=np.float64)
    expected = np.asarray(loss(logits, labels, reduction="none", **SMALL))
    assert expected.shape == (4,)
    count = int(np.prod(leading))
    z, y = (array[:count].reshape(*leading, *array.shape[1:]) for array in (logits, labels))
    losses = loss(z, y, reduction="none", **SMALL)
    assert losses.shape == leading
    assert_allclose(losses.ravel(), expected[:count], rtol=1e-9)
    mean = loss(z, y, **SMALL)
    assert mean.shape == ()
    assert_allclose(mean, expected[:count].mean(), rtol=1e-9)


def test_where_is_a_crop_that_sets_both_images_to_zero(x64):
    logits, labels = binary(dtype=np.float64)
    where = np.ones(labels.shape, bool)
    where[0, :20], where[1, :, 7:15] = False, False
    p = where / (1 + np.exp(-logits[..., 0]))
    settings = dict(levels=2, orientations=3)
    log_dets = quick_jit(functools.partial(wavelet_conditional_log_det, **settings))((labels * where).astype(float), p)
    each = optax.sigmoid_binary_cross_entropy(logits[..., 0], labels.astype(float))
    expected = log_dets.sum(axis=-1) + 0.9 * np.mean(each, axis=(1, 2), where=where)
    result = loss(logits, labels, where=where, class_weights=None, reduction="none", **settings)
    assert_allclose(result, expected, rtol=1e-9)


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("hidden", [np.nan, np.inf, 1e30])
def test_what_is_masked_does_not_leak(classes, hidden):
    labels, logits = class_images(24, 20, max(classes, 2))
    logits = logits[..., :classes].astype(np.float32)
    where = np.ones(labels.shape, bool)
    where[5:9], where[:, 13] = False, False
    masked = np.where(where[..., None], logits, hidden).astype(np.float32)
    value, gradient = loss_and_gradient(masked, np.where(where, labels, 255), where=where, **SMALL)
    expected, of_clean = loss_and_gradient(logits, labels, where=where, **SMALL)
    assert_allclose(value, expected, rtol=1e-6)
    assert_array_equal(np.asarray(gradient)[~where], 0)
    assert_allclose(gradient, of_clean, rtol=1e-5, atol=1e-7)
    assert np.abs(np.asarray(gradient)[where]).min() > 0


def test_the_ignore_label_is_accepted_under_a_mask_alone():
    logits, labels = binary()
    labels[:, :4] = 255
    masked = cwmi_loss(logits, labels.astype(np.uint8), where=labels != 255, **SMALL)
    assert_allclose(masked, loss(logits, np.where(labels == 255, 0, labels), where=labels != 255, **SMALL), rtol=1e-6)
    with pytest.raises(ValueError, match=r"within 0\.\.1 .*got 0\.\.255; mask"):
        cwmi_loss(logits, labels, **SMALL)


def test_a_wholly_masked_image_has_no_loss_and_no_part_in_the_mean():
    logits, labels = binary(batch=3)
    where = np.ones(labels.shape, bool)
    where[1] = False
    logits[1] = np.nan
    losses = loss(logits, labels, where=where, reduction="none", **SMALL)
    others = loss(logits[[0, 2]], labels[[0, 2]], reduction="none", **SMALL)
    assert losses[1] == 0
    assert_allclose(losses[np.array([0, 2])], others, rtol=1e-6)
    value, gradient = loss_and_gradient(logits, labels, where=where, **SMALL)
    assert_allclose(value, others.mean(), rtol=1e-6)
    assert_array_equal(gradient[1], 0)


@pytest.mark.parametrize("classes", [1, 3])
def test_everything_masked_has_loss_and_gradient_0(classes):
    logits = np.full((2, 16, 16, classes), np.nan, np.float32)
    labels = np.full((2, 16, 16), 255)
    value, gradient = loss_and_gradient(logits, labels, where=np.zeros(labels.shape, bool), **SMALL)
    assert value == 0
    assert_array_equal(gradient, np.zeros_like(logits))


@pytest.mark.parametrize("shape", [(64, 64), (97, 131)])
@pytest.mark.parametrize("mask", [0, 1])
def test_an_empty_or_full_mask_leaves_the_cross_entropy_alone(shape, mask):
    logits = images(*shape)[1][..., None].astype(np.float32)
    labels = np.full((1, *shape), mask)
    value, gradient = loss_and_gradient(logits, labels, ce_weight=0.0)
    assert value == 0
    assert_array_equal(gradient, np.zeros_like(logits))
    each = optax.sigmoid_binary_cross_entropy(logits[..., 0], labels.astype(np.float32))
    value, gradient = loss_and_gradient(logits, labels, ce_weight=0.9)
    assert_allclose(value, 0.9 * each.mean(), rtol=1e-5)
    slope = 0.9 * (1 / (1 + np.exp(-logits)) - mask) / labels.size
    assert_allclose(gradient, slope, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("place", [(0, 0), (31, 17)])
def test_one_foreground_pixel_agrees_with_float64_wherever_it_is(place):
    logits = images(64, 48)[1][..., None].astype(np.float32)
    labels = np.zeros((1, 64, 48), int)
    labels[0][place] = 1
    with enable_x64(True):
        expected, of_pixel = loss_and_gradient(logits.astype(np.float64), labels)
        flat = loss(np.zeros(logits.shape), labels, ce_weight=0.0)
        origin = loss(np.zeros(logits.shape), np.roll(labels, (7, 9), axis=(1, 2)), ce_weight=0.0)
        assert_allclose(flat, origin, rtol=1e-9)
    value, gradient = loss_and_gradient(logits, labels)
    assert_allclose(value, expected, rtol=3e-5)
    assert np.linalg.norm(np.asarray(gradient) - np.asarray(of_pixel)) <= 1e-4 * np.linalg.norm(of_pixel)


@pytest.mark.parametrize("logit", [-1e4, -2.0, 0.0, 1e4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_prediction_leaves_the_whole_covariance_of_the_label(kind, logit):
    case = figures("cwmi")[0]
    labels, _ = images(case["height"], case["width"])
    logits = np.full((*labels.shape, 1), logit, np.float32)
    result = loss(logits, labels, ce_weight=0.0, **pyramid(case, kind))
    assert_allclose(result, np.sum(case[kind]["log_det_label_covariance"]), rtol=3e-5)


@pytest.mark.parametrize(
    ("sign", "weights", "balanced"), [(-1, None, 1.0), (-1, "balanced", 1.5), (1, None, 0.0), (1, "balanced", 0.0)]
)
def test_saturated_logits_have_the_cross_entropy_of_their_size(sign, weights, balanced):
    """A quarter is foreground and weighs 3: the mean over pixels of weight times 1e4 is 1.5e4 where all are wrong."""
    labels = np.zeros((1, 64, 64), int)
    labels[0, :32, 16:48] = 1
    labels[0] = np.random.default_rng(0).permuted(labels[0].ravel()).reshape(64, 64)
    logits = (sign * 1e4 * (2 * labels - 1)).astype(np.float32)[..., None]
    function = loss_and_gradient if weights else loss_and_gradient_unweighted
    value, gradient = function(logits, labels)
    # y and 1 - y leave epsilon to each of four bands of four levels.
    assert_allclose(value, 0.9 * balanced * 1e4 + 16 * np.log(5e-4), rtol=1e-4)
    share = np.where(labels == 1, 3 if weights else 1, 1)[..., None]
    expected = 0.9 * share * (1 - 2 * labels[..., None]) / labels.size if sign < 0 else np.zeros_like(logits)
    assert_allclose(gradient, expected, rtol=1e-5)


@pytest.mark.parametrize("confidence", [20.0, 1e4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_that_is_the_label_leaves_epsilon(kind, confidence):
    labels, _ = images(64, 64)
    logits = (confidence * (2 * labels - 1)).astype(np.float32)[..., None]
    result = loss(logits, labels, ce_weight=0.0, complex_valued=kind == "complex")
    assert_allclose(result, 16 * np.log(5e-4), rtol=1e-4)


@pytest.mark.parametrize(("dtype", "classes"), [(jnp.bfloat16, 1), (jnp.bfloat16, 3), (jnp.float16, 1)])
def test_half_precision_is_widened(dtype, classes):
    labels, logits = class_images(16, 20, max(classes, 2))
    logits = jnp.asarray(logits[..., :classes].astype(np.float32)).astype(dtype)
    value, gradient = loss_and_gradient(logits, labels, **SMALL)
    expected, of_rounded = loss_and_gradient(logits.astype(np.float32), labels, **SMALL)
    assert value.dtype == np.float32
    assert gradient.dtype == dtype
    assert_allclose(value, expected, rtol=1e-6)
    assert_array_equal(gradient, of_rounded.astype(dtype))


def test_an_absent_class_has_no_information_and_its_share_of_the_mean(x64):
    labels, logits = class_images(48, 40, 5)
    labels[labels == 3] = 1
    settings = dict(levels=2, orientations=3)
    y, p = (np.moveaxis(x, -1, 0) for x in (np.eye(5)[labels], softmax(logits)))
    terms = quick_jit(functools.partial(wavelet_conditional_log_det, **settings))(y, p).sum(axis=-1)
    present = [0, 1, 2, 4]
    assert terms[3] == 0
    assert (np.abs(terms[np.array(present)]) > 1).all()
    result = loss(logits, labels, ce_weight=0.0, **settings)
    assert_allclose(result, sum(terms[c] for c in present) / 5, rtol=1e-9)


@pytest.mark.parametrize(("shape", "orientations"), [((24, 20), 4), ((8, 12, 8), 3)])
def test_the_number_of_orientations_is_that_of_the_paper_for_images_and_three_for_volumes(x64, shape, orientations):
    labels, logits = images(*shape) if len(shape) == 2 else volume(*shape)
    labels, logits = labels.reshape(shape), logits.reshape(*shape, 1)
    settings = dict(levels=1, spatial_dims=len(shape))
    assert loss(logits, labels, **settings) == loss(logits, labels, orientations=orientations, **settings)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(labels=np.zeros((2, 32, 31), int)), ValueError, r"\(2, 32, 32\), got \(2, 32, 31\)"),
        (dict(labels=np.zeros((2, 32, 32, 1), int)), ValueError, r"got \(2, 32, 32, 1\); one-hot"),
        (dict(labels=np.zeros((2, 32, 31))), ValueError, r"\(2, 32, 32, 1\), got \(2, 32, 31\)"),
        (dict(logits=np.zeros((2, 32, 32, 1), int)), TypeError, "floating point, got int"),
        (dict(logits=np.zeros((32, 32), np.float32)), ValueError, r"\[\.\.\., H, W, C\] .*\(32, 32\)"),
        (dict(logits=np.zeros((2, 32, 32, 0), np.float32)), ValueError, r"\(2, 32, 32, 0\)"),
        (dict(logits=np.zeros((2, 32, 32, 1), np.complex64)), TypeError, "got complex64"),
        (dict(labels=np.full((2, 32, 32), 2)), ValueError, r"0\.\.1 for 1 channel.*got 2\.\.2"),
        (dict(labels=np.full((2, 32, 32), -1)), ValueError, r"got -1\.\.-1"),
        (
            dict(logits=np.zeros((2, 32, 32, 3), np.float32), labels=np.full((2, 32, 32), 3)),
            ValueError,
            r"0\.\.2 for 3 channel.*got 3\.\.3",
        ),
        (
            dict(logits=np.zeros((2, 32, 32, 3), np.float32), labels=np.ones((2, 32, 32))),
            ValueError,
            r"classes `\(2, 32, 32\)` must be integers",
        ),
        (dict(labels=np.full((2, 32, 32), 255.0)), ValueError, r"within 0\.\.1, got 255\.0\.\.255\.0"),
        (dict(labels=np.full((2, 32, 32), "1")), TypeError, "labels must be integer or bool classes, or .* got <U1"),
        (dict(labels=np.full((2, 32, 32), np.nan)), ValueError, r"within 0\.\.1, got nan"),
        (dict(reduction="sum"), ValueError, "reduction must be one of 'mean', 'none', got 'sum'"),
        (dict(class_weights="uniform"), ValueError, "'balanced', None or an array, got 'uniform'"),
        (dict(class_weights="uniform", ce_weight=0), ValueError, "got 'uniform'"),
        (dict(class_weights=[1.0]), ValueError, r"each of 2 classes, got the shape \(1,\)"),
        (
            dict(class_weights=[1.0, -0.5]),
            ValueError,
            r"class_weights must be finite and not negative, got \[1\.0, -0\.5\]",
        ),
        (dict(levels=5), ValueError, r"levels=5 .*\(32, 32\).* levels can be 1 to 4"),
        (dict(levels=0), ValueError, "levels=0 .* 1 to 4"),
        (dict(orientations=17), ValueError, "1 to 16 .* 17"),
        (dict(spatial_dims=4), ValueError, "2 .* or 3 .*, got 4"),
        (dict(spatial_dims=3, orientations=4), ValueError, "3 .* or 6 .* got 4"),
        (dict(where=np.ones((2, 32, 32), int)), TypeError, "where must be bool, got int"),
        (dict(where=np.ones((32, 32), bool)), ValueError, r"\(2, 32, 32\), got \(32, 32\)"),
        (
            dict(logits=np.zeros((2, 32, 3, 1), np.float32), labels=np.zeros((2, 32, 3), int)),
            ValueError,
            r"\(32, 3\) are too small.* 4 pixels",
        ),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    arguments = dict(logits=np.zeros((2, 32, 32, 1), np.float32), labels=np.zeros((2, 32, 32), int), **SMALL)
    if "spatial_dims" in change:
        arguments |= dict(logits=np.zeros((8, 8, 8, 1), np.float32), labels=np.zeros((8, 8, 8), int))
    with pytest.raises(error, match=message):
        cwmi_loss(**arguments | change)


@pytest.mark.parametrize("outside", [200, 2**32 + 1])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_class_out_of_range_counts_as_none_under_jit(x64, classes, outside):
    """It cannot be seen there. One channel then has class 0 in its place, and several have no class at all."""
    labels, logits = class_images(16, 20, max(classes, 2))
    logits = logits[..., :classes]
    wrong = labels.copy()
    wrong[:4] = outside
    if classes == 1:
        expected = loss(logits, np.where(wrong == outside, 0, labels), **SMALL)
    else:
        expected = loss(logits, np.eye(201)[np.minimum(wrong, 200)][..., :classes], **SMALL)
    assert_allclose(loss(logits, wrong, **SMALL), expected, rtol=1e-9)


@pytest.mark.parametrize(("dtype", "outside"), [(np.int64, 2**32 + 1), (np.uint64, 2**63 + 1), (np.uint32, 2**31 + 1)])
def test_a_class_that_int32_lacks_is_no_other(dtype, outside):
    """Without x64 JAX would make class 1 of the first two, before anyone has looked at them."""
    logits, labels = binary()
    wrong = labels.astype(dtype)
    wrong[:, :4] = outside
    with pytest.raises(ValueError, match=rf"within 0\.\.1 .*got 0\.\.{outside}; mask"):
        cwmi_loss(logits, wrong, **SMALL)
    # A mask that is traced hides the labels.
    masked = quick_jit(lambda where: cwmi_loss(logits, wrong, where=where, **SMALL))(np.ones(labels.shape, bool))
    assert_allclose(masked, loss(logits, np.where(wrong == outside, 0, labels), **SMALL), rtol=1e-6)
