"""Scores of the connectedness of thin structures: Betti numbers and clDice."""

import numpy as np
from jax.typing import ArrayLike
from scipy import ndimage

from cwmi_jax._extras import require
from cwmi_jax.metrics._masks import Mask, Scores, each_image


def betti_error(predictions: ArrayLike, labels: ArrayLike, *, spatial_dims: int = 2) -> Scores:
    """By how many components and holes the class 1 of two masks differs.

    The sum of the absolute differences of their Betti numbers: components (b0) and holes (b1) of an image, components,
    tunnels (b1) and cavities (b2) of a volume. Foreground is 8-connected (26 in volumes) and background 4-connected (6), so
    that a vessel one pixel wide may run diagonally and still part what lies on its two sides. It is the pair that goes with
    the 4-connected class 0 of the paper's scores. A hole is a component of background that does not reach the image's
    border.

    It compares numbers, not places: a component lost here and one made up there cancel out. The field often takes it on
    patches (64 x 64 in Hu 2019) for that reason; give patches as leading axes.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64, a whole number; 0 is best. An empty mask has no component and no hole, a full one one component.

    Raises:
        ImportError: for volumes without scikit-image.
        TypeError: floating point masks (threshold them first).
        ValueError: shapes that do not match, or values other than 0 and 1; the message names them.

    References:
        Hu et al., "Topology-Preserving Deep Image Segmentation", NeurIPS 2019, arXiv:1906.05404. Kong and Rosenfeld,
        "Digital topology: introduction and survey", CVGIP 1989, for the pair of connectivities.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.metrics import betti_error
        >>> ring = np.pad(np.pad([[0]], 1, constant_values=1), 1)
        >>> float(betti_error(np.zeros_like(ring), ring))
        2.0
    """

    def score(prediction: Mask, label: Mask) -> float:
        return float(np.abs(np.subtract(_betti_numbers(prediction), _betti_numbers(label))).sum())

    return each_image(score, predictions, labels, spatial_dims=spatial_dims)


def cldice_score(predictions: ArrayLike, labels: ArrayLike, *, spatial_dims: int = 2) -> Scores:
    """Centreline Dice (clDice) of the class 1 of two masks.

    The harmonic mean of the share of the prediction's skeleton that lies in the label, and of the label's skeleton that lies
    in the prediction. It asks whether vessels are found whole, not how thick they are. Skeletons are scikit-image's: Zhang
    and Suen's for images, Lee's for volumes; where that thins a mask to nothing (as it does a cube of even side) the mask
    is its own skeleton.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64, 0 to 1. With exactly one mask empty 0, with both empty 1.

    Raises:
        ImportError: without scikit-image.
        TypeError: floating point masks (threshold them first).
        ValueError: shapes that do not match, or values other than 0 and 1; the message names them.

    References:
        Shit et al., "clDice: a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation", CVPR 2021,
        arXiv:2003.07311. Zhang and Suen, "A fast parallel algorithm for thinning digital patterns", CACM 1984.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.metrics import cldice_score
        >>> vessel, half = np.zeros((2, 7, 12), int)
        >>> vessel[3], half[3, :6] = 1, 1
        >>> cldice_score([vessel, half], [vessel, vessel]).round(4).tolist()
        [1.0, 0.6667]
    """
    morphology = require("skimage.morphology", "scikit-image")

    def skeleton(mask: Mask) -> Mask:
        thin = morphology.skeletonize(mask).astype(bool)
        return thin if thin.any() else mask

    def score(prediction: Mask, label: Mask) -> float:
        if not (prediction.any() and label.any()):
            return float(prediction.any() == label.any())
        precision = label[skeleton(prediction)].mean()
        sensitivity = prediction[skeleton(label)].mean()
        return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0

    return each_image(score, predictions, labels, spatial_dims=spatial_dims)


def _betti_numbers(mask: Mask) -> tuple[int, ...]:
    """Components and holes, or components, tunnels and cavities."""
    everywhere = np.ones([3] * mask.ndim)
    components = ndimage.label(mask, everywhere)[1]
    # All of the background that reaches the border is one component of the padded image.
    enclosed = ndimage.label(~np.pad(mask, 1))[1] - 1
    if mask.ndim == 2:
        return components, enclosed
    euler = require("skimage.measure", "scikit-image").euler_number(mask, connectivity=3)
    return components, components + enclosed - int(euler), enclosed
