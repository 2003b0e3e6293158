"""The network that a config describes, and its state before the first step."""

import flax.linen as nn
import jax.numpy as jnp
import optax

from train.config import Config, ModelConfig
from train.models import create_model
from train.runs import parallel
from train.runs.steps import TrainState, create_state


def network_of(config: ModelConfig, *, classes: int, spatial_dims: int) -> nn.Module:
    """The network that a config describes.

    Args:
        config: the network's settings.
        classes: how many the data have; two have one channel of logits.
        spatial_dims: 2 for images, 3 for volumes.
    """
    return create_model(
        config.name,
        width=config.width,
        depth=config.depth,
        classes=logit_channels(classes),
        spatial_dims=spatial_dims,
        norm=config.norm,
        groups=config.groups,
        axis_name=parallel.AXIS,
        dtype=jnp.bfloat16 if config.bfloat16 else jnp.float32,
        remat=config.remat,
    )


def logit_channels(classes: int) -> int:
    """Channels of the logits of so many classes."""
    return 1 if classes == 2 else classes


def untrained(
    config: Config,
    network: nn.Module,
    optimizer: optax.GradientTransformation | None,
    *,
    spatial_dims: int,
    channels: int,
) -> TrainState:
    """The state before the first step, of a run whose data need not be there.

    Args:
        config: the run's settings.
        network: as returned by `network_of`.
        optimizer: None for a state without that of an optimizer.
        spatial_dims: 2 for images, 3 for volumes.
        channels: channels of every image.
    """
    # Sides do not matter to parameters, and a small image is quick to compile for.
    shape = (*(2**config.model.depth,) * spatial_dims, channels)
    return create_state(network, optimizer, config.seed, shape, ema=config.optimizer.ema > 0)
