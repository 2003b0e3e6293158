"""`python -m train PRESET`: trains one network, or one for each fold; `python -m train PRESET --help` lists all settings."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from train.command_line import fail
from train.config import Config
from train.interruption import Interrupted, leave, stop_signals
from train.presets import PRESETS


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
        from train.compare import cross_validate

        return cross_validate(config, shlex.join(["python", "-m", "train", *arguments]))
    return run(config)


def run(config: Config) -> int:
    """Trains, tests and reports a run of one fold; see `main`."""
    try:
        with stop_signals():
            # Here, so that `--help` and a wrong setting answer at once, before jax is loaded.
            from train import parallel
            from train.checkpoints import CheckpointError
            from train.compilation_cache import kept_programs
            from train.evaluate import test_run
            from train.loop import train_run
            from train.workbench import RunError, check_loss, held, open_folder, prepare_run
    except Interrupted as stopped:
        print(stopped, flush=True)
        return 0
    try:
        parallel.join_hosts()
        with stop_signals(parallel.process_count()) as stop:
            parallel.check_batch_size(config.batch_size)
            bench = prepare_run(config)
            check_loss(bench)
            with held(Path(config.output)), kept_programs(config.program_folder):
                folder = open_folder(bench)
                print(f"writing to {folder}", flush=True)
                # One may have prepared the data for all.
                parallel.wait_for_all()
                best = train_run(bench, folder, stop)
                print(f"best epoch {best['epoch']}: validation mIoU {best['mIoU']:.4f}", flush=True)
                test_run(bench, folder)
    except Interrupted as stopped:
        print(stopped, flush=True)
        return 0
    except (ValueError, RunError, CheckpointError) as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    leave(main())
