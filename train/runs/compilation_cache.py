"""Compiled programs, kept on disk by JAX: what one process compiled, later ones read."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from train.runs import parallel


@contextmanager
def kept_programs(folder: str | None) -> Iterator[None]:
    """Has JAX keep in a folder what it compiles meanwhile, and read from there what was compiled before.

    A folder that JAX has already, from `JAX_COMPILATION_CACHE_DIR` or `jax.config`, stays in use instead. One that cannot be
    written is told of in a warning, and everything is compiled. Programs of several hosts without accelerators are not kept.

    Args:
        folder: made if it is not there; several processes may share it. None keeps nothing.
    """
    given = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined] # set when jax is imported
    if folder is None or given is not None or not parallel.can_read_each_others_programs() or not _is_writable(folder):
        yield
        return
    # JAX looks at the setting when it compiles first, and then no more.
    reset_cache()
    jax.config.update("jax_compilation_cache_dir", os.path.abspath(folder))
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", given)
        reset_cache()


def _is_writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        # Permissions do not tell of a disk that is mounted to be read alone.
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        warnings.warn(
            f"cannot keep compiled programs in {folder}: {error.strerror or error}; they are compiled again in every run, "
            f"unless --compilation-cache names another folder ('off' keeps none)",
            stacklevel=2,
        )
        return False
