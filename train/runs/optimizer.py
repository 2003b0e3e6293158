"""The optimizer of a run: Adam as in the paper, or AdamW, with its schedule, clipping and accumulation."""

import jax
import optax

from train.config import OptimizerConfig

_ROUNDING = 1e-5


def learning_rate(config: OptimizerConfig, epochs: int, epoch_steps: int) -> optax.Schedule:
    """The learning rate at each step.

    Args:
        config: schedule and its settings.
        epochs: how many the run has.
        epoch_steps: batches in an epoch.

    Returns:
        Function of the batches before the step.
    """
    steps = epochs * epoch_steps
    warmup = min(round(config.warmup_epochs * epoch_steps), steps - 1)
    if config.schedule == "steps":
        decay = optax.exponential_decay(
            config.learning_rate, config.decay_epochs * epoch_steps, config.decay, staircase=True
        )

        # Counted from the start of the run, with a warm-up as without.
        def falling(step: jax.Array) -> jax.Array:
            return decay(step + warmup)
    elif config.schedule == "cosine":
        falling = optax.cosine_decay_schedule(config.learning_rate, steps - warmup)
    else:
        falling = optax.constant_schedule(config.learning_rate)
    if not warmup:
        return falling
    rising = optax.linear_schedule(0.0, config.learning_rate, warmup)
    return optax.join_schedules([rising, falling], [warmup])


def longer_in_words(config: OptimizerConfig, epochs: tuple[int, int], epoch_steps: int, step: int) -> str:
    """What becomes of the learning rate when a run gets more epochs.

    Args:
        config: schedule and its settings.
        epochs: how many the run had, and has.
        epoch_steps: batches in an epoch.
        step: batches seen so far.
    """
    before, after = (learning_rate(config, count, epoch_steps) for count in epochs)
    was, will = float(before(max(step - 1, 0))), float(after(step))
    change = f"rises again, from {was:.3g} to {will:.3g}" if will > was * (1 + _ROUNDING) else f"goes on at {will:.3g}"
    return f"the learning rate {change}, as in a run that had {epochs[1]} from the start"


def create_optimizer(config: OptimizerConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Clipping, then Adam or AdamW, once every `config.accumulate` batches.

    CWMI is a sum of log determinants over scales, with gradients far larger than those of cross entropy: without the
    clipping a few early batches would fill Adam's second moment and hold later steps back.

    Args:
        config: its settings.
        schedule: as returned by `learning_rate`, a function of the batches, of which the optimizer takes
            `config.accumulate` a step.
    """

    def by_step(step: jax.Array) -> jax.Array:
        return schedule(step * config.accumulate)

    decay = config.weight_decay
    adam = optax.adamw(by_step, weight_decay=decay) if config.name == "adamw" else optax.adam(by_step)
    clip = optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity()
    optimizer = optax.chain(clip, adam)
    if config.accumulate == 1:
        return optimizer
    return optax.MultiSteps(optimizer, config.accumulate).gradient_transformation()
