"""One step of training, of evaluation and of prediction: pure functions, to be compiled by `train.runs.parallel`."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from cwmi_jax.metrics import confusion_matrix, dice_from_confusion, iou_from_confusion
from train.runs.terms import Terms, observe
from train.scores import present_classes

Arrays = dict[str, Any]


class TrainState(flax.struct.PyTreeNode):
    """Everything that a step changes.

    Attributes:
        step: batches seen, int32.
        params: the network's parameters.
        batch_statistics: running statistics of its batch norms; empty without.
        optimizer: state of the optimizer.
        ema: running mean of the parameters, which is evaluated in their place; None without.
    """

    step: jax.Array
    params: Any
    batch_statistics: Any
    optimizer: Any
    ema: Any


def create_state(
    network: nn.Module,
    optimizer: optax.GradientTransformation | None,
    seed: int,
    image_shape: tuple[int, ...],
    *,
    ema: bool,
) -> TrainState:
    """The state before the first step.

    Args:
        network: a Flax module, see `train.models`.
        optimizer: an optax transformation; None for a state without that of an optimizer.
        seed: what the weights are drawn from; the same seed gives the same weights on one kind of device.
        image_shape: `[*shape, channels]` of one image; parameters do not depend on its sides.
        ema: whether to keep a running mean of the parameters.
    """

    @jax.jit
    def create(key: jax.Array) -> TrainState:
        variables = network.init(key, jnp.zeros((1, *image_shape)), train=False)
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_statistics=variables.get("batch_stats", {}),
            optimizer=() if optimizer is None else optimizer.init(params),
            ema=params if ema else None,
        )

    # Threefry, jax's default, takes over ten seconds to compile on a CPU; rbg takes two.
    return create(jax.random.key(seed, impl="rbg"))


def train_step(
    state: TrainState,
    batch: Arrays,
    *,
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: Callable[..., jax.Array],
    ema: float,
    terms: Terms | None = None,
    observe_steps: int = 1,
    axis_name: str | None = None,
) -> tuple[TrainState, Arrays]:
    """Takes one step.

    Args:
        state: before the step.
        batch: `images [B, *shape, channels]`, `labels [B, *shape]`, `where [B, *shape]`, and `maps`, keyword of the loss ->
            array.
        network: a Flax module, see `train.models`.
        optimizer: an optax transformation.
        loss: function of logits, labels, `where` and the maps, a scalar.
        ema: decay of the running mean of parameters, if the state has one.
        terms: what of the loss is observed; None for nothing.
        observe_steps: every how many steps.
        axis_name: name of the devices that split the batch in equal parts; None for one device.

    Returns:
        The state after it; `loss` before it, `gradient_norm` before clipping, and with `terms` what
        `train.runs.terms.observe` finds, scalars over the whole batch.
    """

    def forward(params: Any) -> tuple[jax.Array, Any]:
        logits, updates = network.apply(
            {"params": params, "batch_stats": state.batch_statistics},
            batch["images"],
            train=True,
            mutable=["batch_stats"],
        )
        return logits, updates.get("batch_stats", {})

    def objective(logits: jax.Array) -> jax.Array:
        return loss(logits, batch["labels"], where=batch["where"], **batch["maps"])

    logits, pull_back, batch_statistics = jax.vjp(forward, state.params, has_aux=True)
    value, of_logits = jax.value_and_grad(objective)(logits)
    (gradients,) = pull_back(of_logits)
    observed: Arrays = {}
    if terms is not None:
        due = (state.step + 1) % observe_steps == 0
        observed = observe(terms, batch, logits, of_logits, due=due, axis_name=axis_name)
    if axis_name is not None:
        value, gradients, batch_statistics = jax.lax.pmean((value, gradients, batch_statistics), axis_name)
    updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    mean = None if state.ema is None else optax.incremental_update(params, state.ema, 1 - ema)
    after = state.replace(
        step=state.step + 1, params=params, batch_statistics=batch_statistics, optimizer=optimizer_state, ema=mean
    )
    return after, {"loss": value, "gradient_norm": optax.tree.norm(gradients), **observed}


def predict_step(
    state: TrainState, images: jax.Array, sides: jax.Array | None = None, *, network: nn.Module
) -> jax.Array:
    """Probabilities of the classes, `[B, *shape, C]` float32, of the evaluated parameters; C is 1 for two classes.

    `sides` is for images that were padded, see `evaluated_logits`.
    """
    logits = evaluated_logits(state, images, network, sides)
    return jax.nn.sigmoid(logits) if logits.shape[-1] == 1 else jax.nn.softmax(logits)


def predicted_classes(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int32]:
    """Classes `[...]` of probabilities `[..., C]`: with C = 1 class 1 above one half, else the first of the greatest."""
    if probabilities.shape[-1] == 1:
        return (probabilities[..., 0] > 0.5).astype(np.int32)
    return probabilities.argmax(axis=-1).astype(np.int32)


def eval_step(state: TrainState, batch: Arrays, *, network: nn.Module, axis_name: str | None = None) -> Arrays:
    """Scores of a batch as sums, which add up over batches and devices; images without a pixel in `where` are not there.

    Args:
        state: whose running mean of parameters is used, or its parameters without.
        batch: `images`, `labels` and `where`, as for `train_step`, and `sides [B, axes]` of the images before padding.
        network: a Flax module, see `train.models`.
        axis_name: name of the devices that split the batch.

    Returns:
        `images`, how many, and the sums over them of `mIoU` and `mDice`, means over the classes of each image: both of two,
        and of more those that its label or its prediction has.
    """
    logits = evaluated_logits(state, batch["images"], network, batch["sides"])
    classes = max(logits.shape[-1], 2)
    count = jax.vmap(lambda z, y, w: confusion_matrix(z, y, num_classes=classes, where=w))
    confusion = count(logits, batch["labels"], batch["where"])
    seen = confusion.sum(axis=(1, 2)) > 0
    present = present_classes(confusion)
    scores = {"mIoU": iou_from_confusion(confusion), "mDice": dice_from_confusion(confusion)}
    number = jnp.maximum(present.sum(axis=-1), 1)
    means = {name: score.sum(axis=-1, where=present) / number for name, score in scores.items()}
    sums = {name: jnp.where(seen, mean, 0).sum() for name, mean in means.items()}
    sums["images"] = seen.sum()
    return sums if axis_name is None else jax.lax.psum(sums, axis_name)


def evaluated_logits(
    state: TrainState, images: jax.Array, network: nn.Module, sides: jax.Array | None = None
) -> jax.Array:
    """Logits `[B, *shape, C]` of the running mean of parameters, or of the parameters without one.

    Images that were padded to one canvas have, with their own `sides [B, axes]`, the logits that each has by itself.
    """
    params = state.params if state.ema is None else state.ema
    variables = {"params": params, "batch_stats": state.batch_statistics}
    return jnp.asarray(network.apply(variables, images, train=False, sides=sides))
