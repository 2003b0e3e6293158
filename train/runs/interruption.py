"""What SIGTERM and Ctrl-C do: a run saves what it did and ends; what has nothing to save ends at once."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_STOPS = (signal.SIGTERM, signal.SIGINT)
_COPIES_SECONDS = 1.0


class Interrupted(BaseException):
    """The process was asked to stop, and nothing is lost: the same command goes on.

    As KeyboardInterrupt it is no `Exception`: it can come anywhere, and is not for whoever handles errors there.
    """

    def __init__(self, message: str = "stopped; the same command goes on from there") -> None:
        """Takes what a person is told."""
        super().__init__(message)


class StopSignals:
    """Whether the process was asked to stop, and whether it does so at once.

    Attributes:
        requested: by a signal.
        ever: whether any has come in this process.
    """

    ever = False

    def __init__(self) -> None:
        """No signal has come."""
        self.requested = False
        self._first = 0.0
        self._deferred = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A signal is a request that is looked at where all can be saved, and at the end at the latest."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.check()

    def check(self) -> None:
        """Raises `Interrupted` if a signal has come: Python loses what is raised in the middle of some callbacks."""
        if self.requested:
            raise Interrupted

    def came(self) -> bool:
        """Takes note of a signal; False for one that is neither the first nor its copy, as a group of processes gets."""
        now = time.monotonic()
        if self.requested:
            return now - self._first < _COPIES_SECONDS
        self.requested, self._first, StopSignals.ever = True, now, True
        if not self._deferred:
            raise Interrupted
        return True


@contextmanager
def stop_signals(processes: int = 1) -> Iterator[StopSignals]:
    """SIGTERM and SIGINT raise `Interrupted`; one a second or more after the first does what it did before.

    Args:
        processes: how many the run has; of several SIGTERM is left to jax, which tells all of them.

    Yields:
        What has come, and the means to defer it.
    """
    stop = StopSignals()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _STOPS}

    def handle(number: int, frame: FrameType | None) -> None:
        if not stop.came():
            signal.signal(number, before[number])
            signal.raise_signal(number)

    with handled_by(handle, _STOPS if processes == 1 else ()):
        yield stop
        stop.check()


def leave(status: int) -> NoReturn:
    """Ends the process; after a signal at once, for threads that were left in the middle of their work crash otherwise."""
    if not StopSignals.ever:
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None], numbers: Iterable[int]) -> Iterator[None]:
    """Hands signals to a function, until the end of the context.

    Args:
        handler: takes the signal's number and the frame.
        numbers: the signals'.
    """
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
