"""Which loss is minimised when: the loss of a run, and the epochs at its start that take another."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from cwmi_jax.losses import LOSSES, MAPS
from train.config import LossConfig
from train.datasets.lengths import relative_spacing
from train.loss_options import CWMI, FIRST_PHASE, option_arguments
from train.runs.terms import Terms


class Phase(NamedTuple):
    """Epochs that minimise one function.

    Attributes:
        first_epoch: counted from 0.
        name: for the logs.
        loss: function of logits, labels, `where` and the maps.
        maps: keywords of `loss` that take a map of each image.
        terms: what is observed of a CWMI loss; None for others.
    """

    first_epoch: int
    name: str
    loss: Callable[..., jax.Array]
    maps: tuple[str, ...]
    terms: Terms | None = None


def phases(config: LossConfig, spatial_dims: int, spacing: tuple[float, ...] | None = None) -> list[Phase]:
    """The phases of a run, in order; the first begins at epoch 0.

    Args:
        config: the loss's settings.
        spatial_dims: 2 for images, 3 for volumes.
        spacing: from a pixel to the next along each axis, in any unit, for losses that it means something to: they get it in
            lengths of its finest axis. None for 1.
    """
    ratios = None if spacing is None else relative_spacing(spacing)
    loss = functools.partial(
        LOSSES[config.name], spatial_dims=spatial_dims, **option_arguments(config.name, config.options)
    )
    if ratios is not None and "spacing" in inspect.signature(loss).parameters:
        loss = functools.partial(loss, spacing=ratios)
    maps = tuple(MAPS.get(config.name, ()))
    terms = None
    if config.name in CWMI:
        information = functools.partial(loss, ce_weight=0.0)
        terms = Terms(information, inspect.signature(loss).parameters["levels"].default, spatial_dims, ratios)
    whole = Phase(config.first_epochs, config.name, loss, maps, terms)
    if not config.first_epochs:
        return [whole]
    if FIRST_PHASE[config.name] == "topology_epoch":
        without = functools.partial(loss, topology=False)
        return [Phase(0, "skea_topo without topology", without, ("weight_maps",)), whole]
    return [Phase(0, "ce", functools.partial(LOSSES["ce"], spatial_dims=spatial_dims), ()), whole]


def phase_at(epoch: int, phases: list[Phase]) -> Phase:
    """The phase that an epoch belongs to."""
    return [phase for phase in phases if phase.first_epoch <= epoch][-1]


def map_functions(config: LossConfig) -> Mapping[str, Callable[..., np.ndarray]]:
    """Keyword of the loss -> what makes its map of one mask."""
    return MAPS.get(config.name, {})
