"""Mutual information of oriented bands: golden figures, invariances, degenerate images, errors."""

import functools

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax import steerable_pyramid, wavelet_conditional_log_det, wavelet_gain, wavelet_mutual_information
from tests.golden import KINDS, case_name, class_images, figures, images, pyramid, quick_jit, sigmoid, softmax, volume
from tests.thorough import crossed
from tests.versions import enable_x64

PRECISIONS = [(np.float64, 1e-6), (np.float32, 3e-5)]
"""Dtype and tolerance."""
FUNCTIONS = [wavelet_conditional_log_det, wavelet_mutual_information]

_jit = functools.partial(
    quick_jit, static_argnames=("levels", "orientations", "spatial_dims", "complex_valued", "epsilon", "noise")
)
log_det, information = _jit(wavelet_conditional_log_det), _jit(wavelet_mutual_information)
gain = quick_jit(wavelet_gain, static_argnames=("levels", "spatial_dims", "epsilon"))


def both_eager(y, p, **settings):
    return wavelet_conditional_log_det(y, p, **settings), wavelet_mutual_information(y, p, **settings)


both = _jit(both_eager)


@_jit
def both_and_gradient(y, p, **settings):
    def total(p):
        conditional, shared = values = both_eager(y, p, **settings)
        return 2 * conditional.sum() + shared.sum(), values

    gradient, values = jax.grad(total, has_aux=True)(p)
    return *values, gradient


def pair(height=48, width=40, batch=2):
    labels, logits = images(height, width, batch)
    return labels.astype(float), sigmoid(logits)


@crossed("case, kind, precision", figures("cwmi"), KINDS, PRECISIONS)
def test_log_dets_of_images_are_those_of_the_authors_code(case, kind, precision):
    dtype, tolerance = precision
    labels, logits = images(case["height"], case["width"], case["batch"], case["seed"])
    with enable_x64(dtype == np.float64):
        y, p = labels.astype(dtype), sigmoid(logits).astype(dtype)
        conditional, shared = map(np.asarray, both(y, p, **pyramid(case, kind)))
    assert conditional.dtype == dtype
    assert_allclose(conditional.T, case[kind]["log_det_conditional_covariance"], rtol=tolerance)
    assert_allclose((conditional + shared).T, case[kind]["log_det_label_covariance"], rtol=tolerance)


@crossed("case, precision", figures("multiclass"), PRECISIONS)
def test_log_dets_of_each_class_are_those_of_a_pyramid_in_space(case, precision):
    dtype, tolerance = precision
    labels, logits = class_images(case["height"], case["width"], case["classes"], case["seed"])
    y = np.moveaxis(np.eye(case["classes"])[labels], -1, 0)
    with enable_x64(dtype == np.float64):
        result = log_det(y.astype(dtype), np.moveaxis(softmax(logits), -1, 0).astype(dtype), **pyramid(case, "complex"))
    assert_allclose(result, case["log_det_conditional_covariance_per_class"], rtol=tolerance)


@crossed("case, kind, precision", figures("volumes"), KINDS, PRECISIONS)
def test_log_dets_of_volumes_are_those_of_a_pyramid_in_space(case, kind, precision):
    dtype, tolerance = precision
    labels, logits = volume(case["depth"], case["height"], case["width"], case["seed"])
    with enable_x64(dtype == np.float64):
        y, p = labels.astype(dtype), sigmoid(logits).astype(dtype)
        result = log_det(y, p, spatial_dims=3, **pyramid(case, kind))
    assert_allclose(result, case[kind]["log_det_conditional_covariance"], rtol=tolerance)


@pytest.mark.parametrize("orientations", [1, 6])
def test_complex_information_is_symmetric(x64, orientations):
    """The mutual information of two Gaussian vectors is; epsilon is small beside these covariances."""
    y, p = pair()
    there, back = (
        information(*images, levels=2, orientations=orientations, epsilon=1e-9) for images in ((y, p), (p, y))
    )
    assert_allclose(there, back, rtol=1e-6)
    assert (there > 0.5).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientations", [1, 4])
def test_a_scaled_label_adds_the_log_of_the_scale_for_every_band(x64, orientations, kind):
    y, p = pair()
    settings = dict(levels=2, orientations=orientations, complex_valued=kind == "complex")
    change = log_det(3 * y, p, **settings) - log_det(y, p, **settings)
    assert_allclose(change, 2 * orientations * np.log(3), rtol=1e-9)


def test_periodic_shifts_and_constants_change_nothing(x64):
    y, p = pair(47, 38)
    expected = log_det(y, p, levels=3)
    shifted = [np.roll(image, (5, -11), axis=(1, 2)) for image in (y, p)]
    assert_allclose(log_det(*shifted, levels=3), expected, rtol=1e-9)
    assert_allclose(log_det(y - 7, p + 2, levels=3), expected, rtol=1e-9)


def test_a_quarter_turn_permutes_real_orientations_and_changes_nothing(x64):
    y, p = pair(41, 41)  # An even side has a Nyquist frequency, which has one sign and no mirror image.
    turned = [np.rot90(image, axes=(1, 2)) for image in (y, p)]
    expected = log_det(y, p, levels=2, complex_valued=False)
    assert_allclose(log_det(*turned, levels=2, complex_valued=False), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("offset", "gain"), [(0, 1), (1, -1), (0.2, 0.6), (0.8, -0.6)])
def test_an_affine_image_of_the_label_leaves_epsilon_over_the_squared_gain(x64, offset, gain, kind):
    y, _ = pair()
    settings = dict(levels=2, complex_valued=kind == "complex", epsilon=1e-7)
    assert_allclose(log_det(y, offset + gain * y, **settings), 4 * np.log(1e-7 / gain**2), rtol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.3, 1.0])
def test_a_constant_prediction_tells_nothing(constant):
    case = figures("cwmi")[0]
    y = images(case["height"], case["width"])[0].astype(np.float32)
    p = np.full_like(y, constant)
    conditional, shared = both(y, p, **pyramid(case, "complex"))
    assert_allclose(shared, 0, atol=1e-4)
    assert_allclose(conditional.T, case["complex"]["log_det_label_covariance"], rtol=3e-5)


@pytest.mark.parametrize("shape", [(64, 64), (97, 131)])
@pytest.mark.parametrize("value", [0, 1])
def test_a_label_without_structure_has_nothing_to_share(shape, value):
    p = sigmoid(images(*shape)[1]).astype(np.float32)
    conditional, shared, gradient = both_and_gradient(np.full_like(p, value), p)
    assert_array_equal(conditional, np.zeros((1, 4)))
    assert_array_equal(shared, np.zeros((1, 4)))
    assert_array_equal(gradient, np.zeros_like(p))


def test_where_sets_both_images_to_zero(x64):
    y, p = pair()
    where = np.ones(y.shape, bool)
    where[0, :9], where[1, :, 30:] = False, False
    hidden = [np.where(where, image, np.nan) for image in (y, p)]
    *values, gradient = both_and_gradient(*hidden, where=where, levels=2)
    *expected_values, expected_gradient = both_and_gradient(y * where, p * where, levels=2)
    assert_allclose(values, expected_values, rtol=1e-9)
    assert_array_equal(gradient[~where], 0)
    assert_allclose(gradient[where], expected_gradient[where], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("noise", [1e-3, 0.01, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_noise_bounds_what_even_the_label_itself_tells(x64, kind, noise):
    """Of a signal of power s through noise t twice, s / (t (2 + t / s)) is the ratio of signal and noise.

    One band alone, whose power is that of the label.
    """
    y, _ = pair()
    settings = dict(levels=2, orientations=1, complex_valued=kind == "complex", epsilon=1e-12)
    most = np.log1p(1 / (noise * (2 + noise)))
    assert_allclose(information(y, y, noise=noise, **settings), most, rtol=1e-6)
    assert_allclose(information(y, 1 - y, noise=noise, **settings), most, rtol=1e-6)


def test_through_noise_the_scale_of_the_prediction_counts_and_that_of_both_does_not(x64):
    y, p = pair()
    settings = dict(levels=2, noise=0.01, epsilon=1e-12)
    by_scale = np.stack([information(y, scale * y, **settings) for scale in (0.01, 0.1, 0.5, 1, 10)])
    assert (np.diff(by_scale, axis=0) > 0.05).all()
    assert (by_scale[0] < 0.2).all()
    expected = information(y, p, **settings)
    assert_allclose(information(100 * y, 100 * p, **settings), expected, rtol=1e-9)
    twice = [np.concatenate([image, image], axis=1) for image in (y, p)]
    assert_allclose(information(*twice, **settings), expected, rtol=1e-9)


@pytest.mark.parametrize("value", [0, 1])
def test_noise_tells_nothing_of_a_label_without_structure(value):
    p = sigmoid(images(64, 64)[1]).astype(np.float32)
    conditional, shared, gradient = both_and_gradient(np.full_like(p, value), p, noise=0.1)
    assert_array_equal([conditional, shared], np.zeros((2, 1, 4)))
    assert_array_equal(gradient, np.zeros_like(p))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_a_gain_is_that_of_least_squares_of_the_bands(dtype, tolerance):
    with enable_x64(True):
        y, p = pair(47, 38)
        bands = [[np.asarray(level) for level in steerable_pyramid(image, levels=3).bands] for image in (y, p)]
    with enable_x64(dtype == np.float64):
        result = gain(y.astype(dtype), p.astype(dtype), levels=3, epsilon=1e-12)
    expected = [
        [np.vdot(b[i], a[i]).real / np.vdot(b[i], b[i]).real for a, b in zip(*bands, strict=True)] for i in range(2)
    ]
    assert result.dtype == dtype
    assert_allclose(result, expected, rtol=tolerance)


@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (1, -1), (0.2, 0.6), (0.8, -0.6)])
def test_a_gain_undoes_a_scale(x64, offset, scale):
    y, _ = pair()
    assert_allclose(gain(y, offset + scale * y, levels=2, epsilon=1e-12), 1 / scale, rtol=1e-9)


def test_there_is_no_gain_without_structure_nor_of_what_is_masked():
    y, p = (image.astype(np.float32) for image in pair())
    for flat in (np.zeros_like(y), np.ones_like(y)):
        assert_array_equal(gain(flat, p, levels=2), np.zeros((2, 2)))
        assert_array_equal(gain(y, flat, levels=2), np.zeros((2, 2)))
    where = np.ones(y.shape, bool)
    where[:, 9:20] = False
    hidden = [np.where(where, image, np.nan) for image in (y, p)]
    assert_allclose(gain(*hidden, levels=2, where=where), gain(y * where, p * where, levels=2), rtol=1e-6)


def test_a_gain_of_volumes_is_that_of_solids(x64):
    y = volume(8, 12, 16)[0].astype(float)
    assert_allclose(gain(y, 2 - 4 * y, levels=1, spatial_dims=3, epsilon=1e-12), [-0.25], rtol=1e-9)


@pytest.mark.parametrize("leading", [(), (4,), (2, 1, 2)])
def test_leading_axes_are_kept(x64, leading):
    y, p = pair(24, 20, 4)
    expected = np.asarray(log_det(y, p, levels=2))
    count = int(np.prod(leading))
    result = log_det(y[:count].reshape(*leading, 24, 20), p[:count].reshape(*leading, 24, 20), levels=2)
    assert result.shape == (*leading, 2)
    assert_allclose(result.reshape(count, 2), expected[:count], rtol=1e-9)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float16])
def test_labels_of_any_dtype_agree(dtype):
    y, p = (image.astype(np.float32) for image in pair())
    result = log_det(y.astype(dtype), p, levels=1)
    assert result.dtype == np.float32
    assert_array_equal(result, log_det(y, p, levels=1))


def test_integer_labels_meet_predictions_of_double_precision(x64):
    labels, logits = images(24, 20)
    p = sigmoid(logits)
    assert_array_equal(log_det(labels, p, levels=1), log_det(labels.astype(float), p, levels=1))


@pytest.mark.parametrize("function", FUNCTIONS, ids=case_name)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(p=np.zeros((32, 31))), ValueError, r"\(32, 32\) and \(32, 31\)"),
        (dict(y=np.zeros((32, 32), np.complex64)), TypeError, "y must be real, got complex64"),
        (dict(p=np.zeros((32, 32), np.complex64)), TypeError, "p must be real, got complex64"),
        (dict(y=np.zeros(32), p=np.zeros(32)), ValueError, r"2 spatial axes .*\(32,\)"),
        (dict(y=np.zeros((0, 32)), p=np.zeros((0, 32))), ValueError, r"\(0, 32\)"),
        (dict(y=np.zeros((3, 32)), p=np.zeros((3, 32))), ValueError, r"\(3, 32\) are too small.* 4 pixels"),
        (dict(levels=5), ValueError, r"levels=5 .*\(32, 32\).* levels can be 1 to 4"),
        (dict(levels=0), ValueError, "levels=0 .* 1 to 4"),
        (dict(orientations=17), ValueError, "1 to 16 .* 17"),
        (dict(orientations=0), ValueError, "1 to 16 .* 0"),
        (dict(spatial_dims=4), ValueError, "2 .* or 3 .*, got 4"),
        (dict(where=np.ones((32, 32))), TypeError, "where must be bool, got float"),
        (dict(where=np.ones((32, 1), bool)), ValueError, r"where must have .* \(32, 32\), got \(32, 1\)"),
    ],
)
def test_wrong_arguments_are_named(function, change, error, message):
    arguments = dict(y=np.zeros((32, 32), np.float32), p=np.zeros((32, 32), np.float32), levels=2) | change
    with pytest.raises(error, match=message):
        function(**arguments)


@pytest.mark.parametrize("function", FUNCTIONS, ids=case_name)
def test_orientations_of_volumes_are_those_of_solids(function):
    y = np.zeros((8, 8, 8), np.float32)
    with pytest.raises(ValueError, match=r"3 .*or 6 .*got 4"):
        function(y, y, levels=1, orientations=4, spatial_dims=3)
