"""Networks that can be trained; each maps images `[B, H, W, C]` to logits of the same height and width."""

from train.models.unet import UNet

__all__ = ["UNet"]
