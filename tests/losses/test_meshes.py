"""Every loss on batches that are spread over four devices: of one device's value, and without telling each other images."""

import functools
import re

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from numpy.testing import assert_allclose

from cwmi_jax.losses import LOSSES
from tests import versions
from tests.golden import quick_jit
from tests.losses.cases import (
    COUNT,
    MASKS,
    OF_TWO_CLASSES,
    batch,
    batch_of_masks,
    evaluate,
    holes,
    loss,
    maps,
    maps_of_masks,
)
from tests.thorough import some

PROGRAMS = ("ce", "dice", "rmi", "cldice", "hausdorff_dt", "scnp", "skea_topo", "cwmi", "bounded_cwmi")
"""Losses with each kind of program: sums, windows, loops, calls to the host, transforms."""


def values_and_gradient(name, activation, logits, labels, where, given):
    def function(logits, reduction):
        return loss(name)(logits, labels, activation=activation, where=where, reduction=reduction, **given)

    return function(logits, "none"), *jax.value_and_grad(lambda logits: function(logits, "mean"))(logits)


def assert_near(result, expected):
    result, expected = np.asarray(result), np.asarray(expected)
    assert_allclose(result, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def assert_devices_keep_their_images(name, kind, logits, labels, where, given, activation="softmax"):
    expected = evaluate(name, logits, labels, where, given, activation)
    mesh = versions.make_mesh(kind)
    split = NamedSharding(mesh, PartitionSpec("data"))
    arguments = jax.device_put((logits, labels, where, given), split)
    program = quick_jit(functools.partial(values_and_gradient, name, activation)).lower(*arguments).compile()
    result = program(*arguments)
    for of_devices, of_one in zip(result, expected, strict=True):
        assert_near(of_devices, of_one)
    assert kind == "Auto" or result[0].sharding.is_equivalent_to(split, 1)
    assert result[2].sharding.is_equivalent_to(split, logits.ndim)
    gathered = re.findall(r"= (\w+)\[\S+ all-gather", program.as_text())
    if name == "skea_topo":
        # Its second term is found on the host, from masks.
        assert set(gathered) == {"pred"}
    else:
        assert versions.collectives(program) == {"all-reduce"}
    if name.startswith("cwmi"):
        share = COUNT // 4 * logits.shape[-1]
        assert {shape[0] for shape in versions.transformed(program)} == {share}
        assert len(versions.transformed(program)) == 3


@pytest.mark.parametrize(
    ("name", "channels", "kind"),
    [
        *some([(name, 1 if name in OF_TWO_CLASSES else 3, "Auto") for name in LOSSES], PROGRAMS),
        *some([(name, 1, "Explicit") for name in LOSSES], PROGRAMS),
    ],
)
def test_each_device_works_on_its_own_images(x64, name, channels, kind):
    logits, labels = batch(channels)
    where = holes()
    given = maps(name, np.where(where, labels, 0), channels)
    assert_devices_keep_their_images(name, kind, logits, labels, where, given)


@pytest.mark.parametrize(
    ("name", "kind"),
    some(
        [(name, kind) for name in LOSSES for kind in versions.KINDS],
        [*((name, "Explicit") for name in PROGRAMS), ("cwmi", "Auto")],
    ),
)
def test_each_device_works_on_the_masks_of_its_own_images(x64, name, kind):
    logits, labels = batch_of_masks()
    where = np.repeat(holes()[..., None], MASKS, axis=-1)
    where[2, ..., 0] = False
    given = maps_of_masks(name, np.where(where, labels, 0))
    assert_devices_keep_their_images(name, kind, logits, labels, where, given, "sigmoid")


@pytest.mark.parametrize(
    ("name", "check"), some([*((name, True) for name in LOSSES), ("ce", False), ("cwmi", False)], PROGRAMS)
)
def test_within_shard_map(x64, name, check):
    """Of images that differ between devices, and of a parameter that all of them share."""
    if name in ("hausdorff_dt", "cbdice") and check and jax.__version_info__ < (0, 6):
        pytest.skip("the shard_map of JAX 0.5 checks no loops")
    logits, labels = batch()
    given = maps(name, labels)
    _, value, gradient = evaluate(name, logits, labels)
    whole, split = PartitionSpec(), PartitionSpec("data")

    def local(gain, logits, labels, given):
        def own(gain, logits):
            return loss(name)(gain * logits, labels, **given)

        def mean(gain, logits):
            return jax.lax.pmean(own(gain, logits), "data")

        # JAX knows what all devices share, and sums its gradient over them. It did not before 0.7.
        if check and hasattr(jax, "shard_map"):
            value, gradients = jax.value_and_grad(mean, argnums=(0, 1))(gain, logits)
            return value, *gradients
        value, (of_gain, of_logits) = jax.value_and_grad(own, argnums=(0, 1))(gain, logits)
        return *jax.lax.pmean((value, of_gain), "data"), of_logits / 4

    mesh = versions.make_mesh("Auto")
    specs = dict(in_specs=(whole, split, split, split), out_specs=(whole, whole, split))
    mapped = versions.shard_map(local, mesh, **specs, check=check)
    value_there, of_gain, of_logits = quick_jit(mapped)(np.float64(1), logits, labels, given)
    assert_near(value_there, value)
    assert_near(of_gain, np.vdot(gradient, logits))
    assert_near(of_logits, gradient)
