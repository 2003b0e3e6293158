"""Scores of the connectedness of thin structures: Betti numbers and clDice."""

import itertools

import numpy as np
from jax.typing import ArrayLike
from scipy import ndimage

from cwmi_jax._thinning import centrelines
from cwmi_jax.metrics._masks import Mask, Scores, bounding_box, each_image


def betti_error(
    predictions: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None, spatial_dims: int = 2
) -> Scores:
    """By how many components and holes the class 1 of two masks differs.

    The sum of the absolute differences of their Betti numbers: components (b0) and holes (b1) of an image, components,
    tunnels (b1) and cavities (b2) of a volume. Foreground is 8-connected (26 in volumes) and background 4-connected (6), so
    that a vessel one pixel wide may run diagonally and still part what lies on its two sides. It is the pair that goes with
    the 4-connected class 0 of the paper's scores. A hole is a component of background that does not reach the image's
    border; void pixels are background of both masks.

    It compares numbers, not places: a component lost here and one made up there cancel out. The field often takes it on
    patches (64 x 64 in Hu 2019) for that reason; give patches as leading axes.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64, a whole number; 0 is best. An empty mask has no component and no hole, a full one one component.

    Raises:
        TypeError: floating point masks (threshold them first), or a `where` that is not bool.
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

    def score(prediction: Mask, label: Mask, _: Mask) -> float:
        if not (prediction.any() or label.any()):
            return 0.0
        box = bounding_box(prediction | label)
        of_prediction, of_label = _betti_numbers(prediction[box]), _betti_numbers(label[box])
        return float(np.abs(np.subtract(of_prediction, of_label)).sum())

    return each_image(score, predictions, labels, where=where, spatial_dims=spatial_dims)


def cldice_score(
    predictions: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None, spatial_dims: int = 2
) -> Scores:
    """Centreline Dice (clDice) of the class 1 of two masks.

    The harmonic mean of the share of the prediction's skeleton that lies in the label, and of the label's skeleton that lies
    in the prediction. It asks whether vessels are found whole, not how thick they are. Skeletons are scikit-image's: Zhang
    and Suen's for images, Lee's for volumes, on a grid twice as fine for components that it would thin to nothing, as it
    does a tube of 4 x 4 voxels.

    Args:
        predictions: masks `[..., H, W]`, bool or integers 0 and 1, or `[..., D, H, W]` with `spatial_dims=3`.
        labels: the reference, as `predictions`.
        where: bool, of the labels' shape; False on void pixels, see `cwmi_jax.metrics`. None for all True.
        spatial_dims: 2 for images, 3 for volumes.

    Returns:
        `[...]`, float64, 0 to 1. With exactly one mask empty 0, with both empty 1.

    Raises:
        ImportError: without scikit-image.
        TypeError: floating point masks (threshold them first), or a `where` that is not bool.
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

    def share_of_skeleton(mask: Mask, other: Mask) -> float:
        box = bounding_box(mask)
        return other[box][centrelines(mask[box])].mean()

    def score(prediction: Mask, label: Mask, _: Mask) -> float:
        if not (prediction.any() and label.any()):
            return float(prediction.any() == label.any())
        precision, sensitivity = share_of_skeleton(prediction, label), share_of_skeleton(label, prediction)
        return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0

    return each_image(score, predictions, labels, where=where, spatial_dims=spatial_dims)


def _betti_numbers(mask: Mask) -> tuple[int, ...]:
    """Components and holes, or components, tunnels and cavities."""
    components = ndimage.label(mask, np.ones([3] * mask.ndim))[1]
    if mask.ndim == 2:
        return components, components - _euler_number(mask)
    # All of the background that reaches the border is one component of the padded volume.
    cavities = ndimage.label(~np.pad(mask, 1))[1] - 1
    return components, components + cavities - _euler_number(mask), cavities


def _euler_number(mask: Mask) -> int:
    """Euler's: corners less sides plus squares (less cubes) of the pixels, those that several share counted once."""
    number, padded = 0, np.pad(mask, 1)
    for between in itertools.product((False, True), repeat=mask.ndim):
        # A corner lies between pixels along every axis, a square along none.
        cells = padded
        for axis_is_between in between:
            if axis_is_between:
                cells = cells[1:] | cells[:-1]
            cells = np.moveaxis(cells, 0, -1)
        number += (-1) ** between.count(False) * np.count_nonzero(cells)
    return number
