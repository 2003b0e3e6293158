"""Runs every benchmark, or those that are named: `python -m benchmarks [cwmi] [devices] [losses] [sizes] [weight_maps]`.

Each has options of its own: `python -m benchmarks.losses --help`.
"""

import sys

from benchmarks import cwmi, devices, losses, sizes, weight_maps

BENCHMARKS = {
    "cwmi": cwmi.main,
    "devices": devices.main,
    "losses": losses.main,
    "sizes": sizes.main,
    "weight_maps": weight_maps.main,
}


def main() -> None:
    """Prints the tables, one after the other."""
    names, unknown = sys.argv[1:] or list(BENCHMARKS), set(sys.argv[1:]) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"unknown benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    del sys.argv[1:]
    for name in names:
        print(f"## {name}\n")
        BENCHMARKS[name]()
        print()


if __name__ == "__main__":
    main()
