"""Dice and its relatives against scikit-learn, sums of one class after the other, and areas worked out by hand."""

import functools

import jax
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import f1_score, jaccard_score

from cwmi_jax.losses import dice, dice_cross_entropy, generalized_dice, jaccard, tversky
from tests.golden import quick_jit, sigmoid, softmax, volume
from tests.losses.cases import COUNT, batch, evaluate, holes

POOLED = [dice, jaccard, tversky, generalized_dice]


def by_class(p, label):
    """Probability and label of each class in turn, flat; `p` has one channel or several."""
    p = np.concatenate([1 - p, p], axis=-1) if p.shape[-1] == 1 else p
    for c in range(p.shape[-1]):
        yield p[..., c].ravel(), (label == c).ravel().astype(float)


def dice_of(p, label, smooth=0.0):
    terms = [(2 * np.dot(p, g) + smooth) / (np.dot(p, p) + g.sum() + smooth) for p, g in by_class(p, label)]
    return 1 - sum(terms) / len(terms)


def jaccard_of(p, label, smooth=0.0):
    """For classes, sums of smaller and of larger are those of products and of what is in either."""
    terms = [(p[g == 1].sum() + smooth) / (g.sum() + p[g == 0].sum() + smooth) for p, g in by_class(p, label)]
    return 1 - sum(terms) / len(terms)


def tversky_of(p, label, alpha=0.5, beta=0.5, smooth=0.0):
    terms = []
    for p_c, g in by_class(p, label):
        found, false, missed = p_c[g == 1].sum(), p_c[g == 0].sum(), (1 - p_c)[g == 1].sum()
        terms.append((found + smooth) / (found + alpha * false + beta * missed + smooth))
    return 1 - np.mean(terms)


def generalized_dice_of(p, label):
    """Of classes that are all there."""
    above = below = 0
    for p_c, g in by_class(p, label):
        above, below = above + np.dot(p_c, g) / g.sum() ** 2, below + (p_c + g).sum() / g.sum() ** 2
    return 1 - 2 * above / below


REFERENCES = {dice: dice_of, jaccard: jaccard_of, tversky: tversky_of, generalized_dice: generalized_dice_of}
NAMES = {"dice": dice, "jaccard": jaccard, "tversky": tversky, "generalized_dice": generalized_dice}


def probabilities(logits):
    return sigmoid(logits) if logits.shape[-1] == 1 else softmax(logits)


def each_image(reference, p, labels, where=None, **settings):
    where = np.ones(labels.shape, bool) if where is None else where
    return [reference(p[i][where[i]], labels[i][where[i]], **settings) for i in range(len(p)) if where[i].any()]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_of_sums_one_class_after_the_other(x64, name, channels):
    logits, labels = batch(channels)
    where = holes()
    each, _, _ = evaluate(name, logits, labels, where)
    expected = each_image(REFERENCES[NAMES[name]], probabilities(logits), labels, where)
    assert_allclose(np.delete(each, 1), expected, rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_losses_of_certain_predictions_are_scikit_learn_s_scores(x64, classes):
    rng = np.random.default_rng(0)
    labels, guesses = rng.integers(0, classes, (2, COUNT, 24, 20))
    channels = 1 if classes == 2 else classes
    logits = 1e3 * (2.0 * np.eye(classes)[guesses][..., -channels:] - 1)
    for name, score in {"dice": f1_score, "tversky": f1_score, "jaccard": jaccard_score}.items():
        each, _, _ = evaluate(name, logits, labels)
        pairs = zip(labels.reshape(COUNT, -1), guesses.reshape(COUNT, -1), strict=True)
        assert_allclose(each, [1 - score(*pair, average="macro") for pair in pairs], rtol=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_options(x64, channels):
    logits, labels = batch(channels)
    p = probabilities(logits)

    @quick_jit
    def results(logits, labels):
        none = dict(reduction="none")
        return [
            dice(logits, labels, smooth=30.0, **none),
            jaccard(logits, labels, smooth=30.0, **none),
            tversky(logits, labels, smooth=30.0, **none),
            tversky(logits, labels, alpha=0.3, beta=0.7, **none),
            tversky(logits, labels, alpha=1.0, beta=1.0, **none),
        ]

    expected = [
        each_image(dice_of, p, labels, smooth=30),
        each_image(jaccard_of, p, labels, smooth=30),
        each_image(tversky_of, p, labels, smooth=30),
        each_image(tversky_of, p, labels, alpha=0.3, beta=0.7),
        each_image(jaccard_of, p, labels),
    ]
    assert_allclose(np.asarray(results(logits, labels)), expected, rtol=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pooled_batch_is_one_large_image(x64, channels):
    logits, labels = batch(channels)
    where = holes()

    @quick_jit
    def results(logits, labels, where):
        return [loss(logits, labels, where=where, per_batch=True) for loss in POOLED]

    p = probabilities(logits)
    expected = [REFERENCES[loss](p[where], labels[where]) for loss in POOLED]
    assert_allclose(results(logits, labels, where), expected, rtol=1e-9)
    separate = [np.mean(each_image(REFERENCES[loss], p, labels, where)) for loss in POOLED]
    assert np.abs(np.subtract(separate, expected)).min() > 1e-6


def test_a_pooled_batch_that_is_wholly_masked_costs_nothing():
    logits, labels = batch(dtype=np.float32)
    where = np.zeros(labels.shape, bool)

    @quick_jit
    def results(logits):
        total = jax.value_and_grad(lambda z: sum(loss(z, labels, where=where, per_batch=True) for loss in POOLED))
        return total(logits)

    value, gradient = results(logits)
    assert value == 0
    assert_array_equal(gradient, 0)


@pytest.mark.parametrize("loss", POOLED)
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_a_pooled_batch_has_no_value_for_each_image(loss, reduction):
    logits, labels = batch(dtype=np.float32)
    with pytest.raises(ValueError, match=f"per_batch=True .* use reduction='mean', got '{reduction}'"):
        loss(logits, labels, per_batch=True, reduction=reduction)


def rows(shape, *classes):
    """A label of bands of equal height."""
    return np.repeat(np.asarray(classes), shape[0] // len(classes))[:, None] * np.ones(shape, int)


def test_a_class_that_all_lack_agrees_perfectly(x64):
    """Two halves and a third class that is nowhere, all right: without it and with it the loss is 0."""
    labels = rows((24, 20), 0, 1)[None].repeat(COUNT, axis=0)
    logits = 1e3 * (2 * np.eye(3)[labels] - 1)
    for name in NAMES:
        each, _, gradient = evaluate(name, logits, labels)
        assert_array_equal(each, 0)
        assert_array_equal(gradient, 0)


def test_a_class_that_the_label_lacks_costs_its_share_however_little_is_predicted(x64):
    labels = np.zeros((COUNT, 24, 20), int)
    logits = np.zeros((*labels.shape, 1))
    for name, of_background in {"dice": 4 / 5, "jaccard": 1 / 2, "tversky": 2 / 3}.items():
        each, _, _ = evaluate(name, logits, labels)
        assert_allclose(each, 1 - of_background / 2, rtol=1e-9)
        little, _, _ = evaluate(name, logits - 30, labels)
        assert_allclose(little, 1 / 2, rtol=1e-6)


def test_generalized_dice_weighs_an_absent_class_as_the_smallest_that_is_there(x64):
    """1/4 of class 0, 3/4 of class 1, none of class 2; all predicted alike, 1/3.

    Weights are 9 : 1 : 9, what is in common 1/12, 3/12 and 0, and areas together 1/3 + 1/4, 1/3 + 3/4 and 1/3.
    """
    labels = rows((24, 20), 0, 1, 1, 1)[None].repeat(COUNT, axis=0)
    each, _, gradient = evaluate("generalized_dice", np.zeros((*labels.shape, 3)), labels)
    assert_allclose(each, 1 - 2 * (9 / 12 + 3 / 12) / (9 * 7 / 12 + 13 / 12 + 9 * 4 / 12), rtol=1e-9)
    assert (gradient[..., 2] > 0).all()


def test_dice_and_cross_entropy_are_their_weighted_sum(x64):
    logits, labels = batch(3)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    weighted = entropy * np.array([1.0, 0.5, 2.0])[labels]
    of_dice = np.array(each_image(functools.partial(dice_of, smooth=3), softmax(logits), labels))

    @quick_jit
    def results(logits, labels):
        plain = dice_cross_entropy(logits, labels, smooth=3.0, reduction="none")
        settings = dict(dice_weight=0.5, ce_weight=2.0, class_weights=np.array([1.0, 0.5, 2.0]), smooth=3.0)
        return plain, dice_cross_entropy(logits, labels, reduction="none", **settings)

    plain, other = results(logits, labels)
    assert_allclose(plain, of_dice + entropy.mean(axis=(1, 2)), rtol=1e-9)
    assert_allclose(other, 0.5 * of_dice + 2 * weighted.mean(axis=(1, 2)), rtol=1e-9)


def test_volumes(x64):
    label, logits = volume(6, 7, 8)
    logits = logits[..., None]

    @quick_jit
    def results(logits, label):
        return [loss(logits, label, spatial_dims=3) for loss in (*POOLED, dice_cross_entropy)]

    p = sigmoid(logits)
    expected = [REFERENCES[loss](p, label) for loss in POOLED]
    entropy = optax.sigmoid_binary_cross_entropy(logits[..., 0], label.astype(float)).mean()
    assert_allclose(results(logits, label), [*expected, expected[0] + entropy], rtol=1e-9)
