"""Prints how the cost of `cwmi_loss`, forward and backward, grows with one image: time with n log n, memory with n."""

import argparse
import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import device_line, take_turns, temporaries_over
from cwmi_jax import cwmi_loss


def main() -> None:
    """Measures square images whose sides double and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each size (default: %(default)s)")
    parser.add_argument("--smallest", type=int, default=256, help="side in pixels (default: %(default)s)")
    parser.add_argument("--largest", type=int, default=8192, help="side in pixels (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"{device_line()}\n")
    print("| pixels | ms | ns / (n log2 n) | temporaries / logits |")
    print("|---|---|---|---|")
    side = arguments.smallest
    while side <= arguments.largest:
        print(measure(side, arguments.repeats), flush=True)
        side *= 2


def measure(side: int, repeats: int) -> str:
    """One row of the table."""
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.standard_normal((1, side, side, 1), np.float32))
    labels = jnp.asarray(rng.integers(0, 2, size=(1, side, side), dtype=np.int32))
    loss = jax.jit(jax.value_and_grad(cwmi_loss)).lower(logits, labels).compile()
    seconds = take_turns({"cwmi": lambda: loss(logits, labels)}, repeats)["cwmi"]
    pixels = side**2
    growth = 1e9 * seconds / (pixels * math.log2(pixels))
    return f"| {side}^2 | {1e3 * seconds:.1f} | {growth:.2f} | {temporaries_over(logits, loss):.1f} |"


if __name__ == "__main__":
    main()
