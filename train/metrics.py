"""Mean IoU and mean Dice of binary masks, from exact counts of pixels on the host.

Scores are means over the two classes of one image, then over images. A class absent from prediction and label has no
pixels to get wrong: it counts 1.
"""

import numpy as np
import numpy.typing as npt

_CLASSES = 2


def confusion(
    predictions: npt.ArrayLike, labels: npt.ArrayLike, where: npt.ArrayLike | None = None
) -> npt.NDArray[np.int64]:
    """Counts pixels by label and prediction.

    Args:
        predictions: Predicted classes 0 or 1, `[B, H, W]`.
        labels: True classes 0 or 1, `[B, H, W]`.
        where: Pixels that count, `[B, H, W]`, bool; all when None.

    Returns:
        `[B, 2, 2]`, pixels of label i predicted as j at `[:, i, j]`.

    Raises:
        ValueError: If the shapes differ.
    """
    predicted, true = np.asarray(predictions), np.asarray(labels)
    counted = np.ones(true.shape, bool) if where is None else np.asarray(where, bool)
    if not predicted.shape == true.shape == counted.shape:
        raise ValueError(
            "predictions, labels and where must have one shape, "
            f"got {predicted.shape}, {true.shape} and {counted.shape}"
        )
    pixels = tuple(range(1, true.ndim))
    cells = [
        [((true == i) & (predicted == j) & counted).sum(axis=pixels) for j in range(_CLASSES)] for i in range(_CLASSES)
    ]
    return np.array(cells, np.int64).transpose(2, 0, 1)


def mean_iou(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean over classes of intersection over union, `TP / (TP + FP + FN)`.

    Args:
        counts: Result of `confusion`, `[B, 2, 2]`.

    Returns:
        Score of each image, `[B]`, from 0 to 1.
    """
    hits, labelled, predicted = _hits_and_sizes(counts)
    return _class_mean(hits, labelled + predicted - hits)


def mean_dice(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean over classes of Dice's coefficient, `2 TP / (2 TP + FP + FN)`.

    Args:
        counts: Result of `confusion`, `[B, 2, 2]`.

    Returns:
        Score of each image, `[B]`, from 0 to 1.
    """
    hits, labelled, predicted = _hits_and_sizes(counts)
    return _class_mean(2 * hits, labelled + predicted)


def _hits_and_sizes(
    counts: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)


def _class_mean(numerator: npt.NDArray[np.int64], denominator: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    scores = np.where(denominator == 0, 1.0, numerator / np.maximum(denominator, 1))
    return np.asarray(scores.mean(axis=-1))
