"""Skea-topo: skeleton-aware weights, and a term for the errors that change the topology."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.typing import ArrayLike
from scipy import ndimage

from cwmi_jax._cross_entropy import class_weights_of
from cwmi_jax._inputs import SegmentationInputs, pixel_map, reduce_images, segmentation_inputs
from cwmi_jax._meshes import batched
from cwmi_jax._settings import dimensions, flag
from cwmi_jax.losses.pixelwise import mean_under_weights, require_binary
from cwmi_jax.weight_maps import skeletons as skeletons_of

# Of the released code: the weight of the maps beside the class weights.
_MAP_WEIGHT = 10.0
_SQUARE = np.ones((3, 3), bool)


@batched(trailing=1)
def skea_topo(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weight_maps: ArrayLike | None = None,
    skeletons: ArrayLike | None = None,
    topology: bool = True,
    activation: str = "softmax",
    where: ArrayLike | None = None,
    spatial_dims: int = 2,
    reduction: str = "mean",
) -> jax.Array:
    """Skea-topo loss: cross entropy under skeleton-aware weights, plus `mean |p - t|` with a target t that keeps topology.

    The first term is `-sum_c sum W_c log p_c / sum_c sum W_c`. With the balanced class weights `c_0, c_1`, the maps
    `u_0, u_1`, and `T = 10 (1 - u_0) + c_1 y` within two pixels of the label, 0 where it does not exceed
    `V = 10 u_0 + c_0 (1 - y)`: `W_1 = 10 u_1 + c_1 y + T (1 - y)`, and `W_0 = V` where `T <= V`, 0 elsewhere.

    T asks for label 1 beside the label too, so that a saturated prediction pays for that margin even where it is right.

    The target t of the second is the prediction thresholded at 1/2, corrected where a wrong pixel breaks or joins
    components: a missed pixel where its 4-connected patch of missed pixels meets the skeleton of a predicted background
    component or, away from the prediction, that of the label; a false one, away from the label, that lies on the
    skeleton of a background component of the label or in a patch that meets the prediction's skeleton.

    The paper adds the second term from epoch 21. It is found by scikit-image on the host at every step, through
    `jax.pure_callback`: the devices wait for it, about a tenth of a second for an image of 512 x 512 pixels, and
    accelerators without host callbacks cannot run it. Under `jit` the masks of a batch that is spread over devices are
    gathered on the first of them, within `shard_map` they are not. `topology=False` needs no callback.

    Args:
        logits, labels, activation, where, spatial_dims, reduction: see `cwmi_jax.losses`, for results and errors too.
            C = 1 or 2, or any number of masks that overlap, and `spatial_dims=2`: the loss is defined for two classes and
            for images. For the second term labels above 1/2 are 1, and masked pixels are background.
        weight_maps: `u_0` and `u_1`, `[..., H, W, 2]`, of `cwmi_jax.weight_maps.skeleton_aware_weight_map`.
        skeletons: of the label's background components and of its foreground, bool `[..., H, W, 2]`, of
            `cwmi_jax.weight_maps.skeletons`; None has them found at every step too.
        topology: whether to add the second term.

    Returns:
        Nats a pixel plus the share of pixels to correct.

    Raises:
        ImportError: scikit-image is missing, for the second term.
        ValueError: more than two classes, or volumes.

    References:
        Liu et al., "Enhancing Boundary Segmentation for Topological Accuracy with Skeleton-based Methods", IJCAI 2024,
        arXiv:2404.18539.

    Examples:
        >>> from cwmi_jax.weight_maps import skeleton_aware_weight_map, skeletons
        >>> labels = jnp.zeros((16, 16), int).at[8].set(1)
        >>> maps = dict(weight_maps=skeleton_aware_weight_map(labels), skeletons=skeletons(labels))
        >>> missed = skea_topo(jnp.full((16, 16, 1), -0.1), labels, **maps)
        >>> found = skea_topo(jnp.where(labels == 1, 0.1, -0.1)[..., None], labels, **maps)
        >>> bool(found < missed)
        True
    """
    topology = flag("topology", topology)
    if dimensions(spatial_dims) != 2:
        raise ValueError(f"skea_topo is defined for images, spatial_dims=2, got {spatial_dims}")
    inputs = segmentation_inputs(logits, labels, activation=activation, where=where, spatial_dims=spatial_dims)
    require_binary("skea_topo", inputs)
    maps = pixel_map("weight_maps", weight_maps, inputs, channels=2)
    losses = mean_under_weights(inputs, _weights(inputs, maps))
    if topology:
        given = None if skeletons is None else pixel_map("skeletons", skeletons, inputs, channels=2) > 0
        losses = losses + _topology_term(inputs, given)
    return reduce_images(losses, inputs, reduction)


def _weights(inputs: SegmentationInputs, maps: jax.Array) -> jax.Array:
    """`W_0` and `W_1`, `[N, 2, H, W]`, 0 where masked."""
    y = inputs.targets
    u_background, u_border = maps[:, 0], maps[:, 1]
    c_background, c_foreground = (class_weights_of(inputs, "balanced")[:, c, None, None] for c in (0, 1))
    background = _MAP_WEIGHT * u_background + c_background * (1 - y)
    border = _MAP_WEIGHT * (1 - u_background) + c_foreground * y
    near = jax.lax.reduce_window(y, np.asarray(-np.inf, y.dtype), jax.lax.max, (1, 5, 5), (1, 1, 1), "SAME")
    border = border * near
    border = jnp.where(border > background, border, 0)
    of_foreground = _MAP_WEIGHT * u_border + c_foreground * y + border * (1 - y)
    of_background = jnp.where(border > background, 0, background)
    return inputs.inside(jnp.stack([of_background, of_foreground], axis=1))


def _topology_term(inputs: SegmentationInputs, skeletons: jax.Array | None) -> jax.Array:
    """Mean of `|p - t|` over unmasked pixels, `[N]`."""
    p = inputs.inside(jax.nn.sigmoid(inputs.logits))
    masks = jnp.stack([p > 0.5, inputs.targets > 0.5], axis=1)
    if skeletons is not None:
        masks = jnp.concatenate([masks, skeletons], axis=1)
    wrong = inputs.inside(_distance_from_targets(p, masks))
    return wrong.sum(axis=(1, 2)) / jnp.maximum(inputs.pixels, 1)


# Compiled, for a callback on its own is refused arrays that are spread over devices.
@jax.jit
def _distance_from_targets(p: jax.Array, masks: jax.Array) -> jax.Array:
    """`|p - t|`, `[N, H, W]`."""
    result = jax.ShapeDtypeStruct(p.shape, np.bool_)
    target = jax.pure_callback(topology_keeping_targets, result, masks, vmap_method="expand_dims")
    return jnp.where(target, 1 - p, p)


def topology_keeping_targets(masks: ArrayLike) -> npt.NDArray[np.bool_]:
    """What each pixel should be for the topology's sake, on the host.

    Args:
        masks: `[..., C, H, W]`, bool: prediction, label and, if C is 4, the label's skeletons of background and foreground.

    Returns:
        `[..., H, W]`.
    """
    masks = np.asarray(masks)
    *leading, channels, height, width = masks.shape
    images = masks.reshape(-1, channels, height, width)
    targets = [_topology_keeping_target(image[0], image[1], image[2:] if channels > 2 else None) for image in images]
    return np.reshape(targets, (*leading, height, width)).astype(bool)


def _topology_keeping_target(
    prediction: npt.NDArray[np.bool_], label: npt.NDArray[np.bool_], skeletons: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.bool_]:
    missed, false = label & ~prediction, prediction & ~label
    predicted_background, predicted_foreground = np.moveaxis(skeletons_of(prediction), -1, 0)
    background, foreground = np.moveaxis(skeletons_of(label), -1, 0) if skeletons is None else skeletons
    near_prediction, near_label = (ndimage.binary_dilation(mask, _SQUARE) for mask in (prediction, label))
    critical_missed = _patches(missed, predicted_background | (foreground & ~near_prediction))
    critical_false = (false & background) | _patches(false, predicted_foreground & ~near_label)
    return (prediction | critical_missed) & ~(critical_false & ~near_label)


def _patches(mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The 4-connected components of a mask that hold a seed."""
    components, count = ndimage.label(mask)
    held = np.zeros(count + 1, bool)
    held[components[seeds & mask]] = True
    return held[components]
