"""Where compiled programs are kept, and when not; that a run in a new process compiles nothing again is in `test_main`."""

import itertools

import jax
import jax.numpy as jnp
import pytest

from train.runs.compilation_cache import kept_programs

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _settings():
    """Whoever runs the tests has given no folder, and programs that take no time to compile are kept too."""
    settings = {"jax_compilation_cache_dir": None, "jax_persistent_cache_min_compile_time_secs": 0}
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def compile_one():
    """Compiles a program that has never been compiled."""
    number = next(_numbers)
    jax.jit(lambda x: x + number).lower(jnp.zeros(3)).compile()


def programs(folder):
    return len([*folder.glob("*-cache")])


def test_each_folder_gets_what_is_compiled_in_its_time(tmp_path):
    compile_one()
    for name in ("first", "second"):
        with kept_programs(str(tmp_path / "data" / name)):
            compile_one()
            compile_one()
        compile_one()
    assert [programs(tmp_path / "data" / name) for name in ("first", "second")] == [2, 2]
    assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_is_taken_from_where_the_process_is_when_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with kept_programs("compiled"):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        compile_one()
    assert programs(tmp_path / "compiled") == 1


def test_none_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with kept_programs(None):
        compile_one()
        assert jax.config.jax_compilation_cache_dir is None
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_jax_has_already_stays(tmp_path):
    with kept_programs(str(tmp_path / "given")):
        with kept_programs(str(tmp_path / "ours")):
            compile_one()
        compile_one()
    assert programs(tmp_path / "given") == 2
    assert not (tmp_path / "ours").exists()


def test_a_folder_that_cannot_be_written_is_told_of_and_the_program_is_compiled(tmp_path):
    (tmp_path / "data").write_text("")
    message = (
        rf"^cannot keep compiled programs in {tmp_path}/data/compiled: Not a directory; they are compiled again "
        r"in every run, unless --compilation-cache names another folder \('off' keeps none\)$"
    )
    with pytest.warns(UserWarning, match=message), kept_programs(str(tmp_path / "data" / "compiled")):
        compile_one()
        assert jax.config.jax_compilation_cache_dir is None


def test_hosts_without_accelerators_compile_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with kept_programs(str(tmp_path / "cpu")):
        assert jax.config.jax_compilation_cache_dir is None
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with kept_programs(str(tmp_path / "gpu")):
        assert jax.config.jax_compilation_cache_dir == f"{tmp_path}/gpu"
