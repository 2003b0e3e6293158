"""What is observed of the terms of a CWMI loss, against the loss itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cwmi_jax import cwmi_loss, wavelet_gain
from cwmi_jax.losses import balanced_cross_entropy
from tests.golden import class_images, images, quick_jit, softmax
from tests.versions import enable_x64
from train.config import LossConfig
from train.runs.phases import phases
from train.runs.terms import observe

WHERE = np.ones((2, 32, 24), bool)
WHERE[1, :5] = False


def batch_of(channels):
    if channels == 3:
        each = [class_images(32, 24, 3, seed) for seed in range(2)]
        labels, logits = (np.stack(arrays) for arrays in zip(*each, strict=True))
    else:
        labels, logits = images(32, 24, 2)
        logits = np.stack([np.cos(logits), np.cos(logits) + logits], -1) if channels == 2 else logits[..., None]
    return jnp.asarray(logits), {"labels": jnp.asarray(labels), "where": jnp.asarray(WHERE)}


@pytest.fixture(scope="module", params=[1, 2, 3])
def case(request):
    """Logits, batch and what is observed, in float64."""
    with enable_x64(True):
        (phase,) = phases(LossConfig(cross_entropy_epochs=0, options={"levels": 2, "ce_weight": 0.7}), 2)
        logits, batch = batch_of(request.param)
        gradient = quick_jit(jax.grad(functools.partial(phase.loss, **batch)))(logits)
        seen = quick_jit(functools.partial(observe, phase.terms, due=True))(batch, logits, gradient)
        yield logits, batch, seen


def test_the_terms_are_information_and_cross_entropy(case):
    logits, batch, seen = case
    terms = {
        "information": lambda z: cwmi_loss(z, **batch, levels=2, ce_weight=0),
        "cross_entropy": lambda z: 0.7 * balanced_cross_entropy(z, **batch),
    }
    for name, term in terms.items():
        gradient = quick_jit(jax.grad(term))(logits)
        np.testing.assert_allclose(seen[f"{name}/gradient_norm"], jnp.linalg.norm(gradient.ravel()), rtol=1e-6)
        # The logit of foreground is that of one channel, or all but the first: what they lose, the first one gains.
        pull = -gradient[..., 0] if logits.shape[-1] == 1 else gradient[..., 0]
        for place, mask in (("foreground", batch["labels"] > 0), ("background", batch["labels"] == 0)):
            np.testing.assert_allclose(seen[f"{name}/pull_on_{place}"], pull[mask].sum(), rtol=1e-6, atol=1e-12)


def test_probabilities_are_means_over_the_pixels_that_count(case):
    logits, batch, seen = case
    z = np.concatenate([np.zeros_like(logits), logits], -1) if logits.shape[-1] == 1 else np.asarray(logits)
    foreground = softmax(z)[..., 1:].sum(-1)
    labels = np.asarray(batch["labels"])
    np.testing.assert_allclose(seen["probability/foreground"], foreground[WHERE & (labels > 0)].mean(), rtol=1e-6)
    np.testing.assert_allclose(seen["probability/background"], foreground[WHERE & (labels == 0)].mean(), rtol=1e-6)


def test_gains_are_means_over_images_and_classes(case):
    logits, batch, seen = case
    z = np.concatenate([np.zeros_like(logits), logits], -1) if logits.shape[-1] == 1 else np.asarray(logits)
    classes = range(3) if logits.shape[-1] == 3 else [1]
    pairs = [(np.asarray(batch["labels"]) == c, softmax(z)[..., c]) for c in classes]
    gains = [wavelet_gain(y.astype(float), p, levels=2, where=WHERE) for y, p in pairs]
    np.testing.assert_allclose([seen["gain/level_1"], seen["gain/level_2"]], np.mean(gains, (0, 1)), rtol=1e-6)


def test_nothing_is_computed_where_it_is_not_due(case):
    logits, batch, _ = case
    (phase,) = phases(LossConfig(cross_entropy_epochs=0, options={"levels": 2}), 2)
    seen = quick_jit(functools.partial(observe, phase.terms))(batch, logits, logits, due=jnp.asarray(False))
    assert len(seen) == 10 and all(np.isposinf(value) for value in seen.values())


@pytest.mark.parametrize("due", [True, False])
@pytest.mark.parametrize("value", [0, 1])
def test_nothing_is_ever_not_a_number(due, value):
    """Of masks without foreground or background, under a training with `jax_debug_nans`."""
    logits, batch = batch_of(1)
    batch |= {"labels": jnp.full_like(batch["labels"], value)}
    (phase,) = phases(LossConfig(cross_entropy_epochs=0, options={"levels": 2}), 2)
    with jax.debug_nans(True):
        run = quick_jit(lambda batch, logits: observe(phase.terms, batch, logits, logits, due=jnp.asarray(due)))
        seen = run(batch, logits.astype(jnp.float32))
    there, lacking = ("foreground", "background") if value else ("background", "foreground")
    assert np.isposinf(seen[f"probability/{lacking}"])
    assert np.isfinite(seen[f"probability/{there}"]) == due


def test_devices_see_what_one_does(x64):
    logits, batch = batch_of(1)
    (phase,) = phases(LossConfig(cross_entropy_epochs=0, options={"levels": 2}), 2)
    expected = quick_jit(functools.partial(observe, phase.terms, due=True))(batch, logits, 2 * logits)
    cut = jax.tree.map(lambda array: array.reshape(2, 1, *array.shape[1:]), (batch, logits))
    run = functools.partial(observe, phase.terms, due=jnp.asarray(True), axis_name="batch")
    # Of the mean over half the images the gradient is twice as large.
    shared = quick_jit(jax.pmap(lambda batch, logits: run(batch, logits, 4 * logits), axis_name="batch"))(*cut)
    for name, value in expected.items():
        np.testing.assert_allclose(shared[name], [value, value], rtol=1e-6, err_msg=name)


def test_other_losses_have_no_terms():
    assert phases(LossConfig(name="dice"), 2)[0].terms is None
    first, second = phases(LossConfig(name="cwmi_real", cross_entropy_epochs=1), 2)
    assert first.terms is None and second.terms.levels == 4
