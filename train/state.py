"""Parameters, optimizer and their joint state."""

import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState

from train.config import ModelConfig, OptimizerConfig
from train.models import UNet


def create_state(
    seed: int, model: ModelConfig, optimizer: OptimizerConfig, steps: int, image_shape: tuple[int, ...]
) -> TrainState:
    """Creates the state of a run at step 0.

    Args:
        seed: Seed of the initial weights. The same seed gives the same weights on one kind of device.
        model: Size of the network.
        optimizer: Step size and clipping.
        steps: Steps over which the step size decays to zero.
        image_shape: Shape of one image, `(H, W, C)`.

    Returns:
        The state.
    """
    network = UNet(width=model.width, depth=model.depth, groups=model.groups)
    # Threefry, jax's default, takes over ten seconds to compile on a CPU; rbg takes two.
    key = jax.random.key(seed, impl="rbg")
    # Compiled as one program: operation by operation, the initialisation takes seconds.
    parameters = jax.jit(network.init)(key, jnp.zeros((1, *image_shape)))["params"]
    adam = create_optimizer(optimizer, steps)
    # The step is an array from the start: with TrainState.create's Python 0 the second step would be compiled anew.
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        apply_fn=network.apply,
        params=parameters,
        tx=adam,
        opt_state=jax.jit(adam.init)(parameters),
    )


def create_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """Creates Adam with clipped gradients and a cosine decay.

    CWMI is a sum of log determinants over scales, with gradients far larger than those of cross entropy: without the
    clipping a few early batches would fill Adam's second moment and hold later steps back.

    Args:
        config: Step size and clipping.
        steps: Steps over which the step size decays to zero.

    Returns:
        The optimizer.
    """
    schedule = optax.cosine_decay_schedule(config.learning_rate, steps)
    return optax.chain(optax.clip_by_global_norm(config.gradient_norm), optax.adam(schedule))
