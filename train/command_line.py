"""What the programs of this package share on the command line: settings from flags, and errors of one line.

Tyro reads the flags and writes the help. Its errors, which fill a box and name its own parts, are told in one line here.
"""

import contextlib
import dataclasses
import difflib
import io
import itertools
import re
import sys
import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import tyro

_T = TypeVar("_T")

_CLOSE = 0.75  # From here on, of 1, two names are taken for one that was misspelt.
_DECORATION = re.compile(r"\x1b\[[0-9;]*m|[│╭╮╰╯]")
_RULE = re.compile("[─-]{3,}")
# What Python and tyro say of a value, and what they mean.
_PLAINER = (
    (r"^Error parsing (--\S+): ", r"\1: "),
    (r"^Error parsing \S+: ", ""),
    (r"(--\S+): invalid literal for int\(\) with base 10: (.*)", r"\1 must be a whole number, got \2"),
    (r"(--\S+): could not convert string to float: (.*)", r"\1 must be a number, got \2"),
    (r"(--\S+): no type matching (\S+) could be instantiated from \[(.*?)\]\..*", r"\1 must be \2, got \3"),
    (r"(--\S+): Could not find valid parse for arguments: \[(.*)\]", r"\1 cannot be made of \2"),
    (r"(--\S+): Failed to parse key-value pairs!", r"\1 must be names and values in turn"),
    (r"^invalid choice (.*) for argument '(.*)'\. Expected one of \((.*?),?\)\.", r"\2 must be one of \3, got \1"),
    (r"^Missing value for argument '?\(?'(--[^']*)'.*", r"\1 must have a value, got none"),
    (r"^Missing from .*?: (\S+) .*", r"\1 must be given"),
)


class UsageError(ValueError):
    """A command line that cannot be read; says what is wrong with it."""


def fail(error: Exception) -> int:
    """Prints what went wrong in one line, and returns the exit status: 2 where it is the command line, else 1."""
    print(f"error: {error}", file=sys.stderr)
    return 2 if isinstance(error, UsageError) else 1


def parse(kind: type[_T], arguments: Sequence[str] | None, *, prog: str, description: str | None) -> _T:
    """Settings from a command line that holds nothing else; `--help` prints all of them and ends the process.

    Args:
        kind: a dataclass.
        arguments: the command line after the program; that of the process when None.
        prog: the program, for the help.
        description: what it does, for the help.

    Raises:
        UsageError: an unknown flag, or a value of the wrong kind.
    """
    given = sys.argv[1:] if arguments is None else arguments
    settings, unknown = parse_known(kind, given, prog=prog, description=description)
    refuse_unknown(unknown, flags_of(kind), prog)
    return settings


def parse_known(
    kind: type[_T], arguments: Sequence[str], *, prog: str, description: str | None, default: _T | None = None
) -> tuple[_T, list[str]]:
    """Settings from those flags that are known, and all else.

    Args:
        kind: a dataclass.
        arguments: the command line after the program.
        prog: the program, for the help.
        description: what it does, for the help.
        default: settings that are not on the command line; without it the defaults of the dataclass.

    Raises:
        UsageError: a value of the wrong kind, or settings in contradiction.
    """
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(
                kind,
                args=list(arguments),
                return_unknown_args=True,
                prog=prog,
                description=description,
                config=(tyro.conf.AvoidSubcommands,),
                default=tyro.MISSING_NONPROP if default is None else default,
            )
    except SystemExit as stopped:
        if not stopped.code:
            raise
        raise UsageError(_in_one_line(box.getvalue())) from None
    except ValueError as error:
        raise UsageError(error) from error


def refuse_unknown(unknown: Sequence[str], flags: Iterable[str], prog: str) -> None:
    """Refuses what is left of a command line.

    Args:
        unknown: as returned by `parse_known`.
        flags: those that there are.
        prog: whose `--help` lists them.

    Raises:
        UsageError: there is something; says which flag may have been meant.
    """
    if not unknown:
        return
    first = unknown[0].partition("=")[0]
    kind = "flag" if first.startswith("-") else "argument"
    raise UsageError(f"unknown {kind} {first}{did_you_mean(first, flags) or ';'} `{prog} --help` lists all")


def flags_of(kind: type, prefix: str = "") -> list[str]:
    """The flags that set a dataclass's fields and those of dataclasses in it; not the shorter names that some have.

    Of what is on or off there are two: `--flips` and `--no-flips`.
    """
    flags = []
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if not any(field.name == name for field in dataclasses.fields(kind)):
            continue
        inner, marks = (
            (hint.__origin__, hint.__metadata__) if typing.get_origin(hint) is typing.Annotated else (hint, ())
        )
        if dataclasses.is_dataclass(inner):
            flags += flags_of(typing.cast(type, inner), f"{prefix}{name}.")
        elif tyro.conf.Positional not in marks:
            own = _own_name(marks) or name
            turned = [own, f"no-{own}"] if inner is bool else [own]
            flags += ["--" + f"{prefix}{each}".replace("_", "-") for each in turned]
    return flags


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The two names that are closest to a misspelt one, in words that a sentence can end with; "" if none is close.

    A name may be meant by its last part: `--width` for `--model.width`.

    Args:
        word: that is unknown.
        known: names, whose parts have dots between them.
    """
    word = word.lower().replace("_", "-")
    shares = {}
    for name in known:
        shares[name] = max(_likeness(word, name), _likeness(word.lstrip("-"), name.lstrip("-").rpartition(".")[2]))
    close = sorted((name for name in shares if shares[name] >= _CLOSE), key=lambda name: -shares[name])
    return f"; did you mean {' or '.join(close[:2])}?" if close else ""


def _likeness(word: str, other: str) -> float:
    return difflib.SequenceMatcher(None, word, other).ratio()


def _own_name(marks: Sequence[Any]) -> str | None:
    return next((mark.name for mark in marks if getattr(mark, "name", None)), None)


def _in_one_line(box: str) -> str:
    """The sentence in a box of tyro's, without the help beneath it."""
    # Its title, and what stands between the first two rules, of which terminals of letters alone have one more.
    _, *lines = (_DECORATION.sub("", line).strip() for line in box.splitlines())
    parts = [
        list(part) for rule, part in itertools.groupby(lines, lambda line: bool(_RULE.fullmatch(line))) if not rule
    ]
    sentence = " ".join(parts[0])
    for pattern, plainer in _PLAINER:
        sentence = re.sub(pattern, plainer, sentence)
    return sentence
