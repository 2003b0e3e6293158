"""The modules of `train`: none imports itself by way of others, none is too long to be read, and data flow one way."""

import ast
from pathlib import Path

TRAIN = Path(__file__).parents[2] / "train"
MODULES = {
    ".".join(path.relative_to(TRAIN.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in TRAIN.rglob("*.py")
}


def imports(path):
    """Modules of `train` that one imports, also within functions, but not for types alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name in MODULES)


GRAPH = {name: set(imports(path)) - {name} for name, path in MODULES.items()}


def test_no_module_imports_itself_by_way_of_others():
    open_ones, done = [], set()

    def visit(name):
        assert name not in open_ones, " -> ".join([*open_ones[open_ones.index(name) :], name])
        if name not in done:
            open_ones.append(name)
            for other in sorted(GRAPH[name]):
                # A package is its `__init__`, which its own modules do not run twice.
                if not (name.startswith(f"{other}.")):
                    visit(other)
            open_ones.pop()
            done.add(name)

    assert len(MODULES) > 40
    for name in sorted(GRAPH):
        visit(name)


def test_data_know_nothing_of_runs_and_runs_nothing_of_reports():
    order = ["train.models", "train.datasets", "train.batches", "train.runs", "train.reports"]
    for name, others in GRAPH.items():
        mine = next((place for place, package in enumerate(order) if name.startswith(package)), None)
        if mine is not None:
            later = [other for other in others if other.startswith(tuple(order[mine + 1 :]))]
            assert later == [], name


def test_no_module_is_longer_than_three_hundred_lines():
    long = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}
