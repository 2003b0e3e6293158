"""The settings of a run as its folder holds them: as JSON, and by dotted names, so that two runs can be compared."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from train.config import Config

SHOWN_ONLY = (
    "output",
    "log_steps",
    "panels",
    "compilation_cache",
    "data.folder",
    "data.source",
    "data.workers",
    "data.prefetch",
)
"""Settings that say how a run is computed or shown, not what comes out."""


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config's JSON by dotted names; the options of a loss are one setting, tuples are lists."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and name != "options":
            flat |= flat_settings(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def differing(before: Mapping[str, Any], now: Mapping[str, Any], but: Sequence[str] = SHOWN_ONLY) -> list[str]:
    """What differs between the settings of two runs.

    Args:
        before: dotted name -> value.
        now: likewise.
        but: settings that may differ; a name that ends with a dot stands for all that begin with it.

    Returns:
        "name is X and not Y" for each.
    """
    groups = tuple(name for name in but if name.endswith("."))
    names = [name for name in now if before.get(name) != now[name] and name not in but and not name.startswith(groups)]
    return [f"{name} is {now[name]!r} and not {before.get(name)!r}" for name in names]


def to_json(config: Config) -> dict[str, Any]:
    """A config as JSON can hold it."""
    return dataclasses.asdict(config)


def from_json(values: Mapping[str, Any]) -> Config:
    """The config that `to_json` gave.

    Raises:
        ValueError: a setting that is unknown or out of range.
    """
    return _from_json(Config, values, "")


def _from_json(kind: type, values: Mapping[str, Any], prefix: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = [name for name in values if name not in fields]
    if unknown:
        raise ValueError(f"unknown setting {prefix}{unknown[0]}; known: {', '.join(fields)}")
    settings = {}
    for name, value in values.items():
        inner = fields[name].type
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            value = _from_json(inner, value, f"{prefix}{name}.")
        settings[name] = tuple(value) if isinstance(value, list) else value
    return kind(**settings)
