"""Trains, tests and reports one run."""

import contextlib

from train.command_line import fail
from train.config import Config
from train.runs.interruption import Interrupted, stop_signals


def run(config: Config) -> int:
    """Trains and tests a run of one fold, or goes on with one.

    Args:
        config: its settings.

    Returns:
        Exit status: 0 also after SIGTERM, when everything is saved; 1 after one line that says what went wrong.
    """
    try:
        with stop_signals():
            # They take seconds, in which a signal is heard.
            from train.runs import parallel
            from train.runs.checkpoints import CheckpointError
            from train.runs.compilation_cache import kept_programs
            from train.runs.continuation import taken_up
            from train.runs.evaluation import test_run
            from train.runs.folder import RunError, RunFolder
            from train.runs.loop import train_run
            from train.runs.remarks import remarks
            from train.runs.setup import check_loss, open_folder, prepare_run
    except Interrupted as stopped:
        print(stopped, flush=True)
        return 0
    try:
        parallel.join_hosts()
        with stop_signals(parallel.process_count()) as stop, contextlib.ExitStack() as stack:
            config = taken_up(config)
            parallel.check_batch_size(config.batch_size)
            setup = prepare_run(config)
            # Again, for it may have been chosen.
            parallel.check_batch_size(setup.config.batch_size)
            for remark in remarks(config, setup):
                print(remark, flush=True)
            check_loss(setup)
            stack.enter_context(RunFolder.of(config).held(by_this_process=parallel.is_first()))
            stack.enter_context(kept_programs(config.program_folder))
            folder = open_folder(setup)
            print(f"writing to {folder}", flush=True)
            # One may have prepared the data for all.
            parallel.wait_for_all()
            best = train_run(setup, folder, stop)
            print(f"best epoch {best['epoch']}: validation mIoU {best['mIoU']:.4f}", flush=True)
            test_run(setup, folder)
    except Interrupted as stopped:
        print(stopped, flush=True)
        return 0
    except (ValueError, RunError, CheckpointError) as error:
        return fail(error)
    return 0
