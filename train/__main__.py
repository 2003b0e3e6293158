"""Trains one network, or one for each fold, and tests it."""

import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence

from train.command_line import UsageError, did_you_mean, fail, flags_of, parse_known, refuse_unknown
from train.config import Config
from train.presets import PRESETS
from train.runs.interruption import leave
from train.runs.run import run

FIRST_FLAGS = {
    "--data.source FOLDER": "where the images are; needed once",
    "--output FOLDER": "where the run is written; runs/PRESET without it. The same command goes on with a run that is there",
    "--fold K": "which part of the images is tested, from 0; `all` for a run each and a report",
    "--epochs N": "how long to train; more than before makes a finished run longer",
    "--batch-size N": "images a step; fewer where memory runs out",
    "--data.augmentation.crop N N": "sides of the part of an image that is trained on; smaller where memory runs out",
    "--model.width N": "channels of the first stage: 16 for a CPU, 64 as in the paper",
    "--loss.name NAME": "what is minimised, such as ce, dice_ce or bounded_cwmi; an unknown name lists all",
    "--seed N": "what the weights, the split and the batches are drawn from",
}
"""What a newcomer sets first."""

_PROGRAM = "python -m train"


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains a network from the command line, or goes on with one.

    Args:
        arguments: those of the process when None.

    Returns:
        Exit status: 0 also after SIGTERM, when everything is saved; 1 or, where the command line is wrong, 2 after one line
        that says what went wrong.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] in ("-h", "--help"):
        print(overview(shutil.get_terminal_size().columns))
        return 0
    try:
        config = read_config(arguments)
    except UsageError as error:
        return fail(error)
    if config.data.fold == "all":
        # Here, for it takes what draws the report.
        from train.compare import cross_validate

        return cross_validate(config, shlex.join(["python", "-m", "train", *arguments]))
    return run(config)


def overview(columns: int) -> str:
    """The help before a preset is chosen: the presets, the flags to begin with, and where the others are.

    Args:
        columns: width of the terminal, letters.
    """
    presets = {name: description.splitlines()[0] for name, (description, _) in PRESETS.items()}
    return "\n".join(
        [
            f"usage: {_PROGRAM} PRESET [FLAGS]\n",
            f"{__doc__}\n",
            "PRESET is one of",
            *_listed(presets, columns),
            "\nFLAGS change its settings; to begin with",
            *_listed(FIRST_FLAGS, columns),
            f"\n`{_PROGRAM} PRESET --help` says more of a preset, and lists all flags with its values.",
        ]
    )


def _listed(texts: dict[str, str], columns: int) -> list[str]:
    left = max(map(len, texts)) + 4
    lines = []
    for name, text in texts.items():
        wrapped = textwrap.wrap(text, max(columns - left, 20))
        lines += [f"  {name}".ljust(left) + wrapped[0], *(" " * left + line for line in wrapped[1:])]
    return lines


def read_config(arguments: Sequence[str]) -> Config:
    """The settings of a command line.

    Args:
        arguments: a preset and flags.

    Raises:
        UsageError: an unknown preset or flag, or settings that are wrong or contradict each other.
    """
    known = ", ".join(PRESETS)
    if not arguments:
        raise UsageError(f"PRESET must be one of {known}, got none; `{_PROGRAM} --help` says what they are")
    first, *flags = arguments
    if first.startswith("-"):
        raise UsageError(f"PRESET must come before {first}: one of {known}; `{_PROGRAM} --help` says what they are")
    preset = first.replace("_", "-")
    if preset not in PRESETS:
        raise UsageError(f"PRESET must be one of {known}, got {first!r}{did_you_mean(first, PRESETS)}")
    description, default = PRESETS[preset]
    program = f"{_PROGRAM} {preset}"
    config, unknown = parse_known(Config, flags, prog=program, description=description, default=default)
    refuse_unknown(unknown, flags_of(Config), program)
    return config


if __name__ == "__main__":
    leave(main())
