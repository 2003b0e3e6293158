"""Signals that stop a process: at once, after what can be saved, and a second time."""

import signal

import pytest

from train.runs.interruption import Interrupted, stop_signals

NUMBERS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@pytest.fixture
def before():
    """Numbers of the signals that come through to who handled them before."""
    came = []
    old = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    yield came
    for number, handler in old.items():
        signal.signal(number, handler)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("train.runs.interruption.time.monotonic", lambda: now[0])
    return now


@NUMBERS
def test_the_first_interrupts_its_copies_do_not_and_a_later_one_comes_through(number, before, clock):
    with pytest.raises(Interrupted, match="stopped; the same command goes on from there"), stop_signals() as stop:
        try:
            signal.raise_signal(number)
        finally:
            assert stop.requested
            clock[0] += 0.9
            signal.raise_signal(number)
            assert before == []
            clock[0] += 0.2
            signal.raise_signal(number)
            assert before == [number]
    signal.raise_signal(number)
    assert before == [number, number]


@NUMBERS
def test_deferred_it_is_a_request_until_the_end(number, before, clock):
    steps = 0
    with pytest.raises(Interrupted), stop_signals() as stop:
        with stop.deferred():
            assert not stop.requested
            signal.raise_signal(number)
            assert stop.requested
            steps += 1
        steps += 1
    assert steps == 1 and before == []


def test_no_signal_changes_nothing(before):
    with stop_signals() as stop, stop.deferred():
        pass
    assert not stop.requested


def test_an_error_is_not_hidden_by_a_request(before):
    with pytest.raises(ValueError, match="broken"), stop_signals() as stop, stop.deferred():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("broken")


def test_several_processes_leave_signals_to_jax(before):
    with stop_signals(processes=2) as stop:
        signal.raise_signal(signal.SIGTERM)
    assert before == [signal.SIGTERM] and not stop.requested
