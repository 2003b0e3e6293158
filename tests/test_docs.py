"""Every block of code in README and docs runs, as `make docs` asks, and every command of theirs is one that can be typed."""

import importlib
import inspect
import re
import shlex
import string
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page, language):
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def pages(language):
    found = [page for page in PAGES if blocks(page, language)]
    assert found
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in found]


@pytest.mark.documentation
@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="the pages are for a JAX that has shard_map")
@pytest.mark.parametrize("page", pages("python"))
def test_code_runs(page, tmp_path, monkeypatch):
    """All Python blocks of a page, one after the other, as a reader would paste them."""
    if "import equinox" in page.read_text():
        pytest.importorskip("equinox")  # the sets of older versions lack it
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    # A reader has JAX's defaults.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in blocks(page, "python"):
            exec(compile(block, str(page), "exec"), names)
    assert page.name != "README.md" or names["loss"].shape == ()


def parsers():
    """What reads the command line of each module, and no more."""
    pytest.importorskip("tyro")
    from train.__main__ import read_config
    from train.command_line import parse, parse_known
    from train.evaluate import Evaluation
    from train.plans import Comparison, make_plan
    from train.predict import Prediction
    from train.prepare import Preparation

    return {
        "train": read_config,
        "train.compare": lambda words: make_plan(*parse_known(Comparison, words, prog="", description=None)),
        "train.evaluate": lambda words: parse(Evaluation, words, prog="", description=None),
        "train.predict": lambda words: parse(Prediction, words, prog="", description=None),
        "train.prepare": lambda words: parse(Preparation, words, prog="", description=None),
    }


@pytest.mark.parametrize("page", pages("sh"))
def test_commands_can_be_parsed(page):
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    variables: dict[str, str] = {}
    for line in re.sub(r"\\\n", " ", "".join(blocks(page, "sh"))).splitlines():
        words = shlex.split(string.Template(line).safe_substitute(variables), comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0]):  # for the commands below, or the environment of one
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        if words[:1] == ["make"]:
            assert set(words[1:]) <= set(targets), line
        elif words[:2] == ["python", "-m"] and words[2].partition(".")[0] == "train":
            parsers()[words[2]](words[3:])
        elif words[:3] == ["python", "-m", "docs.figures.study"]:
            assert words[3:4] in (["collect"], ["draw"]), line
        elif words[:2] == ["python", "-m"] and words[2].partition(".")[0] == "benchmarks":
            modules = [words[2].partition(".")[2], *words[3:]]
            assert all((ROOT / "benchmarks" / f"{module or '__main__'}.py").exists() for module in modules), line
        else:
            assert not words or words[0] == "pip", line


def test_tables_of_the_study_are_those_of_its_runs():
    pytest.importorskip("tyro")
    from docs.figures import study

    rows = {name: study.read(name) for name in study.SETS}
    assert all(set(rows[table.set]) >= set(table.losses) for table in study.TABLES.values())
    texts = [page.read_text(encoding="utf-8") for page in study.PAGES]
    assert sorted(re.findall("<!-- table (.*) -->", "".join(texts))) == sorted(study.TABLES)
    assert [study.with_tables(text, rows) for text in texts] == texts


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    """In the repository; those of the site mkdocs checks, but README is not on it."""
    links = re.findall(r"\]\(([^)#\s]+)", BLOCK.sub("", page.read_text()))
    links = [link for link in links if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_no_block_is_of_a_language_that_nobody_checks():
    for page in PAGES:
        assert {name for name, _ in BLOCK.findall(page.read_text())} <= {"python", "sh", "json", "text"}, page


@pytest.mark.parametrize("page", pages("json"))
def test_tables_of_classes_can_be_read(page, tmp_path):
    pytest.importorskip("tifffile")
    from train.datasets.classes import read_class_table

    for block in blocks(page, "json"):
        (tmp_path / "classes.json").write_text(block)
        assert [entry.name for entry in read_class_table(tmp_path / "classes.json")][:2] == ["background", "artery"]


@pytest.mark.parametrize("name", ["cwmi_jax", "cwmi_jax.losses", "cwmi_jax.metrics", "cwmi_jax.weight_maps"])
def test_pages_of_the_api_name_all_that_is_public(name):
    module = importlib.import_module(name)
    defined = [name for name, of in inspect.getmembers(module, inspect.isfunction) if of.__module__ == module.__name__]
    public = {name for name in getattr(module, "__all__", defined) if not name.startswith("_")}
    public -= {name for name in public if inspect.ismodule(getattr(module, name))}
    page = ROOT / "docs" / "api" / f"{name.rpartition('.')[2]}.md"
    named = re.findall(rf"^::: {re.escape(name)}\.(\w+)$", page.read_text(), re.MULTILINE)
    assert sorted(named) == sorted(public)
