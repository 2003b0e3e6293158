"""A run in its own process: how it ends, and what signals do to it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from train.config import Config
from train.runs.processes import run_in_process


def succeed(config):
    (Path(config.output) / "process").write_text(str(os.getpid()))
    return 0


def fail(config):
    return 3


def crash(config):
    os.kill(os.getpid(), signal.SIGKILL)


def save_on_sigterm(config):
    """As a run does: says that it is there, and after SIGTERM saves and returns 0; a second signal ends it at once."""
    asked = threading.Event()

    def ask(number, frame):
        signal.signal(number, signal.SIG_DFL)
        asked.set()

    signal.signal(signal.SIGTERM, ask)
    folder = Path(config.output)
    (folder / "ready").write_text(str(os.getpid()))
    while not asked.is_set():
        time.sleep(0.01)
    (folder / "saved").write_text("")
    return 0


def wait_for(path):
    for _ in range(12000):
        if path.exists() and (path.name == "saved" or path.read_text()):
            return
        time.sleep(0.01)
    raise TimeoutError(f"no {path}")


def test_the_status_is_that_of_the_run(tmp_path):
    assert run_in_process(Config(output=str(tmp_path)), succeed) == 0
    assert int((tmp_path / "process").read_text()) != os.getpid()


@pytest.mark.parametrize(("target", "status"), [(fail, 3), (crash, -signal.SIGKILL)])
def test_a_failure_has_its_status(target, status, tmp_path):
    assert run_in_process(Config(output=str(tmp_path)), target) == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_run_save(number, tmp_path):
    # A shell that starts the tests in the background has SIGINT ignored, and a run then ignores it too.
    outside = signal.signal(number, signal.default_int_handler)
    before = signal.getsignal(number)

    def send():
        try:
            wait_for(tmp_path / "ready")
        finally:  # else the run would never end
            os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    assert run_in_process(Config(output=str(tmp_path)), save_on_sigterm) is None
    sender.join()
    assert (tmp_path / "saved").exists()
    assert signal.getsignal(number) is before
    signal.signal(number, outside)


def test_a_run_whose_parent_was_killed_saves_and_stops(tmp_path):
    code = (
        "from train.config import Config; from train.runs.processes import run_in_process;"
        "from tests.train.runs.test_processes import save_on_sigterm;"
        f"run_in_process(Config(output={str(tmp_path)!r}), save_on_sigterm)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    wait_for(tmp_path / "ready")
    parent.kill()
    parent.wait()
    wait_for(tmp_path / "saved")
