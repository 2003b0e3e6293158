"""Weight maps and skeletons of masks, made once per image on the host for the losses that ask for them.

A mask is `[H, W]`, bool or the integers 0 and 1. 1 is the thin class: membrane, vessel, road. Components are those of class
0, joined where pixels share a side (in volumes a face). Distances are Euclidean, between the centres of pixels, in the unit
of `spacing`: the length of a pixel along each axis, such as millimetres, 1 for all where it is None. The border of the image
is no border of a component. Weights and distances are float64 NumPy, finite for every mask; skeletons are bool.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from cwmi_jax._components import components
from cwmi_jax._extras import require
from cwmi_jax._nearest import to_nearest, two_nearest
from cwmi_jax._settings import NOT_NEGATIVE, POSITIVE, constant, spacing_or_ones
from cwmi_jax._thinning import centrelines

_DEVIATIONS = 2.58
"""Of a normal distribution, within which 99 percent of it lie: a component's width in ABW."""
_TUBE = 2
"""Pixels on each side of a centreline that skeleton recall asks for."""


def unet_weight_map(
    mask: ArrayLike, *, w0: float = 10.0, sigma: float = 5.0, spacing: Sequence[float] | None = None
) -> np.ndarray:
    """The U-Net's weights, large on thin borders between two components.

    On pixels of class 1

        w0 exp(-(d1 + d2)^2 / (2 sigma^2))

    with d1 and d2 the distances to the two nearest components of class 0. Class weights are not in it; they are the loss's.

    Args:
        mask: `[H, W]` or `[D, H, W]`, bool or the integers 0 and 1.
        w0: the weight that a border of no width would have.
        sigma: in the unit of `spacing`; a border as wide as this still has 61 percent of `w0`.
        spacing: the length of a pixel along each axis; None for 1 along all.

    Returns:
        Of the mask's shape, float64; 0 on class 0. 0 everywhere where there are less than two components: what does not
        exist is infinitely far, and there is no border to hold them apart.

    Raises:
        TypeError: a mask that is neither bool nor integers.
        ValueError: a mask of another number of axes, without pixels or with other values than 0 and 1, or a sigma or a
            spacing that is not positive.

    References:
        Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
        arXiv:1505.04597. The code of CWMI's authors gives d1 twice where there are exactly two components; this is d1 + d2.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.weight_maps import unet_weight_map
        >>> mask = np.zeros((3, 5), bool)
        >>> mask[:, 2] = True
        >>> unet_weight_map(mask)[0].round(2).tolist()
        [0.0, 0.0, 9.23, 0.0, 0.0]
    """
    mask = _checked(mask, volumes=True)
    w0, sigma = constant("w0", w0, NOT_NEGATIVE), constant("sigma", sigma, POSITIVE)
    first, second = two_nearest(mask, spacing_or_ones(spacing, mask.ndim))
    weights = np.zeros(mask.shape)
    weights[mask] = w0 * np.exp(-(((first + second) / sigma) ** 2) / 2)
    return weights


def abw_weight_map(
    mask: ArrayLike, *, w0: float = 10.0, boundary_offset: float = 30.0, spacing: Sequence[float] | None = None
) -> np.ndarray:
    """Adaptive boundary weights: each component's own width sets how fast they fall off.

    On a component of class 0, with d the distance to class 1, m its maximum there and s = m / 2.58,

        A0 = 1 + w0 exp(-(m - d)^2 / (2 s^2)),    A1 = w0 exp(-d^2 / (2 s^2))

    and on class 1 A0 = 1 and A1 = `boundary_offset`. The loss takes A1 for errors of class 1 where it is not below A0: both
    channels here are as they are before that choice.

    Args:
        mask: `[H, W]` or `[D, H, W]`, bool or the integers 0 and 1.
        w0: what A0 gains at the middle of a component, and A1's limit at its border.
        boundary_offset: A1 on class 1.
        spacing: the length of a pixel along each axis; None for 1 along all. Only the ratios of the lengths matter.

    Returns:
        `[*mask.shape, 2]`, float64: A0, A1. Without a pixel of class 1 the only component is infinitely wide, and d = m
        all over it: A0 = 1 + w0, A1 = w0 exp(-2.58^2 / 2). Without a component: A0 = 1, A1 = `boundary_offset`.

    Raises:
        TypeError: a mask that is neither bool nor integers.
        ValueError: a mask of another number of axes, without pixels or with other values than 0 and 1, or a
            spacing that is not positive.

    References:
        Liu, Chen, Liu, Ban, Ma, Wang, Xue, Guo, "Boundary Learning by Using Weighted Propagation in Convolution Network",
        2019, arXiv:1905.09226.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.weight_maps import abw_weight_map
        >>> mask = np.array([[1, 0, 0, 0, 1]])
        >>> np.moveaxis(abw_weight_map(mask), -1, 0).round(2).tolist()
        [[[1.0, 5.35, 11.0, 5.35, 1.0]], [[30.0, 4.35, 0.36, 4.35, 30.0]]]
    """
    mask = _checked(mask, volumes=True)
    w0, boundary_offset = constant("w0", w0, NOT_NEGATIVE), constant("boundary_offset", boundary_offset, NOT_NEGATIVE)
    depth = _relative_depths(mask, spacing_or_ones(spacing, mask.ndim))
    weights = np.empty((*mask.shape, 2))
    weights[mask] = 1.0, boundary_offset
    weights[~mask, 0] = 1 + w0 * np.exp(-((_DEVIATIONS * (1 - depth)) ** 2) / 2)
    weights[~mask, 1] = w0 * np.exp(-((_DEVIATIONS * depth) ** 2) / 2)
    return weights


def skeleton_aware_weight_map(mask: ArrayLike, *, spacing: Sequence[float] | None = None) -> np.ndarray:
    """Skeleton-aware weights of Skea-topo: on class 0 large near skeletons, on class 1 large on thin borders.

    On a component of class 0 u0 = 1 - min(d0, d1) / d1, with d0 the distance to the nearest pixel of its Lee skeleton and d1
    that pixel's distance to class 1. Of several nearest ones it is the one that `scipy.ndimage.distance_transform_edt`
    names. On class 1

        u1 = max(0, 1 + (2 D - d1 - d2) / (2 D))

    with d1 and d2 the distances to the two nearest components, and D the largest d1.

    Args:
        mask: `[H, W]`, bool or the integers 0 and 1. Needs scikit-image.
        spacing: the length of a pixel along each axis; None for 1 along both. Only their ratio matters, and not to
            skeletons, which are thinned by pixels.

    Returns:
        `[H, W, 2]`, float64 within 0..2: u0, which is 0 on class 1, and u1, which is 0 on class 0. With one component alone
        d2 = d1. Without a component u1 = 1, as with one far away. Without a pixel of class 1 u0 = 1, as with one far away.

    Raises:
        TypeError: a mask that is neither bool nor integers.
        ValueError: a mask that has not two axes, without pixels or with other values than 0 and 1, or a spacing
            that is not positive.
        ImportError: scikit-image is not installed.

    References:
        Liu, Ma, Ban, Xie, Wang, Xue, Ma, Xu, "Enhancing Boundary Segmentation for Topological Accuracy with Skeleton-based
        Methods", 2024, arXiv:2404.18539.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.weight_maps import skeleton_aware_weight_map
        >>> mask = np.zeros((3, 5), bool)
        >>> mask[:, 2] = True
        >>> skeleton_aware_weight_map(mask)[1, :, 1].tolist()
        [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    mask = _checked(mask, volumes=False)
    lengths = spacing_or_ones(spacing, mask.ndim)
    weights = np.zeros((*mask.shape, 2))
    if not mask.any():
        weights[..., 0] = 1
        return weights
    if mask.all():
        weights[..., 1] = 1
        return weights
    to_border = np.zeros(mask.shape)
    to_border[~mask], _ = to_nearest(mask, np.nonzero(~mask), lengths)
    for box, component, skeleton in _component_skeletons(mask):
        # The component and its skeleton lie in the box, so that no pixel outside has a part in these distances.
        to_skeleton, nearest = to_nearest(skeleton, np.nonzero(component), lengths)
        weights[box][component, 0] = 1 - np.minimum(to_skeleton / to_border[box][nearest], 1)
    first, second = two_nearest(mask, lengths)
    second = np.where(np.isinf(second), first, second)
    weights[mask, 1] = np.maximum(0, 2 - (first + second) / (2 * first.max()))
    return weights


def skeletons(mask: ArrayLike) -> np.ndarray:
    """Skeletons of both classes, as the topology term of Skea-topo compares them.

    Args:
        mask: `[H, W]`, bool or the integers 0 and 1. Needs scikit-image.

    Returns:
        `[H, W, 2]`, bool. Channel 0: the Lee skeleton of each component of class 0 by itself (components that touch at a
        corner do not see each other), all dilated by 3 x 3, over class 1 too. Channel 1: the Lee skeleton of class 1 as a
        whole, not dilated. A class without pixels has no skeleton.

    Raises:
        TypeError: a mask that is neither bool nor integers.
        ValueError: a mask that has not two axes, without pixels or with other values than 0 and 1.
        ImportError: scikit-image is not installed.

    References:
        Lee, Kashyap, Chu, "Building Skeleton Models via 3-D Medial Surface/Axis Thinning Algorithms", CVGIP: Graphical
        Models and Image Processing 56, 1994, as `skimage.morphology.skeletonize(method="lee")` has it.
        Liu et al., "Enhancing Boundary Segmentation for Topological Accuracy with Skeleton-based Methods", 2024,
        arXiv:2404.18539.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.weight_maps import skeletons
        >>> mask = np.zeros((5, 9), bool)
        >>> mask[1:4] = True
        >>> skeletons(mask)[..., 1].sum(axis=1).tolist()
        [0, 0, 9, 0, 0]
    """
    mask = _checked(mask, volumes=False)
    background = np.zeros(mask.shape, bool)
    for box, _, skeleton in _component_skeletons(mask):
        background[box] |= skeleton
    dilated = ndimage.binary_dilation(background, np.ones((3, 3), bool))
    return np.stack([dilated, _lee(mask)], axis=-1)


def tubed_skeleton(labels: ArrayLike) -> np.ndarray:
    """The centrelines of what is not background, widened by two pixels, for the skeleton recall loss.

    The foreground is thinned as a whole, so that centrelines go on where one class follows another, and dilated twice by the
    neighbours that share a side (in volumes a face). What leaves the foreground by that is cut off. Every piece of the
    foreground has a centreline, also a tube of even width in a volume, which scikit-image deletes.

    Args:
        labels: `[H, W]` or `[D, H, W]`, bool or integer classes, of which 0 is the background; every other number is
            foreground, so give pixels of unknown class a 0 before. Needs scikit-image.

    Returns:
        Of the shape of `labels`, bool.

    Raises:
        TypeError: labels that are neither bool nor integers.
        ValueError: labels of another number of axes, or without pixels.
        ImportError: scikit-image is not installed.

    References:
        Kirchhoff et al., "Skeleton Recall Loss for Connectivity Conserving and Resource Efficient Segmentation of Thin
        Tubular Structures", ECCV 2024, arXiv:2404.03010. Thinned as `skimage.morphology.skeletonize` does it:
        images after Zhang and Suen, "A fast parallel algorithm for thinning digital patterns", Communications of the ACM 27,
        1984; volumes after Lee, Kashyap, Chu, "Building Skeleton Models via 3-D Medial Surface/Axis Thinning Algorithms",
        CVGIP: Graphical Models and Image Processing 56, 1994.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.weight_maps import tubed_skeleton
        >>> labels = np.zeros((9, 11), int)
        >>> labels[1:8] = 1
        >>> tubed_skeleton(labels)[:, 5].astype(int).tolist()
        [0, 0, 1, 1, 1, 1, 1, 0, 0]
    """
    foreground = _checked_axes("labels", labels, volumes=True) != 0
    return ndimage.binary_dilation(centrelines(foreground), iterations=_TUBE) & foreground


def signed_distance_map(mask: ArrayLike, *, spacing: Sequence[float] | None = None) -> np.ndarray:
    """Signed distance to the border of class 1, for Kervadec's boundary loss.

    Outside class 1 the distance to its nearest pixel, +1 and more; inside minus the distance to the nearest pixel of class
    0, plus 1, so that the outermost pixels of class 1 have 0: the convention of the authors' released code. With a spacing
    that 1 is its smallest length, so that no pixel of class 1 has the sign of the outside, in whatever unit.

    Args:
        mask: `[H, W]` or `[D, H, W]`, bool or the integers 0 and 1.
        spacing: the length of a pixel along each axis; None for 1 along all.

    Returns:
        Of the mask's shape, float64, in the unit of `spacing`, or pixels. 0 everywhere where a class has no pixel: there is
        no border, and the boundary loss has nothing to say. The released code has 0 for an empty mask as well, and no
        defined value for a full one.

    Raises:
        TypeError: a mask that is neither bool nor integers.
        ValueError: a mask of another number of axes, without pixels or with other values than 0 and 1, or a
            spacing that is not positive.

    References:
        Kervadec, Bouchtiba, Desrosiers, Granger, Dolz, Ben Ayed, "Boundary loss for highly unbalanced segmentation", MIDL
        2019, arXiv:1812.07032.

    Examples:
        >>> import numpy as np
        >>> from cwmi_jax.weight_maps import signed_distance_map
        >>> signed_distance_map(np.array([[0, 0, 1, 1, 1, 0]])).tolist()
        [[2.0, 1.0, 0.0, -1.0, 0.0, 1.0]]
    """
    mask = _checked(mask, volumes=True)
    lengths = spacing_or_ones(spacing, mask.ndim)
    distances = np.zeros(mask.shape)
    if mask.any() and not mask.all():
        distances[~mask], _ = to_nearest(mask, np.nonzero(~mask), lengths)
        distances[mask] = min(lengths) - to_nearest(~mask, np.nonzero(mask), lengths)[0]
    return distances


def _checked(mask: ArrayLike, *, volumes: bool) -> np.ndarray:
    """The mask as bool."""
    mask = _checked_axes("mask", mask, volumes=volumes)
    other = mask[(mask != 0) & (mask != 1)]
    if other.size:
        found = ", ".join(map(str, np.unique(other)[:5]))
        raise ValueError(f"mask must hold 0 and 1 alone, got {found}; compare it, as in `mask == {other.max()}`")
    return mask.astype(bool)


def _checked_axes(name: str, values: ArrayLike, *, volumes: bool) -> np.ndarray:
    """A mask or classes, an array of bool or integers with the axes of one image."""
    array = np.asarray(values)
    if array.dtype != bool and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be bool or integers, got {array.dtype}; compare it, as in `{name} > 0.5`")
    if array.ndim not in ((2, 3) if volumes else (2,)) or array.size == 0:
        axes = "[H, W] or [D, H, W]" if volumes else "[H, W] (this is not defined for volumes)"
        raise ValueError(f"{name} must be {axes}, got the shape {array.shape}")
    return array


def _relative_depths(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Of the pixels of class 0, in their order, the distance to class 1 over the largest in their component, d / m."""
    labels, count = components(mask)
    if not mask.any():
        return np.ones(mask.size)
    distances, _ = to_nearest(mask, np.nonzero(~mask), spacing)
    owner, largest = labels[~mask], np.zeros(count + 1)
    np.maximum.at(largest, owner, distances)
    return distances / largest[owner]


def _lee(image: np.ndarray) -> np.ndarray:
    """Lee's skeleton of the `True` pixels, bool; it keeps at least one pixel of each connected part."""
    skeletonize = require("skimage.morphology", "scikit-image").skeletonize
    return skeletonize(image, method="lee").astype(bool)


def _component_skeletons(mask: np.ndarray) -> Iterator[tuple[tuple[slice, ...], np.ndarray, np.ndarray]]:
    """For each component of class 0 its bounding box, and in it the component and its Lee skeleton."""
    labels, _ = components(mask)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        component = labels[box] == number
        yield box, component, _lee(component)
