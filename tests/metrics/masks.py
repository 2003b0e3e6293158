"""Pairs of masks to compare: the golden ones, and 50 random ones with every kind of empty and full among them."""

import numpy as np
from scipy import ndimage

from tests.golden import figures, images

ON_THE_HOST = (
    "adapted_rand_error",
    "adjusted_rand_index",
    "betti_error",
    "cldice_score",
    "hausdorff95",
    "mean_dice",
    "mean_iou",
    "modified_hausdorff",
    "variation_of_information",
)
"""Names of the metrics that give one value an image."""


def golden_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Prediction and label of each case of `metrics_and_weight_maps.json`."""
    pairs = []
    for case in figures("metrics_and_weight_maps"):
        index = case["batch_index"]
        labels, logits = images(case["height"], case["width"], index + 1, case["seed"])
        pairs.append((logits[index] > 0, labels[index] == 1))
    return pairs


def random_pairs(count: int = 50, shape: tuple[int, ...] = (29, 37)) -> list[tuple[np.ndarray, np.ndarray]]:
    """Blobs from fine to coarse, at levels from almost nothing to almost everything; the last eight with empty and full."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(count - 8):
        structure = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.3, 3))
        change = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.3, 3))
        level = rng.uniform(0.02, 0.98)
        label = structure > np.quantile(structure, level)
        mixed = structure / structure.std() + rng.uniform(0, 1.5) * change / change.std()
        prediction = mixed > np.quantile(mixed, np.clip(level + rng.uniform(-0.2, 0.2), 0.01, 0.99))
        pairs.append((prediction, label))
    empty, full = np.zeros(shape, bool), np.ones(shape, bool)
    pairs += [(mask, label) for mask in (empty, full)] + [(prediction, mask) for mask in (empty, full)]
    return [*pairs, (empty, empty), (full, full), (empty, full), (full, empty)]


PAIRS = golden_pairs() + random_pairs()
