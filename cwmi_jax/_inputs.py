"""The front door: shapes, dtypes, masks and classes, checked and brought to one form.

Sizes and dtypes are checked always, values only where they can be seen, that is outside `jit` and its like.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cwmi_jax._labels import targets_of_classes, targets_of_masks, unnarrowed
from cwmi_jax._meshes import vary_alike
from cwmi_jax._settings import choice, dimensions

ACTIVATIONS = ("softmax", "sigmoid")
REDUCTIONS = ("mean", "none")


class SegmentationInputs(NamedTuple):
    """Logits and labels of `N` images in the form that losses compute with.

    One class (sigmoid) and two (softmax) are the same thing, and come as one channel without an axis of its own:
    `logits` is the log odds of class 1 and `targets` its probability. Each of several masks that may overlap is an image of
    one channel here, and those of one image come one after the other.

    Attributes:
        logits: `[N, *shape]`, or `[N, *shape, C]` for C > 2, float32 or float64; 0 where masked. They may be infinite.
        targets: probabilities of the classes, of the logits' shape and dtype; 0 where masked.
        where: `[N, *shape]` bool, or None where nothing is masked.
        leading: the batch axes that `N` stands for.
        masks: how many that may overlap each image has, for which `N` stands too; None for classes.
        spatial_dims: how many axes `shape` has.
    """

    logits: jax.Array
    targets: jax.Array
    where: jax.Array | None
    leading: tuple[int, ...]
    masks: int | None
    spatial_dims: int

    @property
    def binary(self) -> bool:
        """Whether there is one channel, without an axis."""
        return self.logits.ndim == self.spatial_dims + 1

    @property
    def classes(self) -> int:
        """How many classes there are; 2 where there is one channel."""
        return 2 if self.binary else self.logits.shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image, in pixels."""
        return self.logits.shape[1 : self.spatial_dims + 1]

    @property
    def pixels(self) -> jax.Array:
        """How many pixels of each image are not masked, `[N]`, in the logits' dtype."""
        count, dtype = self.logits.shape[0], self.logits.dtype
        if self.where is None:
            return jnp.full(count, math.prod(self.shape), dtype)
        return self.where.reshape(count, -1).sum(axis=1).astype(dtype)

    def inside(self, values: jax.Array) -> jax.Array:
        """Sets what is masked to 0 in `[N, *shape]` or `[N, C, *shape]`."""
        if self.where is None:
            return values
        where = self.where if values.ndim == self.where.ndim else self.where[:, None]
        return jnp.where(where, values, 0)

    def by_mask(self, values: jax.Array) -> jax.Array:
        """`[N, ...]` as `[images, masks, ...]`, for masks."""
        return values.reshape(math.prod(self.leading), self.masks, *values.shape[1:])

    def class_targets(self) -> jax.Array:
        """Targets of every class, `[N, C, *shape]`, two classes for one channel; 0 where masked."""
        if self.binary:
            return self.inside(jnp.stack([1 - self.targets, self.targets], axis=1))
        return jnp.moveaxis(self.targets, -1, 1)

    def class_probabilities(self) -> jax.Array:
        """Predicted probabilities of every class, as `class_targets`."""
        if self.binary:
            return self.inside(jax.nn.sigmoid(jnp.stack([-self.logits, self.logits], axis=1)))
        return self.inside(jnp.moveaxis(jax.nn.softmax(self.logits), -1, 1))

    def compared_classes(self, *, keep: bool = True) -> tuple[jax.Array, jax.Array]:
        """Targets and probabilities of each class that is compared with the rest, `[N, C, *shape]`; 0 where masked.

        All of them, but for one channel class 1 alone, `C = 1`: class 0 is its mirror image. Without `keep` probabilities
        are computed again for the gradient.
        """
        activation = jax.nn.sigmoid if self.binary else jax.nn.softmax
        p = (activation if keep else jax.checkpoint(activation))(self.logits)
        if self.binary:
            return self.targets[:, None], self.inside(p)[:, None]
        return self.class_targets(), self.inside(jnp.moveaxis(p, -1, 1))

    def foreground_classes(self) -> tuple[jax.Array, jax.Array]:
        """`compared_classes` without class 0, the background, `[N, C - 1, *shape]`; of one channel the same."""
        targets, p = self.compared_classes()
        return (targets, p) if self.binary else (targets[:, 1:], p[:, 1:])


def segmentation_inputs(
    logits: ArrayLike, labels: ArrayLike, *, activation: str, where: ArrayLike | None, spatial_dims: int
) -> SegmentationInputs:
    """Checks the arguments that every loss shares; see `cwmi_jax.losses` for them."""
    spatial_dims = dimensions(spatial_dims)
    overlapping = choice("activation", activation, ACTIVATIONS) == "sigmoid"
    logits, labels = jnp.asarray(logits), unnarrowed(labels)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"logits must be floating point, got {logits.dtype}; give the network's output before argmax")
    if logits.ndim < spatial_dims + 1 or 0 in logits.shape:
        axes = "[..., H, W, C]" if spatial_dims == 2 else "[..., D, H, W, C]"
        raise ValueError(f"logits must be {axes} with spatial_dims={spatial_dims}, got the shape {logits.shape}")
    *images, classes = logits.shape
    leading, shape = tuple(images[:-spatial_dims]), tuple(images[-spatial_dims:])
    known = None if where is None else _known_pixels(where, logits.shape, overlapping)
    dtype = _wide(logits.dtype)

    targets = (targets_of_masks if overlapping else targets_of_classes)(labels, logits.shape, known, dtype)
    logits = logits.astype(dtype)
    if overlapping:
        logits, targets = (_masks_first(array, leading, shape) for array in (logits, targets))
        known = None if known is None else _masks_first(known, leading, shape)
    elif classes == 1:
        logits, targets = logits[..., 0], targets[..., 0]
    else:
        logits = finite(logits)
        if classes == 2:
            logits, targets = logits[..., 1] - logits[..., 0], targets[..., 1]
    if known is not None:
        inside = known if known.ndim == logits.ndim else known[..., None]
        logits, targets = jnp.where(inside, logits, 0), jnp.where(inside, targets, 0)
    stacked = (*leading, classes) if overlapping else leading

    def batch(array: jax.Array) -> jax.Array:
        return array.reshape(math.prod(stacked), *array.shape[len(stacked) :])

    logits, targets, known = vary_alike(batch(logits), batch(targets), None if known is None else batch(known))
    # Without the barrier XLA computes in the shape that the logits came in, and an axis of one class at the end keeps it
    # from using vector instructions.
    logits = jnp.asarray(jax.lax.optimization_barrier(logits))
    return SegmentationInputs(logits, targets, known, leading, classes if overlapping else None, spatial_dims)


@jax.custom_jvp
def finite(logits: jax.Array) -> jax.Array:
    """Infinite logits as such large ones that what is computed from them is a number, with the derivatives of the limit."""
    # A quarter of the range, for differences of two are taken, twice.
    most = jnp.finfo(logits.dtype).max / 4
    return jnp.clip(logits, -most, most)


@finite.defjvp
def _finite_jvp(primals, tangents):
    return finite(*primals), *tangents


def pixel_map(
    name: str, values: ArrayLike | None, inputs: SegmentationInputs, channels: int | None = None
) -> jax.Array:
    """Checks what a loss is told about each pixel, such as a weight.

    Args:
        name: of the argument, for the error.
        values: real, `[..., *shape]`, or `[..., *shape, channels]`; for masks `[..., *shape, C]`, or
            `[..., *shape, C, channels]`.
        inputs: of the loss.
        channels: None for one value a pixel.

    Returns:
        `[N, *shape]`, or `[N, channels, *shape]`, in the logits' dtype; 0 where masked.
    """
    leading, shape = inputs.leading, inputs.shape
    own = () if channels is None else (channels,)
    wanted = (*leading, *shape, *(() if inputs.masks is None else (inputs.masks,)), *own)
    if values is None:
        raise ValueError(f"{name} is needed, of shape {wanted}; cwmi_jax.weight_maps makes it from the labels")
    array = jnp.asarray(values)
    if inputs.masks == 1 and array.shape == (*leading, *shape, *own):
        array = array.reshape(wanted)
    if array.shape != wanted:
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}")
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must be real, got {array.dtype}")
    if inputs.masks is not None:
        array = _masks_first(array, leading, shape)
    array = array.astype(inputs.logits.dtype).reshape(inputs.logits.shape[0], *shape, *own)
    return inputs.inside(array if channels is None else jnp.moveaxis(array, -1, 1))


def image_pair(
    y: ArrayLike, p: ArrayLike, *, where: ArrayLike | None, spatial_dims: int
) -> tuple[jax.Array, jax.Array, tuple[int, ...]]:
    """Checks two real images `[..., *shape]` and returns them as `[N, *shape]`, masked, with their leading axes."""
    spatial_dims = dimensions(spatial_dims)
    y, p = real_image("y", y, spatial_dims), real_image("p", p, spatial_dims)
    if y.shape != p.shape:
        raise ValueError(f"y and p must have one shape, got {y.shape} and {p.shape}")
    dtype = np.promote_types(y.dtype, p.dtype)
    y, p = y.astype(dtype), p.astype(dtype)
    if where is not None:
        known = _checked_where(where, y.shape, "the images")
        y, p = jnp.where(known, y, 0), jnp.where(known, p, 0)
    leading, shape = y.shape[:-spatial_dims], y.shape[-spatial_dims:]
    batches = vary_alike(*(image.reshape(math.prod(leading), *shape) for image in (y, p)))
    return batches[0], batches[1], leading


def real_image(name: str, image: ArrayLike, spatial_dims: int) -> jax.Array:
    """Checks a real image `[..., *shape]` and widens it to float32, or float64 if it is that."""
    image = jnp.asarray(image)
    if jnp.issubdtype(image.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must be real, got {image.dtype}")
    if image.ndim < spatial_dims or 0 in image.shape:
        raise ValueError(f"{name} must have {spatial_dims} spatial axes at the end, got the shape {image.shape}")
    return image.astype(_wide(image.dtype))


def reduce_images(values: jax.Array, inputs: SegmentationInputs, reduction: str) -> jax.Array:
    """Brings one value an image, `[N]`, to what `reduction` asks for.

    Args:
        values: `[N]`; of masks, an image's is their mean.
        inputs: what they were computed from. Images that are wholly masked have the value 0 and no part in a mean.
        reduction: "mean" for a scalar, "none" for the leading axes of the inputs; one of `REDUCTIONS`.
    """
    reduction = choice("reduction", reduction, REDUCTIONS)
    seen = inputs.pixels > 0
    values = jnp.where(seen, values, 0)
    if inputs.masks is not None:
        values, seen = inputs.by_mask(values), inputs.by_mask(seen)
        values, seen = mean_of_seen(values, seen, axis=1), seen.any(axis=1)
    if reduction == "none":
        return values.reshape(inputs.leading)
    return mean_of_seen(values, seen)


def mean_of_seen(values: jax.Array, seen: jax.Array, axis: int | None = None) -> jax.Array:
    """Mean over those that are seen, of values that are 0 where they are not; 0 where none is."""
    return values.sum(axis) / jnp.maximum(seen.sum(axis), 1).astype(values.dtype)


def check_where(where: np.ndarray | jax.Array, shape: tuple[int, ...], whose: str) -> None:
    """Raises unless `where` is bool and has a shape, which is that of `whose`."""
    if where.dtype != bool:
        raise TypeError(f"where must be bool, got {where.dtype}; compare it, as in `labels != 255`")
    if where.shape != shape:
        raise ValueError(f"where must have the shape of {whose}, {shape}, got {where.shape}")


def _wide(dtype: np.dtype) -> np.dtype:
    """float64 for float64, float32 for everything else."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def _known_pixels(where: ArrayLike, shape: tuple[int, ...], overlapping: bool) -> jax.Array:
    """Which pixels of logits of a shape `[..., *shape, C]` count: `[..., *shape]`, or for masks of the logits' shape."""
    if overlapping and np.ndim(where) == len(shape):
        return _checked_where(where, shape, "the logits")
    known = _checked_where(where, shape[:-1], "the logits less the classes")
    return jnp.broadcast_to(known[..., None], shape) if overlapping else known


def _checked_where(where: ArrayLike, shape: tuple[int, ...], whose: str) -> jax.Array:
    where = jnp.asarray(where)
    check_where(where, shape, whose)
    return where


def _masks_first(array: jax.Array, leading: tuple[int, ...], shape: tuple[int, ...]) -> jax.Array:
    """`[*leading, *shape, C, ...]` as `[*leading, C, *shape, ...]`."""
    return jnp.moveaxis(array, len(leading) + len(shape), len(leading))
