"""The optimizer: learning rates worked out by hand, clipping, decay, accumulation."""

import jax.numpy as jnp
import numpy as np
import optax

from train.config import OptimizerConfig
from train.runs.optimizer import create_optimizer, learning_rate


def rates(config, steps, epochs=50, epoch_steps=7):
    schedule = learning_rate(config, epochs, epoch_steps)
    return [float(schedule(step)) for step in steps]


def test_the_paper_s_rate_falls_to_four_fifths_every_ten_epochs():
    found = rates(OptimizerConfig(), [0, 69, 70, 139, 140, 349])
    np.testing.assert_allclose(found, [1e-4, 1e-4, 0.8e-4, 0.8e-4, 0.64e-4, 0.4096e-4], rtol=1e-5)


def test_a_warm_up_rises_to_the_rate_and_leaves_the_steps_where_they_are():
    found = rates(OptimizerConfig(warmup_epochs=2), [0, 7, 14, 69, 70])
    np.testing.assert_allclose(found, [0, 0.5e-4, 1e-4, 1e-4, 0.8e-4], rtol=1e-5, atol=1e-12)


def test_cosine_falls_to_nothing_at_the_end_of_the_run():
    found = rates(OptimizerConfig(schedule="cosine"), [0, 175, 350])
    np.testing.assert_allclose(found, [1e-4, 0.5e-4, 0], rtol=1e-5, atol=1e-11)
    warm = rates(OptimizerConfig(schedule="cosine", warmup_epochs=10), [35, 70, 210, 350])
    np.testing.assert_allclose(warm, [0.5e-4, 1e-4, 0.5e-4, 0], rtol=1e-5, atol=1e-11)


def test_constant_stays():
    assert rates(OptimizerConfig(schedule="constant", learning_rate=0.5), [0, 349]) == [0.5, 0.5]


def test_a_warm_up_of_nearly_all_epochs_leaves_a_step():
    schedule = learning_rate(OptimizerConfig(schedule="cosine", warmup_epochs=2.99), 3, 10)
    np.testing.assert_allclose(
        [schedule(28), schedule(29), schedule(30)], [28 / 29 * 1e-4, 1e-4, 0], rtol=1e-5, atol=1e-11
    )


def steps(config, gradients):
    """Parameter after each gradient, from 1."""
    optimizer = create_optimizer(config, optax.constant_schedule(0.1))
    value = jnp.ones(())
    state, values = optimizer.init(value), []
    for gradient in gradients:
        update, state = optimizer.update(jnp.asarray(gradient), state, value)
        value = optax.apply_updates(value, update)
        values.append(float(value))
    return values


def test_clipping_keeps_a_large_gradient_out_of_adam_s_memory():
    """A gradient of 500 counts as 5, so that 5 and then 5 are two equal steps of the learning rate."""
    np.testing.assert_allclose(steps(OptimizerConfig(), [500.0, 5.0]), [0.9, 0.8], rtol=1e-5)
    unclipped = steps(OptimizerConfig(clip_norm=0.0), [500.0, 5.0])
    # By hand: mean (0.1 * 5 + 0.09 * 500) / 0.19, square (0.001 * 25 + 0.000999 * 250000) / 0.001999.
    second = (0.5 + 45) / 0.19 / np.sqrt((0.025 + 249.75) / 0.001999)
    np.testing.assert_allclose(unclipped, [0.9, 0.9 - 0.1 * second], rtol=1e-4)


def test_adamw_shrinks_the_parameters_besides():
    config = OptimizerConfig(name="adamw", weight_decay=0.5)
    np.testing.assert_allclose(steps(config, [1.0]), [1 - 0.1 * (1 + 0.5)], rtol=1e-5)


def test_accumulation_takes_one_step_of_the_mean_gradient():
    found = steps(OptimizerConfig(accumulate=2, clip_norm=0.0), [1.0, 3.0, 2.0])
    expected = steps(OptimizerConfig(clip_norm=0.0), [2.0])
    np.testing.assert_allclose(found, [1.0, expected[0], expected[0]], rtol=1e-6)
