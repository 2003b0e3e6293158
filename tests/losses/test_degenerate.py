"""Images at the edge of what a loss is defined for: one of each kind in one batch, in both precisions."""

import functools

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax.weight_maps import unet_weight_map
from tests.losses.cases import COUNT, EACH, ONE_OF_EACH, SHAPE, batch, in_both_precisions
from tests.thorough import some

PIXELS = SHAPE[0] * SHAPE[1]
SURE = 1e4
KINDS = ("empty", "full", "one pixel", "constant", "right", "wrong", "nearly right", "empty, constant")
CLASS_KINDS = ("two classes", "one class", *KINDS[2:-1], "saturated alike")


def quarter():
    """A quarter of the pixels, scattered: no row or column is like another."""
    label = np.zeros(PIXELS, int)
    label[: PIXELS // 4] = 1
    return np.random.default_rng(0).permuted(label).reshape(SHAPE)


@functools.cache
def binary():
    logits, labels = batch(dtype=np.float32)
    labels[:] = quarter()
    labels[0], labels[1], labels[2], labels[7] = 0, 1, 0, 0
    labels[2, 3, 5] = 1
    side = 2.0 * labels[..., None] - 1
    logits[3], logits[7] = 0, 0
    for i, confidence in ((4, SURE), (5, -SURE), (6, 20)):
        logits[i] = confidence * side[i]
    return logits, labels


@functools.cache
def of_classes():
    logits, labels = batch(3, dtype=np.float32)
    labels[0] %= 2
    labels[1] = 1
    labels[2] %= 2
    labels[2, 3, 5] = 2
    sides = 2.0 * np.eye(3)[labels] - 1
    logits[3], logits[7] = 0, SURE
    for i, confidence in ((4, SURE), (5, -SURE), (6, 20)):
        logits[i] = confidence * sides[i]
    return logits, labels


# All losses of one channel, for which figures are worked out by hand below.
EACH_THOROUGHLY = some(EACH, [(name, channels) for name, channels in EACH if channels == 1 or name in ONE_OF_EACH])


@functools.cache
def results(name, channels):
    with jax.debug_nans(True):  # It looks at all that leaves a program.
        return in_both_precisions(name, *(binary() if channels == 1 else of_classes()))


@pytest.mark.parametrize("kind", range(COUNT), ids=[f"{a}/{b}" for a, b in zip(KINDS, CLASS_KINDS, strict=True)])
@pytest.mark.parametrize(("name", "channels"), EACH_THOROUGHLY)
def test_float32_agrees_with_float64(name, channels, kind):
    (each, _, gradients), (expected, _, of_wide) = results(name, channels)
    assert each.dtype == gradients.dtype == np.float32
    assert expected.dtype == np.float64
    assert np.isfinite(expected[kind])
    assert_allclose(each[kind], expected[kind], rtol=3e-5, atol=1e-6)
    wide = of_wide[kind]
    assert np.linalg.norm(gradients[kind] - wide) <= 1e-3 * np.linalg.norm(wide) + 1e-9


LOG_2 = np.log(2)
# Not Skea-topo: its weights of class 1 reach two pixels beyond the label.
RIGHT = dict(ce=0, balanced_ce=0, dice=0, focal=0, jaccard=0, tversky=0, wce=0, abw=0, cldice=0)
RIGHT |= dict(generalized_dice=0, dice_ce=0, hausdorff_dt=0, skeleton_recall=0, scnp=0, cbdice=0)
# Epsilon, of each of two orientations; twice of nine pooled pixels, and once of the other class, which is in every window.
LEFT = dict(cwmi=2 * np.log(5e-4), cwmi_real=2 * np.log(5e-4), rmi=(np.log(1e-3) + np.log(5e-4)) / 4)
MAPPED = unet_weight_map(quarter()).mean()
BY_HAND = {
    # A quarter of the pixels weighs 3, or half of all is in each class once weighed.
    "constant": {
        "ce": LOG_2,
        "balanced_ce": 1.5 * LOG_2,
        "focal": 1.5 * LOG_2 / 4,
        "wce": (1.5 + MAPPED) * LOG_2,
        "abw": LOG_2,
        "skea_topo": LOG_2 + 1 / 2,
        "dice": 1 - (1 / 2 + 3 / 4) / 2,
        "jaccard": 1 - (1 / 5 + 3 / 7) / 2,
        "tversky": 1 - (1 / 3 + 3 / 5) / 2,
        "generalized_dice": 1 - 3 / 8,
        "dice_ce": 3 / 8 + LOG_2,
        "scnp": 3 / 8 + LOG_2,
        "bounded_cwmi": np.log(LOG_2 + 1e-4),
        "skeleton_recall": 1 / 2,
    },
    "right": RIGHT | LEFT,
    "nearly right": RIGHT | LEFT,
    "wrong": {
        "ce": SURE,
        "balanced_ce": 1.5 * SURE,
        "focal": 1.5 * SURE,
        "wce": (1.5 + MAPPED) * SURE,
        "abw": SURE,
        "dice": 1,
        "jaccard": 1,
        "tversky": 1,
        "generalized_dice": 1,
        "dice_ce": SURE + 1,
        "scnp": SURE + 1,
        "cwmi": 2 * np.log(5e-4) + 0.9 * 1.5 * SURE,
        "cwmi_real": 2 * np.log(5e-4) + 0.9 * 1.5 * SURE,
        "skeleton_recall": 1,
    },
    "empty, constant": {
        "ce": LOG_2,
        "balanced_ce": LOG_2,
        "focal": LOG_2 / 4,
        "wce": LOG_2,
        "abw": LOG_2,
        "skea_topo": LOG_2 + 1 / 2,
        "dice": 1 - (0 + 4 / 5) / 2,
        "jaccard": 1 - (0 + 1 / 2) / 2,
        "tversky": 1 - (0 + 2 / 3) / 2,
        "generalized_dice": 1 / 2,
        "dice_ce": 1 - 2 / 5 + LOG_2,
        "scnp": 1 - 2 / 5 + LOG_2,
        # Half the pixels are predicted, and no skeleton is.
        "cldice": (1 - 1 / (PIXELS / 2 + 1)) / 2,
        "cbdice": (1 - 1 / (PIXELS / 2 + 1)) / 2,
        "boundary": 0,
        "hausdorff_dt": 0,
        "skeleton_recall": 0,
        "rmi": (2 * LOG_2 * PIXELS / (PIXELS + 1) + np.log(5e-4)) / 2,
        "cwmi": 0.9 * LOG_2,
        "cwmi_real": 0.9 * LOG_2,
        "bounded_cwmi": np.log(LOG_2 + 1e-4),
    },
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, figures in BY_HAND.items() for name in figures])
def test_losses_worked_out_by_hand(kind, name):
    (each, _, _), (wide, _, _) = results(name, 1)
    expected, at = BY_HAND[kind][name], KINDS.index(kind)
    # S_gg + e is not quite S_gg.
    rtol = 1e-4 if name in LEFT else 1e-6
    assert_allclose(wide[at], expected, rtol=rtol, atol=1e-8)
    assert_allclose(each[at], expected, rtol=3e-5 + rtol, atol=1e-6)


@pytest.mark.parametrize(("name", "channels"), [(name, channels) for name, channels in EACH if name in RIGHT])
def test_a_right_prediction_costs_nothing_and_is_left_alone(name, channels):
    (each, _, gradients), (wide, _, of_wide) = results(name, channels)
    at = KINDS.index("right")
    assert_allclose([each[at], wide[at]], 0, atol=1e-6)
    assert_array_equal(gradients[at], 0)
    assert_array_equal(of_wide[at], 0)


@pytest.mark.parametrize(("name", "shares"), [("ce", (1, 1)), ("balanced_ce", (1, 3)), ("focal", (1, 3))])
def test_a_wrong_prediction_is_pushed_as_hard_as_its_class_weighs(name, shares):
    _, labels = binary()
    (_, _, gradients), _ = results(name, 1)
    at = KINDS.index("wrong")
    expected = np.where(labels[at] == 1, -shares[1], shares[0]) / PIXELS / COUNT
    assert_allclose(gradients[at, ..., 0], expected, rtol=1e-5)
