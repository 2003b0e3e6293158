"""The losses that CWMI is compared with, and others that people look for, under one signature."""

from cwmi_jax.losses.centrelines import dice_cldice
from cwmi_jax.losses.distances import boundary, hausdorff_dt
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

__all__ = [
    "LOSSES",
    "MAPS",
    "adaptive_boundary_weighted",
    "balanced_cross_entropy",
    "boundary",
    "combine",
    "cross_entropy",
    "dice",
    "dice_cldice",
    "dice_cross_entropy",
    "focal",
    "generalized_dice",
    "hausdorff_dt",
    "jaccard",
    "rmi",
    "skea_topo",
    "tversky",
    "weighted_cross_entropy",
]
