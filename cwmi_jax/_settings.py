"""One rule for the settings of all functions: what makes a program must be known, what it computes with may be traced.

Sizes, flags and names make the program. They are Python's, or concrete scalars of NumPy or JAX, which count as the numbers
they are. Weights and exponents are arithmetic alone; they may be traced, and have a gradient then.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

FINITE = "finite"
NOT_NEGATIVE = "finite and not negative"
POSITIVE = "finite and positive"
SHARE = "within 0..1"
_LIMITS = {
    FINITE: (-np.inf, np.inf),
    NOT_NEGATIVE: (0, np.inf),
    POSITIVE: (np.nextafter(0, 1), np.inf),
    SHARE: (0, 1),
}


def is_visible(value: Any) -> bool:
    """Whether the values of an array can be looked at: not traced, and not spread over several hosts."""
    if isinstance(value, jax.core.Tracer):
        return False
    return getattr(value, "is_fully_addressable", True)


def integer(name: str, value: Any, *, least: int | None = None) -> int:
    """A size, `least` or more."""
    size = int(_known(name, value, "integer", np.integer))
    if least is not None and size < least:
        raise ValueError(f"{name} must be {least} or more, got {size}")
    return size


def dimensions(spatial_dims: Any) -> int:
    """`spatial_dims`, two or three."""
    axes = integer("spatial_dims", spatial_dims)
    if axes not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 (images) or 3 (volumes), got {axes}")
    return axes


def flag(name: str, value: Any) -> bool:
    """True or False."""
    return bool(_known(name, value, "bool", np.bool_))


def choice(name: str, value: Any, known: tuple[str, ...]) -> str:
    """One of the known names."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, one of {', '.join(map(repr, known))}, got {value!r}")
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def constant(name: str, value: Any, limits: str) -> float:
    """A number that is part of the program."""
    result = float(_known(name, value, "number", np.integer, np.floating))
    check_limits(name, result, limits)
    return result


def number(name: str, value: ArrayLike, dtype: Any, limits: str = NOT_NEGATIVE) -> float | jax.Array:
    """A number to compute with: Python's where it is known, an array of `dtype` where it is traced."""
    _check_scalar(name, value, "number", np.integer, np.floating)
    if not is_visible(value):
        return jnp.asarray(value).astype(dtype)
    check_limits(name, value, limits)
    return float(value)  # type: ignore[arg-type]


def orientations_or_default(orientations: Any, spatial_dims: int) -> int:
    """`orientations`, 4 a level of images and 3 of volumes where it is None."""
    if orientations is None:
        return 3 if spatial_dims == 3 else 4
    return integer("orientations", orientations)


def spacing_or_ones(spacing: Any, spatial_dims: int) -> tuple[float, ...]:
    """`spacing`, the length of a pixel along each spatial axis; 1 for all where it is None."""
    if spacing is None:
        return (1.0,) * spatial_dims
    if not all(map(is_visible, jax.tree.leaves(spacing))):
        raise TypeError(_traced("spacing", "tuple"))
    lengths = np.asarray(spacing)
    if not any(np.issubdtype(lengths.dtype, known) for known in (np.integer, np.floating)):
        raise TypeError(f"spacing must be numbers, got {spacing!r}")
    if lengths.shape != (spatial_dims,):
        raise ValueError(f"spacing must be {spatial_dims} lengths, one for each spatial axis, got {spacing!r}")
    check_limits("spacing", spacing, POSITIVE)
    return tuple(map(float, lengths))


def spacing_ratios(spacing: Any, spatial_dims: int) -> tuple[float, ...]:
    """How many times the smallest spacing that of each axis is, a whole number where float32 would not know better."""
    lengths = spacing_or_ones(spacing, spatial_dims)
    ratios = [length / min(lengths) for length in lengths]
    return tuple(float(round(r)) if math.isclose(r, round(r), rel_tol=1e-6) else r for r in ratios)


def bank_settings(
    levels: Any, orientations: Any, complex_valued: Any, spacing: Any, spatial_dims: int
) -> tuple[int, int, bool, tuple[float, ...]]:
    """What makes a `FilterBank` beside the shape of the images."""
    return (
        integer("levels", levels),
        orientations_or_default(orientations, spatial_dims),
        flag("complex_valued", complex_valued),
        spacing_ratios(spacing, spatial_dims),
    )


def check_limits(name: str, values: ArrayLike, limits: str) -> None:
    """Raises a ValueError unless all of some visible values lie within limits, which exclude infinity and NaN."""
    least, most = _LIMITS[limits]
    seen = np.asarray(values).astype(np.float64)
    if not np.all(np.isfinite(seen) & (seen >= least) & (seen <= most)):
        raise ValueError(f"{name} must be {limits}, got {values}")


def _known(name: str, value: Any, kind: str, *dtypes: type) -> Any:
    if not is_visible(value):
        raise TypeError(_traced(name, kind))
    _check_scalar(name, value, kind, *dtypes)
    return value


def _traced(name: str, kind: str) -> str:
    """What is wrong with a setting of that kind that is traced."""
    return (
        f"{name} makes the program and cannot be traced; give a Python {kind}, "
        f"under `jax.jit` by static_argnames={name!r}"
    )


def _check_scalar(name: str, value: Any, kind: str, *dtypes: type) -> None:
    dtype = getattr(value, "dtype", None) or np.asarray(value).dtype
    if not any(jnp.issubdtype(dtype, known) for known in dtypes):
        raise TypeError(f"{name} must be a {kind}, got {value!r}")
    if np.ndim(value):
        raise ValueError(f"{name} must be a single {kind}, got the shape {np.shape(value)}")
