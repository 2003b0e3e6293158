"""Arrays that are spread over devices: those of a mesh with explicit axes, and those within a `shard_map`.

With explicit axes JAX knows the sharding of every intermediate array, and asks for it where it does not follow from those of
the operands, such as where images are flattened. The package leaves that to the compiler, as a mesh with automatic axes
does, and gives its results the sharding of the images that they belong to.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from cwmi_jax import _versions

_Function = TypeVar("_Function", bound=Callable)


def batched(trailing: int = 0) -> Callable[[_Function], _Function]:
    """Makes a function of images work on a mesh with explicit axes, see `run_batched`.

    Args:
        trailing: axes that its first argument has after the spatial ones; those before them are the batch.
    """

    def decorate(function):
        @functools.wraps(function)
        def run(first, *others, **options):
            leading = np.ndim(first) - options.get("spatial_dims", 2) - trailing
            return run_batched(function, max(leading, 0), first, *others, **options)

        return run

    return decorate


def run_batched(function: Callable, leading: int, *arguments: Any, **options: Any) -> Any:
    """Calls a function whose results have the leading axes of its first argument, or none of them.

    Args:
        function: of arrays or trees of them.
        leading: how many axes are the batch.
        arguments: the first has the batch first.
        options: likewise.

    Returns:
        What the function returns; where there are explicit axes with its leading axes spread as those of the first argument.
    """
    arrays = [leaf for leaf in jax.tree.leaves((arguments, options)) if isinstance(leaf, jax.Array)]
    meshes = [mesh for mesh in map(_versions.explicit_mesh, arrays) if mesh is not None]
    if not meshes:
        return function(*arguments, **options)
    first = next(iter(jax.tree.leaves(arguments)))
    spec = _versions.type_of(first).sharding.spec if isinstance(first, jax.Array) else PartitionSpec()
    with _versions.on_auto_axes(meshes[0]):
        arguments, options = jax.tree.map(_as_auto, (arguments, options))
        results = function(*arguments, **options)

    def spread(result: jax.Array) -> jax.Array:
        shared = spec[: min(leading, result.ndim)]
        return _versions.reshard(result, NamedSharding(meshes[0], PartitionSpec(*shared)))

    return jax.tree.map(spread, results)


def vary_alike(*arrays: jax.Array | None) -> list[Any]:
    """The same arrays, of one type within a `shard_map`: each differs over the axes over which any of them does.

    Derivatives that are written out, and the state of loops, must not change from alike on all devices to different.
    """
    axes = frozenset[str]().union(*(_versions.varying_axes(array) for array in arrays if array is not None))
    return [None if array is None else _versions.vary(array, axes) for array in arrays]


def _as_auto(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and _versions.explicit_mesh(leaf) is not None:
        return _versions.reshard(leaf, PartitionSpec())
    return leaf
