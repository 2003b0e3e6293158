"""What programs that hold a loss can do: go to other platforms, take any batch, be cached, use up their inputs."""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import NamedSharding, PartitionSpec
from numpy.testing import assert_allclose

from cwmi_jax import cwmi_loss
from cwmi_jax.losses import LOSSES
from tests.golden import images, quick_jit
from tests.losses.cases import ONE_OF_EACH, batch, batch_of_masks, evaluate, loss, maps, maps_of_masks
from tests.thorough import some
from tests.versions import make_mesh

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
CALLED = ("cwmi", "dice", "hausdorff_dt")
"""Losses whose exported program is run too: with transforms, sums, loops."""


def exportable(name):
    """The loss, without the call to the host that `skea_topo` makes by default."""
    return functools.partial(loss(name), **({"topology": False} if name == "skea_topo" else {}))


def value_and_gradient(function, logits, labels, given):
    return jax.value_and_grad(lambda logits: function(logits, labels, **given))(logits)


@pytest.mark.parametrize(
    ("name", "activation"),
    [*((name, "softmax") for name in LOSSES), *some([(name, "sigmoid") for name in LOSSES], ONE_OF_EACH)],
)
def test_every_loss_is_lowered_for_all_platforms_and_any_batch(name, activation):
    if activation == "softmax":
        logits, labels = batch(dtype=np.float32)
        given = maps(name, labels)
    else:
        logits, labels = batch_of_masks(dtype=np.float32)
        given = maps_of_masks(name, labels)
    scope = export.SymbolicScope()

    def symbolic(array):
        (count,) = export.symbolic_shape("images", scope=scope)
        return jax.ShapeDtypeStruct((count, *array.shape[1:]), array.dtype)

    run = jax.jit(functools.partial(value_and_gradient, functools.partial(exportable(name), activation=activation)))
    exported = export.export(run, platforms=PLATFORMS)(*jax.tree.map(symbolic, (logits, labels, given)))
    assert exported.platforms == PLATFORMS
    assert str(exported.out_avals[1].shape[0]) == "images"
    if name in CALLED:
        expected = evaluate(name, logits, labels, activation=activation)[1:]
        for got, want in zip(quick_jit(exported.call)(logits, labels, given), expected, strict=True):
            assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def spread(kind, *arrays):
    return jax.device_put(arrays, NamedSharding(make_mesh(kind), PartitionSpec("data")))


def small():
    labels, logits = images(17, 20, 4)
    return logits[..., None].astype(np.float32), labels


def test_a_program_of_several_devices_is_exported_too():
    """With a plain transform, for an exported program cannot ask Python how to split one."""
    run = jax.jit(jax.value_and_grad(functools.partial(cwmi_loss, levels=2, orientations=2)))
    arguments = spread("Auto", *small())
    exported = export.export(run, platforms=PLATFORMS)(*arguments)
    assert exported.nr_devices == 4
    for got, want in zip(jax.jit(exported.call)(*arguments), run(*arguments), strict=True):
        assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("devices", [1, 4])
def test_donated_logits_make_room_for_their_gradient(devices):
    logits, labels = spread("Auto", *small()) if devices == 4 else map(jnp.asarray, small())
    run = jax.jit(jax.value_and_grad(functools.partial(cwmi_loss, levels=2, orientations=2)), donate_argnums=0)
    expected = run(jnp.copy(logits), labels)
    program = run.lower(logits, labels).compile()
    assert program.memory_analysis().alias_size_in_bytes == logits.nbytes // devices
    value, gradient = program(logits, labels)
    assert logits.is_deleted()
    assert_allclose(value, expected[0], rtol=1e-6)
    assert_allclose(gradient, expected[1], rtol=1e-6)


@pytest.mark.parametrize("devices", [1, 4])
def test_a_compiled_program_is_found_again_in_the_cache(devices, tmp_path):
    """On several devices with an option of JAX's, for the key would hold the address of what splits the transforms."""
    options = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_remove_custom_partitioning_ptr_from_cache_key": True,
    }
    before = {name: getattr(jax.config, name) for name in options}
    events: Counter = Counter()
    arguments = spread("Auto", *small()) if devices == 4 else small()

    def count(event, **_):
        events[event.rsplit("/", 1)[-1]] += 1

    try:
        for name, value in options.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        jax.monitoring.register_event_listener(count)
        for _ in range(2):
            run = jax.jit(lambda *inputs: jax.grad(functools.partial(cwmi_loss, levels=1))(*inputs))
            run.lower(*arguments).compile()
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        jax.monitoring.clear_event_listeners()
    assert (events["cache_misses"], events["cache_hits"]) == (1, 1)
