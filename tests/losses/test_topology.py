"""Skea-topo: its weights pixel by pixel, and its target on membranes drawn by hand."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax.losses import skea_topo
from cwmi_jax.losses.topology import topology_keeping_targets
from cwmi_jax.weight_maps import skeleton_aware_weight_map, skeletons
from tests.golden import quick_jit
from tests.losses.cases import batch, maps

MEMBRANE = """
........................
........................
........................
........................
........................
........................
########################
########################
########################
........................
........................
........................
........................
........................
........................
"""
# A speck, a bump, a dent, a break, and a wall that parts the lower component.
PREDICTED = """
........................
........................
......#.................
........................
........................
....................#...
###.#######..###########
###########..###########
###########..###########
.................#......
.................#......
.................#......
.................#......
.................#......
.................#......
"""
# The break is closed, speck and wall are gone but where the label is next to it; dent and bump change nothing.
TARGET = """
........................
........................
........................
........................
........................
....................#...
###.####################
########################
########################
.................#......
........................
........................
........................
........................
........................
"""


def drawn(text):
    return np.array([[pixel == "#" for pixel in row] for row in text.split()])


def test_target_keeps_the_topology_and_nothing_else():
    prediction, label = drawn(PREDICTED), drawn(MEMBRANE)
    assert_array_equal(topology_keeping_targets(np.stack([prediction, label])), drawn(TARGET))


def test_target_of_a_right_prediction_is_itself():
    label = drawn(MEMBRANE)
    assert_array_equal(topology_keeping_targets(np.stack([label, label])), label)


def test_a_component_that_is_missed_away_from_every_prediction_is_wanted_for_its_skeleton():
    """At the image's edge, where the predicted background has no skeleton."""
    prediction = drawn(MEMBRANE)
    label = prediction.copy()
    label[14, 4:9] = True
    found = np.moveaxis(skeletons(label), -1, 0)
    assert not (skeletons(prediction)[..., 0] & label).any()
    assert_array_equal(topology_keeping_targets(np.stack([prediction, label])), label)
    assert_array_equal(topology_keeping_targets(np.stack([prediction, label, *found])), label)
    assert_array_equal(topology_keeping_targets(np.stack([prediction, label, *np.zeros_like(found)])), prediction)


def test_targets_of_a_batch_are_those_of_its_images():
    images = np.stack([drawn(PREDICTED), drawn(MEMBRANE)])
    batch = np.stack([images, images[::-1]])[:, None]
    result = topology_keeping_targets(batch)
    assert result.shape == (2, 1, *images.shape[1:])
    assert result.dtype == bool
    for each, image in zip(result[:, 0], batch[:, 0], strict=True):
        assert_array_equal(each, topology_keeping_targets(image))


@functools.cache
def compiled(topology):
    return quick_jit(functools.partial(skea_topo, topology=topology, reduction="none"))


def test_second_term_is_the_share_of_pixels_to_correct():
    """Of certain predictions: 6 in the break, 5 in the wall and the speck."""
    label, prediction = drawn(MEMBRANE)[None].astype(int), drawn(PREDICTED)[None]
    logits = np.where(prediction, 50, -50)[..., None].astype(np.float32)
    given = dict(weight_maps=skeleton_aware_weight_map(label[0])[None], skeletons=skeletons(label[0])[None])
    added = [
        compiled(True)(logits, label, **given) - compiled(False)(logits, label, **given),
        compiled(True)(logits, label, weight_maps=given["weight_maps"]) - compiled(False)(logits, label, **given),
    ]
    assert_allclose(added, 12 / (15 * 24), rtol=1e-3)


def test_skeletons_are_found_where_they_are_not_given(x64):
    logits, labels = batch()
    given = maps("skea_topo", labels)
    with_them = compiled(True)(logits, labels, **given)
    without = compiled(True)(logits, labels, weight_maps=given["weight_maps"])
    assert_allclose(without, with_them, rtol=1e-12)


def weighted(logits, label, maps):
    """Cross entropy under the weights of the paper, a pixel at a time."""
    foreground = label.sum()
    sizes = label.size - foreground, foreground
    shares = [max(sizes[1 - c] / sizes[c], 1) for c in (0, 1)]
    total = loss = 0
    for (i, j), y in np.ndenumerate(label):
        away, border = maps[i, j]
        background = 10 * away + (shares[0] if y == 0 else 0)
        beside = 0
        if label[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3].any():
            beside = 10 * (1 - away) + (shares[1] if y == 1 else 0)
        moved = beside > background
        of_foreground = 10 * border + (shares[1] if y == 1 else 0) + (beside if moved and y == 0 else 0)
        of_background = 0 if moved else background
        total += of_foreground + of_background
        loss += of_foreground * np.log1p(np.exp(-logits[i, j])) + of_background * np.log1p(np.exp(logits[i, j]))
    return loss / total


def test_first_term_is_that_of_weights_pixel_by_pixel(x64):
    logits, labels = batch()
    weight_maps = maps("skea_topo", labels)["weight_maps"]
    expected = [weighted(z[..., 0], y, m) for z, y, m in zip(logits, labels, weight_maps, strict=True)]
    assert_allclose(compiled(False)(logits, labels, weight_maps=weight_maps), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            dict(logits=np.zeros((8, 8, 8, 1), np.float32), labels=np.zeros((8, 8, 8), int), spatial_dims=3),
            ValueError,
            "skea_topo is defined for images, spatial_dims=2, got 3",
        ),
        (
            dict(logits=np.zeros((2, 8, 9, 3), np.float32)),
            ValueError,
            r"skea_topo is defined for two classes \(1 or 2 channels of logits\), got 3 channels",
        ),
        (dict(weight_maps=None), ValueError, r"weight_maps is needed, of shape \(2, 8, 9, 2\); cwmi_jax.weight_maps"),
        (dict(weight_maps=np.ones((2, 8, 9))), ValueError, r"weight_maps must have .* \(2, 8, 9, 2\), got \(2, 8, 9\)"),
        (
            dict(skeletons=np.ones((2, 8, 9))),
            ValueError,
            r"skeletons must have the shape \(2, 8, 9, 2\), got \(2, 8, 9\)",
        ),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    arguments = dict(
        logits=np.zeros((2, 8, 9, 1), np.float32), labels=np.zeros((2, 8, 9), int), weight_maps=np.ones((2, 8, 9, 2))
    )
    with pytest.raises(error, match=message):
        skea_topo(**arguments | change)
