"""Packages that parts of the library need and its plain installation does not bring."""

import importlib
from types import ModuleType


def require(module: str, package: str) -> ModuleType:
    """Imports a module of the extra `train`.

    Args:
        module: its full name, such as "skimage.metrics".
        package: what to install, such as "scikit-image".

    Raises:
        ImportError: says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"this needs {package}: pip install {package}, or pip install 'cwmi_jax[train]'") from error
