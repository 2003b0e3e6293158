"""What SIGTERM and Ctrl-C do: a run saves what it did and ends; what saves nothing ends at once."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_Handler = Callable[[int, FrameType | None], None]
_STOPS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """The process was asked to stop, and everything that it did is saved.

    As KeyboardInterrupt it is no `Exception`: it can come anywhere, and is not for whoever handles errors there.
    """


class StopRequest:
    """Whether a signal has asked the process to stop."""

    requested = False


@contextmanager
def stop_requests(processes: int) -> Iterator[StopRequest]:
    """Turns SIGTERM and SIGINT into a request, to be looked at where all can be saved.

    One that comes a second or more after the first stops at once: the first one's copies, as of a group of processes, do
    not.

    Args:
        processes: of the run; of several SIGTERM is left to jax, which tells all of them.
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

    if processes > 1:
        yield request
    else:
        with handled_by(ask, _STOPS) as before:
            yield request


@contextmanager
def stops_at_once() -> Iterator[None]:
    """SIGTERM and SIGINT raise `Interrupted` where nothing is lost by it; a second one does what it did before."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        raise Interrupted("stopped; the same command goes on from there")

    with handled_by(stop, _STOPS) as before:
        yield


@contextmanager
def handled_by(handler: _Handler, numbers: Iterable[int]) -> Iterator[dict[int, Any]]:
    """Hands signals to a function.

    Args:
        handler: of the signal's number and the frame.
        numbers: of the signals.

    Yields:
        The handlers that were there before, and are again afterwards.
    """
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
