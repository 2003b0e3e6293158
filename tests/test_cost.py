"""What the compiled loss and its gradient cost, by the compiler's own count, which does not depend on the machine's load.

The figures are those of the locked JAX. Where a change makes the loss cheaper, or another JAX counts otherwise, write down
the new ones.
"""

import pathlib
import re

import jax
import numpy as np
import pytest

from cwmi_jax import cwmi_loss
from tests.versions import transformed

LOCK = pathlib.Path(__file__).parents[1] / "requirements.lock"


@pytest.mark.skipif(
    f"jax=={jax.__version__}" not in re.split(r"\s+", LOCK.read_text()), reason="another JAX than the locked one"
)
@pytest.mark.parametrize(("shape", "flops", "accessed"), [((2, 128, 128, 1), 1104, 239), ((1, 512, 512, 1), 1702, 136)])
def test_the_cost_of_a_pixel_is_what_is_written_down(shape, flops, accessed):
    """Operations, and bytes that are read or written."""
    logits, labels = jax.ShapeDtypeStruct(shape, np.float32), jax.ShapeDtypeStruct(shape[:-1], np.int32)
    program = jax.jit(jax.value_and_grad(lambda *batch: cwmi_loss(*batch, levels=3))).lower(logits, labels).compile()
    cost = program.cost_analysis()
    pixels = np.prod(shape)
    assert len(transformed(program)) == 3
    assert cost["flops"] / pixels == pytest.approx(flops, rel=0.1)
    assert cost["bytes accessed"] / pixels == pytest.approx(accessed, rel=0.1)
