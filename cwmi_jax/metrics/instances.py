"""Scores of what a mask separates: the components of class 0, such as the cells that a membrane parts.

The components are 4-connected (6-connected in volumes), as in the paper. Class 1 is label 0.
"""

import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._components import components
from cwmi_jax._extras import require
from cwmi_jax.metrics._masks import Mask, Scores, each_image

UNDEFINED_VARIATION = 10.0
"""Variation of information where the reference has no component, bits; the paper's."""


def variation_of_information(predictions: ArrayLike, labels: ArrayLike, *, spatial_dims: int = 2) -> Scores:
    """Variation of information between the components of class 0 of two masks, `H(label|prediction) + H(prediction|label)`.

    Over the pixels that the reference puts into a component: its class 1 has no part. Class 1 of the prediction is one
    component more.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64, bits; 0 is best. Where the reference has no component (class 1 everywhere) it is not defined and
        10, whatever the prediction. With a reference without class 1 it is the entropy of the prediction's labels.

    Raises:
        ImportError: without scikit-image.
        TypeError: floating point masks (threshold them first).
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
    metrics = require("skimage.metrics", "scikit-image")

    def score(prediction: Mask, label: Mask) -> float:
        if label.all():
            return UNDEFINED_VARIATION
        split_and_merged = metrics.variation_of_information(
            components(label)[0], components(prediction)[0], ignore_labels=(0,)
        )
        return max(0.0, float(split_and_merged.sum()))

    return each_image(score, predictions, labels, spatial_dims=spatial_dims)


def adjusted_rand_index(predictions: ArrayLike, labels: ArrayLike, *, spatial_dims: int = 2) -> Scores:
    """Adjusted Rand index between the components of class 0 of two masks, over all pixels.

    Class 1 is one component more in both, as in the paper.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64; 1 for the same components, 0 in expectation for random ones, at least -0.5. Two masks of one
        component each (empty, full, or one of each) are the same partition: 1. One of one component against one of several
        is 0.

    Raises:
        ImportError: without scikit-learn.
        TypeError: floating point masks (threshold them first).
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
    cluster = require("sklearn.metrics", "scikit-learn")

    def score(prediction: Mask, label: Mask) -> float:
        return cluster.adjusted_rand_score(*(components(mask)[0].ravel() for mask in (label, prediction)))

    return each_image(score, predictions, labels, spatial_dims=spatial_dims)


def adapted_rand_error(predictions: ArrayLike, labels: ArrayLike, *, spatial_dims: int = 2) -> Scores:
    """Adapted Rand error between the components of class 0 of two masks, the score of the SNEMI3D challenge.

    One minus the F-score of pairs of pixels that lie in one component, among the pixels that the reference puts into one:
    its class 1 has no part. Pixels of class 1 in the prediction belong to no component and to no pair, as in the challenge's
    script, which lets each of them pair with itself besides; scikit-image alone would make them one component.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        spatial_dims: 2 for images, 3 for volumes (the challenge's score is that of the whole stack).

    Returns:
        `[...]`, float64, 0 to 1; 0 is best. Where neither mask puts two of those pixels together, above all where the
        reference is class 1 everywhere, there is no pair to get wrong: 0.

    Raises:
        ImportError: without scikit-image.
        TypeError: floating point masks (threshold them first).
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
    metrics = require("skimage.metrics", "scikit-image")

    def score(prediction: Mask, label: Mask) -> float:
        predicted, count = components(prediction)
        # Each by itself.
        predicted[prediction] = count + 1 + np.arange(prediction.sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            error, _, _ = metrics.adapted_rand_error(components(label)[0], predicted, ignore_labels=(0,))
        return 0.0 if np.isnan(error) else error

    return each_image(score, predictions, labels, spatial_dims=spatial_dims)
