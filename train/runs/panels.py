"""What a network makes of some images of a run, and where its loss pulls, to be drawn by `train.runs.pictures`."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np

from train.batches.batch import Batch, one_of, step_arrays, unpadded
from train.batches.pipeline import Loading, evaluation_batches
from train.datasets import Indices, largest_shape
from train.runs.phases import Phase
from train.runs.pictures import Picture, Shown, draw_panels
from train.runs.setup import Setup
from train.runs.steps import Arrays, TrainState, evaluated_logits, predict_step


def logit_gradients(
    state: TrainState, batch: Arrays, *, network: nn.Module, loss: Callable[..., jax.Array]
) -> jax.Array:
    """Gradient of the loss with respect to the logits: which pixels the loss pulls, and how much.

    Args:
        state: whose evaluated parameters are used.
        batch: as `train.batches.batch.step_arrays` makes it.
        network: a Flax module, see `train.models`.
        loss: function of logits, labels, `where` and the maps, a scalar.

    Returns:
        `[B, *shape, C]`, as the logits.
    """
    logits = evaluated_logits(state, batch["images"], network, batch["sides"])
    return jax.grad(lambda z: loss(z, batch["labels"], where=batch["where"], **batch["maps"]))(logits)


def panel_batch(setup: Setup, indices: Indices) -> Batch:
    """The images that a run shows: `config.panels` of a part, evenly spaced, with the maps that the loss takes.

    Args:
        setup: as returned by `prepare_run`, of a run with one panel at least.
        indices: the images of the part.
    """
    config = setup.config
    places = np.linspace(0, len(indices) - 1, min(config.panels, len(indices)))
    shown = np.asarray(indices)[np.unique(places.round().astype(int))]
    shape = largest_shape(setup.dataset, shown)
    if config.data.augmentation.crop:
        # Smaller images were padded for the loss in training too, and it may not take them as they are.
        shape = tuple(max(sides) for sides in zip(shape, config.data.augmentation.crop, strict=True))
    loading = Loading(setup.statistics, batch_size=len(shown))
    return next(iter(evaluation_batches(setup.dataset, shown, loading, shape=shape, maps=setup.maps)))


def panels_of(state: TrainState, batch: Batch, setup: Setup, phase: Phase, *, title: str = "") -> Picture:
    """Draws the images of a batch, one by one: each with the gradient of its own loss.

    Args:
        state: on one device or the host.
        batch: as `train.batches.pipeline` makes it; images that only fill it are left out.
        setup: of the run, whose network and statistics are used.
        phase: whose loss is inspected, with its maps in the batch.
        title: above the picture.
    """
    rows = []
    for place, name in enumerate(batch.names):
        if not name:
            continue
        arrays = step_arrays(one_of(batch, place), phase.maps)
        probability, gradient = _inspect(state, arrays, network=setup.network, loss=phase.loss)
        itself = unpadded(batch, place)
        rows.append(
            Shown(
                name,
                setup.statistics.restore(batch.images[place][itself]),
                batch.labels[place][itself],
                batch.where[place][itself],
                np.asarray(probability)[0][itself],
                np.asarray(gradient)[0][itself],
            )
        )
    dataset = setup.dataset
    return draw_panels(rows, class_names=dataset.class_names, colours=dataset.class_colours, title=title)


@functools.partial(jax.jit, static_argnames=("network", "loss"))
def _inspect(
    state: TrainState, batch: Arrays, *, network: nn.Module, loss: Callable[..., jax.Array]
) -> tuple[jax.Array, jax.Array]:
    probabilities = predict_step(state, batch["images"], batch["sides"], network=network)
    return probabilities, logit_gradients(state, batch, network=network, loss=loss)
