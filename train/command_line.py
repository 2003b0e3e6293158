"""What the programs of this package share on the command line."""

import sys


def fail(error: Exception) -> int:
    """Prints what went wrong in one line, and returns the exit status 1."""
    print(f"error: {error}", file=sys.stderr)
    return 1
