"""The style of the public functions, kept by a test."""

import inspect
import re
from pathlib import Path

import pytest

import cwmi_jax

FUNCTIONS = [name for name in cwmi_jax.__all__ if inspect.isfunction(getattr(cwmi_jax, name))]
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_says_arguments_results_errors_and_source(name):
    function = getattr(cwmi_jax, name)
    text = inspect.getdoc(function)
    for section in ("Args:", "Returns:", "Raises:", "References:", "Example:"):
        assert section in text
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^    {parameter}: ", text, re.MULTILINE), parameter


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_keywords_of_one_name(name):
    for parameter in inspect.signature(getattr(cwmi_jax, name)).parameters.values():
        assert parameter.default is inspect.Parameter.empty or parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.name not in {"rng", "mask", "axis", "num_levels"}


def test_readme_code_runs():
    """All Python blocks, one after the other, as a reader would paste them."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["loss"].shape == ()


def test_readme_shows_a_gradient_early():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert next(i for i, line in enumerate(lines) if "value_and_grad" in line) < 40
