"""The options of losses that can be set from outside: which there are, of which kind, and what they are as arguments."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import jax
from jax.typing import ArrayLike

from cwmi_jax.losses import LOSSES

CWMI = ("cwmi", "cwmi_real", "bounded_cwmi")
"""Losses of an information term and a cross entropy with the weight `ce_weight`."""

FIRST_PHASE: Mapping[str, str] = {
    "cwmi": "cross_entropy_epochs",
    "cwmi_real": "cross_entropy_epochs",
    "skea_topo": "topology_epoch",
}
"""Losses that minimise something simpler in the first epochs -> the setting of `LossConfig` that says in how many."""

TWO_CLASSES = ("wce", "abw", "skea_topo")
"""Losses whose weight maps are made of two classes."""

OptionValue = float | str
"""An option of a loss, as command lines and `config.json` hold it."""


OptionKind = type[int] | type[float] | tuple[str, ...]
"""Of a loss's option: a whole number, a number, or one of some words."""

# Of class weights arrays are options too, but not of a command line.
_OPTION_KINDS: dict[Any, OptionKind] = {
    int: int,
    int | None: int,
    float: float,
    float | jax.Array: float,
    bool: ("true", "false"),
    str | ArrayLike | None: ("balanced", "none"),
}
_WORDS = {"true": True, "false": False, "none": None}


def check_classes(loss: str, classes: int, dataset: str) -> None:
    """Refuses a loss that is not for so many classes.

    Args:
        loss: name in `LOSSES`.
        classes: how many the data have.
        dataset: what they are called.

    Raises:
        ValueError: there are more than two, and the loss is for two alone.
    """
    if loss in TWO_CLASSES and classes > 2:
        raise ValueError(
            f"loss.name {loss} is for two classes, and {dataset} has {classes}; most others take any number, such as ce, "
            "dice_ce and bounded_cwmi"
        )


def loss_options(name: str) -> dict[str, OptionKind]:
    """The options of a loss that a command line can set, and of which kind each is."""
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    return {
        p.name: _OPTION_KINDS[p.annotation]
        for p in parameters
        if p.annotation in _OPTION_KINDS and p.name != "spatial_dims"
    }


def read_option(loss: str, option: str, value: OptionValue) -> OptionValue:
    """An option of a loss as its kind has it: a number, or one of its words.

    Args:
        loss: name in `LOSSES`.
        option: name of one of its options.
        value: a number, a word, or a number as text.

    Raises:
        ValueError: an unknown option, or a value of another kind.
    """
    known = loss_options(loss)
    if option not in known:
        raise ValueError(f"loss.options must be of {', '.join(known) or 'none'} for {loss}, got {option!r}")
    kind, name = known[option], f"loss.options {option}"
    if isinstance(kind, tuple):
        word = str(value).lower()
        if word not in kind:
            raise ValueError(f"{name} must be {' or '.join(kind)}, got {value!r}")
        return word
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    if kind is int and not number.is_integer():
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    return int(number) if kind is int else number


def option_arguments(loss: str, options: Mapping[str, OptionValue]) -> dict[str, Any]:
    """The options of a loss as the arguments of its function.

    Args:
        loss: name in `LOSSES`.
        options: name -> value, as `read_option` takes it.
    """
    read = {name: read_option(loss, name, value) for name, value in options.items()}
    return {name: _WORDS.get(value, value) if isinstance(value, str) else value for name, value in read.items()}
