"""The settings of a run as its folder holds them: as JSON, and by dotted names, so that two runs can be compared."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from train.config import Config

SHOWN_ONLY = (
    "output",
    "log_steps",
    "panels",
    "compilation_cache",
    "data.folder",
    "data.source",
    "data.splits",
    "data.groups",
    "data.workers",
    "data.prefetch",
)
"""Settings that say how a run is computed or shown, not what comes out; and where its data, splits and groups lie, which may
move: what these are is compared by `train.runs.data`."""


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config's JSON by dotted names; the options of a loss are one setting, tuples are lists."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and name != "options":
            flat |= flat_settings(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def read_setting(name: str, text: str) -> Any:
    """A setting of a run from text.

    Args:
        name: dotted, such as `optimizer.clip_norm`.
        text: a number, a word, `true` or `false`, or lengths with an x between them.

    Returns:
        The value of the setting's type.

    Raises:
        ValueError: an unknown setting, or a value of another kind.
    """
    kind: Any = Config
    for part in name.split("."):
        known = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        if part not in known:
            raise ValueError(f"unknown setting {name}; known are those that `python -m train PRESET --help` lists")
        kind = known[part]
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    for choice in kinds:
        if typing.get_origin(choice) is Literal and text in typing.get_args(choice):
            return text
        if choice is types.NoneType and text.lower() == "none":
            return None
        if choice is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if choice is str:
            return text
        try:
            if choice in (int, float):
                return choice(text)
            if typing.get_origin(choice) is tuple:
                return tuple(int(length) for length in text.split("x"))
        except ValueError:
            continue
    raise ValueError(f"{name} must be {' or '.join(map(_kind_name, kinds))}, got {text!r}")


def _kind_name(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return " or ".join(typing.get_args(kind))
    names = {bool: "true or false", int: "a whole number", float: "a number", types.NoneType: "none"}
    return names.get(kind, "lengths such as 64x64")


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """A config with some settings changed, all at once: they may contradict each other in between.

    Args:
        config: as it was.
        settings: dotted name -> value.

    Raises:
        ValueError: settings that are unknown, out of range or in contradiction.
    """
    values = to_json(config)
    for name, value in settings.items():
        *groups, last = name.split(".")
        inner = values
        for group in groups:
            inner = inner[group]
        inner[last] = value
    return from_json(values)


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
