"""Which loss is minimised in which epoch."""

import functools

import jax
import numpy as np
import pytest

from cwmi_jax import cwmi_loss, losses
from cwmi_jax.weight_maps import skeleton_aware_weight_map, skeletons, unet_weight_map
from tests.golden import images, quick_jit, volume
from train.config import LossConfig
from train.runs.phases import map_functions, phase_at, phases

LABELS, LOGITS = images(32, 32)
LOGITS = LOGITS[..., None].astype(np.float32)


def value(loss, logits, labels, **keywords):
    """Compiled: one operation after the other, each is a program of its own."""
    return quick_jit(functools.partial(loss, **keywords))(logits, labels)


@pytest.mark.parametrize("name", ["cwmi", "cwmi_real"])
def test_cwmi_begins_with_cross_entropy(name):
    first, second = phases(LossConfig(name=name, cross_entropy_epochs=2, options={"levels": 2}), 2)
    assert [phase_at(epoch, [first, second]) for epoch in (0, 1, 2, 49)] == [first, first, second, second]
    assert value(first.loss, LOGITS, LABELS) == value(losses.cross_entropy, LOGITS, LABELS)
    expected = value(cwmi_loss, LOGITS, LABELS, levels=2, complex_valued=name == "cwmi")
    np.testing.assert_allclose(value(second.loss, LOGITS, LABELS), expected, rtol=1e-6)


def test_other_losses_are_themselves_from_the_start():
    (only,) = phases(LossConfig(name="tversky", options={"alpha": 0.3, "beta": 0.7}, cross_entropy_epochs=3), 2)
    assert only.first_epoch == 0
    assert value(only.loss, LOGITS, LABELS) == value(losses.tversky, LOGITS, LABELS, alpha=0.3, beta=0.7)
    (cwmi,) = phases(LossConfig(cross_entropy_epochs=0), 2)
    assert cwmi.name == "cwmi"


def test_whole_numbers_from_the_command_line_are_integers():
    (only,) = phases(LossConfig(name="rmi", options={"radius": 2.0, "pool": 1.0}), 2)
    expected = value(losses.rmi, LOGITS, LABELS, radius=2, pool=1)
    np.testing.assert_allclose(value(only.loss, LOGITS, LABELS), expected, rtol=1e-6)


def test_skea_topo_has_its_topology_term_from_epoch_21():
    config = LossConfig(name="skea_topo").with_first_epochs(50)
    without, with_it = phases(config, 2)
    assert (without.first_epoch, with_it.first_epoch) == (0, 20)
    assert (without.maps, with_it.maps) == (("weight_maps",), ("weight_maps", "skeletons"))
    maps = {keyword: np.stack([make(LABELS[0])]) for keyword, make in map_functions(config).items()}
    assert list(map_functions(config).values()) == [skeleton_aware_weight_map, skeletons]
    first = value(without.loss, LOGITS, LABELS, weight_maps=maps["weight_maps"])
    expected = value(losses.skea_topo, LOGITS, LABELS, weight_maps=maps["weight_maps"], topology=False)
    np.testing.assert_allclose(first, expected, rtol=1e-6)
    assert value(with_it.loss, LOGITS, LABELS, **maps) > first


def test_maps_are_those_of_the_loss():
    assert map_functions(LossConfig(name="wce")) == {"weight_map": unet_weight_map}
    assert phases(LossConfig(name="wce"), 2)[0].maps == ("weight_map",)
    assert map_functions(LossConfig(name="dice")) == {}


def test_volumes_are_volumes_to_every_phase():
    labels, logits = volume(8, 8, 8)
    batch = logits[None, ..., None].astype(np.float32), labels[None]
    first, second = phases(LossConfig(cross_entropy_epochs=1, options={"levels": 1}), 3)
    expected = value(losses.cross_entropy, *batch, spatial_dims=3)
    np.testing.assert_allclose(value(first.loss, *batch), expected, rtol=1e-6)
    expected = value(cwmi_loss, *batch, levels=1, orientations=3, spatial_dims=3)
    np.testing.assert_allclose(value(second.loss, *batch), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["boundary", "hausdorff_dt"])
def test_what_is_learnt_does_not_depend_on_the_unit_of_lengths(name):
    logits, labels = LOGITS[:1, :8, :8], LABELS[:1, :8, :8]

    def gradient(spacing):
        (only,) = phases(LossConfig(name=name), 2, spacing)
        return quick_jit(jax.grad(lambda logits: only.loss(logits, labels)))(logits)

    assert labels.any() and not labels.all()
    np.testing.assert_array_equal(gradient((2.5e-4, 2.5e-4)), gradient(None))
    expected = quick_jit(jax.grad(lambda logits: losses.LOSSES[name](logits, labels, spacing=(3.0, 1.0))))(logits)
    np.testing.assert_allclose(gradient((1.5e-3, 5e-4)), expected, rtol=1e-5)


def test_the_pyramid_is_made_for_ratios_of_lengths_too():
    (whole,) = phases(LossConfig(name="cwmi", cross_entropy_epochs=0), 2, (6e-4, 2e-4))
    assert whole.loss.keywords["spacing"] == whole.terms.spacing == pytest.approx((3.0, 1.0))
