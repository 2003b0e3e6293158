"""Networks that can be trained; each maps images `[B, *shape, C]` to logits `[B, *shape, classes]`."""

from train.models.registry import MODELS, create_model
from train.models.unet import AttentionUNet, UNet

__all__ = ["MODELS", "AttentionUNet", "UNet", "create_model"]
