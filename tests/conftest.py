"""Four CPU devices, strict promotion of dtypes and ranks, programs compiled once, and float64 for single tests."""

import os
import shutil
import tempfile

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"

# Many tests train the same tiny networks. All workers, and the processes that they start, share what one has compiled.
_COMPILED = "CWMI_JAX_TESTS_COMPILED"
if _COMPILED not in os.environ:
    os.environ[_COMPILED] = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="cwmi_jax_tests_")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"

import hypothesis
import jax
import pytest

from tests.versions import enable_x64

hypothesis.settings.register_profile("quick", max_examples=30)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_unconfigure(config):
    """The process that started the others cleans up after them."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[_COMPILED], ignore_errors=True)


@pytest.fixture
def x64():
    """Run one test with float64 arrays."""
    with enable_x64(True):
        yield
