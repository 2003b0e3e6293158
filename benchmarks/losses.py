"""Prints the cost of every loss, forward and backward, beside cross entropy: the paper's Table 4 for the loss alone.

`--memory` prints what each needs at three sizes instead, a volume among them, and runs nothing.
"""

import argparse
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from benchmarks.timing import device_line, take_turns, temporaries_over, temporary_bytes
from cwmi_jax.losses import LOSSES, MAPS, boundary, skea_topo

Maps = Mapping[str, Callable[..., np.ndarray]]
Array = jax.Array | jax.ShapeDtypeStruct

VARIANTS: dict[str, tuple[Callable[..., jax.Array], Maps]] = {
    "skea_topo without topology": (
        functools.partial(skea_topo, topology=False),
        {"weight_maps": MAPS["skea_topo"]["weight_maps"]},
    ),
    "boundary without a map": (boundary, {}),
}
"""Losses with other options than in `LOSSES`, and the maps that they need then."""

SHAPES = ((10, 512, 512), (1, 1024, 2048), (1, 128, 128, 128))
"""Labels of `--memory`."""
IMAGES_ONLY = ("skea_topo", "skea_topo without topology")
ONE_CHANNEL = ("abw", "boundary", *IMAGES_ONLY)
"""Losses of two classes, and the one whose map is another for several."""


def main() -> None:
    """Measures every loss and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each program (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=10, help="images (default: %(default)s)")
    parser.add_argument("--side", type=int, default=512, help="of an image, pixels (default: %(default)s)")
    parser.add_argument("--memory", action="store_true", help="compile for three sizes, run nothing")
    parser.add_argument("--channels", type=int, default=1, help="of logits, for --memory (default: %(default)s)")
    arguments = parser.parse_args()
    losses = {**{name: (loss, MAPS.get(name, {})) for name, loss in LOSSES.items()}, **VARIANTS}
    if arguments.memory:
        print_memory(losses, arguments.channels)
        return
    logits, labels = blurred_membranes(arguments.batch, arguments.side)
    programs, temporaries = {}, {}
    for name, (loss, makers) in losses.items():
        maps = {
            keyword: jnp.asarray(np.stack([function(label) for label in labels]).astype(np.float32))
            for keyword, function in makers.items()
        }
        step = compile_loss(loss, logits, jnp.asarray(labels), maps)
        programs[name] = functools.partial(step, logits, jnp.asarray(labels), **maps)
        temporaries[name] = temporaries_over(logits, step)
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
    loss: Callable[..., jax.Array], logits: Array, labels: Array, maps: Mapping[str, Array], **options: Any
) -> jax.stages.Compiled:
    """The program of a loss and its gradient."""
    return jax.jit(jax.value_and_grad(functools.partial(loss, **options))).lower(logits, labels, **maps).compile()


def print_memory(losses: Mapping[str, tuple[Callable[..., jax.Array], Maps]], channels: int) -> None:
    """A Markdown table of the temporary buffers of each loss and its gradient, MiB, at all of `SHAPES`."""
    print(f"MiB of temporary buffers, {channels} channel{'s' * (channels > 1)}; {device_line()}\n")
    print(f"| loss | {' | '.join(' x '.join(map(str, shape)) for shape in SHAPES)} |\n|---{'|---:' * len(SHAPES)}|")
    for name, (loss, makers) in losses.items():
        if name in ONE_CHANNEL and channels > 1:
            continue
        cells = [
            "" if name in IMAGES_ONLY and len(shape) == 4 else f"{memory_of(loss, makers, shape, channels) / 2**20:.0f}"
            for shape in SHAPES
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def memory_of(loss: Callable[..., jax.Array], makers: Maps, shape: Sequence[int], channels: int) -> float:
    """The compiler's count of bytes of a loss and its gradient for labels of some shape, `[N, *spatial]`."""
    logits, labels = jax.ShapeDtypeStruct((*shape, channels), jnp.float32), jax.ShapeDtypeStruct(shape, jnp.int32)
    small = np.arange(4 ** (len(shape) - 1)).reshape([4] * (len(shape) - 1)) % 2
    maps = {
        keyword: jax.ShapeDtypeStruct((*shape, *function(small).shape[small.ndim :]), jnp.float32)
        for keyword, function in makers.items()
    }
    return temporary_bytes(compile_loss(loss, logits, labels, maps, spatial_dims=small.ndim))


if __name__ == "__main__":
    main()
