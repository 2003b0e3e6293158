"""The lower bounds of pyproject.toml are those that `make compat` tests, and none is above what Colab has."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Flax's own bound is higher than ours, which is for the library alone.
RAISED = {"jax"}


def numbers(version):
    parts = [int(part) for part in version.split(".")]
    return tuple(parts + [0] * (4 - len(parts)))


def pins(name):
    lines = (ROOT / "compat" / f"{name}.txt").read_text().splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {package.lower(): numbers(version) for package, version in found}


def bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, requirements in {
        "": project["dependencies"],
        "train": project["optional-dependencies"]["train"],
    }.items():
        for requirement in requirements:
            package, version = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
            yield extra, package.lower(), numbers(version)


@pytest.mark.parametrize(("extra", "package", "bound"), list(bounds()))
def test_the_oldest_versions_are_the_ones_that_are_tested(extra, package, bound):
    if not extra:
        assert pins("oldest")[package] == bound
    tested = pins("oldest-train")[package]
    assert tested > bound if package in RAISED else tested == bound


def test_colab_has_at_least_the_lower_bounds():
    colab = pins("colab")
    checked = [package for _, package, bound in bounds() if package in colab and colab[package] >= bound]
    assert set(checked) == {package for _, package, _ in bounds()} & set(colab)
    assert {"jax", "numpy", "flax", "orbax-checkpoint", "grain", "optax"} <= set(checked)
