"""The losses by name, and sums of them."""

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._settings import FINITE, dimensions, number, spacing_or_ones
from cwmi_jax.cwmi import cwmi_loss
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
from cwmi_jax.losses.topology import skea_topo
from cwmi_jax.losses.wavelets import bounded_cwmi
from cwmi_jax.weight_maps import (
    abw_weight_map,
    signed_distance_map,
    skeleton_aware_weight_map,
    skeletons,
    tubed_skeleton,
    unet_weight_map,
)

LOSSES: Mapping[str, Callable[..., jax.Array]] = types.MappingProxyType(
    {
        "ce": cross_entropy,
        "balanced_ce": balanced_cross_entropy,
        "dice": dice,
        "focal": focal,
        "jaccard": jaccard,
        "tversky": tversky,
        "wce": weighted_cross_entropy,
        "abw": adaptive_boundary_weighted,
        "skea_topo": skea_topo,
        "rmi": rmi,
        "cldice": dice_cldice,
        "cwmi_real": functools.partial(cwmi_loss, complex_valued=False),
        "cwmi": cwmi_loss,
        "bounded_cwmi": bounded_cwmi,
        "generalized_dice": generalized_dice,
        "dice_ce": dice_cross_entropy,
        "boundary": boundary,
        "hausdorff_dt": hausdorff_dt,
        "skeleton_recall": skeleton_recall,
        "scnp": scnp(dice_cross_entropy),
        "cbdice": dice_cbdice,
    }
)
"""Name in tables and on command lines -> loss with the paper's defaults; the paper's first, in its order.

Each is called as `loss(logits, labels, *, activation, where, spatial_dims, reduction, ...)`; see `MAPS` for those that need
more.
"""

MAPS: Mapping[str, Mapping[str, Callable[..., np.ndarray]]] = types.MappingProxyType(
    {
        "wce": {"weight_map": unet_weight_map},
        "abw": {"weight_maps": abw_weight_map},
        "skea_topo": {"weight_maps": skeleton_aware_weight_map, "skeletons": skeletons},
        "boundary": {"distance_map": signed_distance_map},
        "skeleton_recall": {"tubed_skeleton": tubed_skeleton},
    }
)
"""Name of a loss -> its keyword for a map of every image -> what makes it, once, on the host.

Of the image's mask: a function of a `mask` makes the map of each class by itself, one of `labels` that of all classes.
"""


def combine(weights: Mapping[str, float | jax.Array]) -> Callable[..., jax.Array]:
    """A weighted sum of losses, itself a loss.

    Args:
        weights: name in `LOSSES` -> weight.

    Returns:
        A function of logits and labels with the keywords `activation`, `where`, `spatial_dims`, `spacing` and `reduction`,
        and those maps that its losses take (see `MAPS`). The spacing goes to the losses that have one.

    Raises:
        TypeError: a weight that is not a number.
        ValueError: an unknown name, no name at all, a weight that is not finite, or losses that take maps of one name and
            different meaning.

    References:
        Taghanaki et al., "Combo loss: Handling input and output imbalance in multi-organ segmentation", CMIG 2019,
        arXiv:1805.02798.

    Examples:
        >>> labels = jnp.zeros((64, 64), int).at[30:33].set(1)
        >>> loss = combine({"cwmi": 1.0, "dice": 10.0})
        >>> loss(jnp.zeros((64, 64, 1)), labels).shape
        ()
    """
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"weights must be names of losses -> weights, such as {{'ce': 1.0, 'dice': 1.0}}, got {weights!r}"
        )
    unknown = [name for name in weights if name not in LOSSES]
    if unknown or not weights:
        raise ValueError(
            f"names must be of {', '.join(map(repr, LOSSES))}, got {', '.join(map(repr, unknown)) or 'none'}"
        )
    maps: dict[str, str] = {}
    for name in weights:
        for parameter in MAPS.get(name, ()):
            if parameter in maps:
                raise ValueError(
                    f"{maps[parameter]!r} and {name!r} mean different things by {parameter}; add them by hand"
                )
            maps[parameter] = name

    factors = {
        name: number(f"weights[{name!r}]", weight, jnp.result_type(float), FINITE) for name, weight in weights.items()
    }

    def combined(
        logits: ArrayLike,
        labels: ArrayLike,
        *,
        activation: str = "softmax",
        where: ArrayLike | None = None,
        spatial_dims: int = 2,
        spacing: Sequence[float] | None = None,
        reduction: str = "mean",
        **given: ArrayLike,
    ) -> jax.Array:
        wrong = [name for name in given if name not in maps]
        if wrong:
            raise TypeError(f"none of {', '.join(map(repr, weights))} takes {', '.join(wrong)}")
        lengths = spacing_or_ones(spacing, dimensions(spatial_dims))
        shared: dict[str, Any] = dict(
            activation=activation, where=where, spatial_dims=spatial_dims, reduction=reduction
        )

        def term(name: str) -> jax.Array:
            own: dict[str, Any] = {parameter: value for parameter, value in given.items() if maps[parameter] == name}
            if "spacing" in inspect.signature(LOSSES[name]).parameters:
                own["spacing"] = lengths
            value = LOSSES[name](logits, labels, **shared, **own)
            return jnp.asarray(factors[name], value.dtype) * value

        return functools.reduce(jnp.add, map(term, factors))

    return combined
