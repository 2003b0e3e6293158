"""Times programs against each other."""

import math
import time
from collections.abc import Callable

import jax
import numpy as np


def device_line() -> str:
    """What the figures were measured on."""
    return f"{jax.devices()[0].device_kind}, {len(jax.devices())} device(s), jax {jax.__version__}, float32"


def temporaries_over(logits: jax.Array, program: jax.stages.Compiled) -> float:
    """The compiler's count of a program's temporary buffers, over the size of the logits."""
    memory = program.memory_analysis()
    return memory.temp_size_in_bytes / logits.nbytes if memory else math.nan


def take_turns(programs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each program, run one after the other over and over."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for run in range(repeats + 2):
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program())
            if run >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: float(np.median(seconds)) if seconds else math.nan for name, seconds in times.items()}
