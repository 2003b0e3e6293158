"""Four CPU devices, strict promotion of dtypes and ranks, and a switch to float64 for single tests."""

import os

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"

import jax
import pytest

from tests.versions import enable_x64

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Run one test with float64 arrays."""
    with enable_x64(True):
        yield
