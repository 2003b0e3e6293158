"""What SIGTERM and Ctrl-C do: a run saves what it did and ends; what saves nothing ends at once."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from train import parallel

_Handler = Callable[[int, FrameType | None], None]


class Interrupted(BaseException):
    """The process was asked to stop, and everything that it did is saved.

    As KeyboardInterrupt it is no `Exception`: it can come anywhere, and is not for whoever handles errors there.
    """


class StopRequest:
    """Whether a signal has asked the process to stop."""

    requested = False


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turns SIGTERM and SIGINT into a request, to be looked at where all can be saved.

    One that comes a second or more after the first stops at once: the first one's copies, as of a group of processes, do
    not. With several hosts SIGTERM is left to jax, which tells all of them.
    """
    request, asked = StopRequest(), 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        now = time.monotonic()
        if request.requested and now - asked >= 1:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        elif not request.requested:
            request.requested, asked = True, now

    if parallel.process_count() > 1:
        yield request
    else:
        with _handled_by(ask) as before:
            yield request


@contextmanager
def stops_at_once() -> Iterator[None]:
    """SIGTERM and SIGINT raise `Interrupted` where nothing is lost by it; a second one does what it did before."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        raise Interrupted("stopped; the same command goes on from there")

    with _handled_by(stop) as before:
        yield


@contextmanager
def _handled_by(handler: _Handler) -> Iterator[dict[int, Any]]:
    """Yields the handlers that were there before, and are again afterwards."""
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
