"""What tests need to tell the versions of JAX apart, from 0.5.3 on."""

import contextlib
import re
from collections.abc import Callable, Sequence

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

KINDS = ("Explicit", "Auto")
"""What decides on the sharding along an axis of a mesh: types, as `jax.make_mesh` now has it, or the compiler."""


def enable_x64(on: bool) -> contextlib.AbstractContextManager:
    """A context with or without float64 arrays."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(on)
    from jax import experimental

    return experimental.enable_x64(on)


def make_mesh(kind: str, shape: Sequence[int] = (4,), names: Sequence[str] = ("data",)) -> Mesh:
    """A mesh whose axes are all of a kind; skips the test where the version knows only the other."""
    assert jax.device_count() >= np.prod(shape)
    if not hasattr(jax.sharding, "reshard"):
        if kind == "Explicit":
            pytest.skip(f"jax {jax.__version__} has no explicit axes")
        return jax.make_mesh(shape, names)
    return jax.make_mesh(shape, names, axis_types=(getattr(jax.sharding.AxisType, kind),) * len(shape))


def shard_map(function: Callable, mesh: Mesh, in_specs, out_specs, check: bool = True) -> Callable:
    """`jax.shard_map`, with or without the check of what differs between devices."""
    if hasattr(jax, "shard_map"):
        return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=check)
    from jax.experimental.shard_map import shard_map

    return shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_rep=check)


def collectives(program: jax.stages.Compiled) -> set[str]:
    """What devices tell each other in a program."""
    found = r"(all-gather|all-to-all|collective-permute|collective-broadcast|all-reduce|reduce-scatter)"
    return set(re.findall(rf" {found}(?:-start)?\(", program.as_text()))


def transformed(program: jax.stages.Compiled) -> list[tuple[int, ...]]:
    """Shapes of the results of the Fourier transforms that each device computes."""
    shapes = re.findall(r"= [cf]\d+\[([\d,]+)\]\S* fft\(", program.as_text())
    return [tuple(map(int, shape.split(","))) for shape in shapes]
