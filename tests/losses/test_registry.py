"""The registry of losses and their maps, and sums of losses."""

import functools
import inspect

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from cwmi_jax import cwmi_loss, losses
from cwmi_jax.losses import LOSSES, MAPS, combine, scnp
from tests.golden import images, quick_jit
from tests.losses.cases import batch, batch_of_masks, evaluate, maps, maps_of_masks

PAPER = ["ce", "balanced_ce", "dice", "focal", "jaccard", "tversky", "wce", "abw", "skea_topo", "rmi", "cldice"]
PAPER += ["cwmi_real", "cwmi"]
DEFAULTS = {
    "ce": dict(class_weights=None),
    "dice": dict(smooth=0.0, per_batch=False),
    "focal": dict(gamma=2.0, class_weights="balanced"),
    "tversky": dict(alpha=0.5, beta=0.5),
    "wce": dict(class_weights="balanced"),
    "skea_topo": dict(topology=True),
    "rmi": dict(radius=3, pool=3, rmi_weight=0.5),
    "cldice": dict(alpha=0.5, iterations=10, smooth=1.0),
    "cwmi": dict(levels=4, orientations=None, ce_weight=0.9, complex_valued=True),
    "cwmi_real": dict(levels=4, orientations=None, ce_weight=0.9, complex_valued=False),
    "hausdorff_dt": dict(alpha=2.0),
    "skeleton_recall": dict(dice_ce_weight=0.0),
    "cbdice": dict(alpha=0.5, iterations=10, smooth=1.0),
}


def test_the_paper_s_losses_come_first():
    assert list(LOSSES)[: len(PAPER)] == PAPER


def test_every_public_loss_has_a_name():
    functions = {getattr(losses, name) for name in losses.__all__ if inspect.isfunction(getattr(losses, name))}
    named = {loss.func if isinstance(loss, functools.partial) else loss for loss in LOSSES.values()}
    assert named == functions - {combine, scnp} | {cwmi_loss, LOSSES["scnp"]}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_the_paper_s(name):
    parameters = inspect.signature(LOSSES[name]).parameters
    assert {option: parameters[option].default for option in DEFAULTS[name]} == DEFAULTS[name]


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_keywords_of_their_loss(name):
    parameters = inspect.signature(LOSSES[name]).parameters
    for keyword in MAPS[name]:
        assert parameters[keyword].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("mapping", [LOSSES, MAPS], ids=["LOSSES", "MAPS"])
def test_nothing_can_be_added(mapping):
    with pytest.raises(TypeError):
        mapping["mine"] = None


def test_a_sum_of_losses_is_the_weighted_sum_of_their_values_and_gradients(x64):
    """Each gets its own map and no other's; what is masked is masked for all."""
    weights = {"ce": 1.0, "dice": 0.5, "wce": 2.0, "abw": -0.25, "boundary": 0.01}
    logits, labels = batch()
    where = np.ones(labels.shape, bool)
    where[:, 4:7] = False
    own = {name: maps(name, np.where(where, labels, 0)) for name in weights}
    given = {key: value for each in own.values() for key, value in each.items()}
    loss = combine(weights)

    @quick_jit
    def run(logits):
        value = jax.value_and_grad(lambda logits: loss(logits, labels, where=where, **given))(logits)
        return loss(logits, labels, where=where, reduction="none", **given), *value

    terms = [
        [weight * part for part in evaluate(name, logits, labels, where, own[name])] for name, weight in weights.items()
    ]
    for result, *parts in zip(run(logits), *terms, strict=True):
        assert_allclose(result, sum(parts), rtol=1e-9, atol=1e-12)


def test_a_sum_of_losses_of_masks_that_overlap(x64):
    weights = {"ce": 1.0, "dice": 0.5, "wce": 2.0}
    logits, labels = batch_of_masks()
    run = quick_jit(functools.partial(combine(weights), activation="sigmoid", reduction="none"))
    terms = [weight * evaluate(name, logits, labels, activation="sigmoid")[0] for name, weight in weights.items()]
    assert_allclose(run(logits, labels, **maps_of_masks("wce", labels)), sum(terms), rtol=1e-9)


def test_a_sum_of_losses_of_volumes(x64):
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((2, 5, 6, 7, 3)), rng.integers(0, 3, (2, 5, 6, 7))
    weights = {"ce": 1.0, "dice": 2.0}

    @quick_jit
    def run(logits, labels):
        solid = dict(spatial_dims=3)
        return combine(weights)(logits, labels, **solid), [LOSSES[name](logits, labels, **solid) for name in weights]

    result, (ce, dice) = run(logits, labels)
    assert_allclose(result, ce + 2 * dice, rtol=1e-12)


def test_the_spacing_goes_to_the_losses_that_have_one(x64):
    """The default of four levels fits 16 rows because they are twice as far apart as columns."""
    labels, logits = images(16, 32)
    measured = {"boundary": 0.1, "hausdorff_dt": 0.2, "cwmi_real": 0.3, "cbdice": 0.4}
    spacing = (2.0, 1.0)

    @quick_jit
    def run(logits, labels):
        terms = [weight * LOSSES[name](logits, labels, spacing=spacing) for name, weight in measured.items()]
        return (
            combine({"dice": 1.0, **measured})(logits, labels, spacing=spacing),
            LOSSES["dice"](logits, labels),
            terms,
        )

    result, dice, terms = run(logits[..., None], labels)
    assert_allclose(result, dice + sum(terms), rtol=1e-9)
    with pytest.raises(ValueError, match=r"spacing must be 2 lengths, one for each spatial axis, got \(1, 1, 1\)"):
        combine({"dice": 1.0})(logits[..., None], labels, spacing=(1, 1, 1))


def test_weights_of_a_sum_may_be_traced(x64):
    """The derivative with respect to a weight is the loss that it weighs."""
    logits, labels = batch(count=2)
    names = ("ce", "dice")
    weights = {"ce": np.float32(0.25), "dice": np.float32(-2.0)}
    run = quick_jit(jax.value_and_grad(lambda weights: combine(weights)(logits, labels)))
    value, gradient = run(weights)
    terms = quick_jit(lambda: {name: LOSSES[name](logits, labels) for name in names})()
    assert_allclose(value, 0.25 * terms["ce"] - 2 * terms["dice"], rtol=1e-9)
    assert_allclose([gradient[name] for name in names], [terms[name] for name in names], rtol=1e-6)


def test_skeleton_recall_adds_what_a_sum_adds(x64):
    """The paper's loss, in either way."""
    logits, labels = batch()
    given = maps("skeleton_recall", labels)

    @quick_jit
    def run(logits, labels, given):
        return (
            combine({"dice_ce": 1.0, "skeleton_recall": 1.0})(logits, labels, reduction="none", **given),
            LOSSES["skeleton_recall"](logits, labels, dice_ce_weight=1.0, reduction="none", **given),
        )

    terms = [evaluate(name, logits, labels)[0] for name in ("dice_ce", "skeleton_recall")]
    for result in run(logits, labels, given):
        assert_allclose(result, sum(terms), rtol=1e-9)


def test_maps_that_may_be_left_out_may_be_left_out_of_a_sum(x64):
    logits, labels = batch(count=2)
    run = quick_jit(combine({"boundary": 2.0}))
    assert_allclose(
        run(logits, labels), 2 * quick_jit(LOSSES["boundary"])(logits, labels, **maps("boundary", labels)), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"dise": 1.0, "ce": 1.0}, "names must be of 'ce', 'balanced_ce', .*, got 'dise'"),
        ({}, "names must be of 'ce', .*, got none"),
        ({"ce": 1.0, "dice": np.nan}, r"weights\['dice'\] must be finite, got nan"),
        ({"ce": np.ones(3)}, r"weights\['ce'\] must be a single number, got the shape \(3,\)"),
        (
            {"abw": 1.0, "skea_topo": 1.0},
            "'abw' and 'skea_topo' mean different things by weight_maps; add them by hand",
        ),
    ],
)
def test_sums_that_cannot_be_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        combine(weights)


def test_a_sum_needs_weights():
    with pytest.raises(TypeError, match=r"weights must be names of losses -> weights, .* got \['dice', 'ce'\]"):
        combine(["dice", "ce"])


def test_maps_that_are_left_out_are_named_with_their_shape():
    logits, labels = np.zeros((8, 9, 1), np.float32), np.zeros((8, 9), int)
    for loss in (LOSSES["wce"], combine({"wce": 1.0})):
        with pytest.raises(ValueError, match=r"weight_map is needed, of shape \(8, 9\); cwmi_jax.weight_maps makes it"):
            loss(logits, labels)


@pytest.mark.parametrize(
    ("weights", "given", "message"),
    [
        ({"dice": 1.0, "ce": 1.0}, dict(weight_map=np.ones((8, 9))), "none of 'dice', 'ce' takes weight_map"),
        ({"dice": 1.0}, dict(smooth=1.0, gamma=2.0), "none of 'dice' takes smooth, gamma"),
    ],
)
def test_keywords_that_a_sum_does_not_take_are_named(weights, given, message):
    with pytest.raises(TypeError, match=message):
        combine(weights)(np.zeros((8, 9, 1), np.float32), np.zeros((8, 9), int), **given)
