"""The brain at a coarse resolution, and the promotion of dtypes that optax needs."""

import jax
import pytest

from train.config import DataConfig


@pytest.fixture(autouse=True, scope="package")
def _standard_promotion():
    # Under the strict promotion of tests/conftest.py optax's Adam raises (a Python float to the power of the step).
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="session")
def coarse_data():
    """The brain at 4 mm: the same pictures, small enough for tests."""
    return DataConfig(resolution_mm=4, gap_slices=1)
