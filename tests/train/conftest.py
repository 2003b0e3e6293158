"""The promotion of dtypes that optax needs."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def _standard_promotion():
    # Under the strict promotion of tests/conftest.py optax's Adam raises (a Python float to the power of the step).
    with jax.numpy_dtype_promotion("standard"):
        yield
