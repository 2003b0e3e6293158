"""What a row of a comparison is: a loss, and the settings in which it differs from the others.

On the command line a variant is `cwmi:ce_weight=20,levels=3`: options of the loss, and with a dot in their names settings of
the run, such as `cwmi:optimizer.clip_norm=0,class_weights=none`.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import tyro

from cwmi_jax.losses import LOSSES
from train.config import Config
from train.loss_options import OptionValue, loss_options, read_option

# Settings in which the rows of a comparison must not differ, or that have a flag of their own.
_NOT_HERE = ("data.", "model.name", "loss.name", "loss.options")


class Variant(NamedTuple):
    """A loss with settings of its own.

    Attributes:
        name: as it was written, without spaces.
        loss: in `cwmi_jax.losses.LOSSES`.
        options: settings of the loss that differ from its defaults.
        settings: dotted name of a setting of the run -> value as text.
    """

    name: str
    loss: str
    options: Mapping[str, OptionValue]
    settings: Mapping[str, str]

    @property
    def file_name(self) -> str:
        """The name as a part of a file's name, on any system."""
        return self.name.replace(":", ",")


def parse_variants(text: str) -> list[Variant]:
    """Reads variants with commas between them.

    Args:
        text: such as `ce,cwmi,cwmi:ce_weight=20,levels=3`; what holds a `=` and no `:` belongs to the variant before it.

    Raises:
        ValueError: an unknown loss, option or setting, a value of the wrong kind, or a variant that is there twice.
    """
    names: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if names and ":" in names[-1] and "=" in part and ":" not in part:
            names[-1] += f",{part}"
        else:
            names.append(part)
    variants = [parse_variant(name) for name in names]
    if len({(v.loss, tuple(sorted(v.options.items())), tuple(sorted(v.settings.items()))) for v in variants}) < len(
        names
    ):
        raise ValueError(f"--losses must name each one once, got {text!r}")
    return variants


def parse_variant(name: str) -> Variant:
    """Reads one variant, `LOSS` or `LOSS:NAME=VALUE,...`.

    Raises:
        ValueError: as for `parse_variants`.
    """
    loss, colon, rest = name.partition(":")
    if loss not in LOSSES:
        raise ValueError(f"--losses must be of {', '.join(LOSSES)}, got {loss!r}")
    options: dict[str, OptionValue] = {}
    settings: dict[str, str] = {}
    for part in rest.split(",") if colon else []:
        key, equals, value = (word.strip() for word in part.partition("="))
        key = key.replace("-", "_")
        if not (key and equals and value):
            raise ValueError(f"{name!r} must read {loss}:NAME=VALUE,NAME=VALUE, got {part!r}")
        if key in options or key in settings:
            raise ValueError(f"{name!r} sets {key} twice")
        if "." not in key:
            options[key] = read_option(loss, key, value)
        elif key.startswith(_NOT_HERE):
            raise ValueError(f"{key} is not for a variant; rows differ in their loss and in how it is trained")
        else:
            settings[key] = value
    return Variant(name.replace(" ", ""), loss, options, settings)


def with_variant(config: Config, variant: Variant, options: Mapping[str, OptionValue]) -> Config:
    """The config of a variant's runs.

    Args:
        config: what all variants share.
        variant: takes the place of its loss.
        options: settings of losses, for all variants; each takes those that it knows and does not set itself.

    Raises:
        ValueError: settings out of range or in contradiction.
    """
    known = loss_options(variant.loss)
    own = {name: value for name, value in options.items() if name in known}
    loss = dataclasses.replace(config.loss, name=variant.loss, options={**own, **variant.options})
    changed = dataclasses.replace(config, loss=loss)
    if not variant.settings:
        return changed
    return tyro.cli(
        Config,
        args=[f"--{name}={value}" for name, value in variant.settings.items()],
        default=changed,
        prog=f"the variant {variant.name}",
        config=(tyro.conf.AvoidSubcommands,),
    )
