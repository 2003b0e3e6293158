"""Where the time of a run goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds of each part of a run since it was made; whatever is no part of its own is `steps`."""

    def __init__(self) -> None:
        """Starts."""
        self._spent: dict[str, float] = {}
        self._part, self._since = "steps", time.perf_counter()

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Counts what it goes around as another part; of parts within one another the inner one alone runs.

        Args:
            part: its name.
        """
        outer = self._part
        self._turn(part)
        try:
            yield
        finally:
            self._turn(outer)

    def spent(self) -> dict[str, float]:
        """Part -> its seconds, those that took longest first."""
        self._turn(self._part)
        return dict(sorted(self._spent.items(), key=lambda item: -item[1]))

    def _turn(self, part: str) -> None:
        now = time.perf_counter()
        self._spent[self._part] = self._spent.get(self._part, 0.0) + now - self._since
        self._part, self._since = part, now
