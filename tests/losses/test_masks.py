"""Masks that may overlap, one a channel: each costs what it costs alone, and every rule of one channel holds for each."""

import functools

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax.losses import LOSSES, cross_entropy
from tests.golden import quick_jit, volume
from tests.losses.cases import (
    COUNT,
    MASKS,
    ONE_OF_EACH,
    SHAPE,
    batch,
    batch_of_masks,
    evaluate,
    in_both_precisions,
    loss,
    maps,
    maps_of_masks,
)
from tests.thorough import some

each_loss = pytest.mark.parametrize("name", some(LOSSES, ONE_OF_EACH))
POOLED = ("dice", "jaccard", "tversky", "generalized_dice")
WEIGHTED = ("ce", "focal", "wce", "dice_ce", "cwmi", "bounded_cwmi", "scnp")
SURE = 1e4


def assert_near(result, expected, rtol=1e-9):
    result, expected = np.asarray(result), np.asarray(expected)
    assert_allclose(result, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def masked(name, **options):
    return functools.partial(loss(name), activation="sigmoid", **options)


def holes_of_masks():
    """`[COUNT, *SHAPE, MASKS]`: first image whole, second wholly masked, third without a mask, the others in part."""
    where = np.ones((COUNT, *SHAPE, MASKS), bool)
    where[1] = False
    where[2, ..., 1] = False
    for i in range(3, COUNT):
        for c in range(MASKS):
            where[i, 2 * i + c : 2 * i + 4, :, c] = False
    return where


@each_loss
def test_loss_is_the_mean_over_masks_of_that_of_each_alone(x64, name):
    """Of those of an image that are not wholly masked; so is the gradient, each mask's from its own channel."""
    logits, labels = batch_of_masks()
    where = holes_of_masks()
    alone = [evaluate(name, logits[..., c : c + 1], labels[..., c], where[..., c]) for c in range(MASKS)]
    values, gradients = (
        np.stack([each for each, _, _ in alone], axis=-1),
        np.concatenate([g for *_, g in alone], axis=-1),
    )
    seen = where.any(axis=(1, 2))
    masks, images = seen.sum(axis=1), seen.any(axis=1).sum()
    each, mean, gradient = evaluate(name, logits, labels, where, activation="sigmoid")
    assert each[1] == 0
    assert_near(each, values.sum(axis=1) / np.maximum(masks, 1))
    assert_near(mean, each.sum() / images)
    # Alone, a mask is a mean over the images that have it.
    shares = seen.sum(axis=0) / (np.maximum(masks, 1)[:, None] * images)
    assert_near(gradient, gradients * shares[:, None, None])
    assert np.all(np.any(gradient[0] != 0, axis=(0, 1)))


@pytest.mark.parametrize("name", ["ce", "cldice", "cwmi", "scnp"])
def test_jit_is_eager(name):
    logits, labels = batch_of_masks(dtype=np.float32)
    where = holes_of_masks()
    given = maps_of_masks(name, np.where(where, labels, 0))
    eager = masked(name, reduction="none")(logits, labels, where=where, **given)
    compiled, _, _ = evaluate(name, logits, labels, where, activation="sigmoid")
    assert_allclose(compiled, eager, rtol=1e-5, atol=1e-6)


@each_loss
def test_bool_labels_and_probabilities_are_integers(name):
    logits, labels = batch_of_masks(dtype=np.float32)
    given = maps_of_masks(name, labels)
    run = quick_jit(lambda *forms: [masked(name, reduction="none")(logits, form, **given) for form in forms])
    expected, _, _ = evaluate(name, logits, labels, activation="sigmoid")
    for result in run(labels > 0, labels.astype(np.float16)):
        assert_allclose(result, expected, rtol=1e-5, atol=1e-7)


@each_loss
def test_one_mask_is_one_channel_with_and_without_its_axis(x64, name):
    logits, labels = batch()
    where = np.ones(labels.shape, bool)
    where[0, 3:6] = False
    given = maps(name, np.where(where, labels, 0))
    with_axis = {parameter: np.expand_dims(value, labels.ndim) for parameter, value in given.items()}

    @quick_jit
    def run(logits, labels, where, given, with_axis):
        function = masked(name, reduction="none")
        return function(logits, labels, where=where, **given), function(
            logits, labels[..., None], where=where[..., None], **with_axis
        )

    expected, _, _ = evaluate(name, logits, labels, where, given)
    for result in run(logits, labels, where, given, with_axis):
        assert_near(result, expected, rtol=1e-12)


def of_overlapping_masks():
    """An image of each kind: all empty, all full, one of each and one pixel, alike, right, wrong, constant, as they come."""
    logits, labels = batch_of_masks(dtype=np.float32)
    labels[0], labels[1], labels[2] = 0, 1, (0, 1, 0)
    labels[2, 3, 5, 2] = 1
    labels[3] = labels[3, ..., :1]
    logits[4], logits[5] = ((2 * labels[i] - 1) * confidence for i, confidence in ((4, SURE), (5, -SURE)))
    logits[6] = 0
    return logits, labels


@functools.cache
def results(name):
    with jax.debug_nans(True):  # It looks at all that leaves a program.
        return in_both_precisions(name, *of_overlapping_masks(), activation="sigmoid")


@each_loss
def test_float32_agrees_with_float64_for_degenerate_masks(name):
    (each, _, gradients), (expected, _, of_wide) = results(name)
    assert each.dtype == gradients.dtype == np.float32
    assert np.isfinite(expected).all()
    assert_allclose(each, expected, rtol=3e-5, atol=1e-6)
    for gradient, wide in zip(gradients, of_wide, strict=True):
        assert np.linalg.norm(gradient - wide) <= 1e-3 * np.linalg.norm(wide) + 1e-9


FREE = ("ce", "balanced_ce", "dice", "focal", "jaccard", "tversky", "wce", "abw", "cldice")
FREE += ("generalized_dice", "dice_ce", "hausdorff_dt", "skeleton_recall", "scnp", "cbdice")


@pytest.mark.parametrize("name", FREE)
def test_pixels_may_lie_in_several_masks_and_in_none_for_free(name):
    _, labels = of_overlapping_masks()
    assert {0, 1, 2} <= set(labels[4].sum(axis=-1).ravel())
    (each, _, gradients), _ = results(name)
    assert_allclose(each[4], 0, atol=1e-6)
    assert_array_equal(gradients[4], 0)


LOG_2 = np.log(2)
# Half of each pixel is predicted. Of the masks one is empty and two hold a quarter of the pixels.
CONSTANT = {
    "ce": LOG_2,
    "balanced_ce": (1 + 1.5 + 1.5) / 3 * LOG_2,
    "dice": 1 - (2 / 5 + 5 / 8 + 5 / 8) / 3,
    "jaccard": 1 - (1 / 4 + 11 / 35 + 11 / 35) / 3,
    "generalized_dice": (1 / 2 + 5 / 8 + 5 / 8) / 3,
    "dice_ce": 1 - (2 / 5 + 5 / 8 + 5 / 8) / 3 + LOG_2,
    "scnp": 1 - (2 / 5 + 5 / 8 + 5 / 8) / 3 + LOG_2,
    "bounded_cwmi": np.log(LOG_2 + 1e-4),
    "skeleton_recall": (0 + 1 / 2 + 1 / 2) / 3,
}


@pytest.mark.parametrize("name", CONSTANT)
def test_losses_worked_out_by_hand(name):
    labels = np.zeros((*SHAPE, MASKS), int)
    labels[:12, :10, 1], labels[6:12, :, 2] = 1, 1
    logits = np.zeros(labels.shape, np.float32)
    result = quick_jit(masked(name))(logits, labels, **maps_of_masks(name, labels))
    assert_allclose(result, CONSTANT[name], rtol=1e-6)


@pytest.mark.parametrize("name", POOLED)
def test_a_pooled_batch_is_the_mean_over_masks_of_pooled_batches(x64, name):
    """A mask that no image has is left out."""
    logits, labels = batch_of_masks()
    where = holes_of_masks()
    where[..., 2] = False

    @quick_jit
    def run(logits):
        alone = [
            loss(name)(logits[..., c : c + 1], labels[..., c], where=where[..., c], per_batch=True) for c in range(2)
        ]
        return masked(name, per_batch=True)(logits, labels, where=where), alone

    result, alone = run(logits)
    assert_near(result, np.mean(alone))


@pytest.mark.parametrize("name", WEIGHTED)
def test_class_weights_are_those_of_each_mask(x64, name):
    logits, labels = batch_of_masks(count=2)
    weights, given = np.array([[1.0, 2.0], [3.0, 0.5], [0.0, 1.0]]), maps_of_masks(name, labels)

    @quick_jit
    def run(logits, weights):
        alone = [
            loss(name)(
                logits[..., c : c + 1],
                labels[..., c],
                class_weights=weights[c],
                **{parameter: value[:, :, :, c] for parameter, value in given.items()},
            )
            for c in range(MASKS)
        ]
        return masked(name)(logits, labels, class_weights=weights, **given), alone

    result, alone = run(logits, weights)
    assert_near(result, np.mean(alone))


def test_class_weights_of_one_mask_may_leave_out_its_axis(x64):
    logits, labels = batch(count=2)

    @quick_jit
    def run(logits, weights):
        of_masks = [masked("ce")(logits, labels, class_weights=given) for given in (weights, weights[None])]
        return cross_entropy(logits, labels, class_weights=weights), of_masks

    expected, of_masks = run(logits, np.array([1.0, 3.0]))
    assert_near(of_masks, [expected, expected])


@pytest.mark.parametrize("name", ["ce", "cwmi", "boundary"])
def test_pixels_masked_for_all_are_masked_for_each(x64, name):
    logits, labels = batch_of_masks()
    where = holes_of_masks()[..., 0]
    run = quick_jit(masked(name, reduction="none"))
    expected, _, _ = evaluate(name, logits, labels, np.repeat(where[..., None], MASKS, axis=-1), activation="sigmoid")
    given = maps_of_masks(name, np.where(where[..., None], labels, 0))
    assert_near(run(logits, np.where(where[..., None], labels, 255), where=where, **given), expected)


@each_loss
def test_what_is_masked_does_not_leak(name):
    logits, labels = batch_of_masks(dtype=np.float32)
    where = holes_of_masks()
    given = maps_of_masks(name, np.where(where, labels, 0))
    expected = evaluate(name, logits, np.where(where, labels, 0), where, given, activation="sigmoid")
    hidden = evaluate(
        name, np.where(where, logits, np.nan), np.where(where, labels, 255), where, given, activation="sigmoid"
    )
    for result, value in zip(hidden, expected, strict=True):
        assert_array_equal(result, value)
    assert_array_equal(expected[2][~where], 0)


@pytest.mark.parametrize("name", ["ce", "wce", "abw"])
def test_leading_axes_are_kept_and_may_be_missing(x64, name):
    logits, labels = batch_of_masks(count=4)
    given = maps_of_masks(name, labels)
    run = quick_jit(masked(name, reduction="none"))
    expected = run(logits, labels, **given)
    assert expected.shape == (4,)

    def split(array):
        return array.reshape(2, 1, 2, *array.shape[1:])

    nested = run(split(logits), split(labels), **jax.tree.map(split, given))
    assert nested.shape == (2, 1, 2)
    assert_near(nested.ravel(), expected)
    one = {parameter: value[0] for parameter, value in given.items()}
    assert_near(run(logits[0], labels[0], **one), expected[0])
    mapped = quick_jit(jax.vmap(lambda logits, labels, given: masked(name)(logits, labels, **given)))
    assert_near(mapped(logits, labels, given), expected)


@pytest.mark.parametrize("name", ["ce", "cwmi", "boundary"])
def test_volumes(x64, name):
    each = [volume(8, 9, 10, seed) for seed in range(MASKS)]
    labels, logits = (np.stack(arrays, axis=-1) for arrays in zip(*each, strict=True))
    solid = dict(spatial_dims=3, **(dict(levels=1, orientations=3) if name == "cwmi" else {}))
    run = quick_jit(functools.partial(LOSSES[name], **solid))
    alone = [run(logits[..., c : c + 1], labels[..., c]) for c in range(MASKS)]
    assert_near(
        quick_jit(functools.partial(LOSSES[name], activation="sigmoid", **solid))(logits, labels), np.mean(alone)
    )


SMALL = (2, 12, 14, 3)


@each_loss
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(activation="tanh"), ValueError, "activation must be one of 'softmax', 'sigmoid', got 'tanh'"),
        (dict(activation=True), TypeError, "activation must be a string, one of 'softmax', 'sigmoid', got True"),
        (
            dict(labels=np.zeros(SMALL[:-1], int)),
            ValueError,
            r"labels must have the logits' shape \(2, 12, 14, 3\) with activation='sigmoid', a mask for each channel, got "
            r"\(2, 12, 14\); classes that exclude each other need activation='softmax'",
        ),
        (dict(labels=np.zeros(SMALL[:-1])), ValueError, r"shape \(2, 12, 14, 3\) .*got \(2, 12, 14\)"),
        (dict(labels=np.full(SMALL, 255)), ValueError, r"within 0\.\.1 for each mask, got 255\.\.255; mask what is"),
        (dict(labels=np.full(SMALL, 1.5)), ValueError, r"within 0\.\.1, got 1\.5\.\.1\.5"),
        (dict(where=np.ones(SMALL, int)), TypeError, "where must be bool, got int"),
        (dict(where=np.ones((2, 12, 14, 2), bool)), ValueError, r"logits, \(2, 12, 14, 3\), got \(2, 12, 14, 2\)"),
        (dict(where=np.ones((12, 14), bool)), ValueError, r"less the classes, \(2, 12, 14\), got \(12, 14\)"),
    ],
)
def test_wrong_arguments_are_named(name, change, error, message):
    labels = np.zeros(SMALL, int)
    arguments = dict(logits=np.zeros(SMALL, np.float32), labels=labels, activation="sigmoid")
    with pytest.raises(error, match=message):
        loss(name)(**arguments | maps_of_masks(name, labels) | change)


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("weights", [[1.0, 2.0, 3.0], [1.0, 2.0]])
def test_class_weights_of_another_shape_are_named(name, weights):
    """Of three masks, one weight a mask might be that of its foreground, and two those of background and foreground."""
    labels = np.zeros(SMALL, int)
    function = masked(name, class_weights=weights, **maps_of_masks(name, labels))
    message = rf"one weight for each of 2 classes of each mask, \(3, 2\), got the shape \({len(weights)},\)"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(function, np.zeros(SMALL, np.float32), labels)


@pytest.mark.parametrize(
    ("name", "parameter", "wanted"),
    [
        ("wce", "weight_map", r"\(2, 12, 14, 3\), got \(2, 12, 14\)"),
        ("boundary", "distance_map", r"\(2, 12, 14, 3\), got \(2, 12, 14\)"),
        ("abw", "weight_maps", r"\(2, 12, 14, 3, 2\), got \(2, 12, 14, 2\)"),
        ("skea_topo", "weight_maps", r"\(2, 12, 14, 3, 2\), got \(2, 12, 14, 2\)"),
        ("skeleton_recall", "tubed_skeleton", r"\(2, 12, 14, 3\), got \(2, 12, 14\)"),
    ],
)
def test_maps_of_another_shape_are_named(name, parameter, wanted):
    """Of one mask, where there are three."""
    labels = np.zeros(SMALL, int)
    with pytest.raises(ValueError, match=f"{parameter} must have the shape {wanted}"):
        masked(name)(np.zeros(SMALL, np.float32), labels, **maps(name, labels[..., 0]))
