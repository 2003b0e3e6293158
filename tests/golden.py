"""Inputs made by formulas, and the figures that independent programs found for them in float64.

`cwmi.json` holds figures of the released PyTorch code of Lu (ICML 2025) with its filters centred; `multiclass.json` and
`volumes.json` those of a NumPy program that builds every band in the spatial domain.
"""

import functools
import json
import pathlib

import jax
import numpy as np

KINDS = ("complex", "real")
"""Names in the files of the pyramid with complex bands and of the one with real bands."""


def figures(name: str) -> list[dict]:
    """The cases of one file."""
    return json.loads((pathlib.Path(__file__).parent / "data" / f"{name}.json").read_text())


_QUICK: dict[str, int | bool] = {"xla_backend_optimization_level": 0}
if jax.__version_info__ < (0, 11):  # The later compilers do not know it.
    _QUICK["xla_cpu_use_fusion_emitters"] = False
quick_jit = functools.partial(jax.jit, compiler_options=_QUICK)
"""`jax.jit` that compiles in a third of the time, for programs that run once; not inside another `jax.jit`."""


def case_name(case) -> str:
    """Test id of a case: its sides, or a plain value."""
    if isinstance(case, tuple):
        return "x".join(map(case_name, case))
    if not isinstance(case, dict):
        return str(getattr(case, "__name__", case))
    sides = "x".join(str(case[side]) for side in ("depth", "height", "width") if side in case)
    rest = [f"{key}{case[key]}" for key in ("kind", "levels", "orientations", "seed") if key in case]
    return "-".join([sides, *rest])


def pyramid(case: dict, kind: str) -> dict:
    """Keyword arguments for the pyramid of a case."""
    return dict(levels=case["levels"], orientations=case["orientations"], complex_valued=kind == "complex")


def images(height: int, width: int, batch: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, integers, and logits, float64, each `[batch, height, width]`."""
    sin, cos, turn = np.sin, np.cos, 2 * np.pi
    u = (np.arange(height) / height)[None, :, None]
    v = (np.arange(width) / width)[None, None, :]
    b = np.arange(batch)[:, None, None]
    f = (
        sin(turn * (3 * u + 2 * v) + b + seed)
        + cos(turn * (5 * u - 4 * v) + 1 + 0.7 * seed)
        + 0.5 * sin(turn * (11 * u * v + 0.3 * b))
    )
    labels = (f > 0.2).astype(int)
    logits = (
        2.5 * (2 * labels - 1) * (0.6 + 0.4 * cos(turn * (7 * u + 3 * v) + b))
        + 1.5 * sin(turn * (13 * u - 6 * v) + 0.5 * b + seed)
        + 0.4 * cos(turn * (17 * v + 2 * u))
    )
    return labels, logits


def class_images(height: int, width: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes `[height, width]` and logits `[height, width, classes]` of one image."""
    labels, logits = images(height, width, classes, seed)
    return np.argmax(logits + 1.5 * labels, axis=0), np.moveaxis(logits, 0, -1)


def volume(depth: int, height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits `[depth, height, width]`."""
    sin, cos, turn = np.sin, np.cos, 2 * np.pi
    q, u, v = np.meshgrid(*(np.arange(side) / side for side in (depth, height, width)), indexing="ij")
    f = (
        sin(turn * (2 * q + 3 * u + v) + seed)
        + cos(turn * (3 * q - 2 * u + 4 * v) + 1 + 0.7 * seed)
        + 0.5 * sin(turn * 5 * u * v)
    )
    labels = (f > 0.3).astype(int)
    logits = 2.5 * (2 * labels - 1) * (0.6 + 0.4 * cos(turn * (5 * q + 3 * v))) + 1.5 * sin(
        turn * (6 * u - 4 * v + 3 * q) + seed
    )
    return labels, logits


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Of NumPy arrays."""
    return 1 / (1 + np.exp(-logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of NumPy arrays, over the last axis."""
    odds = np.exp(logits)
    return odds / odds.sum(axis=-1, keepdims=True)
