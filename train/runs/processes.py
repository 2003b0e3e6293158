"""A run in a process of its own: memory is given back, a crash harms no other run, and a signal lets it save."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from types import FrameType

from train.config import Config
from train.runs.interruption import handled_by, leave
from train.runs.run import run

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_in_process(config: Config, target: Callable[[Config], int] = run) -> int | None:
    """Runs in a new process and waits for it; SIGTERM, SIGINT and SIGHUP are handed on as SIGTERM.

    Args:
        config: the run's settings.
        target: what is run; a function that can be imported.

    Returns:
        What `target` returned, 1 after an exception, or minus the number of the signal that ended the process; None if a
        signal came to this one: the run has ended, and what it saved is there.
    """
    # Not forked: JAX has threads, and its memory on a GPU would be held by this process too.
    process = multiprocessing.get_context("spawn").Process(target=_child, args=(target, config))
    with _hand_on(process) as signals:
        process.start()
        if signals:
            process.terminate()
        process.join()
    return None if signals else process.exitcode or 0


def _child(target: Callable[[Config], int], config: Config) -> None:
    # Ctrl-C in a terminal reaches a whole group; here it comes once, from the parent, for a second one would not wait.
    os.setpgid(0, 0)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    leave(target(config))


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    """Stops this process after its parent was killed: started again, the parent would run it a second time."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _hand_on(process: SpawnProcess) -> Iterator[list[int]]:
    """Signals are handed on to a process that has started; yields those that came."""
    came: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if process.pid is not None:
            process.terminate()

    # Those that are ignored, as SIGHUP under nohup, stay so.
    numbers = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    with handled_by(hand_on, numbers):
        yield came
