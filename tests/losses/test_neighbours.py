"""SCNP: what is penalised, worked out by hand, and losses of every form that it goes around."""

import functools
import inspect

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax.losses import LOSSES, combine, cross_entropy, scnp
from tests.golden import quick_jit, softmax, volume
from tests.losses.cases import batch, batch_of_masks, holes, maps


def itself(logits, labels, *, activation="softmax", where=None, spatial_dims=2):
    """The logits that a loss is given."""
    return logits


def received(logits, labels, neighbourhood=3, **options):
    """Those that SCNP gives."""
    return np.asarray(
        quick_jit(functools.partial(scnp(itself, neighbourhood=neighbourhood), **options))(logits, labels)
    )


ROW = np.array([[[4.0], [1.0], [3.0], [-2.0], [-5.0], [0.5], [2.0]]], np.float32)
LABEL = np.array([[1, 1, 1, 0, 0, 0, 1]])


def test_each_pixel_has_its_worst_neighbour_s_logit():
    assert_array_equal(received(ROW, LABEL)[0, :, 0], [1, 1, 1, -2, 0.5, 0.5, 2])
    assert_array_equal(received(ROW, LABEL, neighbourhood=5)[0, :, 0], [1, 1, 1, 0.5, 0.5, 0.5, 2])
    assert_array_equal(received(ROW, LABEL, neighbourhood=1), ROW)


def test_what_is_masked_is_no_neighbour():
    where = np.array([[True, False, True, True, True, False, True]])
    assert_array_equal(received(ROW, LABEL, where=where)[0, :, 0], [4, 0, 3, -2, -2, 0, 2])


def test_each_of_several_classes_is_compared_with_its_own_and_with_the_others():
    logits = np.arange(12, dtype=np.float32).reshape(1, 4, 3) % 5
    label = np.array([[0, 0, 2, 2]])
    # Columns are pixels; classes 0, 1 and 2 one row each.
    assert_array_equal(np.moveaxis(logits[0], -1, 0), [[0, 3, 1, 4], [1, 4, 2, 0], [2, 0, 3, 1]])
    assert_array_equal(np.moveaxis(received(logits, label)[0], -1, 0), [[0, 0, 4, 4], [4, 4, 4, 2], [2, 2, 1, 1]])


def test_labels_above_one_half_are_of_the_class():
    probable = np.where(LABEL == 1, 0.51, 0.5).astype(np.float32)
    assert_array_equal(received(ROW, probable), received(ROW, LABEL))


def test_volumes_have_neighbours_along_all_axes():
    label, logits = volume(4, 5, 6)
    worst = received(logits[..., None], label, spatial_dims=3)[..., 0]
    assert worst.shape == label.shape
    for place in [(0, 0, 0), (1, 2, 3), (3, 4, 5), (2, 0, 4)]:
        window = tuple(slice(max(i - 1, 0), i + 2) for i in place)
        alike = logits[window][label[window] == label[place]]
        assert_allclose(worst[place], alike.min() if label[place] else alike.max(), rtol=1e-6)


def test_the_gradient_goes_to_the_worst():
    gradient = np.asarray(quick_jit(jax.grad(lambda logits: scnp(cross_entropy)(logits, LABEL)))(ROW))[0, :, 0]
    assert_array_equal(gradient != 0, [False, True, False, True, False, True, True])
    # Three pixels of class 1 have the logit 1, and two of class 0 the logit 0.5.
    p = 1 / (1 + np.exp(-ROW[0, :, 0]))
    assert_allclose(gradient[[1, 3, 5, 6]], [3 * (p[1] - 1) / 7, p[3] / 7, 2 * p[5] / 7, (p[6] - 1) / 7], rtol=1e-5)


def test_nothing_changes_where_all_pixels_are_as_their_neighbours():
    logits, labels = batch(3)
    flat = np.broadcast_to(logits[:, :1, :1], logits.shape)
    run = quick_jit(lambda *of: [loss(*of, reduction="none") for loss in (LOSSES["dice_ce"], LOSSES["scnp"])])
    for constant in (np.zeros_like(labels), np.full_like(labels, 2)):
        expected, result = run(flat, constant)
        assert_allclose(result, expected, rtol=1e-6)


def test_it_goes_around_losses_with_settings_maps_and_sums(x64):
    logits, labels = batch(count=4)
    where = holes(4)
    labels = np.where(where, labels, 0)
    given = maps("wce", labels)
    losses = [LOSSES["wce"], functools.partial(LOSSES["wce"], class_weights=None), combine({"wce": 2.0, "dice": 1.0})]

    @quick_jit
    def run(logits, worst):
        options = dict(where=where, reduction="none", **given)
        return [(scnp(loss)(logits, labels, **options), loss(worst, labels, **options)) for loss in losses]

    worst = received(logits, labels, where=where)
    for result, expected in run(logits, worst):
        assert_allclose(result, expected, rtol=1e-9)


def test_settings_that_a_loss_was_given_before_hold():
    label, logits = volume(4, 5, 6)
    bound = functools.partial(cross_entropy, spatial_dims=3)
    first, second = quick_jit(lambda z: (scnp(bound)(z, label), scnp(cross_entropy)(z, label, spatial_dims=3)))(
        logits[..., None].astype(np.float32)
    )
    assert_allclose(first, second, rtol=1e-6)


def test_a_loss_says_what_it_is_and_keeps_its_arguments():
    assert LOSSES["scnp"].__name__ == "scnp_dice_cross_entropy"
    assert LOSSES["scnp"].__doc__.startswith("`dice_cross_entropy` of each pixel's worst neighbour")
    assert inspect.signature(LOSSES["scnp"]) == inspect.signature(LOSSES["dice_ce"])
    with pytest.raises(TypeError, match="gamma"):
        LOSSES["scnp"](ROW, LABEL, gamma=2.0)


def test_a_function_that_is_no_loss():
    with pytest.raises(TypeError, match=r"loss must have the arguments .* lacks activation, spatial_dims"):
        scnp(lambda logits, labels, *, where=None: logits.mean())


def test_twice_is_a_wider_neighbourhood_in_the_open():
    """Where a class fills all, for a window of 5 pixels is one of 3 by one of 3."""
    logits, labels = batch_of_masks(count=2, dtype=np.float32)
    labels = np.ones_like(labels)
    twice = quick_jit(functools.partial(scnp(scnp(itself)), activation="sigmoid"))(logits, labels)
    assert_array_equal(twice, received(logits, labels, 5, activation="sigmoid"))
    assert np.all(twice <= logits) and np.any(twice < logits)


def test_softmax_of_the_worst_is_what_the_loss_sees(x64):
    logits, labels = batch(3, count=2)
    worst = received(logits, labels)
    p = np.take_along_axis(softmax(worst), labels[..., None], axis=-1)
    result = quick_jit(functools.partial(scnp(cross_entropy), reduction="none"))(logits, labels)
    assert_allclose(result, -np.log(p).mean(axis=(1, 2, 3)), rtol=1e-9)
