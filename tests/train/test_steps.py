"""Steps of training and evaluation."""

import jax
import numpy as np
import pytest

from train.config import CWMIConfig, ModelConfig, OptimizerConfig
from train.data import Batch
from train.losses import compared_losses
from train.state import create_optimizer, create_state
from train.steps import eval_step, train_step

LOSSES = compared_losses(CWMIConfig(levels=2, orientations=2))
STEPS = 20
JITTED_STEP = jax.jit(train_step, static_argnames="loss_function")


@pytest.fixture(scope="module")
def batch():
    """Noisy discs."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    labels = np.stack([(rows - 16) ** 2 + (columns - 16) ** 2 < radius**2 for radius in (5, 8)]).astype(np.int32)
    images = labels + 0.3 * rng.standard_normal(labels.shape)
    return Batch(images[..., None].astype(np.float32), labels)


def start(seed):
    model, optimizer = ModelConfig(width=4, depth=1, groups=2), OptimizerConfig(3e-2)
    return create_state(seed, model, optimizer, STEPS, (32, 32, 1))


def run(batch, loss_function, state):
    losses = []
    for _ in range(STEPS):
        state, loss = JITTED_STEP(state, batch, loss_function=loss_function)
        losses.append(float(loss))
    return state, losses


@pytest.fixture(scope="module")
def initial():
    return start(0)


@pytest.fixture(scope="module")
def trained(batch, initial):
    """State and losses of a run with cross entropy."""
    return run(batch, LOSSES["cross entropy"], initial)


def test_cross_entropy_of_one_batch_falls_below_half(trained):
    state, losses = trained
    assert losses[-1] < 0.5 * losses[0]
    assert int(state.step) == STEPS


def test_cwmi_of_one_batch_falls_with_every_fifth_step(batch, initial):
    _, losses = run(batch, LOSSES["CWMI"], initial)
    # CWMI is a log determinant with no natural zero, so differences are what can be told of it, not ratios.
    assert np.all(np.diff(losses[::5]) < 0)
    assert losses[-1] < losses[0] - 1


def test_a_run_is_its_seed(batch, initial, trained):
    jax.tree.map(np.testing.assert_array_equal, start(0).params, initial.params)
    state, losses = run(batch, LOSSES["cross entropy"], initial)
    assert losses == trained[1]
    jax.tree.map(np.testing.assert_array_equal, state.params, trained[0].params)
    kernels = [parameters["Conv_0"]["kernel"] for parameters in (initial.params, start(1).params)]
    assert np.abs(kernels[0] - kernels[1]).min() > 0


def test_eval_step_is_the_sigmoid_of_the_logits(batch, trained):
    state, _ = trained
    logits = np.asarray(state.apply_fn({"params": state.params}, batch.images), np.float64)
    np.testing.assert_allclose(eval_step(state, batch.images), 1 / (1 + np.exp(-logits[..., 0])), rtol=1e-4, atol=1e-6)


def test_first_adam_step_moves_each_weight_by_the_learning_rate_and_the_last_stands_still():
    optimizer = create_optimizer(OptimizerConfig(learning_rate=0.1, gradient_norm=5.0), steps=2)
    weights = {"w": np.zeros(3, np.float32)}
    state = optimizer.init(weights)
    moves = []
    for _ in range(3):
        update, state = optimizer.update({"w": np.array([1e3, -2e3, 3e3], np.float32)}, state, weights)
        moves.append(np.asarray(update["w"]))
    np.testing.assert_allclose(moves[0], [-0.1, 0.1, -0.1], rtol=1e-4)
    np.testing.assert_allclose(moves[2], 0.0, atol=1e-9)
