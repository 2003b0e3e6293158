"""`python -m train`: runs the demo; `python -m train --help` lists its settings."""

import sys
from collections.abc import Sequence

from train.command_line import parse_config


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo.

    Args:
        arguments: Command-line arguments without the program's name; those of the process when None.

    Returns:
        Exit status: 0, or 1 after one line that says what went wrong.
    """
    config = parse_config(arguments)
    # Here, so that `--help` and a bad setting answer at once, before jax and nilearn are loaded.
    from train.demo import prepare, run_demo

    try:
        folder, split = prepare(config)
    except ValueError as error:
        print(f"python -m train: error: {error}", file=sys.stderr)
        return 1
    run_demo(config, folder, split)
    return 0


if __name__ == "__main__":
    sys.exit(main())
