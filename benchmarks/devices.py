"""Prints what the loss takes on 1, 2 and 4 devices that share a batch under `jit`, forward and backward.

On GPUs and TPUs these are the devices that there are. On a CPU every count is a process of its own, with that many devices
that JAX is made to see and as many cores, as far as there are.
"""

import argparse
import json
import os
import subprocess
import sys

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.timing import take_turns
from cwmi_jax import cwmi_loss

COUNTS = (1, 2, 4)


def main() -> None:
    """Measures every count and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="runs of each program (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="images (default: %(default)s)")
    parser.add_argument("--side", type=int, default=512, help="of an image, pixels (default: %(default)s)")
    parser.add_argument("--alone", type=int, help="measure one count in this process and print the seconds")
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(measure(arguments.alone, arguments.batch, arguments.side, arguments.repeats)))
        return
    platform = jax.default_backend()
    cores = os.cpu_count() or 1
    kind = f"{cores} CPU cores" if platform == "cpu" else f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    print(f"{arguments.batch} x {arguments.side}^2; {kind}, jax {jax.__version__}, float32\n")
    print("| devices | ms | x faster | of what could be |")
    print("|---|---|---|---|")
    first = None
    for count in COUNTS:
        if platform != "cpu" and count > jax.device_count():
            continue
        seconds = (in_a_process if platform == "cpu" else measure)(
            count, arguments.batch, arguments.side, arguments.repeats
        )
        first = first or seconds
        possible = min(count, cores) if platform == "cpu" else count
        faster = first / seconds
        print(f"| {count} | {1e3 * seconds:.1f} | {faster:.2f} | {100 * faster / possible:.0f} % |", flush=True)


def measure(count: int, batch: int, side: int, repeats: int) -> float:
    """Median seconds of the loss and its gradient, the batch shared by the first `count` devices."""
    split = NamedSharding(Mesh(np.asarray(jax.devices()[:count]), ("data",)), PartitionSpec("data"))
    rng = np.random.default_rng(0)
    logits = jax.device_put(rng.normal(size=(batch, side, side, 1)).astype(np.float32), split)
    labels = jax.device_put(rng.integers(0, 2, size=(batch, side, side)), split)
    step = jax.jit(jax.value_and_grad(cwmi_loss)).lower(logits, labels).compile()
    return take_turns({"cwmi": lambda: step(logits, labels)}, repeats)["cwmi"]


def in_a_process(count: int, batch: int, side: int, repeats: int) -> float:
    """`measure` with so many CPU devices on so many cores."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    command = [sys.executable, "-m", "benchmarks.devices", f"--alone={count}"]
    command += [f"--batch={batch}", f"--side={side}", f"--repeats={repeats}"]
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        if affinity:  # The process inherits it.
            os.sched_setaffinity(0, sorted(affinity)[:count])
        result = subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, stdout=subprocess.PIPE, check=True)
    finally:
        if affinity:
            os.sched_setaffinity(0, affinity)
    return json.loads(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
