"""The pieces of the U-Nets: convolutions with normalisation, blocks of two, attention gates, upsampling and padding.

Everything here maps `[B, *shape, C]` to `[B, *shape, C']`; the number of spatial axes is that of the input. Features are
computed in `dtype`; parameters, and the statistics of every normalisation, are float32. Which normalisation, and how, is
said once, by a `Normalisation` that all pieces of a network share. Where only a part of a canvas is image, `inside`
`[B, *shape, 1]`, bool, says which: what lies outside has no influence on what lies inside.
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

NORMS = ("batch", "group")
"""Known normalisations."""

_EPSILON = 1e-5
_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """How features are normalised.

    Attributes:
        norm: "batch" or "group".
        groups: Groups of "group".
        axis_name: Mapped axis over whose devices "batch" takes its statistics, or None.
        train: Whether "batch" takes the statistics of the batch and updates the running ones, or uses the running ones.
        dtype: Dtype of features.
    """

    norm: str
    groups: int
    axis_name: str | None
    train: bool
    dtype: Any

    def layer(self, channels: int, name: str) -> nn.Module:
        """Makes the layer, inside a compact method.

        Neither takes its variance fast, as a difference of squares, which is lost in float32 where a mean is far from zero.

        Args:
            channels: Channels of the features.
            name: Name of the layer in the tree of parameters.

        Returns:
            A batch normalisation (Ioffe, Szegedy, 2015, arXiv:1502.03167), or a group normalisation (Wu, He, 2018,
            arXiv:1803.08494) of as many groups as divide both `groups` and `channels`: attention gates have few channels.
        """
        if self.norm == "group":
            return nn.GroupNorm(
                num_groups=math.gcd(self.groups, channels),
                epsilon=_EPSILON,
                use_fast_variance=False,
                dtype=self.dtype,
                name=name,
            )
        return nn.BatchNorm(
            use_running_average=not self.train,
            momentum=_MOMENTUM,
            epsilon=_EPSILON,
            axis_name=self.axis_name,
            use_fast_variance=False,
            dtype=self.dtype,
            name=name,
        )


class Convolution(nn.Module):
    """A convolution with zero padding and a bias, initialised as PyTorch does.

    Weights and bias are uniform in `[-b, b]`, `b = 1 / sqrt(fan_in)`, `fan_in` the side of the kernel to the power of the
    spatial axes times the channels that come in. (PyTorch calls it Kaiming uniform with `a = sqrt(5)`.)

    Attributes:
        channels: Channels that come out.
        side: Side of the kernel, pixels.
        dtype: Dtype of the computation.
    """

    channels: int
    side: int
    dtype: Any

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Convolves `[B, *shape, C]` to `[B, *shape, channels]`."""
        kernel = (self.side,) * (features.ndim - 2)
        bound = 1 / math.sqrt(math.prod(kernel) * features.shape[-1])

        def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        convolved: jax.Array = nn.Conv(
            self.channels, kernel, kernel_init=uniform, bias_init=uniform, dtype=self.dtype, name="convolution"
        )(features)
        return convolved


class NormalisedConvolution(nn.Module):
    """A convolution and its normalisation, without an activation.

    Attributes:
        channels: Channels that come out.
        side: Side of the kernel, pixels.
        normalisation: How the result is normalised.
    """

    channels: int
    side: int
    normalisation: Normalisation

    @nn.compact
    def __call__(self, features: jax.Array, inside: jax.Array | None = None) -> jax.Array:
        """Maps `[B, *shape, C]` to `[B, *shape, channels]`."""
        mask = None
        if inside is not None:
            # To a convolution the image ends where it ends: beyond are zeros, as beyond a canvas.
            features = jnp.where(inside, features, jnp.zeros((), features.dtype))
            mask = jnp.broadcast_to(inside, (*features.shape[:-1], self.channels))
        features = Convolution(self.channels, self.side, self.normalisation.dtype, name="convolve")(features)
        normalised: jax.Array = self.normalisation.layer(self.channels, "normalise")(features, mask=mask)
        return normalised


class Encoder(nn.Module):
    """One stage: two 3x3 convolutions, each with normalisation and ReLU.

    Attributes:
        channels: Channels that come out.
        normalisation: How features are normalised.
    """

    channels: int
    normalisation: Normalisation

    @nn.compact
    def __call__(self, features: jax.Array, inside: jax.Array | None = None) -> jax.Array:
        """Maps `[B, *shape, C]` to `[B, *shape, channels]`."""
        for name in ("first", "second"):
            features = nn.relu(NormalisedConvolution(self.channels, 3, self.normalisation, name=name)(features, inside))
        return features


class AttentionGate(nn.Module):
    """Weighs every position of a skip connection by an additive attention between 0 and 1.

    `skip * sigmoid(N(psi relu(N(W_g gate) + N(W_x skip))))`, with 1x1 convolutions and a normalisation `N` after each.
    Oktay et al. gate with the coarser features and upsample the attention; here, as in the CWMI paper's network, the
    gate is the upsampled features, and each of the three convolutions is normalised.

    Attributes:
        normalisation: How features are normalised.

    References:
        Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", 2018, arXiv:1804.03999.
    """

    normalisation: Normalisation

    @nn.compact
    def __call__(self, skip: jax.Array, gate: jax.Array, inside: jax.Array | None = None) -> jax.Array:
        """Weighs `skip`, `[B, *shape, C]`, by its agreement with `gate`, `[B, *shape, C]`."""
        channels = max(skip.shape[-1] // 2, 1)
        from_gate = NormalisedConvolution(channels, 1, self.normalisation, name="gate")(gate, inside)
        from_skip = NormalisedConvolution(channels, 1, self.normalisation, name="skip")(skip, inside)
        attention = NormalisedConvolution(1, 1, self.normalisation, name="attention")(
            nn.relu(from_gate + from_skip), inside
        )
        return skip * nn.sigmoid(attention)


class Decoder(nn.Module):
    """One stage on the way up: upsampling, a 3x3 convolution, the skip connection and two more convolutions.

    Attributes:
        channels: Channels that come out; those of the skip connection.
        normalisation: How features are normalised.
        attention: Whether an `AttentionGate` weighs the skip connection.
    """

    channels: int
    normalisation: Normalisation
    attention: bool

    @nn.compact
    def __call__(self, features: jax.Array, skip: jax.Array, inside: jax.Array | None = None) -> jax.Array:
        """Maps `[B, *shape, C]` and the skip connection `[B, *(2 * shape), channels]` to the shape of the latter."""
        features = NormalisedConvolution(self.channels, 3, self.normalisation, name="upsampled")(
            upsample(features), inside
        )
        features = nn.relu(features)
        if self.attention:
            skip = AttentionGate(self.normalisation, name="attention_gate")(skip, features, inside)
        merged: jax.Array = Encoder(self.channels, self.normalisation, name="merged")(
            jnp.concatenate([skip, features], axis=-1), inside
        )
        return merged


def upsample(features: jax.Array) -> jax.Array:
    """Doubles each side of `[B, *shape, C]` by repeating every pixel."""
    for axis in range(1, features.ndim - 1):
        features = jnp.repeat(features, 2, axis=axis)
    return features


def downsample(features: jax.Array) -> jax.Array:
    """Halves each side, which is even, of `[B, *shape, C]` by the largest of every 2x2 (2x2x2) pixels."""
    window = (2,) * (features.ndim - 2)
    pooled: jax.Array = nn.max_pool(features, window, strides=window)
    return pooled


def inside_of(sides: jax.Array, shape: tuple[int, ...], *, multiple: int, stage: int) -> jax.Array:
    """Where the images on a canvas lie, of which each was made larger until `multiple` divides its sides.

    Args:
        sides: `[B, axes]`, of each image itself, pixels.
        shape: of the canvas at this stage.
        multiple: what the sides are rounded up to, in pixels of the images.
        stage: how often the canvas was halved.

    Returns:
        `[B, *shape, 1]`, bool.
    """
    ends = -(-sides // multiple) * multiple // 2**stage
    inside = jnp.ones((sides.shape[0], *shape), bool)
    for axis, side in enumerate(shape):
        along = [side if other == axis else 1 for other in range(len(shape))]
        end = ends[:, axis].reshape(-1, *(1 for _ in shape))
        inside &= jnp.arange(side, dtype=ends.dtype).reshape(1, *along) < end
    return inside[..., None]


def pad_to_multiple(images: jax.Array, multiple: int) -> jax.Array:
    """Repeats the last pixels of `[B, *shape, C]` along each side until `multiple` divides it."""
    for axis, side in enumerate(images.shape[1:-1], start=1):
        # jnp.pad slices every axis, which that of the batch does not allow on a mesh of explicit axes.
        if missing := -side % multiple:
            last = jax.lax.slice_in_dim(images, side - 1, side, axis=axis)
            images = jnp.concatenate([images, jnp.repeat(last, missing, axis=axis)], axis=axis)
    return images
