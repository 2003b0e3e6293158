"""Flags and their errors, apart from the programs that have them."""

import dataclasses
from typing import Annotated

import pytest
import tyro

from train.command_line import UsageError, did_you_mean, fail, flags_of, parse


@dataclasses.dataclass(frozen=True)
class Inner:
    """Within.

    Attributes:
        learning_rate: a number.
    """

    learning_rate: float = 1.0

    def __post_init__(self):
        if self.learning_rate < 0:
            raise ValueError(f"rate must be 0 or more, got {self.learning_rate}")


@dataclasses.dataclass(frozen=True)
class Outer:
    """Around.

    Attributes:
        run: needed.
        sides: whole numbers.
        options: named.
        inner: more.
    """

    run: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RUN")]]
    sides: tuple[int, ...] = ()
    options: Annotated[int, tyro.conf.arg(name="the.options")] = 0
    inner: Inner = Inner()


def read(*arguments):
    return parse(Outer, arguments, prog="python -m outer", description="Does nothing.")


def test_flags_are_the_fields_by_their_dotted_names():
    assert flags_of(Outer) == ["--sides", "--the.options", "--inner.learning-rate"]


def test_settings_come_from_flags_with_dashes_or_underscores():
    wanted = Outer("here", (3, 4), 7, Inner(0.5))
    assert read("here", "--sides", "3", "4", "--the.options=7", "--inner.learning-rate", "0.5") == wanted
    assert read("here", "--sides", "3", "4", "--the.options", "7", "--inner.learning_rate=0.5") == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "RUN must be given"),
        (["here", "--sides", "a", "b"], "--sides cannot be made of 'a', 'b'"),
        (["here", "--inner.learning-rate", "fast"], "--inner.learning-rate must be a number, got 'fast'"),
        (["here", "--inner.learning-rate", "-2"], "rate must be 0 or more, got -2.0"),
        (["here", "--learning-rate", "2"], "unknown flag --learning-rate; did you mean --inner.learning-rate?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, message):
    with pytest.raises(UsageError) as refused:
        read(*arguments)
    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)


def test_help_ends_the_process_with_0(capsys):
    with pytest.raises(SystemExit) as stopped:
        read("--help")
    assert stopped.value.code == 0
    assert "Does nothing." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--epoch", "; did you mean --epochs?"),
        ("--data.blcoks", "; did you mean --data.blocks?"),
        ("--folds", "; did you mean --data.folds or --data.fold?"),
        ("--frobnicate", ""),
    ],
)
def test_a_misspelt_name_is_recognised(word, said):
    known = ("--epochs", "--output", "--data.fold", "--data.folds", "--data.blocks", "--seed")
    assert did_you_mean(word, known) == said


def test_a_wrong_command_line_has_a_status_of_its_own(capsys):
    assert fail(UsageError("a")) == 2 and fail(ValueError("b")) == 1
    assert capsys.readouterr().err == "error: a\nerror: b\n"
