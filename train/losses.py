"""The losses that the demo compares, under the names that the tables use."""

import functools

from cwmi_jax import cwmi_loss
from cwmi_jax.losses import cross_entropy
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
