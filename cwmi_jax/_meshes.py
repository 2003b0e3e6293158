"""Arrays that are spread over devices: those of a mesh with explicit axes, and those within a `shard_map`.

With explicit axes JAX knows the sharding of every intermediate array, and asks for it where it does not follow from those of
the operands, such as where images are flattened. The package leaves that to the compiler, as a mesh with automatic axes
does, and gives its results the sharding of the images that they belong to.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from cwmi_jax import _versions
from cwmi_jax._settings import dimensions

_Function = TypeVar("_Function", bound=Callable)


def batched(trailing: int | None = 0) -> Callable[[_Function], _Function]:
    """Makes a function of images work on a mesh with explicit axes, see `run_batched`.

    Args:
        trailing: axes that its first argument has after the spatial ones; those before them are the batch. None for a
            function whose result belongs to no image.
    """

    def decorate(function):
        name = next(iter(inspect.signature(function).parameters))

        @functools.wraps(function)
        def run(*arguments, **options):
            images = arguments[0] if arguments else options.get(name, ())
            spatial_dims = dimensions(options.get("spatial_dims", 2))
            leading = 0 if trailing is None else np.ndim(images) - spatial_dims - trailing
            return run_batched(lambda a, o: function(*a, **o), images, leading, arguments, options)

        return run

    return decorate


def run_batched(function: Callable, images: Any, leading: int, *arguments: Any) -> Any:
    """Calls a function whose results have the leading axes of its images, or none of them.

    Args:
        function: of arrays or trees of them.
        images: that are spread over devices as the results are to be.
        leading: how many of their axes are the batch.
        arguments: of the function.

    Returns:
        What the function returns; with explicit axes, spread over the devices along its leading axes as the images are.
    """
    arrays = [leaf for leaf in jax.tree.leaves(arguments) if isinstance(leaf, jax.Array)]
    mesh = next(filter(None, map(_versions.explicit_mesh, arrays)), None)
    if mesh is None:
        return function(*arguments)
    spec = jax.typeof(images).sharding.spec[: max(leading, 0)] if isinstance(images, jax.Array) else ()
    with _versions.on_auto_axes(mesh):
        results = function(*jax.tree.map(_as_auto, arguments))

    def spread(result: jax.Array) -> jax.Array:
        return jax.sharding.reshard(result, NamedSharding(mesh, PartitionSpec(*spec[: result.ndim])))

    return jax.tree.map(spread, results)


def vary_alike(*arrays: jax.Array | None) -> list[Any]:
    """The same arrays, of one type within a `shard_map`: each differs over the axes over which any of them does.

    Derivatives that are written out, and the state of loops, must not change from alike on all devices to different.
    """
    axes = frozenset[str]().union(*(_versions.varying_axes(array) for array in arrays if array is not None))
    return [None if array is None else _versions.vary(array, axes) for array in arrays]


def _as_auto(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and _versions.explicit_mesh(leaf) is not None:
        return jax.sharding.reshard(leaf, PartitionSpec())
    return leaf
