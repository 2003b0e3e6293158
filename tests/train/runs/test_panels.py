"""Pictures of predictions, of their errors and of the gradient."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cwmi_jax.losses import LOSSES
from tests.train.runs.finished_run import Bright, Threshold, config
from train.batches.augmentation import Augmentation
from train.batches.batch import Batch, one_of, unpadded
from train.batches.standardisation import ChannelStatistics
from train.config import DataConfig
from train.palette import class_colours
from train.runs import panels, pictures, setup
from train.runs.phases import Phase
from train.runs.pictures import Shown
from train.runs.steps import TrainState, predicted_classes


def state(threshold=0.2, ema=None):
    params = {"threshold": jnp.float32(threshold)}
    return TrainState(step=0, params=params, batch_statistics={}, optimizer=(), ema=ema)


def rows(count=2, shape=(20, 16), channels=1, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    channels_out = 1 if classes == 2 else classes
    shown = []
    for number in range(count):
        probability = rng.random((*shape, channels_out))
        if classes > 2:
            probability /= probability.sum(-1, keepdims=True)
        shown.append(
            Shown(
                f"image {number}",
                rng.random((*shape, channels)),
                rng.integers(0, classes, shape),
                np.ones(shape, bool),
                probability,
                rng.normal(size=(*shape, channels_out)),
            )
        )
    return shown


def draw(*shown, classes=2, **settings):
    return pictures.draw_panels(shown, class_names=[f"class {number}" for number in range(classes)], **settings)


def right(row):
    return row._replace(probability=1.0 * row.label[..., None])


def wrong(row):
    return row._replace(probability=1.0 - row.label[..., None])


def pixels(picture, colour):
    """How many have a colour."""
    return int((abs(picture / 255 - to_rgb(colour)).max(axis=-1) < 0.01).sum())


def test_each_kind_of_pixel_has_its_colour_and_the_background_is_dimmed():
    grey = np.array([[0.2, 0.4, 0.6, 0.8, 0.1, 1.0]])
    label, predicted = np.array([[0, 1, 0, 0, 1, 1]]), np.array([[1, 0, 0, 0, 1, 0]])
    where = np.array([[True, True, True, True, True, False]])
    colours = pictures.error_map(grey, label, predicted, where, classes=2)
    wanted = [pictures.FALSE_POSITIVE, pictures.FALSE_NEGATIVE, pictures.TRUE_POSITIVE]
    np.testing.assert_allclose(colours[0, [0, 1, 4]], [to_rgb(colour) for colour in wanted])
    np.testing.assert_array_equal(colours[0, 5], colours[0, 5, 0])  # what is not known is neither
    background = colours[0, 2:4]
    np.testing.assert_array_equal(background, background[:, :1].repeat(3, axis=1))
    np.testing.assert_allclose(background[1] / background[0], 0.8 / 0.6)
    assert background[1, 0] < 0.5


def test_of_several_classes_what_is_right_is_not_painted():
    label, predicted = np.array([[0, 1, 2, 0, 1]]), np.array([[0, 1, 1, 2, 0]])
    colours = pictures.error_map(np.ones((1, 5)), label, predicted, np.ones((1, 5), bool), classes=3)
    np.testing.assert_array_equal(colours[0, :2], colours[0, :2, :1].repeat(3, axis=1))
    wanted = [pictures.WRONG_CLASS, pictures.FALSE_POSITIVE, pictures.FALSE_NEGATIVE]
    np.testing.assert_allclose(colours[0, 2:], [to_rgb(colour) for colour in wanted])


def test_classes_are_above_one_half_or_the_first_of_the_greatest():
    np.testing.assert_array_equal(predicted_classes(np.array([[0.5], [0.51], [0.2]])), [0, 1, 0])
    np.testing.assert_array_equal(predicted_classes(np.array([[0.4, 0.2, 0.4], [0.1, 0.6, 0.3]])), [0, 1])


def test_the_gradient_of_cross_entropy_is_probability_minus_label():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(2, 6, 5, 1)).astype(np.float32), rng.integers(0, 2, (2, 6, 5))
    where = rng.random((2, 6, 5)) < 0.7
    batch = {"images": images, "labels": labels, "where": where, "sides": np.array([[6, 5]] * 2), "maps": {}}
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

    arrays = {"images": images, "labels": labels, "where": labels == 0, "sides": np.array([[4, 4]])}
    batch = arrays | {"maps": {"weights": weights}}
    gradient = jax.jit(lambda batch: panels.logit_gradients(state(), batch, network=Threshold(), loss=loss))(batch)
    np.testing.assert_allclose(gradient[..., 0], weights)


def test_a_picture_shows_both_kinds_of_errors():
    shown = rows()
    mistaken = draw(*map(wrong, shown), title="title")
    assert mistaken.dtype == np.uint8
    perfect = draw(*map(right, shown), title="title")
    for colour in (pictures.FALSE_POSITIVE, pictures.FALSE_NEGATIVE):
        # What the right one has is the legend.
        assert pixels(mistaken, colour) > 20 * pixels(perfect, colour) > 0


def test_what_is_not_known_is_grey_and_in_the_legend():
    (row,) = map(right, rows(1))
    half = row.where & (np.arange(16) < 8)
    known, unknown = draw(row), draw(row._replace(where=half))
    # Half of one of five panels.
    assert pixels(unknown, pictures.UNKNOWN) - pixels(known, pictures.UNKNOWN) > 10000


def test_each_class_has_a_colour_and_an_entry_of_the_legend():
    (row,) = rows(1, classes=9)
    absent = row._replace(label=0 * row.label, probability=np.eye(9)[0 * row.label])
    before, after = draw(absent, classes=9), draw(row, classes=9)
    palette = class_colours(9)
    assert len({tuple(colour) for colour in palette.tolist()}) == 9
    for colour in palette[1:] / 255:
        assert 0 < pixels(before, colour) < pixels(after, colour)
    own = draw(row, classes=9, colours=["#000000", *(f"#0000{number:02x}" for number in range(100, 108))])
    assert pixels(own, "#000064") > 100 and not pixels(own, palette[1] / 255)


def test_two_classes_are_black_and_white_or_the_users_own():
    (row,) = map(right, rows(1))
    own = draw(row, colours=["#102030", "#ff00ff"])
    # The label's panel, and the legend.
    for colour in ("#102030", "#ff00ff"):
        assert pixels(own, colour) > 1000 and not pixels(draw(row), colour)


def test_a_volume_shows_its_middle_slice():
    (row,) = map(right, rows(1, (5, 20, 16)))
    for slice_, shown in ((2, True), (3, False)):
        probability = row.probability.copy()
        probability[slice_] = 1 - probability[slice_]
        drawn = draw(row._replace(probability=probability))
        assert (pixels(drawn, pictures.FALSE_POSITIVE) > 20 * pixels(draw(row), pictures.FALSE_POSITIVE)) == shown


@pytest.mark.parametrize(
    ("shape", "channels", "classes", "name"),
    [
        ((9, 40), 3, 4, "a name that is longer than any row of panels could ever be high"),
        ((90, 10), 2, 2, "$x_1$ \u96f6"),
        ((1, 1), 1, 2, ""),
        ((8, 8), 1, 40, "classes"),
    ],
)
def test_odd_images_are_drawn(shape, channels, classes, name):
    (row,) = rows(1, shape, channels, classes)
    row = row._replace(name=name, image=0 * row.image, gradient=0 * row.gradient)
    picture = draw(row, classes=classes, title="50% $")
    assert picture.shape[2] == 3
    assert picture.std() > 0


def test_no_image():
    with pytest.raises(ValueError, match="rows must hold one image at least, got none"):
        draw()


def test_the_shown_images_are_evenly_spaced_and_as_large_as_the_loss_had_them(tmp_path, monkeypatch):
    monkeypatch.setattr("train.runs.data.open_dataset", lambda *_, **__: Bright(9))
    run = config(tmp_path / "run", panels=3, data=DataConfig(augmentation=Augmentation(crop=(22, 26))))
    made = setup.prepare_run(run)
    batch = panels.panel_batch(made, [1, 2, 4, 5, 8])
    assert batch.names == ("image 1", "image 4", "image 8")
    assert batch.labels.shape == (3, 24, 28)
    assert batch.sides == ((20, 28), (24, 20), (24, 20))
    assert unpadded(batch, 1) == (slice(24), slice(20))
    second = one_of(batch, 1)
    assert second.names == ("image 4",)
    np.testing.assert_array_equal(second.images, batch.images[1:2])
    few = panels.panel_batch(made, [3, 5])
    assert few.names == ("image 3", "image 5")
    assert few.labels.shape == (2, 22, 28)


def test_panels_of_a_batch(monkeypatch):
    """Each image by itself, as bright as it was, with the maps of its phase; what fills the batch is left out."""
    drawn = {}
    monkeypatch.setattr(panels, "draw_panels", lambda rows, **settings: drawn.update(rows=rows, **settings))
    rng = np.random.default_rng(0)
    standardised = rng.normal(size=(3, 6, 5, 1)).astype(np.float32)
    labels = rng.integers(0, 2, (3, 6, 5)).astype(np.int32)
    where = np.ones(labels.shape, bool)
    where[0, 0], where[1, :, 3:], where[2] = False, False, False
    weights = rng.random(labels.shape).astype(np.float32)
    sides = ((6, 5), (6, 3), (6, 5))
    batch = Batch(standardised, labels, where, ("a", "b", ""), sides, {"weights": weights, "unused": weights})

    def loss(logits, labels, *, where, weights):
        return jnp.mean(weights * logits[..., 0] ** 2, where=where) / 2

    statistics = ChannelStatistics(np.array([0.4], np.float32), np.array([0.2], np.float32))
    made = SimpleNamespace(network=Threshold(), statistics=statistics, dataset=Bright(1))
    panels.panels_of(state(), batch, made, Phase(0, "loss", loss, ("weights",)), title="t")
    assert drawn["title"] == "t" and drawn["class_names"] == ("dim", "bright")
    assert [row.name for row in drawn["rows"]] == ["a", "b"]
    for place, row in enumerate(drawn["rows"]):
        window = (place, *map(slice, sides[place]))
        np.testing.assert_allclose(row.image, standardised[window] * 0.2 + 0.4, rtol=1e-6)
        np.testing.assert_array_equal(row.label, labels[window])
        np.testing.assert_array_equal(row.where, where[window])
        logits = 8 * (standardised[window] - 0.2)
        np.testing.assert_allclose(row.probability, 1 / (1 + np.exp(-logits)), atol=1e-6)
        each = np.where(where[window], weights[window] * logits[..., 0], 0) / where[place].sum()
        np.testing.assert_allclose(row.gradient[..., 0], each, atol=1e-6)
