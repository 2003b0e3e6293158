"""The losses that CWMI is compared with, and others that people look for, under one signature.

What holds for all of them, as it does for `cwmi_jax.cwmi_loss`, is said here; what is a loss's own, in its docstring.

A loss that is "one vs rest", as CWMI's information term is, compares class 1 alone where there are one or two channels, and
where there are more each class with the rest, and is the mean over classes. One "of the foreground" does the same without
class 0, the background, whose centreline means nothing. The others count every class; one channel stands for two.

Losses that measure lengths or frequencies take `spacing` besides: how long a pixel is along each spatial axis, in their
order, such as `(3.0, 0.7, 0.7)` in millimetres. None is 1 along all of them, and lengths are in pixels. It makes the program
(under `jax.jit` it is static) and holds for the whole batch. The pyramid's losses ask only for the ratios.

Args:
    logits: `[..., *shape, C]`, with any leading axes, none included. Any float dtype; half precision is widened to float32
        inside, and -inf rules a class out. C = 1 is a sigmoid, more are what `activation` says.
    labels: integer or bool classes `[..., *shape]`, or probabilities `[..., *shape, C]` (for C = 1 also `[..., *shape]`).
        Inside `jit` a class outside 0..C-1 cannot be seen and counts as none, or, where there are two, as background.
    activation: "softmax" where a pixel has one of C classes, "sigmoid" where it may lie in several of C masks, or in none.
        Then each channel is a problem of two classes by itself, and an image's loss the mean over its channels of what each
        of them costs alone. Labels are `[..., *shape, C]`: bool or integers 0 and 1, or probabilities. `where` may have the
        axis C too; a mask that it hides wholly, such as one that was not annotated, has no part in its image's mean. Maps
        of pixels have the axis C right behind `shape`, and arrays of class weights are `[C, 2]`, for background and
        foreground of each mask. For C = 1 both activations are the same, and "sigmoid" may leave that axis out.
    where: bool `[..., *shape]`, None for all True. False pixels (ignore regions, padding) have no part; labels there may
        hold anything.
    spatial_dims: axes of `shape`: 2 for images `[H, W]`, 3 for volumes `[D, H, W]`.
    reduction: "mean" over images, without those that are wholly masked, or "none".

Returns:
    A scalar for "mean", `[...]` for "none"; float32, or float64 for float64 logits.

Raises:
    TypeError: logits that are not floating point, a `where` that is not bool, or another argument of a wrong type, or traced
        where it must not be; the message names it.
    ValueError: shapes that do not match, labels outside 0..C-1 or probabilities outside 0..1 where they can be seen, an
        unknown option, or a setting out of range; the message names the value.
"""

from cwmi_jax.losses.centrelines import dice_cbdice, dice_cldice, skeleton_recall
from cwmi_jax.losses.distances import boundary, hausdorff_dt
from cwmi_jax.losses.neighbours import scnp
from cwmi_jax.losses.overlap import dice, dice_cross_entropy, generalized_dice, jaccard, tversky
from cwmi_jax.losses.pixelwise import (
    adaptive_boundary_weighted,
    balanced_cross_entropy,
    cross_entropy,
    focal,
    weighted_cross_entropy,
)
from cwmi_jax.losses.regions import rmi
from cwmi_jax.losses.registry import LOSSES, MAPS, combine
from cwmi_jax.losses.topology import skea_topo
from cwmi_jax.losses.wavelets import bounded_cwmi

__all__ = [
    "LOSSES",
    "MAPS",
    "adaptive_boundary_weighted",
    "balanced_cross_entropy",
    "boundary",
    "bounded_cwmi",
    "combine",
    "cross_entropy",
    "dice",
    "dice_cbdice",
    "dice_cldice",
    "dice_cross_entropy",
    "focal",
    "generalized_dice",
    "hausdorff_dt",
    "jaccard",
    "rmi",
    "scnp",
    "skea_topo",
    "skeleton_recall",
    "tversky",
    "weighted_cross_entropy",
]
