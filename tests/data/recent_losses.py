"""Writes `recent_losses.json`: losses of 2024 to 2026 by the equations of their papers, in NumPy, an image at a time.

Of the package nothing is used but the formulas of `tests.golden` that make labels and logits. From the root of the
repository: `python -m tests.data.recent_losses`.
"""

import json
import pathlib
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.morphology import skeletonize

from tests.golden import class_images, images, sigmoid, softmax, volume

CASES = {
    "images": dict(height=40, width=56, batch=2, seed=1),
    "classes": dict(height=40, width=56, classes=3, seed=2),
    "volume": dict(depth=10, height=12, width=14, seed=0),
}


def inputs(kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each image of a case its classes `[*shape]` and logits `[*shape, C]`."""
    case = CASES[kind]
    if kind == "classes":
        return [class_images(**case)]
    if kind == "volume":
        label, logits = volume(**case)
        return [(label, logits[..., None])]
    return [(label, z[..., None]) for label, z in zip(*images(**case), strict=True)]


def foreground(label: np.ndarray, logits: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Label and probability of each class but the background."""
    if logits.shape[-1] == 1:
        return [((label == 1).astype(float), sigmoid(logits[..., 0]))]
    p = softmax(logits)
    return [((label == c).astype(float), p[..., c]) for c in range(1, logits.shape[-1])]


def cross_entropy(label: np.ndarray, logits: np.ndarray) -> float:
    """Mean over pixels."""
    p = softmax(np.concatenate([np.zeros_like(logits), logits], axis=-1) if logits.shape[-1] == 1 else logits)
    return float(-np.log(np.take_along_axis(p, label[..., None], axis=-1)).mean())


def dice(label: np.ndarray, logits: np.ndarray) -> float:
    """Of all classes, the background too, with squared denominators."""
    p = softmax(np.concatenate([np.zeros_like(logits), logits], axis=-1) if logits.shape[-1] == 1 else logits)
    terms = []
    for c in range(p.shape[-1]):
        g = label == c
        terms.append(2 * p[..., c][g].sum() / ((p[..., c] ** 2).sum() + g.sum()))
    return float(1 - np.mean(terms))


def dice_cross_entropy(label: np.ndarray, logits: np.ndarray) -> float:
    """Their sum."""
    return dice(label, logits) + cross_entropy(label, logits)


def tube(label: np.ndarray) -> np.ndarray:
    """Pixels of the foreground within two steps along the axes of its skeleton."""
    inside = np.argwhere(label > 0)
    steps = cdist(inside, np.argwhere(skeletonize(label > 0)), "cityblock").min(axis=1)
    result = np.zeros(label.shape, bool)
    result[tuple(inside[steps <= 2].T)] = True
    return result


def skeleton_recall(label: np.ndarray, logits: np.ndarray) -> float:
    """Kirchhoff et al. 2024: 1 less the mean over classes of the soft recall on the tubed skeleton."""
    near = tube(label)
    recalls = [p[near & (g == 1)].sum() / (near & (g == 1)).sum() for g, p in foreground(label, logits)]
    return float(1 - np.mean(recalls))


def worst_neighbours(label: np.ndarray, logits: np.ndarray, side: int) -> np.ndarray:
    """Valverde et al. 2026: in each channel the worst logit of the same class within a window, a pixel at a time."""
    worst = np.empty_like(logits)
    binary = logits.shape[-1] == 1
    for place in np.ndindex(*label.shape):
        window = tuple(slice(max(i - side // 2, 0), i + side // 2 + 1) for i in place)
        for channel in range(logits.shape[-1]):
            member = label == (1 if binary else channel)
            alike = logits[(*window, channel)][member[window] == member[place]]
            worst[(*place, channel)] = alike.min() if member[place] else alike.max()
    return worst


def scnp(loss: Callable[[np.ndarray, np.ndarray], float], side: int = 3) -> Callable[[np.ndarray, np.ndarray], float]:
    """The loss of the worst neighbours' logits."""
    return lambda label, logits: loss(label, worst_neighbours(label, logits, side))


def opened(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The erosion of a mask by neighbours along the axes, and its dilation by all neighbours."""
    cross = ndimage.generate_binary_structure(image.ndim, 1)
    square = np.ones((3,) * image.ndim)
    eroded = ndimage.binary_erosion(image, cross, border_value=1)
    return eroded, ndimage.binary_dilation(eroded, square)


def morphological_skeleton(mask: np.ndarray, iterations: int) -> np.ndarray:
    """What openings remove from a mask and from its erosions."""
    skeleton = np.zeros(mask.shape, bool)
    for _ in range(iterations + 1):
        eroded, rest = opened(mask)
        skeleton |= mask & ~rest
        mask = eroded
    return skeleton


def relative_depth(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel of a mask to the nearest one outside, over the largest."""
    depth = np.zeros(mask.shape)
    depth[mask] = cdist(np.argwhere(mask), np.argwhere(~mask)).min(axis=1)
    return depth / depth.max()


def cbdice_of(g: np.ndarray, p: np.ndarray, iterations: int, smooth: float) -> float:
    """Of one class. The intersection of two quantities is the sum of their products."""
    inside = {"l": g > 0.5, "p": p > 0.5}
    chance = {"l": g, "p": p}
    power = g.ndim - 1
    s, q_s, q_v, q_sv = {}, {}, {}, {}
    for of, mask in inside.items():
        depth, skeleton = relative_depth(mask), morphological_skeleton(mask, iterations)
        inverse = np.zeros(mask.shape)
        inverse[skeleton] = 1 / depth[skeleton] ** power
        s[of] = skeleton * chance[of]
        q_s[of], q_v[of], q_sv[of] = inverse * chance[of], depth * chance[of], depth * s[of]
    shares = []
    for own, other in (("p", "l"), ("l", "p")):
        numerator = (q_s[own] * q_v[other]).sum()
        denominator = (q_s[own] * q_sv[own] * (1 - s[other])).sum() + (q_s[own] * q_sv[other]).sum()
        shares.append((numerator + smooth) / (denominator + smooth))
    precision, sensitivity = shares
    return 2 * precision * sensitivity / (precision + sensitivity)


def dice_cbdice(
    label: np.ndarray, logits: np.ndarray, alpha: float = 0.5, iterations: int = 10, smooth: float = 1.0
) -> float:
    """Shi et al. 2024: what Dice and cbDice lack of 1, mean over the classes of the foreground."""
    terms = []
    for g, p in foreground(label, logits):
        overlap = (2 * (g * p).sum() + smooth) / (g.sum() + p.sum() + smooth)
        terms.append((1 - alpha) * (1 - overlap) + alpha * (1 - cbdice_of(g, p, iterations, smooth)))
    return float(np.mean(terms))


LOSSES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "skeleton_recall": skeleton_recall,
    "skeleton_recall with dice_ce": lambda *of: dice_cross_entropy(*of) + skeleton_recall(*of),
    "cbdice": dice_cbdice,
    "cbdice alone, 3 iterations": lambda *of: dice_cbdice(*of, alpha=1.0, iterations=3),
    "scnp": scnp(dice_cross_entropy),
    "scnp of ce, 5 pixels": scnp(cross_entropy, 5),
}


def main() -> None:
    """Computes every loss of every case."""
    cases = [
        {"kind": kind, **case, "losses": {name: [loss(*of) for of in inputs(kind)] for name, loss in LOSSES.items()}}
        for kind, case in CASES.items()
    ]
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
