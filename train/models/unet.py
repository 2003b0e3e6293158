"""A U-Net (Ronneberger, Fischer, Brox: U-Net, 2015, arXiv:1505.04597) with group normalisation.

Group normalisation (Wu, He, 2018, arXiv:1803.08494) keeps no running statistics, so that the network is the same
function in training and in use, whatever the batch size. Images are `[B, H, W, C]`, float32, of any height and width.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

_KERNEL = (3, 3)
_HALF = (2, 2)


class UNet(nn.Module):
    """U-Net with nearest-neighbour upsampling.

    Attributes:
        width: Channels of the first stage; doubled at each of the further ones.
        depth: Number of times the image is halved.
        groups: Groups of each normalisation; divides `width`.
        classes: Channels of the logits; 1 stands for the foreground's logit alone.
    """

    width: int
    depth: int
    groups: int
    classes: int = 1

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Computes logits.

        Args:
            images: `[B, H, W, C]`. Sides that `2**depth` does not divide are padded with their edge, and cropped back.

        Returns:
            Logits, `[B, H, W, classes]`.
        """
        height, width = images.shape[1:3]
        features = _pad_to_multiple(images, 2**self.depth)
        skips = []
        for stage in range(self.depth):
            features = _Block(self.width * 2**stage, self.groups)(features)
            skips.append(features)
            features = nn.max_pool(features, _HALF, strides=_HALF)
        features = _Block(self.width * 2**self.depth, self.groups)(features)
        for stage in reversed(range(self.depth)):
            features = features.repeat(2, axis=1).repeat(2, axis=2)
            features = _Convolution(self.width * 2**stage, self.groups)(features)
            features = jnp.concatenate([skips[stage], features], axis=-1)
            features = _Block(self.width * 2**stage, self.groups)(features)
        logits: jax.Array = nn.Conv(self.classes, (1, 1))(features)
        return logits[:, :height, :width]


class _Block(nn.Module):
    channels: int
    groups: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        features = _Convolution(self.channels, self.groups)(features)
        return _Convolution(self.channels, self.groups)(features)


class _Convolution(nn.Module):
    channels: int
    groups: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        # The normalisation that follows takes away a bias of the convolution only in part, and has its own: none here.
        features = nn.Conv(self.channels, _KERNEL, use_bias=False)(features)
        return nn.relu(nn.GroupNorm(num_groups=self.groups)(features))


def _pad_to_multiple(images: jax.Array, multiple: int) -> jax.Array:
    height, width = images.shape[1:3]
    return jnp.pad(images, ((0, 0), (0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")
