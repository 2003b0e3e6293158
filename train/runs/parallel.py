"""Data parallelism: one copy of the state on every device of every host, a part of each batch on each.

A batch is cut along its first axis; gradients, statistics of batch norms and scores
are averaged or summed over the axis "batch", so that every copy of the state stays the same.
"""

import functools
import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from train.runs.steps import Arrays, TrainState, eval_step, predict_step, train_step
from train.runs.terms import Terms

AXIS = "batch"

# Longer than any data set takes to prepare, or a network to test. Should a process end meanwhile, jax ends the others.
_PATIENCE_SECONDS = 7 * 24 * 3600
# Of whole images that a device evaluates at a time.
_WHOLE_PIXELS = 2**23
# A barrier's name serves once.
_barriers = itertools.count()


def join_hosts() -> None:
    """Joins the processes of a run on several hosts, if the environment tells of them.

    Set `JAX_COORDINATOR_ADDRESS` (host:port of the first process), `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`; on Slurm,
    Open MPI and TPU pods `JAX_COORDINATOR_ADDRESS=auto` finds out all three.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address is None:
        return
    if address == "auto":
        del os.environ["JAX_COORDINATOR_ADDRESS"]
        jax.distributed.initialize()
        return
    missing = [name for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID") if name not in os.environ]
    if missing:
        raise ValueError(f"JAX_COORDINATOR_ADDRESS is set, and so must be {' and '.join(missing)}")
    jax.distributed.initialize(address, int(os.environ["JAX_NUM_PROCESSES"]), int(os.environ["JAX_PROCESS_ID"]))


def check_batch_size(batch_size: int) -> None:
    """Raises a ValueError unless the devices can divide a batch."""
    if batch_size % jax.device_count():
        raise ValueError(
            f"batch_size must be a multiple of the {jax.device_count()} devices, got {batch_size}; "
            f"use {max(batch_size // jax.device_count(), 1) * jax.device_count()}, or fewer devices"
        )


def evaluated_together(batch_size: int, shape: Sequence[int], *, by_all: bool) -> int:
    """How many whole images go through the network at a time: as many as crops in training, and fewer where they are large.

    Args:
        batch_size: of training.
        shape: of the images, pixels.
        by_all: whether the devices of all processes share them, or those of this one.

    Returns:
        A multiple of the devices, each of which has one image at least.
    """
    devices = jax.device_count() if by_all else jax.local_device_count()
    of_each = min(-(-batch_size // devices), max(_WHOLE_PIXELS // math.prod(shape), 1))
    return devices * of_each


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def replicate(state: TrainState) -> TrainState:
    """A copy on every device of this process, as the parallel steps take it."""
    devices = jax.local_devices()
    copies = jax.tree.map(lambda leaf: np.broadcast_to(np.asarray(leaf), (len(devices), *np.shape(leaf))), state)
    # Put there by pmap itself: of arrays in any other place it would compile a second program.
    return jax.pmap(lambda state: state, axis_name=AXIS, devices=devices)(copies)


def to_host(state: TrainState) -> TrainState:
    """The state as NumPy arrays, from the first of its copies."""
    return jax.tree.map(lambda leaf: np.asarray(leaf.addressable_shards[0].data)[0], state)


def split_over_devices(batch: Arrays) -> Arrays:
    """Cuts this process's arrays `[B, ...]` into `[devices, B / devices, ...]`."""
    devices = jax.local_device_count()
    return jax.tree.map(lambda array: array.reshape(devices, -1, *array.shape[1:]), batch)


def parallel_train_step(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: Callable[..., jax.Array],
    ema: float,
    terms: Terms | None = None,
    observe_steps: int = 1,
) -> Callable[[TrainState, Arrays], tuple[TrainState, Arrays]]:
    """`train_step` on all devices, of a replicated state, which it uses up, and a batch split over the devices."""
    step = functools.partial(
        train_step,
        network=network,
        optimizer=optimizer,
        loss=loss,
        ema=ema,
        terms=terms,
        observe_steps=observe_steps,
        axis_name=AXIS,
    )
    return jax.pmap(step, axis_name=AXIS, donate_argnums=0)


def parallel_eval_step(network: nn.Module) -> Callable[[TrainState, Arrays], Arrays]:
    """`eval_step` on all devices; the sums of all hosts, on every device."""
    return jax.pmap(functools.partial(eval_step, network=network, axis_name=AXIS), axis_name=AXIS)


def parallel_predict_step(network: nn.Module) -> Callable[[TrainState, Any, Any], Any]:
    """`predict_step` of images and their sides on this process's devices."""
    step = functools.partial(predict_step, network=network)
    return jax.pmap(step, axis_name=AXIS, devices=jax.local_devices())


def first(values: Arrays) -> dict[str, float]:
    """Scalars of the first device as Python numbers."""
    return {name: float(np.asarray(value.addressable_shards[0].data)[0]) for name, value in values.items()}


def process_index() -> int:
    """Which of the processes this is, from 0."""
    return jax.process_index()


def process_count() -> int:
    """How many processes the run has."""
    return jax.process_count()


def can_read_each_others_programs() -> bool:
    """Whether all processes find in a shared folder what the first one compiled.

    On CPUs JAX looks for it by what is different in each process. The others would compile while the first waits for them
    in its first step, and gives up after 30 seconds.
    """
    return jax.process_count() == 1 or jax.default_backend() != "cpu"


def all_stop(requested: bool, step: int) -> bool:
    """Whether all processes are to stop after this step because one was asked to.

    Args:
        requested: whether this one was.
        step: the number of the step, the same in all.
    """
    if jax.process_count() == 1:
        return requested
    return bool(multihost_utils.reached_preemption_sync_point(step))


def all_agree(holds: bool) -> bool:
    """Whether something holds in all processes; each must ask."""
    if jax.process_count() == 1:
        return holds
    return bool(np.all(multihost_utils.process_allgather(np.asarray(holds))))


def wait_for_all() -> None:
    """Waits until every process has come here, a week at the most.

    Over the network between the processes and not between their devices, which gives up after 30 seconds on CPUs.
    """
    if jax.process_count() > 1:
        barrier = multihost.get_barrier_sync_fn()
        barrier(key=f"cwmi_jax {next(_barriers)}", timeout_ms=1000 * _PATIENCE_SECONDS)
