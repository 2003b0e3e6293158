"""A run that need not be trained: its network says 1 where the standardised image is above a parameter."""

import flax.linen as nn
import jax
import numpy as np

from train.config import Config, DataConfig, LossConfig, ModelConfig
from train.datasets import Example, facts_of
from train.runs.checkpoints import Checkpoints
from train.runs.position import Position
from train.runs.setup import initial_state, open_folder, prepare_run

SHAPES = ((24, 20), (20, 28))


class Bright:
    """Noise, of which the brighter half is class 1 but for one pixel in ten."""

    name, classes, channels, white, stretched, checksum = "bright", 2, 1, 65535, None, 0
    class_names, class_colours = ("dim", "bright"), ()
    length_unit, class_values = "pixels", ()

    def __init__(self, count=9, shapes=SHAPES):
        self.names = tuple(f"image {number}" for number in range(count))
        self.shapes = [shapes[number % len(shapes)] for number in range(count)]
        self.spatial_dims = len(shapes[0])
        self.images = [facts_of(self[index], classes=2) for index in range(count)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        image = rng.random(self.shapes[index], np.float32)
        label = (image > 0.5) ^ (rng.random(image.shape) < 0.1)
        return Example(self.names[index], image[..., None], label.astype(np.int32), np.ones(label.shape, bool))


class Threshold(nn.Module):
    @nn.compact
    def __call__(self, images, *, train, sides=None):
        return 8 * (images[..., :1] - self.param("threshold", nn.initializers.zeros, ()))


def config(folder, **settings):
    defaults = dict(
        output=str(folder),
        epoch_steps=10,
        batch_size=4,
        panels=1,
        data=DataConfig(dataset="bright", folder=str(folder.parent / "data"), folds=3),
        model=ModelConfig(width=4, depth=1),
        loss=LossConfig(name="dice"),
    )
    return Config(**(defaults | settings))


def finish(folder, *, thresholds=(0.0,), dataset=None, **settings):
    """Prepares a run and saves a checkpoint of the network `Threshold` after each ten steps, the first as the best.

    `train.runs.data.open_dataset` is to be replaced before.
    """
    made = prepare_run(config(folder, **settings))._replace(network=Threshold())
    save(made, open_folder(made), [{"threshold": np.float32(value)} for value in thresholds])
    return made


def save(made, folder, parameters):
    """Checkpoints of the given parameters, of a run's set-up and in its folder."""
    state = jax.tree.map(np.asarray, initial_state(made))
    checkpoints = Checkpoints(folder.checkpoints)
    for number, params in enumerate(parameters):
        step = 10 * (number + 1)
        after = state.replace(step=np.int32(step), params=params or state.params)
        checkpoints.save(after, Position(best={"epoch": 1, "step": 10}), 0.9 - 0.1 * number)
    checkpoints.close()
