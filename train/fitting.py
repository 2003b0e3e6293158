"""Settings that are chosen, from the images and from the length of the run, where the command line leaves them open.

What is chosen is the same on every machine, trains in about ten minutes on two CPU cores, and stands in the run's folder as
if it had been given: a run that goes on chooses nothing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from train.config import Config
from train.datasets import ImageFacts
from train.settings import flat_settings, to_json, with_settings

OF_IMAGES: Mapping[str, Any] = {
    "data.augmentation.crop": [0],
    "batch_size": 0,
    "model.width": 0,
    "model.depth": 0,
    "epochs": 0,
    "validate_epochs": 0,
}
"""Settings that can be chosen from the images -> what they hold as long as they are open."""

OPEN: Mapping[str, Any] = {**OF_IMAGES, "loss.cross_entropy_epochs": None, "loss.topology_epoch": None}
"""All settings that can be chosen, likewise."""


class PartSizes(NamedTuple):
    """How many images train and how many validate, the same for all folds and seeds of a data set."""

    train: int
    validation: int


class _Rule(NamedTuple):
    """For images, or for volumes; the times are of two CPU cores.

    Attributes:
        longest: side of a crop, pixels.
        pixels: of a batch, in which a step of the narrow network takes 0.4 s in images and 1 s in volumes.
        epochs: how many such steps there are, in epochs of 50; up to twice as many of cheaper ones.
        seconds: for the prediction of a pixel.
        width: of the network's first stage.
        deep_from: shortest side of what is halved three times and not twice.
    """

    longest: int
    pixels: int
    epochs: int
    seconds: float
    width: int
    deep_from: int


_RULES = {2: _Rule(160, 4 * 160**2, 20, 1e-6, 16, 64), 3: _Rule(32, 2 * 32**3, 10, 3e-6, 8, 32)}
_SHORTEST = 32  # Side of a crop for which the four levels of the CWMI losses fit.
_BATCH = (2, 16)
_VALIDATION_SECONDS = 120


def open_settings(config: Config, known: Mapping[str, Any] = OPEN) -> list[str]:
    """The dotted names of the settings that are still to be chosen."""
    flat = flat_settings(to_json(config))
    return [name for name, value in known.items() if flat[name] == value]


def filled(config: Config, recorded: Config) -> Config:
    """A config with the choices of another one in place of what is open.

    Args:
        config: as it was given.
        recorded: of a run that has begun.
    """
    chosen = flat_settings(to_json(recorded))
    return with_settings(config, {name: chosen[name] for name in open_settings(config)})


def fitted(config: Config, images: Sequence[ImageFacts], sizes: PartSizes) -> Config:
    """A config in which nothing is open.

    Args:
        config: as it was given.
        images: all of the data set, so that every fold gets the same.
        sizes: of the parts of its splits.

    Raises:
        ValueError: what was given and what is chosen contradict each other.
    """
    undecided = open_settings(config, OF_IMAGES)
    if undecided:
        choices = _choices(config, images, sizes)
        config = with_settings(config, {name: choices[name] for name in undecided})
    loss = config.loss.with_first_epochs(config.epochs)
    numbers = {f"loss.{name}": getattr(loss, name) for name in ("cross_entropy_epochs", "topology_epoch")}
    return with_settings(config, numbers)


def in_words(config: Config, fitted: Config, images: Sequence[ImageFacts]) -> str:
    """What was chosen from the images, as flags that change it; "" for nothing.

    Args:
        config: as it was given.
        fitted: as returned by `fitted`.
        images: what it was chosen from.
    """
    flat = flat_settings(to_json(fitted))
    flags = []
    for name in open_settings(config, OF_IMAGES):
        values = flat[name] if isinstance(flat[name], list) else [flat[name]]
        flags.append(" ".join([f"--{name.replace('_', '-')}", *map(str, values)]))
    if not flags:
        return ""
    sides = _largest(images)
    alike = all(facts.shape == sides for facts in images)
    return (
        f"chosen for {len(images)} images of {'' if alike else 'up to '}{' x '.join(map(str, sides))}: {' '.join(flags)}\n"
        "(give any of these flags to change it; on a GPU raise --model.width, --data.augmentation.crop and --epochs)"
    )


def _choices(config: Config, images: Sequence[ImageFacts], parts: PartSizes) -> dict[str, Any]:
    """Every setting of `OF_IMAGES`; of those that are given, the given value."""
    sides = _largest(images)
    rule = _RULES[len(sides)]
    width = config.model.width or rule.width
    depth = config.model.depth or (3 if min(sides) >= rule.deep_from else 2)
    crop = config.data.augmentation.crop
    if crop == (0,):
        crop = _crop(sides, rule.longest, 2**depth, square=config.data.augmentation.rot90)
    pixels = math.prod(crop or sides)

    least, most = _BATCH
    batch = config.batch_size or min(max(rule.pixels // pixels, least), most, max(parts.train, least))

    epochs = config.epochs or min(
        max(round(rule.epochs * rule.pixels / (batch * pixels)), rule.epochs), 2 * rule.epochs
    )
    mean = sum(math.prod(facts.shape) for facts in images) / len(images)
    every = math.ceil(epochs * parts.validation * mean * rule.seconds / _VALIDATION_SECONDS)
    return {
        "data.augmentation.crop": crop,
        "batch_size": batch,
        "model.width": width,
        "model.depth": depth,
        "epochs": epochs,
        "validate_epochs": config.validate_epochs or min(every, epochs),
    }


def _crop(sides: Sequence[int], longest: int, multiple: int, *, square: bool) -> tuple[int, ...]:
    """Whole images where they are small enough, padded to what the network halves without a rest."""

    def rounded_up(length: int) -> int:
        return -(-length // multiple) * multiple

    least = rounded_up(_SHORTEST)
    most = max(longest // multiple * multiple, least)
    crop = [min(max(rounded_up(side), least), most) for side in sides]
    if square:
        crop[-2:] = [max(crop[-2:])] * 2
    return tuple(crop)


def _largest(images: Sequence[ImageFacts]) -> tuple[int, ...]:
    return tuple(max(lengths) for lengths in zip(*(facts.shape for facts in images), strict=True))
