"""Progress of a loop: a bar on a terminal, plain lines elsewhere (logs, continuous integration)."""

import sys
import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm


class Progress:
    """Counts steps and shows loss, rate and time left."""

    def __init__(self, name: str, steps: int, every: int) -> None:
        """Starts the clock.

        Args:
            name: What is being done.
            steps: Steps in all.
            every: Steps between two reports.
        """
        self._name, self._steps, self._every = name, steps, every
        self._bar: tqdm[Any] = tqdm(total=steps, desc=name, unit="step", disable=not sys.stderr.isatty(), leave=True)
        self._started: float | None = None

    def __iter__(self) -> Iterator[int]:
        """Yields the number of each step; closes the bar at the end, also after an error."""
        with self._bar:
            yield from range(self._steps)

    def report(self, step: int, loss: Any) -> None:
        """Tells that a step is done.

        Args:
            step: Its number, from 0.
            loss: Its loss, scalar; read, and so waited for, only when it is shown.
        """
        self._bar.update()
        if self._started is None:
            # The first step holds the compilation, which says nothing of the steps to come.
            float(loss)
            self._started = time.perf_counter()
        if (step + 1) % self._every and step + 1 != self._steps:
            return
        value = float(loss)
        if not self._bar.disable:
            self._bar.set_postfix(loss=f"{value:.4g}")
            return
        seconds = (time.perf_counter() - self._started) / max(step, 1)
        left = seconds * (self._steps - step - 1)
        rate = f"{1 / seconds:.2f} steps/s" if step else "first step"
        print(f"{self._name}: step {step + 1}/{self._steps}, loss {value:.4g}, {rate}, {left:.0f} s left", flush=True)
