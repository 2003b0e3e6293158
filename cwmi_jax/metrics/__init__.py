"""Segmentation metrics: exact counts inside `jit`, and the scores of papers on the host.

On the host (NumPy in, float64 out) every metric takes masks `[..., H, W]`, or `[..., D, H, W]` with `spatial_dims=3`, of
integers or bool, and gives one value an image, `[...]`. Class 1 (foreground) is the thin structure: membrane, vessel, road.
A score is a number for every input; what it is for an empty mask is said in its docstring.

`where` is False on void pixels, of which nobody knows the class: a border that the label leaves open, what lies outside of
a field of view, padding. A void pixel is no part of either mask, counts neither as found nor as missed, and may hold any
integer. To the scores of class 1 (overlap, distances, topology) it is like what lies outside of the image. To those of
components of class 0 it lies in none, so that it parts those that it runs between, in the reference and in the prediction
alike. An image of nothing but void has the score of two empty masks.
"""

from cwmi_jax.metrics.confusion import confusion_matrix, dice_from_confusion, iou_from_confusion
from cwmi_jax.metrics.instances import adapted_rand_error, adjusted_rand_index, variation_of_information
from cwmi_jax.metrics.overlap import mean_dice, mean_iou
from cwmi_jax.metrics.surfaces import hausdorff95, modified_hausdorff
from cwmi_jax.metrics.topology import betti_error, cldice_score

__all__ = [
    "adapted_rand_error",
    "adjusted_rand_index",
    "betti_error",
    "cldice_score",
    "confusion_matrix",
    "dice_from_confusion",
    "hausdorff95",
    "iou_from_confusion",
    "mean_dice",
    "mean_iou",
    "modified_hausdorff",
    "variation_of_information",
]
