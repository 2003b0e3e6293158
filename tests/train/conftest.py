"""The promotion of dtypes and ranks that optax and Flax need."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def _standard_promotion():
    # Under those of tests/conftest.py optax's Adam raises (a Python float to the power of the step), and Flax's biases.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
