"""`python -m train PRESET`: trains one network, or one for each fold; `python -m train PRESET --help` lists all settings."""

import shlex
import sys
from collections.abc import Sequence

import tyro

from train.command_line import fail
from train.presets import PRESETS
from train.runs.interruption import leave
from train.runs.run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains a network from the command line, or goes on with one.

    Args:
        arguments: those of the process when None.

    Returns:
        Exit status: 0 also after SIGTERM, when everything is saved; 1 after one line that says what went wrong.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        config = tyro.extras.overridable_config_cli(
            PRESETS, args=arguments, prog="python -m train", description=__doc__
        )
    except ValueError as error:
        return fail(error)
    if config.data.fold == "all":
        # Here, for it takes what draws the report.
        from train.compare import cross_validate

        return cross_validate(config, shlex.join(["python", "-m", "train", *arguments]))
    return run(config)


if __name__ == "__main__":
    leave(main())
