"""The demo from its command line to its files."""

import dataclasses
import json

import pytest

from train.__main__ import main
from train.command_line import parse_config
from train.config import DemoConfig, from_flat
from train.demo import create_run_folder, table

TINY = [
    *("--steps", "2", "--batch-size", "2", "--log-every", "1", "--data.resolution-mm", "4", "--data.gap-slices", "1"),
    *("--model.width", "4", "--model.depth", "1", "--model.groups", "2", "--cwmi.levels", "2"),
    *(
        "--cwmi.orientations",
        "2",
        "--cwmi.warmup-fraction",
        "0.5",
        "--figure.rows",
        "2",
        "--figure.dots-per-inch",
        "40",
    ),
]


def test_two_steps_write_every_file_and_print_the_table(tmp_path, capsys):
    folder = tmp_path / "runs" / "demo"
    assert main([*TINY, "--output", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"writing to {folder}" in printed
    assert "14 slices to train, 6 held out, 48 x 48 pixels" in printed
    assert "CWMI: step 2/2" in printed
    written = json.loads((folder / "config.json").read_text())
    assert written["steps"] == 2 and written["model"] == {"width": 4, "depth": 1, "groups": 2}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["losses"]) == ["cross entropy", "CWMI"]
    for scores in metrics["losses"].values():
        for part in ("train", "held_out"):
            # Of one image Dice is 2 IoU / (1 + IoU) for each class, so it is the larger.
            assert 0 < scores[part]["mIoU"] < scores[part]["mDice"] < 1
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert table(metrics["losses"]) in printed


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "demo").mkdir()
    assert create_run_folder(str(tmp_path / "demo")) == tmp_path / "demo"
    (tmp_path / "demo" / "metrics.json").write_text("old")
    assert create_run_folder(str(tmp_path / "demo")) == tmp_path / "demo-2"
    (tmp_path / "demo-2" / "metrics.json").write_text("old")
    assert create_run_folder(str(tmp_path / "demo")) == tmp_path / "demo-3"
    assert (tmp_path / "demo" / "metrics.json").read_text() == "old"


def test_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    output = str(tmp_path / "file" / "demo")
    assert main([*TINY, "--output", output]) == 1
    assert capsys.readouterr().err == f"python -m train: error: cannot write to output {output!r}: Not a directory\n"


def test_levels_that_the_image_does_not_allow_are_refused_before_training(tmp_path, capsys):
    assert main([*TINY, "--cwmi.levels", "9", "--output", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "levels" in captured.err and "9" in captured.err and captured.err.count("\n") == 1
    assert "step" not in captured.out


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 0, "steps must be at least 1, got 0"),
        ("batch_size", -3, "batch_size must be at least 1, got -3"),
        ("threshold", 1.0, "threshold must lie strictly between 0.0 and 1.0, got 1.0"),
        ("output", "", "output must name a folder, got ''"),
        ("data.gap_slices", 0, "data.gap_slices must be at least 1, got 0"),
        ("data.lowest_mm", 90.0, "data.lowest_mm must be below data.highest_mm, got 90.0 and 66.0"),
        ("data.held_out_mm", ((20.0, 10.0),), r"inside \[-30.0, 66.0\], got \[20.0, 10.0\]"),
        ("model.groups", 3, "model.groups must divide model.width, got 3 and 16"),
        ("optimizer.learning_rate", 0.0, "optimizer.learning_rate must be above 0.0, got 0.0"),
        ("optimizer.learning_rate", float("nan"), "optimizer.learning_rate must be above 0.0, got nan"),
        ("cwmi.warmup_fraction", 1.0, "cwmi.warmup_fraction must be at least 0 and below 1, got 1.0"),
        ("model.wide", 3, "unknown setting 'model.wide'; known: output, seed, steps"),
    ],
)
def test_bad_settings_are_quoted(name, value, message):
    with pytest.raises(ValueError, match=message):
        from_flat({name: value})


def test_command_line_sets_nested_settings_and_keeps_the_other_defaults():
    config = parse_config(["--steps", "7", "--data.held-out-mm", "[[0, 10]]", "--optimizer.learning-rate", "1e-4"])
    default = DemoConfig()
    assert config == dataclasses.replace(
        default,
        steps=7,
        data=dataclasses.replace(default.data, held_out_mm=((0.0, 10.0),)),
        optimizer=dataclasses.replace(default.optimizer, learning_rate=1e-4),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "python -m train: error: steps must be at least 1, got 0"),
        (["--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["--data.held-out-mm", "5"], "expected [[lowest, highest], ...], got '5'"),
    ],
)
def test_bad_arguments_end_with_the_reason(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_config(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_help_shows_every_default(capsys):
    with pytest.raises(SystemExit):
        parse_config(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--model.width INT channels of the first stage; each further stage has twice as many (default: 16)" in shown
