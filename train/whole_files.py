"""Files that several processes share: written whole or not at all, and locks that end with the process that holds them."""

import errno
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.2
# What file systems without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields another name to write to, which becomes the file's own when all is written.

    Args:
        path: of the file; one that is there is replaced.
    """
    partial = path.with_name(f".{path.name}.partial")
    yield partial
    partial.replace(path)


@contextmanager
def locked(path: Path, *, patience: float = float("inf")) -> Iterator[None]:
    """Holds a file that no other process holds; where the file system knows no locks, all do.

    Args:
        path: of the lock, made if it is not there, and left there.
        patience: seconds to wait for another process.

    Raises:
        TimeoutError: another process still holds it.
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
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                break
        yield
