"""Command line of the demo, derived from the config: one flag for each setting, none of its own."""

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from train.config import DemoConfig, flat_settings, from_flat


def parse_config(arguments: Sequence[str] | None = None) -> DemoConfig:
    """Reads a config from command-line arguments; a bad setting ends the process with one line that says why.

    Args:
        arguments: Arguments without the program's name; those of the process when None.

    Returns:
        The config.

    Raises:
        SystemExit: With status 2 if an argument is unknown or a value is out of range.
    """
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description="Trains a small U-Net on the MNI152 brain with CWMI and with cross entropy, and compares them.",
        argument_default=argparse.SUPPRESS,
    )
    for name, field in flat_settings().items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=_reader(field),
            metavar=type(field.default).__name__.upper() if not isinstance(field.default, tuple) else "JSON",
            help=f"{field.metadata['description']} (default: {_shown(field.default)})",
        )
    values = vars(parser.parse_args(arguments))
    try:
        return from_flat(values)
    except ValueError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")


def _reader(field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    return _pairs if isinstance(field.default, tuple) else type(field.default)


def _pairs(text: str) -> tuple[tuple[float, ...], ...]:
    try:
        return tuple(tuple(float(number) for number in block) for block in json.loads(text))
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"expected [[lowest, highest], ...], got {text!r}") from error


def _shown(default: Any) -> str:
    return json.dumps(default) if isinstance(default, tuple) else str(default)
