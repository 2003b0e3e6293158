"""The losses that the demo compares, under the names that the tables use."""

import functools

import jax
import jax.numpy as jnp
import optax

from cwmi_jax import cwmi_loss
from train.config import CWMIConfig
from train.steps import LossFunction


def compared_losses(config: CWMIConfig) -> dict[str, LossFunction]:
    """Builds the losses.

    Args:
        config: Settings of CWMI.

    Returns:
        Name -> function of logits `[B, H, W, 1]` and labels `[B, H, W]` with a scalar, mean over images.
    """
    cwmi = functools.partial(
        cwmi_loss,
        levels=config.levels,
        orientations=config.orientations,
        ce_weight=config.ce_weight,
        epsilon=config.epsilon,
    )
    return {"cross entropy": cross_entropy, "CWMI": cwmi}


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean binary cross entropy.

    Args:
        logits: Foreground logits, `[B, H, W, 1]`.
        labels: 0 or 1, `[B, H, W]`.

    Returns:
        Mean over images and pixels, scalar, nats.
    """
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits[..., 0], labels.astype(logits.dtype)))
