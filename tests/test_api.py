"""The style of the public functions, kept by a test."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import cwmi_jax
from cwmi_jax.losses import LOSSES

ROOT = Path(__file__).parent.parent
SHARED = ("logits", "labels", "activation", "where", "spatial_dims", "reduction")


def public_functions():
    """Of the package and of its public modules, by name."""
    for module in (cwmi_jax, *map(importlib.import_module, ("cwmi_jax.losses", "cwmi_jax.metrics"))):
        for name in module.__all__:
            if inspect.isfunction(getattr(module, name)):
                yield f"{module.__name__}.{name}", getattr(module, name)
    weight_maps = importlib.import_module("cwmi_jax.weight_maps")
    for name, function in inspect.getmembers(weight_maps, inspect.isfunction):
        if function.__module__ == weight_maps.__name__ and not name.startswith("_"):
            yield f"{weight_maps.__name__}.{name}", function


FUNCTIONS = dict(public_functions())
each_function = pytest.mark.parametrize("name", FUNCTIONS)
# `cwmi_loss` is the one loss whose docstring stands alone.
UNDER_CONTRACT = [name for name in FUNCTIONS if FUNCTIONS[name] in LOSSES.values() and name != "cwmi_jax.cwmi_loss"]


def test_every_public_function_is_found():
    known = ["cwmi_loss", "losses.combine", "losses.dice", "metrics.mean_iou", "weight_maps.skeletons"]
    assert {f"cwmi_jax.{name}" for name in known} <= set(FUNCTIONS)
    assert len(FUNCTIONS) >= 35


def sections(documented):
    """Of a docstring, by title."""
    _, *parts = re.split(r"^(\w+):\n", inspect.getdoc(documented), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def arguments(documented):
    """What a docstring says of its arguments, those of one line together, by their names."""
    entries = re.findall(r"^    (\w+(?:, \w+)*): (.*)", sections(documented)["Args"], re.MULTILINE)
    return {tuple(names.split(", ")): text for names, text in entries}


@each_function
def test_docstring_says_arguments_results_errors_and_source(name):
    wanted = {"Args", "Returns", "References", "Examples"} | (set() if name in UNDER_CONTRACT else {"Raises"})
    assert wanted <= set(sections(FUNCTIONS[name]))
    said = [argument for names in arguments(FUNCTIONS[name]) for argument in names]
    assert sorted(said) == sorted(inspect.signature(FUNCTIONS[name]).parameters)


def test_losses_share_a_contract():
    assert {"Args", "Returns", "Raises"} <= set(sections(cwmi_jax.losses))
    assert list(arguments(cwmi_jax.losses)) == [(argument,) for argument in SHARED]


@pytest.mark.parametrize("name", UNDER_CONTRACT)
def test_loss_leaves_what_is_shared_to_the_contract(name):
    assert arguments(FUNCTIONS[name])[SHARED].startswith("see `cwmi_jax.losses`, for results and errors too.")
    # Nor does it repeat a clause, of three words or more.
    contract, own = (" ".join(inspect.getdoc(of).split()) for of in (cwmi_jax.losses, FUNCTIONS[name]))
    clauses = [clause for clause in re.split(r"[.,:;] ", contract) if clause.count(" ") >= 2]
    assert [clause for clause in clauses if clause in own] == []


@each_function
def test_options_are_keywords_of_one_name(name):
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    for parameter in parameters.values():
        assert parameter.default is inspect.Parameter.empty or parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.name not in {"rng", "axis", "num_levels"}
    # What is to be ignored is `where`; a `mask` is what is segmented.
    assert "mask" not in parameters or "logits" not in parameters


@pytest.mark.parametrize("name", LOSSES)
def test_losses_have_one_signature(name):
    parameters = inspect.signature(LOSSES[name]).parameters
    by_place = [key for key, value in parameters.items() if value.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert by_place == ["logits", "labels"]
    shared = {"activation": "softmax", "where": None, "spatial_dims": 2, "reduction": "mean"}
    assert {key: parameters[key].default for key in shared} == shared
    assert all(parameters[key].kind is inspect.Parameter.KEYWORD_ONLY for key in shared)


def test_readme_shows_a_gradient_early():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert next(i for i, line in enumerate(lines) if "value_and_grad" in line) < 40
