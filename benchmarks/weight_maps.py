"""Prints the seconds and the peak memory of each weight map of one large mask of roads."""

import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from scipy import ndimage, spatial

from cwmi_jax import weight_maps

MAPS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    weight_maps.unet_weight_map,
    weight_maps.abw_weight_map,
    weight_maps.skeleton_aware_weight_map,
    weight_maps.skeletons,
    weight_maps.tubed_skeleton,
    weight_maps.signed_distance_map,
)


def main() -> None:
    """Measures every map and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1504, help="of the mask, pixels (default: %(default)s)")
    parser.add_argument("--blocks", type=int, default=202, help="between roads (default: %(default)s)")
    parser.add_argument("--road", type=float, default=5.0, help="width of a road, pixels (default: %(default)s)")
    arguments = parser.parse_args()
    mask = roads(arguments.side, arguments.blocks, arguments.road)
    _, components = ndimage.label(~mask)
    print(f"{arguments.side}^2 pixels, {components} components, {100 * mask.mean():.0f} percent road\n")
    print("| map | seconds | peak MB above the mask |")
    print("|---|---|---|")
    for function in MAPS:
        print(measure(function, mask), flush=True)


def roads(side: int, blocks: int, width: float) -> np.ndarray:
    """Roads between the Voronoi cells of random points, bool `[side, side]`."""
    points = np.random.default_rng(0).uniform(0, side, size=(blocks, 2))
    pixels = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1)
    distances, _ = spatial.cKDTree(points).query(pixels, k=2)
    return distances[..., 1] - distances[..., 0] < width


def measure(function: Callable[[np.ndarray], np.ndarray], mask: np.ndarray) -> str:
    """One row of the table. Memory comes from a run of its own, since to trace it takes time."""
    start = time.perf_counter()
    function(mask)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    function(mask)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return f"| {function.__name__} | {seconds:.2f} | {peak / 1e6:.0f} |"


if __name__ == "__main__":
    main()
