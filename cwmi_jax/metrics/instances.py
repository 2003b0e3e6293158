"""Scores of what a mask separates: the components of class 0, such as the cells that a membrane parts.

The components are 4-connected (6-connected in volumes), as in the paper. Class 1 is label 0, and so is void.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from jax.typing import ArrayLike

from cwmi_jax._components import components
from cwmi_jax.metrics._masks import Mask, Scores, each_image

UNDEFINED_VARIATION = 10.0
"""Variation of information where the reference has no component, bits; the paper's."""

_Numbers: TypeAlias = npt.NDArray[np.int32]
_Sizes: TypeAlias = npt.NDArray[np.int64]


def variation_of_information(
    predictions: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None, spatial_dims: int = 2
) -> Scores:
    """Variation of information between the components of class 0 of two masks, `H(label|prediction) + H(prediction|label)`.

    Over the pixels that the reference puts into a component: its class 1 has no part. Class 1 of the prediction is one
    component more.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64, bits; 0 is best. Where the reference has no component (class 1 everywhere) it is not defined and
        10, whatever the prediction. With a reference without class 1 it is the entropy of the prediction's labels.

    Raises:
        TypeError: floating point masks (threshold them first), or a `where` that is not bool.
        ValueError: shapes that do not match, or values other than 0 and 1; the message names them.

    References:
        Meila, "Comparing clusterings: an information based distance", Journal of Multivariate Analysis 2007.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.metrics import variation_of_information
        >>> wall = np.zeros((5, 9), int)
        >>> wall[:, 4] = 1
        >>> float(variation_of_information(np.zeros_like(wall), wall).round(4))
        1.0
    """

    def score(prediction: Mask, label: Mask, where: Mask) -> float:
        counted = where & ~label
        if not counted.any():
            return UNDEFINED_VARIATION
        both, true, predicted = map(_entropy, _sizes(*_numbered(prediction, label, where, counted)))
        return max(0.0, 2 * both - true - predicted)

    return each_image(score, predictions, labels, where=where, spatial_dims=spatial_dims)


def adjusted_rand_index(
    predictions: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None, spatial_dims: int = 2
) -> Scores:
    """Adjusted Rand index between the components of class 0 of two masks, over all pixels.

    Class 1 is one component more in both, as in the paper.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64; 1 for the same components, 0 in expectation for random ones, at least -0.5. Two masks of one
        component each (empty, full, or one of each) are the same partition: 1. One of one component against one of several
        is 0.

    Raises:
        TypeError: floating point masks (threshold them first), or a `where` that is not bool.
        ValueError: shapes that do not match, or values other than 0 and 1; the message names them.

    References:
        Hubert and Arabie, "Comparing partitions", Journal of Classification 1985.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.metrics import adjusted_rand_index
        >>> wall = np.zeros((5, 9), int)
        >>> wall[:, 4] = 1
        >>> adjusted_rand_index([wall, np.zeros_like(wall)], [wall, wall]).tolist()
        [1.0, 0.0]
    """

    def score(prediction: Mask, label: Mask, where: Mask) -> float:
        together, rows, columns = map(_pairs, _sizes(*_numbered(prediction, label, where, where)))
        # Hubert's and Arabie's equation 5 times all pairs, in whole numbers.
        pairs = _pairs(np.count_nonzero(where))
        by_chance = rows * columns
        above_chance = 2 * (pairs * together - by_chance)
        most = pairs * (rows + columns) - 2 * by_chance
        return above_chance / most if most else 1.0

    return each_image(score, predictions, labels, where=where, spatial_dims=spatial_dims)


def adapted_rand_error(
    predictions: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None, spatial_dims: int = 2
) -> Scores:
    """Adapted Rand error between the components of class 0 of two masks, the score of the SNEMI3D challenge.

    One minus the F-score of pairs of pixels that lie in one component, among the pixels that the reference puts into one:
    its class 1 has no part. Pixels of class 1 in the prediction belong to no component and to no pair, as in the challenge's
    script, which lets each of them pair with itself besides; scikit-image alone would make them one component.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes (the challenge's score is that of the whole stack).

    Returns:
        `[...]`, float64, 0 to 1; 0 is best. Where neither mask puts two of those pixels together, above all where the
        reference is class 1 everywhere, there is no pair to get wrong: 0.

    Raises:
        TypeError: floating point masks (threshold them first), or a `where` that is not bool.
        ValueError: shapes that do not match, or values other than 0 and 1; the message names them.

    References:
        Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", Frontiers in
        Neuroanatomy 2015.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.metrics import adapted_rand_error
        >>> wall = np.zeros((5, 9), int)
        >>> wall[:, 4] = 1
        >>> adapted_rand_error([wall, np.zeros_like(wall)], [wall, wall]).round(4).tolist()
        [0.0, 0.3448]
    """

    def score(prediction: Mask, label: Mask, where: Mask) -> float:
        true, predicted = _numbered(prediction, label, where, where & ~label)
        rows = _pairs(np.bincount(true))
        together, _, columns = map(_pairs, _sizes(true[predicted > 0], predicted[predicted > 0]))
        return 1 - 2 * together / (rows + columns) if rows + columns else 0.0

    return each_image(score, predictions, labels, where=where, spatial_dims=spatial_dims)


def _numbered(prediction: Mask, label: Mask, where: Mask, counted: Mask) -> tuple[_Numbers, _Numbers]:
    """Numbers of the components of the reference and of the prediction at the pixels that count, 0 outside of components."""
    true, predicted = (components(mask | ~where)[0][counted] for mask in (label, prediction))
    return true, predicted


def _sizes(true: _Numbers, predicted: _Numbers) -> tuple[_Sizes, _Sizes, _Sizes]:
    """Pixels of each overlap of two components, of each component of the reference, and of each of the prediction."""
    # Runs of one pair of numbers are few where pixels are many.
    change = (np.diff(true, prepend=-1) != 0) | (np.diff(predicted, prepend=-1) != 0)
    (starts,) = np.nonzero(change)
    lengths = np.diff(starts, append=true.size)
    true, predicted = true[starts], predicted[starts]
    pairs = true.astype(np.int64) * (predicted.max(initial=0) + 1) + predicted
    _, overlap = np.unique(pairs, return_inverse=True)
    overlaps, rows, columns = (np.bincount(part, lengths).astype(np.int64) for part in (overlap, true, predicted))
    return overlaps, rows, columns


def _entropy(sizes: _Sizes) -> float:
    """Of the parts that pixels are divided into, bits."""
    shares = sizes[sizes > 0] / sizes.sum()
    return -float(shares @ np.log2(shares))


def _pairs(sizes: npt.ArrayLike) -> int:
    """How many pairs of pixels lie in one part."""
    sizes = np.asarray(sizes, np.int64)
    return int((sizes * (sizes - 1) // 2).sum())
