"""Progress of a loop: a bar on a terminal, plain lines elsewhere (logs, continuous integration)."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm


class ProgressBar:
    """Counts steps and shows loss, rate and time left. A context manager, for the bar must be closed."""

    def __init__(self, name: str, steps: int, every: int, done: int = 0) -> None:
        """Starts the clock.

        Args:
            name: what is being done.
            steps: steps in all.
            every: steps between two reports.
            done: steps that are behind already.
        """
        self._name, self._steps, self._every = name, steps, every
        hidden = not sys.stderr.isatty()
        self._bar: tqdm[Any] = tqdm(total=steps, initial=done, desc=name, unit="step", disable=hidden, leave=True)
        self._started: tuple[int, float] | None = None
        self._compiled: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def report(self, step: int, loss: Any) -> None:
        """Tells that a step is done.

        Args:
            step: its number, from 1.
            loss: its loss, one number on each device; read, and so waited for, only when it is shown.
        """
        self._bar.update()
        if self._started is None:
            # It may only have begun; the rate is that of the steps after it.
            _number(loss)
            self._started = step, time.perf_counter()
        if step % self._every and step != self._steps:
            return
        value = _number(loss)
        if not self._bar.disable:
            self._bar.set_postfix(loss=f"{value:.4g}")
            return
        first, began = self._started
        rate = ""
        if step > first:
            seconds = (time.perf_counter() - began) / (step - first)
            rate = f", {1 / seconds:.2f} steps/s, {seconds * (self._steps - step):.0f} s left"
        print(f"{self._name}: step {step}/{self._steps}, loss {value:.4g}{rate}", flush=True)

    @contextmanager
    def compiling(self, program: str) -> Iterator[bool]:
        """Goes around each call of a program, of which the first compiles it: that is told, and kept out of the rate.

        Args:
            program: its name, the same for all its calls.

        Yields:
            Whether it is the first.
        """
        if program in self._compiled:
            yield False
            return
        self._compiled.add(program)
        began = time.perf_counter()
        if self._bar.disable:
            print(f"{self._name}: compiling {program}", flush=True)
            yield True
            print(f"{self._name}: ready after {time.perf_counter() - began:.1f} s", flush=True)
        else:
            shown = self._bar.postfix
            self._bar.set_postfix_str(f"compiling {program}")
            yield True
            self._bar.set_postfix_str(shown or "")
        if self._started is not None:
            first, started = self._started
            self._started = first, started + time.perf_counter() - began

    def note(self, text: str) -> None:
        """Shows a line above the bar."""
        if self._bar.disable:
            print(text, flush=True)
        else:
            self._bar.write(text)


def _number(loss: Any) -> float:
    return float(loss.addressable_shards[0].data.ravel()[0])
