"""Plain lines where there is no terminal."""

import sys

import jax.numpy as jnp
import pytest

from train.runs.progress import ProgressBar


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [100.0]
    monkeypatch.setattr("train.runs.progress.time.perf_counter", lambda: now[0])
    return now


def test_lines_say_loss_rate_and_time_left(capsys, clock):
    with ProgressBar("drive", 100, 10, 30) as progress:
        for step in range(31, 51):
            progress.report(step, jnp.full(2, 0.1234567))
            clock[0] += 0.5
    first, second = capsys.readouterr().out.splitlines()
    assert first == "drive: step 40/100, loss 0.1235, 2.00 steps/s, 30 s left"
    assert second == "drive: step 50/100, loss 0.1235, 2.00 steps/s, 25 s left"


def test_the_last_step_is_told_and_so_are_notes(capsys, clock):
    with ProgressBar("drive", 1, 10) as progress:
        progress.report(1, jnp.ones(1))
        progress.note("epoch 1: done")
    assert capsys.readouterr().out.splitlines() == ["drive: step 1/1, loss 1", "epoch 1: done"]


def test_what_is_compiled_is_told_once_and_is_not_in_the_rate(capsys, clock):
    with ProgressBar("drive", 100, 10) as progress:
        for step in range(1, 31):
            program = "the step of ce" if step <= 10 else "the step of cwmi"
            with progress.compiling(program):
                # As in a run, where the first call of each takes long.
                clock[0] += 12.34 if step in (1, 11) else 0.5
            progress.report(step, jnp.ones(2))
    assert capsys.readouterr().out.splitlines() == [
        "drive: compiling the step of ce",
        "drive: ready after 12.3 s",
        "drive: step 10/100, loss 1, 2.00 steps/s, 45 s left",
        "drive: compiling the step of cwmi",
        "drive: ready after 12.3 s",
        "drive: step 20/100, loss 1, 2.11 steps/s, 38 s left",
        "drive: step 30/100, loss 1, 2.07 steps/s, 34 s left",
    ]


def test_a_terminal_says_what_is_compiled_beside_the_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def said():
        captured = capsys.readouterr()
        assert not captured.out
        return captured.err.split("\r")[-1]

    with ProgressBar("drive", 4, 1) as progress:
        with progress.compiling("the step of ce"):
            assert "0/4" in (now := said()) and now.rstrip().endswith("compiling the step of ce]")
        assert "compiling" not in said()
        progress.report(1, jnp.full(1, 0.5))
        assert "loss=0.5" in said()
        with progress.compiling("the validation step"):
            assert (now := said()).rstrip().endswith("compiling the validation step]") and "loss" not in now
        assert "loss=0.5" in said()
        with progress.compiling("the step of ce"):
            pass
        assert not said()


def test_a_terminal_has_a_bar_with_the_loss(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressBar("drive", 4, 2, 1) as progress:
        for step in range(2, 5):
            progress.report(step, jnp.full(1, 0.1234567))
        progress.note("epoch 1: done")
    captured = capsys.readouterr()
    assert captured.out == "epoch 1: done\n"
    (last,) = captured.err.split("\r")[-1].strip().splitlines()
    assert last.startswith("drive: 100%") and "4/4" in last and "loss=0.123" in last
