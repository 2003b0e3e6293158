"""Counts inside jit against scikit-learn's: logits, masks, devices, and a data set whose last batch is padded."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import metrics as sklearn_metrics

from cwmi_jax.metrics import confusion_matrix, dice_from_confusion, iou_from_confusion
from tests.golden import class_images
from tests.metrics.masks import PAIRS, random_pairs
from tests.versions import enable_x64

count = jax.jit(confusion_matrix, static_argnames="num_classes")


def multiclass(classes=5, height=40, width=32):
    """Logits and labels that agree in about half of the pixels."""
    labels, logits = class_images(height, width, classes)
    noise = np.random.default_rng(0).normal(0, 3, logits.shape)
    return (logits + noise).astype(np.float32), labels


def of_sklearn(labels, predictions, classes):
    return sklearn_metrics.confusion_matrix(labels.ravel(), predictions.ravel(), labels=range(classes))


def test_counts_of_masks_are_scikit_learn_s():
    for prediction, label in PAIRS:
        counts = count(prediction, label, num_classes=2)
        assert counts.dtype == np.int32
        assert_array_equal(counts, of_sklearn(label, prediction, 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64])
def test_counts_of_classes_are_scikit_learn_s_in_any_integers(x64, dtype):
    logits, labels = multiclass(19)
    prediction = logits.argmax(axis=-1)
    expected = of_sklearn(labels, prediction, 19)
    assert (expected > 0).sum() > 300
    for function in (count, confusion_matrix):
        counts = function(prediction.astype(dtype), labels.astype(dtype), num_classes=19)
        assert counts.dtype == np.int32
        assert_array_equal(counts, expected)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_logits_predict_their_largest_class(dtype):
    logits, labels = multiclass()
    rounded = jnp.asarray(logits).astype(dtype)
    prediction = np.asarray(rounded).astype(float).argmax(axis=-1)
    assert_array_equal(count(rounded, labels, num_classes=5), of_sklearn(labels, prediction, 5))


def test_logits_of_one_channel_predict_class_1_above_0():
    logits = np.array([[-1.0, 0.0, 1e-30, 5.0, -0.0, np.inf]], np.float32)
    labels = np.array([[0, 0, 0, 1, 1, 1]], bool)
    assert_array_equal(count(logits[..., None], labels, num_classes=2), [[2, 1], [1, 2]])
    two = np.stack([np.zeros_like(logits), logits], axis=-1)
    assert_array_equal(count(two, labels, num_classes=2), [[2, 1], [1, 2]])


def test_masked_pixels_count_nowhere_whatever_they_hold():
    logits, labels = multiclass()
    prediction = logits.argmax(axis=-1)
    where = np.random.default_rng(0).random(labels.shape) < 0.6
    expected = of_sklearn(labels[where], prediction[where], 5)
    hidden = np.where(where, labels, 255).astype(np.uint8)
    unknown = np.where(where[..., None], logits, np.nan)
    for function in (count, confusion_matrix):
        assert_array_equal(function(unknown, hidden, num_classes=5, where=where), expected)
        assert_array_equal(function(np.where(where, prediction, -7), hidden, num_classes=5, where=where), expected)


@pytest.mark.parametrize("wrong", [-1, -(2**31), 5, 255, 2**31 - 1])
def test_classes_out_of_range_count_nowhere_inside_jit(wrong):
    logits, labels = multiclass()
    prediction = logits.argmax(axis=-1)
    expected = of_sklearn(labels[3:], prediction[3:], 5)
    changed = labels.copy()
    changed[:3] = wrong
    assert_array_equal(count(logits, changed, num_classes=5), expected)
    assert_array_equal(count(np.where(changed == wrong, wrong, prediction), labels, num_classes=5), expected)


@pytest.mark.parametrize(("dtype", "wrong"), [(np.int64, 2**32 + 1), (np.uint64, 2**63 + 1), (np.uint32, 2**31 + 1)])
def test_classes_that_int32_lacks_are_none_of_its(dtype, wrong):
    """Cut down to 32 bits they would be class 1, or a negative one; without x64 JAX cuts what NumPy gives it."""
    _, labels = multiclass()
    changed = labels.astype(dtype)
    changed[:3] = wrong
    for arguments in ((labels, changed), (changed, labels)):
        with pytest.raises(ValueError, match=f"got {wrong} in 96 of 1280 pixels"):
            confusion_matrix(*arguments, num_classes=5)
    with enable_x64(True):
        expected = of_sklearn(labels[3:], labels[3:], 5)
        assert_array_equal(count(labels, changed, num_classes=5), expected)
        assert_array_equal(count(changed, labels, num_classes=5), expected)


def test_vmap_gives_a_matrix_an_image():
    pairs = random_pairs()
    predictions, labels = (np.stack(masks) for masks in zip(*pairs, strict=True))
    counts = jax.jit(jax.vmap(functools.partial(confusion_matrix, num_classes=2)))(predictions, labels)
    expected = [of_sklearn(label, prediction, 2) for prediction, label in pairs]
    assert_array_equal(counts, expected)
    assert_array_equal(count(predictions, labels, num_classes=2), np.sum(expected, axis=0))


def test_psum_adds_the_counts_of_two_devices():
    logits, labels = multiclass()
    halves = logits.reshape(2, 20, 32, 5), labels.reshape(2, 20, 32)

    @functools.partial(jax.pmap, axis_name="devices")
    def step(logits, labels):
        return jax.lax.psum(confusion_matrix(logits, labels, num_classes=5), "devices")

    counts = step(*halves)
    expected = of_sklearn(labels, logits.argmax(axis=-1), 5)
    assert_array_equal(counts, [expected, expected])


def test_a_padded_last_batch_leaves_the_score_of_the_data_set():
    pairs = random_pairs()
    predictions, labels = (np.stack(masks) for masks in zip(*pairs, strict=True))
    batch, total = 16, np.zeros((2, 2), np.int64)
    assert len(labels) % batch
    for start in range(0, len(labels), batch):
        stop = min(start + batch, len(labels))
        real = np.arange(batch) < stop - start
        chosen = np.where(real, start + np.arange(batch), 0)
        where = np.broadcast_to(real[:, None, None], (batch, *labels.shape[1:]))
        total += np.asarray(count(predictions[chosen], labels[chosen], num_classes=2, where=where))
    scores = [
        function(labels.ravel(), predictions.ravel(), labels=[0, 1], average=None)
        for function in (sklearn_metrics.jaccard_score, sklearn_metrics.f1_score)
    ]
    assert_array_equal(total, of_sklearn(labels, predictions, 2))
    assert_allclose([iou_from_confusion(total), dice_from_confusion(total)], scores, rtol=1e-15)


@pytest.mark.parametrize(("library", "dtype", "tolerance"), [(np, np.float64, 1e-15), (jnp, np.float32, 1e-6)])
def test_scores_of_many_matrices_keep_their_axes(library, dtype, tolerance):
    counts = np.array([[[[6, 2, 0], [1, 3, 0], [0, 0, 0]]], [[[0, 0, 4], [0, 5, 0], [0, 0, 0]]]])
    iou = iou_from_confusion(library.asarray(counts))
    dice = dice_from_confusion(library.asarray(counts))
    assert iou.dtype == dice.dtype == dtype
    assert_allclose(iou, [[[6 / 9, 3 / 6, 1]], [[0, 1, 0]]], rtol=tolerance)
    assert_allclose(dice, [[[12 / 15, 6 / 9, 1]], [[0, 1, 0]]], rtol=tolerance)


def test_scores_inside_jit_do_not_overflow():
    """Sums of rows and columns that exceed int32 together, from a cell that is almost full."""
    full = np.array([[2_000_000_000, 40_000_000], [60_000_000, 0]], np.int32)
    assert_allclose(jax.jit(iou_from_confusion)(full), [20 / 21, 0], rtol=1e-6)
    assert_allclose(jax.jit(dice_from_confusion)(full), [40 / 41, 0], rtol=1e-6)


@pytest.mark.parametrize("library", [np, jnp])
def test_sums_of_counts_may_exceed_int32(library):
    """Each cell fits, a row or column does not."""
    counts = library.asarray(np.full((2, 2), 2**30, np.int32))
    assert_allclose(iou_from_confusion(counts), [1 / 3, 1 / 3], rtol=1e-6)
    assert_allclose(dice_from_confusion(counts), [1 / 2, 1 / 2], rtol=1e-6)


def test_whole_data_sets_are_exact_in_int64():
    cells = np.array([[2**53 // 4 + 1, 1], [0, 2**53 // 4]], np.int64)
    assert iou_from_confusion(cells)[0] == (2**51 + 1) / (2**51 + 2) < 1
    assert_allclose(dice_from_confusion(cells), 1, rtol=1e-15)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(labels=np.zeros((2, 8, 7), int)), ValueError, r"labels' shape \(2, 8, 7\) .* got \(2, 8, 8, 3\)"),
        (dict(num_classes=4), ValueError, r"axis of 4 at the end, got \(2, 8, 8, 3\)"),
        (dict(num_classes=2), ValueError, r"axis of 1 or 2 at the end, got \(2, 8, 8, 3\)"),
        (dict(num_classes=50000), ValueError, "num_classes can be 2 to 46340, for int32 .* got 50000"),
        (dict(num_classes=1), ValueError, "num_classes must be 2 or more, got 1"),
        (dict(labels=np.full((2, 8, 8), 3)), ValueError, r"labels must lie within 0\.\.2, got 3 in 128 of 128"),
        (dict(labels=np.arange(128).reshape(2, 8, 8) - 2), ValueError, r"got -2, -1, 3, \.\.\. in 125 of 128"),
        (dict(labels=np.zeros((2, 8, 8), np.float32)), TypeError, "labels must be integer or bool .* got float32"),
        (dict(logits_or_classes=np.full((2, 8, 8), 7)), ValueError, r"predictions must lie within 0\.\.2, got 7"),
        (dict(logits_or_classes=np.zeros((2, 8), int)), ValueError, r"one shape, got \(2, 8\) and \(2, 8, 8\)"),
        (dict(logits_or_classes=np.zeros((2, 8, 8), np.complex64)), TypeError, "predictions .* got complex64"),
        (dict(logits_or_classes=np.zeros((2, 8, 8), np.float32)), ValueError, r"are logits .* got \(2, 8, 8\)"),
        (dict(where=np.ones((2, 8, 8), int)), TypeError, "where must be bool, got int"),
        (dict(where=np.ones((8, 8), bool)), ValueError, r"labels, \(2, 8, 8\), got \(8, 8\)"),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    arguments = dict(
        logits_or_classes=np.zeros((2, 8, 8, 3), np.float32), labels=np.zeros((2, 8, 8), int), num_classes=3
    )
    with pytest.raises(error, match=message):
        confusion_matrix(**arguments | change)


@pytest.mark.parametrize("function", [iou_from_confusion, dice_from_confusion])
def test_a_table_that_is_not_square_is_named(function):
    with pytest.raises(ValueError, match=r"\[\.\.\., C, C\], got the shape \(2, 3\)"):
        function(np.ones((2, 3), int))
