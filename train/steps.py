"""One step of training and one of evaluation: pure functions, to be wrapped in `jax.jit` by the caller."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax.training.train_state import TrainState

from train.data import Batch

LossFunction: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]


def train_step(state: TrainState, batch: Batch, loss_function: LossFunction) -> tuple[TrainState, jax.Array]:
    """Takes one optimizer step.

    Args:
        state: State before the step.
        batch: Images `[B, H, W, C]` and labels `[B, H, W]`.
        loss_function: Function of logits and labels with a scalar; static under `jax.jit`.

    Returns:
        State after the step, and the loss before it, scalar.
    """

    def objective(parameters: dict[str, jax.Array]) -> jax.Array:
        return loss_function(state.apply_fn({"params": parameters}, batch.images), jnp.asarray(batch.labels))

    loss, gradients = jax.value_and_grad(objective)(state.params)
    return state.apply_gradients(grads=gradients), loss


def eval_step(state: TrainState, images: jax.Array) -> jax.Array:
    """Predicts the probability of the foreground.

    Args:
        state: State whose parameters are used.
        images: `[B, H, W, C]`.

    Returns:
        Probabilities, `[B, H, W]`.
    """
    logits = state.apply_fn({"params": state.params}, images)
    return jax.nn.sigmoid(logits[..., 0])
