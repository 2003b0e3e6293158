"""What differs between the versions of JAX that the package runs on, 0.5.3 to the newest. No other module asks for one."""

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
from jax.experimental.custom_partitioning import custom_partitioning

_HAS_EXPLICIT_AXES = hasattr(jax.sharding, "reshard") and hasattr(jax.sharding, "use_abstract_mesh")
_HAS_SHARDY_RULES = "need_replication_factors" in inspect.signature(custom_partitioning.def_partition).parameters


def varying_axes(array: Any) -> frozenset[str]:
    """The mesh axes of a surrounding `shard_map` over which an array differs; none where the version does not track them."""
    kind: Any = jax.typeof(array)
    return frozenset(kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else getattr(kind, "vma", ()))


def vary(array: jax.Array, axes: frozenset[str]) -> jax.Array:
    """The same array, of the type of one that differs over these axes of the mesh too."""
    missing = tuple(sorted(axes - varying_axes(array)))
    if not missing:
        return array
    cast = functools.partial(jax.lax.pcast, to="varying") if hasattr(jax.lax, "pcast") else getattr(jax.lax, "pvary")  # noqa: B009
    return cast(array, missing)


def explicit_mesh(array: Any) -> Any | None:
    """The mesh of an array with explicit axes, as its type names it, or None."""
    if not _HAS_EXPLICIT_AXES:
        return None
    mesh: Any = jax.typeof(array).sharding.mesh
    return mesh if mesh.explicit_axes else None


def on_auto_axes(mesh: Any) -> contextlib.AbstractContextManager:
    """A context in which the explicit axes of a mesh are the compiler's to decide on."""
    kinds = jax.sharding.AxisType
    types = tuple(kinds.Auto if kind == kinds.Explicit else kind for kind in mesh.axis_types)
    automatic = jax.sharding.AbstractMesh(mesh.axis_sizes, mesh.axis_names, axis_types=types)
    return jax.sharding.use_abstract_mesh(automatic)


def partitioned(
    function: Callable[[jax.Array], jax.Array],
    partition: Callable,
    infer: Callable,
    rule: str,
    whole: tuple[str, ...],
) -> Callable[[jax.Array], jax.Array]:
    """A function that the compiler splits over devices as it is told to.

    Args:
        function: of one array.
        partition: see `jax.experimental.custom_partitioning`.
        infer: the result's sharding from the argument's, for versions whose compiler asks for that.
        rule: the same as a notation of axes, for later ones.
        whole: the axes of that notation which must not be split.
    """
    split = custom_partitioning(function)
    rules: dict[str, Any] = dict(sharding_rule=rule, need_replication_factors=whole) if _HAS_SHARDY_RULES else {}
    split.def_partition(partition, infer_sharding_from_operands=infer, **rules)
    return split


def register_replication(primitive: Any) -> None:
    """Tells the `shard_map` of JAX 0.5, which asks, that a result is alike on all devices where its operands are."""
    if not hasattr(jax, "shard_map"):
        from jax.experimental import shard_map

        for register in ("register_standard_check", "register_standard_rewrite"):
            getattr(shard_map, register)(primitive)


def is_export(context: Any) -> bool:
    """Whether a primitive is lowered for `jax.export`, whose programs must do without callbacks."""
    return getattr(context.module_context.lowering_parameters, "for_export", False)
