"""Prints the cost of `cwmi_loss`, forward and backward, beside bare FFTs and optax's cross entropy.

Times are medians of runs that take turns, so that the ratios hold on a machine that other work slows down. Memory is the
compiler's own count of temporary buffers.
"""

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.timing import device_line, take_turns, temporaries_over
from cwmi_jax import cwmi_loss, wavelet_conditional_log_det


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        batch: images.
        shape: their sides in pixels.
        classes: channels of logits.
    """

    batch: int
    shape: tuple[int, ...]
    classes: int = 1

    def __str__(self) -> str:
        classes = f" x {self.classes} classes" if self.classes > 1 else ""
        side = f"{self.shape[0]}^{len(self.shape)}"
        return f"{self.batch}{classes} x {side}"


CASES = (
    Case(1, (256, 256)),
    Case(10, (512, 512)),
    Case(1, (2048, 2048)),
    Case(2, (512, 512), classes=19),
    Case(1, (128, 128, 128)),
)


def main() -> None:
    """Measures all cases and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="runs of each program (default: %(default)s)")
    repeats = parser.parse_args().repeats
    print(f"{device_line()}\n")
    columns = ("images", "cwmi_loss ms", "x three FFTs", "information term x three FFTs", "x cross entropy")
    print("|", " | ".join((*columns, "temporaries / logits", "compile s")), "|")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        print(measure(case, repeats), flush=True)


def measure(case: Case, repeats: int) -> str:
    """One row of the table."""
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(case.batch, *case.shape, case.classes)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, max(case.classes, 2), size=(case.batch, *case.shape)), jnp.int32)
    volumes = len(case.shape) == 3
    settings: dict[str, Any] = {"spatial_dims": 3, "orientations": 3} if volumes else {}
    objective = functools.partial(cwmi_loss, **settings)

    start = time.perf_counter()
    loss = jax.jit(jax.value_and_grad(objective)).lower(logits, labels).compile()
    compilation = time.perf_counter() - start
    temporaries = temporaries_over(logits, loss)

    def information(p: jax.Array, y: jax.Array) -> jax.Array:
        return wavelet_conditional_log_det(y, p, **settings).sum()

    images = jnp.moveaxis(logits, -1, 1)
    axes = range(-len(case.shape), 0)
    spectra = jnp.fft.rfftn(images, axes=axes)
    programs: dict[str, Callable[[], object]] = {
        "cwmi": lambda: loss(logits, labels),
        "ffts": _bind(jax.jit(lambda a, b, s: three_ffts(a, b, s, case.shape)), images, images + 1, spectra),
        "information": _bind(jax.jit(jax.value_and_grad(information)), images, images + 1),
        "cross entropy": _bind(jax.jit(jax.value_and_grad(cross_entropy)), logits, labels),
    }
    seconds = take_turns(programs, repeats)
    cost, ffts = seconds["cwmi"], seconds["ffts"]
    ratios = f"{cost / ffts:.1f} | {seconds['information'] / ffts:.1f} | {cost / seconds['cross entropy']:.1f}"
    return f"| {case} | {1e3 * cost:.1f} | {ratios} | {temporaries:.1f} | {compilation:.1f} |"


def three_ffts(y: jax.Array, p: jax.Array, spectrum: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, ...]:
    """The transforms that the loss and its gradient cannot do without, alone."""
    axes = range(-len(shape), 0)
    return (
        jnp.fft.rfftn(y, axes=axes),
        jnp.fft.rfftn(p, axes=axes),
        jnp.fft.irfftn(spectrum, s=shape, axes=axes),
    )


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """optax's, sigmoid for one class, softmax for more."""
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits[..., 0], labels.astype(logits.dtype)).mean()
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def _bind(function: Callable, *arguments: jax.Array) -> Callable[[], object]:
    return lambda: function(*arguments)


if __name__ == "__main__":
    main()
