"""Parts of a run, and parts within them."""

import pytest

from train.runs.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [100.0]
    monkeypatch.setattr("train.runs.stopwatch.time.perf_counter", lambda: now[0])
    return now


def test_each_second_counts_once_and_for_the_inner_part(clock):
    watch = Stopwatch()
    clock[0] += 1
    for _ in range(2):
        with watch.on("validation"):
            clock[0] += 2
            with watch.on("compiling"):
                clock[0] += 16
            clock[0] += 4
    clock[0] += 8
    assert list(watch.spent().items()) == [("compiling", 32), ("validation", 12), ("steps", 9)]


def test_what_fails_counts_too(clock):
    watch = Stopwatch()
    with pytest.raises(OSError), watch.on("checkpoints"):
        clock[0] += 3
        raise OSError
    clock[0] += 1
    assert watch.spent() == {"checkpoints": 3, "steps": 1}
