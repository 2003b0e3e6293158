"""What a row of a comparison is: a loss, and the settings in which it differs from the others.

On the command line a variant is `cwmi:ce_weight=20,levels=3`: options of the loss, and with a dot in their names settings of
the run, such as `cwmi:class_weights=none,optimizer.clip_norm=0`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cwmi_jax.losses import LOSSES
from train.config import Config
from train.loss_options import OptionValue, loss_options, read_option
from train.settings import read_setting, with_settings

# Settings in which the rows of a comparison must not differ, or that have a flag of their own.
_NOT_HERE = ("data.", "model.name", "loss.name", "loss.options")
# Of names, in letters: with all else that stands in a folder's name it must not be longer than file systems allow.
_LONGEST = 150


class Variant(NamedTuple):
    """A loss with settings of its own.

    Attributes:
        loss: in `cwmi_jax.losses.LOSSES`.
        options: settings of the loss that differ from its defaults.
        settings: dotted name of a setting of the run -> value.
    """

    loss: str
    options: Mapping[str, OptionValue]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The variant as it is written, the same whatever the order and the spelling that it was read from."""
        given = sorted([*self.options.items(), *self.settings.items()])
        return f"{self.loss}:{','.join(f'{name}={_written(value)}' for name, value in given)}" if given else self.loss

    @property
    def file_name(self) -> str:
        """The name as a part of a file's name, on any system."""
        return self.name.replace(":", ",")


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


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
    if len({variant.name for variant in variants}) < len(variants):
        raise ValueError(f"--losses must name each one once, got {text!r}")
    return variants


def parse_variant(name: str) -> Variant:
    """Reads one variant, `LOSS` or `LOSS:NAME=VALUE,...`.

    Args:
        name: as it was typed, or as `Variant.name` writes it.

    Raises:
        ValueError: an unknown loss, option or setting, a value of the wrong kind, or a name too long for a folder.
    """
    loss, colon, rest = (part.strip() for part in name.partition(":"))
    if loss not in LOSSES:
        raise ValueError(f"--losses must be of {', '.join(LOSSES)}, got {loss!r}")
    options: dict[str, OptionValue] = {}
    settings: dict[str, Any] = {}
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
            settings[key] = read_setting(key, value)
    variant = Variant(loss, options, settings)
    if len(variant.name) > _LONGEST:
        raise ValueError(f"a variant must have {_LONGEST} letters at most, got {len(variant.name)}: {name!r}")
    return variant


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
    own = {name: read_option(variant.loss, name, value) for name, value in options.items() if name in known}
    loss = {"loss.name": variant.loss, "loss.options": {**own, **variant.options}}
    return with_settings(config, {**loss, **variant.settings})
