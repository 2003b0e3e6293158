"""Batches of small images for every loss of the registry, and one compiled program a loss that all tests share."""

import functools

import jax
import numpy as np

from cwmi_jax.losses import LOSSES, MAPS
from tests.golden import class_images, images, quick_jit
from tests.versions import enable_x64

SHAPE = (24, 20)
COUNT = 8
SETTINGS = {name: dict(levels=1, orientations=2) for name in ("cwmi", "cwmi_real", "bounded_cwmi")}
"""Keywords for small images."""
OF_TWO_CLASSES = ("abw", "skea_topo")
OF_MANY_CLASSES = [name for name in LOSSES if name not in OF_TWO_CLASSES]
EACH = [*((name, 1) for name in LOSSES), *((name, 3) for name in OF_MANY_CLASSES)]
"""Name of a loss and channels of logits."""
ONE_OF_EACH = (
    *("ce", "dice", "rmi", "cldice", "hausdorff_dt"),
    *("abw", "skea_topo", "skeleton_recall", "scnp", "cwmi", "bounded_cwmi"),
)
"""Losses of which the others are variations: tests of what all share leave those to `make thorough`."""
MASKS = 3
"""Channels of logits with `activation="sigmoid"`."""


def batch(classes: int = 1, count: int = COUNT, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Logits `[count, *SHAPE, classes]`, none of one channel near 0, and labels `[count, *SHAPE]`."""
    if classes == 1:
        labels, logits = images(*SHAPE, count)
        logits = (logits + 0.05 * np.sign(logits))[..., None]
    else:
        each = [class_images(*SHAPE, classes, seed) for seed in range(count)]
        labels, logits = (np.stack(arrays) for arrays in zip(*each, strict=True))
    return logits.astype(dtype), labels


def batch_of_masks(count: int = COUNT, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels `[count, *SHAPE, MASKS]` of masks that overlap."""
    each = [images(*SHAPE, count, seed) for seed in range(MASKS)]
    labels, logits = (np.stack(arrays, axis=-1) for arrays in zip(*each, strict=True))
    return (logits + 0.05 * np.sign(logits)).astype(dtype), labels


def holes(count: int = COUNT) -> np.ndarray:
    """A mask `[count, *SHAPE]`: first image whole, second wholly masked, the others in part."""
    where = np.ones((count, *SHAPE), bool)
    for i in range(2, count):
        where[i, 2 * i : 2 * i + 4] = False
        where[i, :, 13 - i] = False
    where[1] = False
    return where


def maps(name: str, labels: np.ndarray, channels: int = 1) -> dict[str, np.ndarray]:
    """The maps that a loss takes for labels `[*leading, *shape]`, one image after the other."""

    def of_image(make, label):
        if name == "boundary" and channels > 2:
            return np.stack([make(label == c) for c in range(channels)], axis=-1)
        return make(label > 0)

    result = {}
    for parameter, make in MAPS.get(name, {}).items():
        each = np.stack([of_image(make, label) for label in labels.reshape(-1, *labels.shape[-2:])])
        result[parameter] = each.reshape(*labels.shape[:-2], *each.shape[1:])
    return result


def maps_of_masks(name: str, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The maps that a loss takes for masks `[*leading, *shape, C]`, which have the axis C behind `shape`."""
    each = [maps(name, labels[..., c]) for c in range(labels.shape[-1])]
    return {parameter: np.stack([given[parameter] for given in each], axis=labels.ndim - 1) for parameter in each[0]}


def loss(name: str):
    """A loss of the registry, with settings for small images."""
    return functools.partial(LOSSES[name], **SETTINGS.get(name, {}))


@functools.cache
def program(name: str, activation: str):
    """Compiled `(logits, labels, where, maps)` to loss of each image, mean loss and its gradient."""
    function = functools.partial(loss(name), activation=activation)

    def run(logits, labels, where, maps):
        def mean(logits):
            return function(logits, labels, where=where, **maps)

        each = function(logits, labels, where=where, reduction="none", **maps)
        return each, *jax.value_and_grad(mean)(logits)

    return quick_jit(run)


def evaluate(name, logits, labels, where=None, given=None, activation="softmax"):
    """What `program` finds: loss of each image, mean and gradient."""
    if where is None:
        where = np.ones(labels.shape, bool)
    if given is None:
        known = np.where(where, labels, 0)
        given = maps(name, known, logits.shape[-1]) if activation == "softmax" else maps_of_masks(name, known)
    return [np.asarray(result) for result in program(name, activation)(logits, labels, where, given)]


def in_both_precisions(name, logits, labels, where=None, given=None, activation="softmax"):
    """`evaluate` on numbers rounded to float32, in float32 and in float64."""
    rounded = logits.astype(np.float32)
    single = evaluate(name, rounded, labels, where, given, activation)
    with enable_x64(True):
        return single, evaluate(name, rounded.astype(np.float64), labels, where, given, activation)
