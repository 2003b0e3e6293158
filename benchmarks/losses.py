"""Prints the cost of every loss, forward and backward, beside cross entropy: the paper's Table 4 for the loss alone."""

import argparse
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from benchmarks.timing import device_line, take_turns, temporaries_over
from cwmi_jax.losses import LOSSES, MAPS, boundary, skea_topo

Maps = Mapping[str, Callable[..., np.ndarray]]

VARIANTS: dict[str, tuple[Callable[..., jax.Array], Maps]] = {
    "skea_topo without topology": (
        functools.partial(skea_topo, topology=False),
        {"weight_maps": MAPS["skea_topo"]["weight_maps"]},
    ),
    "boundary without a map": (boundary, {}),
}
"""Losses with other options than in `LOSSES`, and the maps that they need then."""


def main() -> None:
    """Measures every loss and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each program (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=10, help="images (default: %(default)s)")
    parser.add_argument("--side", type=int, default=512, help="of an image, pixels (default: %(default)s)")
    arguments = parser.parse_args()
    logits, labels = blurred_membranes(arguments.batch, arguments.side)
    programs, temporaries = {}, {}
    for name, loss in LOSSES.items():
        programs[name], temporaries[name] = compile_loss(loss, MAPS.get(name, {}), logits, labels)
    for name, (loss, maps) in VARIANTS.items():
        programs[name], temporaries[name] = compile_loss(loss, maps, logits, labels)
    seconds = take_turns(programs, arguments.repeats)
    print(f"{arguments.batch} x {arguments.side}^2; {device_line()}\n")
    print("| loss | ms | x cross entropy | temporaries / logits |")
    print("|---|---|---|---|")
    for name, cost in seconds.items():
        print(f"| {name} | {1e3 * cost:.1f} | {cost / seconds['ce']:.1f} | {temporaries[name]:.1f} |")


def blurred_membranes(batch: int, side: int) -> tuple[jax.Array, np.ndarray]:
    """Logits `[batch, side, side, 1]` of a network that is mostly right, and labels: membranes around blobs."""
    rng = np.random.default_rng(0)
    blobs = [ndimage.gaussian_filter(rng.standard_normal((side, side)), 8) for _ in range(batch)]
    labels = np.stack([np.abs(blob) < 0.2 * blob.std() for blob in blobs])
    doubt = np.stack([ndimage.gaussian_filter(rng.standard_normal((side, side)), 2) for _ in range(batch)])
    logits = 4.0 * labels - 2 + 1.5 * doubt / doubt.std()
    return jnp.asarray(logits[..., None], np.float32), labels.astype(np.int32)


def compile_loss(
    loss: Callable[..., jax.Array], makers: Maps, logits: jax.Array, labels: np.ndarray
) -> tuple[Any, float]:
    """The program of a loss and its gradient, and its temporary buffers over the size of the logits."""
    maps = {
        keyword: jnp.asarray(np.stack([function(label) for label in labels]).astype(np.float32))
        for keyword, function in makers.items()
    }
    step = jax.jit(jax.value_and_grad(loss)).lower(logits, labels, **maps).compile()
    return functools.partial(step, logits, jnp.asarray(labels), **maps), temporaries_over(logits, step)


if __name__ == "__main__":
    main()
