"""`python -m train` as it is typed: on a folder of pictures, stopped and started again, and on two hosts."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import PIL.Image
import pytest

from tests.thorough import some
from tests.train.runs.tiny_runs import Tiny
from train import evaluate
from train.__main__ import FIRST_FLAGS, main, overview
from train.command_line import flags_of
from train.config import Config
from train.presets import PRESETS
from train.runs import evaluation, setup
from train.runs.checkpoints import Checkpoints
from train.runs.folder import RunFolder
from train.runs.setup import initial_state, reopen_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with 15 pictures of stripes and their masks."""
    home = tmp_path_factory.mktemp("main")
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (home / "source" / part).mkdir(parents=True)
    for number in range(15):
        mask = np.zeros((16, 16), np.uint8)
        mask[rng.integers(0, 13) :][:3] = 255
        image = (mask // 2 + rng.integers(0, 100, mask.shape)).astype(np.uint8)
        PIL.Image.fromarray(image).save(home / "source" / "images" / f"{number:02}.png")
        PIL.Image.fromarray(mask).save(home / "source" / "masks" / f"{number:02}.png")
    return home


def typed(home, output, *more):
    # 8 images a step can be shared by 8 devices; 3 validated ones leave most of them none.
    flags = (
        f"drive --data.dataset folder --data.source {home}/source --data.folder {home}/data --output {home}/{output} "
        "--model.width 4 --model.depth 1 --loss.name ce --optimizer.learning-rate 0.01 --epochs 2 --epoch-steps 3 "
        "--batch-size 8 --panels 1 --log-steps 1"
    )
    return [*flags.split(), *more]


TINY = (
    "-c",
    "import sys; from tests.train.runs.tiny_runs import Tiny; from train.runs import setup;"
    "setup.network_of = lambda *_, **__: Tiny();"
    "from train.__main__ import leave, main; leave(main())",
)
"""`python -m train` with a network that is quick to compile."""


def start(arguments, log, *, program=("-m", "train"), **environment):
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def wait_for_text(text, log, process):
    until = time.monotonic() + 120
    while text not in log.read_text():
        assert process.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.02)


def final_state(folder):
    made = reopen_run(RunFolder(folder))
    checkpoints = Checkpoints(folder / "checkpoints", read_only=True)
    restored = checkpoints.latest(initial_state(made))
    checkpoints.close()
    return restored.state


def named_leaves(tree):
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.fixture
def _tiny(monkeypatch):
    monkeypatch.setattr(setup, "network_of", lambda *_, **__: Tiny())


@pytest.fixture(scope="module")
def alone(home):
    """A run in this process, on its two devices, of the tiny network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "network_of", lambda *_, **__: Tiny())
        assert main(typed(home, "alone")) == 0
    return home / "alone"


def test_a_run_leaves_its_settings_scores_and_pictures(alone, capsys):
    split = json.loads((alone / "split.json").read_text())
    assert {part: len(names) for part, names in split.items()} == {"train": 8, "validation": 2, "test": 5}
    with (alone / "test.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == list(split["test"])
    assert sorted(index for indices in split.values() for index in indices.values()) == list(range(15))
    assert json.loads((alone / "result.json").read_text())["images"] == 5
    assert len(list((alone / "panels").iterdir())) == 1
    assert json.loads((alone / "config.json").read_text())["model"]["width"] == 4


def test_sigterm_saves_and_exits_0_and_the_same_command_goes_on(home, _tiny, capsys):
    log = home / "stopped.log"
    process = start(typed(home, "stopped"), log, program=TINY)
    wait_for_text("step 1/6", log, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    said = log.read_text().splitlines()
    step = int(re.fullmatch(r"stopped after step (\d); the same command goes on from there", said[-1])[1])
    assert not any("Traceback" in line or "rror" in line for line in said)
    assert not (home / "stopped" / "result.json").exists()
    assert main(typed(home, "stopped")) == 0
    assert f"going on after step {step} of 6" in capsys.readouterr().out
    assert final_state(home / "stopped").step == 6
    assert json.loads((home / "stopped" / "result.json").read_text())["images"] == 5


def test_a_run_in_a_new_process_compiles_nothing_again(home):
    """Two runs of both phases of CWMI, on four devices, one after the other."""
    code = """
import collections, os, sys
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
import jax
from tests.train.runs.tiny_runs import Tiny
from train.runs import evaluation, setup
from train.__main__ import FIRST_FLAGS, main, overview
from train.command_line import flags_of
from train.config import Config
from train.presets import PRESETS
setup.network_of = lambda *_, **__: Tiny()
events = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: events.update([event.rpartition("/")[2]]))
for output in ("first", "second"):
    # Importing takes longer than training. JAX has no threads as long as it has no devices.
    if not os.fork():
        status = main([word.replace("OUTPUT", output) for word in sys.argv[1:]])
        counted = [events[name] for name in ("compile_requests_use_cache", "cache_misses", "cache_hits")]
        print("counted", *counted, flush=True)
        os._exit(status)
    os.wait()
"""
    flags = "--loss.name cwmi --loss.options levels 1 orientations 2 --epoch-steps 1 --panels 0"
    arguments = typed(home, "OUTPUT", *flags.split(), "--compilation-cache", f"{home}/kept")
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ
        | {
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = (list(map(int, line.split())) for line in re.findall("counted (.*)", ended.stdout))
    programs = len([*(home / "kept").glob("*-cache")])
    # Two steps, one for validation and one for the test at least.
    assert programs == first[1] >= 4, ended.stderr
    assert second == [first[0], 0, first[0]], ended.stderr
    scores = [(home / output / "test.csv").read_text() for output in ("first", "second")]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("where", ["train.runs.setup.prepare_run", "train.runs.evaluation.test_run"])
def test_a_signal_before_and_after_the_steps_exits_0_too(where, number, home, _tiny, capsys, monkeypatch):
    before = signal.getsignal(number)
    output = f"signal-{where.rpartition('.')[2]}-{number}"
    with monkeypatch.context() as patch:
        patch.setattr(where, lambda *_: os.kill(os.getpid(), number) or time.sleep(60))
        assert main(typed(home, output)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "stopped; the same command goes on from there"
    assert signal.getsignal(number) is before
    assert not (home / output / "result.json").exists()
    assert main(typed(home, output)) == 0
    assert (home / output / "result.json").exists()


@pytest.mark.parametrize("seconds", some([0.3, 0.0], [0.3]))
def test_a_signal_while_the_network_is_tested_ends_the_process_with_0(seconds, home):
    """At any moment: threads that are left in the middle of their work must not crash in the end of the process."""
    log, output = home / f"testing{seconds}.log", f"testing{seconds}"
    slowly = (
        "import time, train.runs.evaluation as evaluate; score = evaluate.score_image;"
        "evaluate.score_image = lambda *images, **classes: (time.sleep(1), score(*images, **classes))[1];"
    )
    process = start(typed(home, output), log, program=("-u", "-c", slowly + TINY[1]))
    wait_for_text("best epoch", log, process)
    time.sleep(seconds)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "Traceback" not in log.read_text()


def test_a_finished_run_is_read_from_any_folder_and_without_its_source(home, tmp_path, monkeypatch, capsys):
    shutil.copytree(home / "source", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    flags = [flag.replace(f"{home}/source", "mine").replace(f"{home}/", "") for flag in typed(home, "run")]
    given, kept_in, evaluate_run = jax.config.jax_compilation_cache_dir, [], evaluation.evaluate_run

    def evaluated(*arguments, **choice):
        kept_in.append(jax.config.jax_compilation_cache_dir)
        return evaluate_run(*arguments, **choice)

    with monkeypatch.context() as patch:
        patch.setattr(setup, "network_of", lambda *_, **__: Tiny())
        for module in (evaluation, evaluate):
            patch.setattr(module, "evaluate_run", evaluated)
        assert main(flags) == 0
        (tmp_path / "mine").rename(tmp_path / "elsewhere")
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        assert evaluate.main(["../run"]) == 0
    assert "test: 5 images of mine" in capsys.readouterr().out
    assert kept_in == [given or f"{tmp_path}/data/compiled"] * 2
    assert jax.config.jax_compilation_cache_dir == given


def test_a_comparison_of_one_run_from_its_command_line(home):
    arguments = [flag if flag != "drive" else "--dataset=drive" for flag in typed(home, "compared")]
    place = arguments.index("--loss.name")
    arguments[place : place + 2] = ["--losses", "ce", "--fold", "1"]
    ended = subprocess.run(
        [sys.executable, "-m", "train.compare", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    result = json.loads((home / "compared" / "unet-ce-fold1" / "result.json").read_text())
    assert (result["fold"], result["images"]) == (1, 5)
    table = (home / "compared" / "table.md").read_text()
    assert table in ended.stdout and f"{result['mean']['mIoU']:.3f}" in table
    assert "<img" in (home / "compared" / "report.html").read_text()


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def start_two(home, output, *more):
    """Two processes of four devices each."""
    address = f"localhost:{free_port()}"
    # Hosts without accelerators keep no programs, see `can_read_each_others_programs`; what the tests keep is not for them.
    hosts = {
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": "2",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }
    devices = "--xla_force_host_platform_device_count=4"
    logs = [home / f"{output}{number}.log" for number in range(2)]
    return logs, [
        start(typed(home, output, *more), log, program=TINY, **hosts, JAX_PROCESS_ID=str(number), XLA_FLAGS=devices)
        for number, log in enumerate(logs)
    ]


def test_two_hosts_train_what_one_trains_and_both_stop_when_one_is_told_to(home, alone, _tiny):
    logs, processes = start_two(home, "hosts")
    try:
        wait_for_text("step 2/6", logs[1], processes[1])
        processes[1].send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in processes] == [0, 0]
        steps = [re.search(r"stopped after step (\d); the same command", log.read_text()) for log in logs]
        assert steps[0] and steps[1] and steps[0][1] == steps[1][1]
        logs, processes = start_two(home, "hosts")
        assert [process.wait(120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    said = [log.read_text() for log in logs]
    assert all(f"going on after step {steps[0][1]} of 6" in one and "Traceback" not in one for one in said), said
    assert ["test: 5 images" in one for one in said] == [True, False]
    two, one = final_state(home / "hosts"), final_state(alone)
    for part in ("params", "batch_statistics"):
        there, whole = named_leaves(getattr(two, part)), named_leaves(getattr(one, part))
        assert there.keys() == whole.keys() and there
        for name, leaf in there.items():
            np.testing.assert_allclose(leaf, whole[name], rtol=0, atol=1e-5, err_msg=name)
    lines = [(home / name / "metrics.jsonl").read_text().splitlines() for name in ("hosts", "alone")]
    assert len(lines[0]) == len(lines[1]) == 8
    for pair in zip(*lines, strict=True):
        there, whole = (
            {name: value for name, value in json.loads(line).items() if not name.startswith("seconds")} for line in pair
        )
        assert there == pytest.approx(whole, abs=1e-5)
    for name in ("config.json", "split.json", "statistics.json", "result.json", "test.csv"):
        assert (home / "hosts" / name).exists()
    assert (home / "hosts" / "split.json").read_text() == (alone / "split.json").read_text()
    assert len((home / "hosts" / "test.csv").read_text().splitlines()) == 6


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_the_presets_and_the_flags_to_begin_with(flag, capsys):
    assert main([flag]) == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: python -m train PRESET [FLAGS]\n")
    assert "`python -m train PRESET --help` says more of a preset, and lists all flags" in said
    assert "\n  drive                DRIVE retinal vessels, 40 images" in said
    assert "\n  --data.source FOLDER          where the images are" in said


def test_each_preset_has_one_line_where_there_is_room():
    lines = overview(200).splitlines()
    start = lines.index("PRESET is one of") + 1
    assert [line.split()[0] for line in lines[start : start + len(PRESETS)]] == list(PRESETS)


def test_the_flags_to_begin_with_exist():
    shorter = {"--fold": "--data.fold"}
    names = [flag.split()[0] for flag in FIRST_FLAGS]
    assert {shorter.get(name, name) for name in names} <= set(flags_of(Config))


def test_help_of_a_preset_explains_every_setting(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["drive", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert stopped.value.code == 0 and "`python -m train drive --data.source FOLDER`" in said
    for flag, words in (
        ("--output STR", "folder of the run"),
        ("--optimizer.clip-norm FLOAT", "global norm at which gradients are clipped; 0 for never. (default: 5.0)"),
        ("--data.augmentation.crop", "pixels along each axis"),
        ("--model.name {unet,attention_unet}", "(default: unet)"),
        ("--loss.options", "settings of the loss that differ from its defaults"),
        ("--epochs INT", "passes over the training images; 0 for a number that is chosen from the images"),
        ("--compilation-cache STR", "folder where compiled programs are kept for later runs"),
    ):
        assert flag in said and words in said


def test_help_answers_before_jax_is_loaded():
    code = "import sys, train.__main__ as m\nm.main(['--help']); print('flax' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["drvie"], "got 'drvie'; did you mean drive?"),
        (
            ["drive", "--epoch", "3"],
            "unknown flag --epoch; did you mean --epochs? `python -m train drive --help` lists all",
        ),
        (["drive", "--data.sorce=mine"], "unknown flag --data.sorce; did you mean --data.source"),
        (["drive", "--width", "3"], "unknown flag --width; did you mean --model.width?"),
        (
            ["drive", "--no-data.blocks"],
            "unknown flag --no-data.blocks; did you mean --data.blocks or --data.no-blocks?",
        ),
        (["drive", "--verbose"], "unknown flag --verbose; `python -m train drive --help` lists all"),
        (["drive", "DRIVE"], "unknown argument DRIVE; `python -m train drive --help` lists all"),
        (["drive", "--model.name", "vnet"], "--model.name must be one of 'unet', 'attention_unet', got 'vnet'"),
        (["drive", "--epochs", "many"], "--epochs must be a whole number, got 'many'"),
        (["drive", "--loss.options", "levels"], "--loss.options must be names and values in turn"),
        (["--epochs", "3"], "PRESET must come before --epochs: one of demo, own, drive,"),
        ([], "PRESET must be one of demo, own, drive,"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(arguments, words, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and "tyro" not in said
    assert words in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--loss.name", "cwim"], "loss.name must be one of ce, balanced_ce,"),
        (
            ["--optimizer.weight-decay", "0.1"],
            "optimizer.weight_decay must be 0 unless optimizer.name is adamw, got 0.1",
        ),
        (["--loss.options", "levels", "2.5"], "loss.options levels must be a whole number, got 2.5"),
        (["--data.augmentation.rot90", "--data.augmentation.crop", "4", "5"], "augmentation.rot90 needs"),
    ],
)
def test_contradictions_are_one_line_before_data_are_read(flags, message, tmp_path, capsys):
    arguments = ["drive", "--output", str(tmp_path / "run"), "--data.folder", str(tmp_path / "data"), *flags]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_missing_data_and_a_batch_that_cannot_be_shared_are_one_line(home, tmp_path, capsys):
    folders = ["--output", str(tmp_path / "run"), "--data.folder", str(tmp_path / "data")]
    assert main(["drive", "--batch-size", "8", *folders]) == 1
    assert capsys.readouterr().err.startswith("error: drive is not prepared in ")
    assert main(typed(home, "odd", "--batch-size", "5")) == 1
    assert capsys.readouterr().err == (
        "error: batch_size must be a multiple of the 4 devices, got 5; use 4, or fewer devices\n"
    )
    assert not (home / "odd").exists() and not (tmp_path / "run").exists()


def test_a_run_with_other_settings_is_refused_by_their_names(home, alone, capsys):
    assert main(typed(home, "alone", "--seed", "1", "--model.norm", "group", "--model.groups", "2")) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"error: {alone} holds a run with other settings: ")
    for name in ("seed", "model.norm", "model.groups"):
        assert name in said


@pytest.mark.parametrize(
    ("missing", "message"),
    [("JAX_PROCESS_ID", "JAX_COORDINATOR_ADDRESS is set, and so must be JAX_PROCESS_ID")],
)
def test_half_the_environment_of_several_hosts(missing, message, home, capsys, monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    assert main(typed(home, "half")) == 1
    assert capsys.readouterr().err == f"error: {message}\n"
