"""Files that several processes share: written whole or not at all, and locks that end with the process that holds them.

For Linux and macOS.
"""

import fcntl
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.2


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields another name to write to, which becomes the file's own when all is written.

    Args:
        path: the file's; one that is there is replaced.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file, whole or not at all.

    Args:
        path: the file's.
        content: anything that JSON can hold.
    """
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def locked(path: Path, *, patience: float = float("inf")) -> Iterator[None]:
    """Holds a file that no other process holds.

    Args:
        path: the lock's; it is made if it is not there, and left there.
        patience: seconds to wait for another process.

    Raises:
        TimeoutError: another process still holds it.
        OSError: the file cannot be made, or the file system has no locks.
    """
    until = time.monotonic() + patience
    with path.open("w") as file:
        while True:
            try:
                # Given back when the file is closed, by the end of the process too.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise TimeoutError(f"another process holds {path}") from None
                time.sleep(_POLL_SECONDS)
        yield
