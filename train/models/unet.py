"""The paper's two networks, a U-Net and an Attention U-Net, for any width and depth, for images and volumes.

The U-Net is that of Ronneberger, Fischer, Brox ("U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015,
arXiv:1505.04597) as Lu (ICML 2025, arXiv:2502.00563) trains it: zero-padded convolutions that keep the size, batch
normalisation, and nearest-neighbour upsampling followed by a convolution. Every convolution has a bias, also those whose
bias the normalisation takes away again: so have the paper's, whose number of parameters is met exactly.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from train.models.layers import (
    NORMS,
    Convolution,
    Decoder,
    Encoder,
    Normalisation,
    downsample,
    inside_of,
    pad_to_multiple,
)

_SPATIAL_DIMS = (2, 3)


class UNet(nn.Module, kw_only=True):
    """U-Net; as it stands the paper's, of 34,527,106 parameters for RGB images and 34,525,954 for grey ones.

    The collections of variables are `params` and, with batch normalisation, `batch_stats`. A training step names the
    latter as mutable: `logits, updates = network.apply(variables, images, train=True, mutable=["batch_stats"])`.

    Weights and biases are drawn as PyTorch draws them by default, since the authors' code sets nothing else: uniform in
    `[-b, b]`, `b = 1 / sqrt(fan_in)`. Normalisations start at scale 1 and shift 0. Batch normalisation keeps PyTorch's
    defaults too: epsilon 1e-5, and running statistics that keep 0.9 of themselves at each step. One difference: the
    running variance is the mean of squares over all n values of a batch, where PyTorch divides by n - 1. Like there, a
    batch that is one pixel at the coarsest stage leaves nothing after normalisation but the shift; train on larger crops.

    Images are padded with their edge, at the end of each axis; padding counts in the statistics of a training batch. No
    padding takes place where `2**depth` divides the sides, as it does all of the paper's. Images of different sizes that
    were padded with their edge to one canvas have, with `sides`, the logits that each has by itself.

    Attributes:
        width: Channels of the first stage; doubled at each of the further ones.
        depth: Number of times the image is halved.
        classes: Channels of the logits; 1 stands for the foreground's logit alone.
        spatial_dims: 2 for images, 3 for volumes.
        norm: "batch", or "group" for a network without running statistics, the same function in training and in use.
        groups: Groups of "group"; divides `width`. In an attention gate, whose channels it may not divide, their greatest
            common divisor. Unused with "batch".
        axis_name: Name of the axis of `jax.pmap` over whose devices batch statistics are taken, so that the shards of a
            batch give what the whole would on one device; None takes them on each device alone.
        dtype: Floating dtype of the convolutions and features, or its name. Parameters, statistics and logits are
            float32 in any case.
        remat: Whether stages are computed again in the backward pass instead of being kept: less memory, more time, and
            the same values and gradients.

    Raises:
        ValueError: An attribute out of range, or `images` of the wrong shape.
    """

    width: int = 64
    depth: int = 4
    classes: int = 2
    spatial_dims: int = 2
    norm: str = "batch"
    groups: int = 8
    axis_name: str | None = None
    dtype: Any = jnp.float32
    remat: bool = False

    # Not annotated: not an attribute to set, but what tells the two networks apart.
    _attention = False

    def __post_init__(self) -> None:
        """Checks the attributes, so that they fail before any data are read."""
        for name in ("width", "depth", "classes", "groups"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.spatial_dims not in _SPATIAL_DIMS:
            raise ValueError(f"spatial_dims must be 2 or 3, got {self.spatial_dims}")
        if self.norm not in NORMS:
            raise ValueError(f"norm must be of {', '.join(map(repr, NORMS))}, got {self.norm!r}")
        if self.norm == "group" and self.width % self.groups:
            raise ValueError(f"groups must divide width, got {self.groups} and {self.width}")
        if not jnp.issubdtype(jnp.dtype(self.dtype), jnp.floating):
            raise ValueError(f"dtype must be a floating one, got {jnp.dtype(self.dtype)}")
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool, sides: jax.Array | None = None) -> jax.Array:
        """Computes logits.

        Args:
            images: `[B, *shape, C]`, of `spatial_dims` spatial axes of any size.
            train: Whether batch normalisation takes the statistics of `images` and updates the running ones, or uses the
                latter. Without effect for "group".
            sides: `[B, spatial_dims]`, integers: of each image itself, before it was padded with its edge at the end of
                its axes. None where none was.

        Returns:
            Logits, `[B, *shape, classes]`, float32.

        Raises:
            ValueError: `images` of another number of axes, or without pixels.
        """
        images = jnp.asarray(images)
        shape = images.shape[1:-1]
        if images.ndim != self.spatial_dims + 2:
            axes = "D, H, W" if self.spatial_dims == 3 else "H, W"
            raise ValueError(
                f"images must be [B, {axes}, C] with spatial_dims={self.spatial_dims}, got shape {images.shape}"
            )
        if 0 in shape:
            raise ValueError(f"images must have sides of at least 1 pixel, got shape {images.shape}")
        dtype = jnp.dtype(self.dtype)
        normalisation = Normalisation(self.norm, self.groups, self.axis_name, train, dtype)
        # The stages carry names: those given by flax would differ with remat, and so would the tree of parameters.
        encoder, decoder = (nn.remat(Encoder), nn.remat(Decoder)) if self.remat else (Encoder, Decoder)

        multiple = 2**self.depth
        features = pad_to_multiple(images.astype(dtype), multiple)
        skips, insides = [], []
        for stage in range(self.depth + 1):
            canvas = features.shape[1:-1]
            insides.append(None if sides is None else inside_of(sides, canvas, multiple=multiple, stage=stage))
            name = "bottleneck" if stage == self.depth else f"encoder_{stage}"
            features = encoder(self.width * 2**stage, normalisation, name=name)(features, insides[stage])
            if stage < self.depth:
                skips.append(features)
                features = downsample(features)
        for stage in reversed(range(self.depth)):
            features = decoder(self.width * 2**stage, normalisation, self._attention, name=f"decoder_{stage}")(
                features, skips[stage], insides[stage]
            )
        # In float32 always: a bfloat16 has three digits, too few for the probability of a thin structure.
        logits: jax.Array = Convolution(self.classes, 1, jnp.float32, name="head")(features.astype(jnp.float32))
        return logits[:, *map(slice, shape)]


class AttentionUNet(UNet, kw_only=True):
    """U-Net with attention gates on its skip connections; as it stands the paper's, of 34,878,638 parameters for RGB.

    34,877,486 for grey images. Attributes, variables, initialisation and errors are those of `UNet`; each of the `depth`
    skip connections passes through a gate, which the upsampled features of its stage control.

    References:
        Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", 2018, arXiv:1804.03999.
    """

    _attention = True
