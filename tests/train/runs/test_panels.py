"""Pictures of predictions, of their errors and of the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cwmi_jax.losses import LOSSES
from tests.train.runs.finished_run import Bright, Threshold, config
from train.batches.augmentation import Augmentation
from train.batches.batch import Batch, image_sides, one_of
from train.batches.standardisation import ChannelStatistics
from train.config import DataConfig
from train.runs import panels, pictures, setup
from train.runs.phases import Phase
from train.runs.steps import TrainState, predicted_classes


def state(threshold=0.2, ema=None):
    params = {"threshold": jnp.float32(threshold)}
    return TrainState(step=0, params=params, batch_statistics={}, optimizer=(), ema=ema)


def arrays(count=2, shape=(20, 16), channels=1, classes=1, seed=0):
    """Images, labels, where, probabilities, gradients and names."""
    rng = np.random.default_rng(seed)
    images = rng.random((count, *shape, channels))
    labels = rng.integers(0, max(classes, 2), (count, *shape))
    probabilities = rng.random((count, *shape, classes))
    if classes > 1:
        probabilities /= probabilities.sum(-1, keepdims=True)
    gradients = rng.normal(size=(count, *shape, classes))
    return images, labels, np.ones(labels.shape, bool), probabilities, gradients, [f"image {i}" for i in range(count)]


def pixels(picture, colour):
    """How many have a colour."""
    return int((abs(picture / 255 - to_rgb(colour)).max(axis=-1) < 0.01).sum())


def test_each_kind_of_pixel_has_its_colour_and_the_background_is_dimmed():
    grey = np.array([[0.2, 0.4, 0.6, 0.8, 0.1, 1.0]])
    label, predicted = np.array([[0, 1, 0, 0, 1, 2]]), np.array([[1, 0, 0, 0, 1, 1]])
    colours = pictures.error_map(grey, label, predicted)
    wanted = [pictures.FALSE_POSITIVE, pictures.FALSE_NEGATIVE, pictures.TRUE_POSITIVE, pictures.WRONG_CLASS]
    np.testing.assert_allclose(colours[0, [0, 1, 4, 5]], [to_rgb(colour) for colour in wanted])
    background = colours[0, 2:4]
    np.testing.assert_array_equal(background, background[:, :1].repeat(3, axis=1))
    np.testing.assert_allclose(background[1] / background[0], 0.8 / 0.6)
    assert background[1, 0] < 0.5


def test_classes_are_above_one_half_or_the_first_of_the_greatest():
    np.testing.assert_array_equal(predicted_classes(np.array([[0.5], [0.51], [0.2]])), [0, 1, 0])
    np.testing.assert_array_equal(predicted_classes(np.array([[0.4, 0.2, 0.4], [0.1, 0.6, 0.3]])), [0, 1])


@pytest.mark.parametrize("sides", [(4, 7), (1, 1), (2, 3, 4)])
def test_sides_of_a_padded_image(sides):
    where = np.zeros([side + 2 for side in sides], bool)
    where[tuple(map(slice, sides))] = True
    assert image_sides(where) == tuple(map(slice, sides))


def test_the_gradient_of_cross_entropy_is_probability_minus_label():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(2, 6, 5, 1)).astype(np.float32), rng.integers(0, 2, (2, 6, 5))
    where = rng.random((2, 6, 5)) < 0.7
    batch = {"images": images, "labels": labels, "where": where, "maps": {}}
    gradient = panels.logit_gradients(state(), batch, network=Threshold(), loss=LOSSES["ce"])
    probability = 1 / (1 + np.exp(-8 * (images[..., 0] - 0.2)))
    # The mean over each image, then over the two.
    each = np.where(where, probability - labels, 0) / where.sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(gradient[..., 0], each / 2, atol=1e-6)
    mean = panels.logit_gradients(
        state(5.0, ema={"threshold": jnp.float32(0.2)}), batch, network=Threshold(), loss=LOSSES["ce"]
    )
    np.testing.assert_allclose(mean, gradient, atol=1e-7)


def test_a_map_reaches_the_loss():
    images, labels = np.zeros((1, 4, 4, 1), np.float32), np.zeros((1, 4, 4), int)
    weights = np.arange(16.0).reshape(1, 4, 4)

    def loss(logits, labels, *, where, weights):
        return (weights * logits[..., 0]).sum()

    batch = {"images": images, "labels": labels, "where": labels == 0, "maps": {"weights": weights}}
    gradient = jax.jit(lambda batch: panels.logit_gradients(state(), batch, network=Threshold(), loss=loss))(batch)
    np.testing.assert_allclose(gradient[..., 0], weights)


def test_a_picture_shows_both_kinds_of_errors():
    images, labels, where, _, gradients, names = arrays()
    wrong = pictures.draw_panels(images, labels, where, 1.0 - labels[..., None], gradients, names, title="title")
    assert wrong.dtype == np.uint8
    right = pictures.draw_panels(images, labels, where, 1.0 * labels[..., None], gradients, names, title="title")
    for colour in (pictures.FALSE_POSITIVE, pictures.FALSE_NEGATIVE):
        # What the right one has is the legend.
        assert pixels(wrong, colour) > 20 * pixels(right, colour) > 0


def test_padding_is_not_drawn():
    images, labels, where, _, gradients, names = arrays(1, (20, 30))
    where[:, :, 15:] = False
    probabilities = np.where(where, labels, 1 - labels)[..., None]
    picture = pictures.draw_panels(images, labels, where, probabilities, gradients, names)
    whole = pictures.draw_panels(images, labels, np.ones_like(where), probabilities, gradients, names)
    assert pixels(whole, pictures.FALSE_POSITIVE) > 10 * pixels(picture, pictures.FALSE_POSITIVE)


def test_a_volume_shows_its_middle_slice():
    images, labels, where, _, gradients, names = arrays(1, (6, 20, 16))
    where[:, 5:] = False
    probabilities = labels[..., None].astype(float)
    right = pictures.draw_panels(images, labels, where, probabilities, gradients, names)
    for slice_, shown in ((2, True), (3, False)):
        wrong = probabilities.copy()
        wrong[:, slice_] = 1 - wrong[:, slice_]
        drawn = pictures.draw_panels(images, labels, where, wrong, gradients, names)
        assert (pixels(drawn, pictures.FALSE_POSITIVE) > 20 * pixels(right, pictures.FALSE_POSITIVE)) == shown


@pytest.mark.parametrize(
    ("shape", "channels", "classes", "name"),
    [
        ((9, 40), 3, 4, "a name that is longer than any row of panels could ever be high"),
        ((90, 10), 2, 1, "$x_1$ \u96f6"),
        ((1, 1), 1, 1, ""),
    ],
)
def test_odd_images_are_drawn(shape, channels, classes, name):
    images, labels, where, probabilities, gradients, _ = arrays(1, shape, channels, classes)
    picture = pictures.draw_panels(0 * images, labels, where, probabilities, 0 * gradients, [name], title="50% $")
    assert picture.shape[2] == 3
    assert picture.std() > 0


def test_no_image():
    empty = np.zeros((0, 4, 4))
    with pytest.raises(ValueError, match="names must name one image at least, got none"):
        pictures.draw_panels(empty[..., None], empty, empty, empty[..., None], empty[..., None], [])


def test_the_shown_images_are_evenly_spaced_and_as_large_as_the_loss_had_them(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "open_dataset", lambda *_, **__: Bright(9))
    run = config(tmp_path / "run", panels=3, data=DataConfig(augmentation=Augmentation(crop=(22, 26))))
    made = setup.prepare_run(run)
    batch = panels.panel_batch(made, [1, 2, 4, 5, 8])
    assert batch.names == ("image 1", "image 4", "image 8")
    assert batch.labels.shape == (3, 24, 28)
    assert [image_sides(where) for where in batch.where] == [
        (slice(20), slice(28)),
        (slice(24), slice(20)),
        (slice(24), slice(20)),
    ]
    second = one_of(batch, 1)
    assert second.names == ("image 4",)
    np.testing.assert_array_equal(second.images, batch.images[1:2])
    few = panels.panel_batch(made, [3, 5])
    assert few.names == ("image 3", "image 5")
    assert few.labels.shape == (2, 22, 28)


def test_panels_of_a_batch(tmp_path, monkeypatch):
    """Each image by itself, as bright as it was, with the maps of its phase; what fills the batch is left out."""
    drawn = {}
    monkeypatch.setattr(panels, "draw_panels", lambda *given, title: drawn.update(given=given, title=title))
    rng = np.random.default_rng(0)
    standardised = rng.normal(size=(3, 6, 5, 1)).astype(np.float32)
    labels = rng.integers(0, 2, (3, 6, 5)).astype(np.int32)
    where = np.ones(labels.shape, bool)
    where[1, :, 3:], where[2] = False, False
    weights = rng.random(labels.shape).astype(np.float32)
    batch = Batch(standardised, labels, where, ("a", "b", ""), {"weights": weights, "unused": weights})

    def loss(logits, labels, *, where, weights):
        return jnp.mean(weights * logits[..., 0] ** 2, where=where) / 2

    phase = Phase(0, "loss", loss, ("weights",))
    statistics = ChannelStatistics(np.array([0.4], np.float32), np.array([0.2], np.float32))
    panels.panels_of(state(), batch, network=Threshold(), phase=phase, statistics=statistics, title="t")
    images, shown, inside, probabilities, gradients, names = drawn["given"]
    np.testing.assert_allclose(images, standardised[:2] * 0.2 + 0.4, rtol=1e-6)
    np.testing.assert_array_equal(shown, labels[:2])
    np.testing.assert_array_equal(inside, where[:2])
    assert (names, drawn["title"]) == (["a", "b"], "t")
    logits = 8 * (standardised[:2] - 0.2)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6)
    each = np.where(where[:2], weights[:2] * logits[..., 0], 0) / where[:2].sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(gradients[..., 0], each, atol=1e-6)
