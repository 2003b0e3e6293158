"""The notebooks run from top to bottom, with fewer steps, as `make docs` asks, and are kept without what they print."""

import os
import re
import tomllib
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WHOLE = bool(os.environ.get("CWMI_JAX_WHOLE_NOTEBOOKS"))
"""Whether they run as they are, as `compat/run` does on Colab's set."""


def read(path):
    return nbformat.read(path, as_version=4)


def parameters(notebook):
    """The cell that papermill, too, would take settings from: names of numbers and what they stand for."""
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) <= 1
    return tagged[0] if tagged else None


def shortened(cell):
    """As few steps, epochs, images as there may be: each parameter says its least after `# at least`."""
    return re.sub(r"^(\w+ = )[\d_]+(.*# at least (\d+))", r"\g<1>\3\2", cell.source, flags=re.MULTILINE)


@pytest.mark.documentation
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    notebook = read(path)
    cell = parameters(notebook)
    if cell and not WHOLE:
        assert shortened(cell) != cell.source
        cell.source = shortened(cell)
    # As on Colab: the repository is a folder beside what the notebook writes.
    (tmp_path / "cwmi_jax").symlink_to(ROOT)
    client = nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}})
    # A reader has not the tests' devices. Little is computed here: programs are to be compiled soon, not to run fast.
    flags = "" if WHOLE else "--xla_backend_optimization_level=0"
    environment = {**os.environ, "XLA_FLAGS": flags}
    client.execute(env=environment | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"})
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_output(path):
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.source
    assert set(notebook.metadata) <= {"accelerator", "colab", "kernelspec", "language_info"}


def test_all_begin_with_the_same_installation():
    """Before it stands at most what JAX is to find in the environment when it is imported."""
    installations = set()
    for path in NOTEBOOKS:
        code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
        place = next(number for number, source in enumerate(code) if "import jax" in source)
        installations.add(code[place])
        for source in code[:place]:
            assert re.findall(r"^(?:import|from) (\S+)", source, flags=re.MULTILINE) == ["os"]
    assert len(installations) == 1
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("urls", {}).get("Repository")
    assert f"REPOSITORY = {address!r}" in installations.pop()
