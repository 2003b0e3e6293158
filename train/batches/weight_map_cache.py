"""Weight maps of whole images, made once and kept in memory or on disk."""

import functools
import hashlib
import inspect
import os
import pathlib
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from train.atomic_files import written_whole
from train.datasets.lengths import relative_spacing

Array = npt.NDArray[Any]
MapFunction = Callable[..., Array]


class WeightMapCache:
    """Makes the maps that a loss asks for, each once for each image.

    On disk a map is found by the data set, the image's name, its label and the function's name with its settings
    (`functools.partial`): another label is another file. A function whose code changed is not noticed; delete the folder
    then. Several threads and processes may share a folder. In memory all maps of all images stay until the cache goes.
    """

    def __init__(
        self,
        functions: Mapping[str, MapFunction],
        *,
        dataset: str,
        classes: int,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        """Prepares a cache; nothing is read or written yet.

        Args:
            functions: keyword of the loss -> map of a bool mask `[*shape]`, or of classes if its argument is called
                `labels`, such as `cwmi_jax.losses.MAPS[name]`: an array `[*shape]` or `[*shape, channels]`.
            dataset: name of the data set, a part of the key.
            classes: how many the data set has. For two the mask is class 1. For more a map of every class is made, and they
                are stacked as the last axis, `[*shape, classes]`: what `boundary` takes. Losses that define their map for
                two classes alone (`wce`, `abw`, `skea_topo`) have no use for it. A map of `labels` is made once for all.
            folder: where maps are kept as `.npy`; None keeps them in memory.

        Raises:
            ValueError: a function without a name of its own, which cannot be told from another on disk.
        """
        self._functions = dict(functions)
        for keyword, function in self._functions.items():
            if folder is not None and "<lambda>" in _name(function):
                raise ValueError(
                    f"the function for {keyword} must have a name to be kept on disk, got {_name(function)}"
                )
        self._dataset = dataset
        self._classes = classes
        self._folder = None if folder is None else pathlib.Path(folder)
        self._memory: dict[pathlib.PurePath, Array] = {}
        self._locks: dict[pathlib.PurePath, threading.Lock] = {}

    def __call__(
        self, name: str, label: npt.NDArray[np.int32], spacing: tuple[float, ...] | None = None
    ) -> dict[str, Array]:
        """The maps of one image.

        Args:
            name: the image's.
            label: classes `[*shape]`, int32, of the whole image.
            spacing: from a pixel to the next along each axis, for maps that measure distances, which are then in lengths of
                the finest axis, whatever the unit; None for 1.

        Returns:
            Keyword of the loss -> map, float32 or bool; not to be written to.

        Raises:
            ValueError: a map that does not fit the label, or one of several channels for more than two classes.
            OSError: a folder that cannot be written.
        """
        return {
            keyword: self._map(_with_spacing(function, spacing), name, label)
            for keyword, function in self._functions.items()
        }

    def _map(self, function: MapFunction, name: str, label: npt.NDArray[np.int32]) -> Array:
        path = self._path(function, name, label)
        # Two threads may want the map of one image at the turn of an epoch.
        with self._locks.setdefault(path, threading.Lock()):
            known = self._memory.get(path) if self._folder is None else _read(self._folder / path, label.shape)
            if known is not None:
                return known
            array = self._computed(function, name, label)
            if self._folder is None:
                self._memory[path] = array
            else:
                _write(self._folder / path, array)
            return array

    def _computed(self, function: MapFunction, name: str, label: npt.NDArray[np.int32]) -> Array:
        if "labels" in inspect.signature(function).parameters:
            array = np.asarray(function(label))
        elif self._classes == 2:
            array = np.asarray(function(label == 1))
        else:
            each = [np.asarray(function(label == number)) for number in range(self._classes)]
            if each[0].shape != label.shape:
                raise ValueError(
                    f"{_name(function)} makes {each[0].shape[-1]} channels of one mask, for two classes alone; "
                    f"{self._dataset!r} has {self._classes}"
                )
            array = np.stack(each, axis=-1)
        if array.shape[: label.ndim] != label.shape or array.ndim > label.ndim + 1:
            raise ValueError(
                f"{_name(function)} must make a map {label.shape} of {name!r}, or one with channels, got {array.shape}"
            )
        return array if array.dtype == bool else array.astype(np.float32)

    def _path(self, function: MapFunction, name: str, label: npt.NDArray[np.int32]) -> pathlib.PurePath:
        # A file's name cannot hold all that tells two maps apart, and some of it is no name of a file.
        key = repr((self._dataset, name, _name(function), self._classes, label.shape)).encode()
        digest = hashlib.sha256(key + label.astype("<i4").tobytes()).hexdigest()[:20]
        folder = pathlib.PurePath(_printable(self._dataset), _printable(_name(function)))
        return folder / f"{_printable(name)}-{digest}.npy"


def _with_spacing(function: MapFunction, spacing: tuple[float, ...] | None) -> MapFunction:
    if spacing is None or "spacing" not in inspect.signature(function).parameters:
        return function
    return functools.partial(function, spacing=relative_spacing(spacing))


def _name(function: MapFunction) -> str:
    """A function's name, and the settings that `functools.partial` gives it."""
    if isinstance(function, functools.partial):
        settings = [repr(value) for value in function.args]
        settings += [f"{name}={value!r}" for name, value in sorted(function.keywords.items())]
        return f"{_name(function.func)}({', '.join(settings)})"
    return getattr(function, "__qualname__", type(function).__qualname__)


def _printable(name: str) -> str:
    return re.sub(r"[^\w.=-]+", "_", name).strip("._")[:80]


def _read(path: pathlib.Path, shape: tuple[int, ...]) -> Array | None:
    try:
        with open(path, "rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        if array.shape[: len(shape)] != shape or array.dtype not in (np.float32, np.bool_):
            raise ValueError(f"it holds {array.dtype} {array.shape}")
    except FileNotFoundError:
        return None
    except ValueError as error:
        warnings.warn(f"the weight map {path} is damaged and is made again ({error})", stacklevel=2)
        return None
    return array


def _write(path: pathlib.Path, array: Array) -> None:
    """A reader, or a run that is taken up again, never sees half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial, partial.open("wb") as file:
            np.save(file, array)
    except OSError as error:
        raise OSError(error.errno, f"cannot keep a weight map: {error.strerror}", str(path)) from error
