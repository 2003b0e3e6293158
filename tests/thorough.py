"""Which of many combinations `make test` runs, and which it leaves to `make thorough`."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from tests.golden import case_name

thorough = pytest.mark.thorough


def crossed(names: str, *axes: Sequence[Any]) -> pytest.MarkDecorator:
    """All combinations of several settings; those that differ from the first one in more than one are thorough.

    Args:
        names: of the settings, with commas.
        axes: the values of each, the one that all others are tried with first.
    """
    combinations = []
    for values in itertools.product(*axes):
        changed = sum(value is not axis[0] for value, axis in zip(values, axes, strict=True))
        marks = [thorough] if changed > 1 else []
        combinations.append(pytest.param(*values, marks=marks, id="-".join(map(case_name, values))))
    return pytest.mark.parametrize(names, combinations)


def some(values: Sequence[Any], chosen: Sequence[Any]) -> list[Any]:
    """Values of which the others than the chosen ones are thorough.

    Args:
        values: tuples where a test has several settings.
        chosen: of the values, or of the first of each tuple.
    """

    def param(value: Any) -> Any:
        each = value if isinstance(value, tuple) else (value,)
        return pytest.param(*each, marks=[] if value in chosen or each[0] in chosen else [thorough])

    return [param(value) for value in values]
