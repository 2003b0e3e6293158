"""Files that are there whole or not at all, also when the process is killed while it writes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields another name to write to, which becomes the file's own when all is written.

    Args:
        path: of the file; one that is there is replaced.
    """
    partial = path.with_name(f".{path.name}.partial")
    yield partial
    partial.replace(path)
