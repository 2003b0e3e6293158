"""The networks by name."""

import types
from collections.abc import Mapping
from typing import Any

from train.models.unet import AttentionUNet, UNet

MODELS: Mapping[str, type[UNet]] = types.MappingProxyType({"unet": UNet, "attention_unet": AttentionUNet})
"""Name in tables and on command lines -> network; without attributes each is the paper's."""


def create_model(name: str, **attributes: Any) -> UNet:
    """Creates a network by its name.

    Args:
        name: A name in `MODELS`.
        **attributes: Attributes of the network; see `UNet`.

    Returns:
        The network, without parameters: `network.init(key, images, train=False)` makes them.

    Raises:
        ValueError: An unknown name, or an attribute out of range.
        TypeError: An unknown attribute.
    """
    if name not in MODELS:
        raise ValueError(f"name must be of {', '.join(map(repr, MODELS))}, got {name!r}")
    return MODELS[name](**attributes)
