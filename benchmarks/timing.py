"""Times programs against each other."""

import math
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

# More than the caches of a server's processor hold.
_CROWD_BYTES = 2**29


def device_line() -> str:
    """What the figures were measured on."""
    return f"{jax.devices()[0].device_kind}, {len(jax.devices())} device(s), jax {jax.__version__}, float32"


def temporaries_over(logits: jax.Array, program: jax.stages.Compiled) -> float:
    """The compiler's count of a program's temporary buffers, over the size of the logits."""
    return temporary_bytes(program) / logits.nbytes


def temporary_bytes(program: jax.stages.Compiled) -> float:
    """The compiler's count of a program's temporary buffers; not a number where it does not count."""
    memory = program.memory_analysis()
    return memory.temp_size_in_bytes if memory else math.nan


def take_turns(programs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each program, run one after the other over and over.

    Before each run a large array is written, as a network's activations are before its loss, so that no program finds its
    data in the caches because the one before left them there.
    """
    times: dict[str, list[float]] = {name: [] for name in programs}
    crowd = jax.jit(lambda array: array + 1)
    activations = jnp.zeros(_CROWD_BYTES // 4, jnp.float32)
    for run in range(repeats + 1):
        for name, program in programs.items():
            activations = jax.block_until_ready(crowd(activations))
            start = time.perf_counter()
            jax.block_until_ready(program())
            if run:
                times[name].append(time.perf_counter() - start)
    return {name: float(np.median(seconds)) if seconds else math.nan for name, seconds in times.items()}
