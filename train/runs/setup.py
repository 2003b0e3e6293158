"""The set-up of a run: its data, split, network, optimizer and loss, made from its config and checked, and its folder."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from train.batches.pipeline import Loading
from train.batches.splits import Split
from train.batches.standardisation import ChannelStatistics, channel_statistics
from train.batches.weight_map_cache import WeightMapCache
from train.config import Config
from train.datasets import Dataset, DatasetError, largest_shape, typical_spacing
from train.fitting import PartSizes, fitted
from train.loss_options import check_classes
from train.runs import parallel
from train.runs.continuation import check_settings, is_longer, lengthen
from train.runs.data import check_images, check_split, open_data, part_sizes, recorded_split, split_of
from train.runs.data_facts import DataFacts
from train.runs.folder import RunError, RunFolder
from train.runs.network import logit_channels, network_of, untrained
from train.runs.optimizer import create_optimizer, learning_rate
from train.runs.phases import Phase, map_functions, phases
from train.runs.steps import TrainState


class Setup(NamedTuple):
    """What the functions of a run share.

    Attributes:
        config: the settings.
        dataset: all images.
        split: which of them are for what.
        statistics: what images are standardised with.
        network: a Flax module.
        optimizer: an optax transformation.
        schedule: learning rate after each number of batches.
        phases: what is minimised when, in order.
        maps: weight maps of the images, for losses that take them.
        epoch_steps: batches in an epoch.
    """

    config: Config
    dataset: Dataset
    split: Split
    statistics: ChannelStatistics
    network: nn.Module
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    phases: list[Phase]
    maps: WeightMapCache
    epoch_steps: int

    def loading(self) -> Loading:
        """How the run's batches are loaded, this process's part of them."""
        config = self.config
        return Loading(
            self.statistics,
            config.batch_size,
            workers=config.data.workers,
            prefetch=config.data.prefetch,
            process_index=parallel.process_index(),
            process_count=parallel.process_count(),
        )


def prepare_run(config: Config) -> Setup:
    """Opens the data and checks everything that can be checked before a step is taken.

    Args:
        config: the settings of a run of one fold.

    Raises:
        ValueError: data or settings that do not fit each other.
    """
    data = config.data
    if data.fold == "all":
        raise ValueError("data.fold must be one fold for one run, got 'all', which is for train.compare.cross_validate")
    dataset = open_data(data)
    check_classes(config.loss.name, dataset.classes, data.title)
    split = split_of(data, dataset.names, fold=data.fold, seed=config.seed)
    return _set_up(fitted(config, dataset.images, part_sizes(data, len(dataset))), dataset, split)


def _set_up(config: Config, dataset: Dataset, split: Split) -> Setup:
    """Everything that follows from a config in which nothing is open, and from the images."""
    data = config.data
    epoch_steps = config.epoch_steps or max(len(split.train) // config.batch_size, 1)
    if config.optimizer.accumulate > config.epochs * epoch_steps:
        raise ValueError(
            f"optimizer.accumulate must be at most the {config.epochs * epoch_steps} batches of the run, "
            f"got {config.optimizer.accumulate}"
        )
    spacing = typical_spacing(dataset, split.train)
    if data.augmentation.rot90 and spacing is not None and spacing[-1] != spacing[-2]:
        raise ValueError(
            f"data.augmentation.rot90 needs pixels as long as wide, got a spacing of {spacing[-2]:g} and {spacing[-1]:g} "
            f"{dataset.length_unit}"
        )
    schedule = learning_rate(config.optimizer, config.epochs, epoch_steps)
    functions = map_functions(config.loss)
    return Setup(
        config=config,
        dataset=dataset,
        split=split,
        statistics=channel_statistics(dataset, split.train, by_image=data.standardise == "image"),
        network=network_of(config.model, classes=dataset.classes, spatial_dims=dataset.spatial_dims),
        optimizer=create_optimizer(config.optimizer, schedule),
        schedule=schedule,
        phases=phases(config.loss, dataset.spatial_dims, spacing),
        maps=WeightMapCache(functions, dataset=dataset.name, classes=dataset.classes, folder=data.map_folder),
        epoch_steps=epoch_steps,
    )


def check_loss(setup: Setup) -> None:
    """Makes sure that the loss can be computed of such images, without computing it.

    Args:
        setup: as returned by `prepare_run`.

    Raises:
        ValueError: it is not for so many classes, axes or pixels.
    """
    config, dataset = setup.config, setup.dataset
    sides = config.data.augmentation.crop or largest_shape(dataset, setup.split.train)
    logits = jax.ShapeDtypeStruct((1, *sides, logit_channels(dataset.classes)), jnp.float32)
    labels, where = (jax.ShapeDtypeStruct((1, *sides), dtype) for dtype in (jnp.int32, jnp.bool_))
    try:
        whole: dict[str, Any] = {}
        if any(phase.maps for phase in setup.phases):
            first = int(setup.split.train[0])
            example = dataset[first]
            whole = setup.maps(example.name, example.label, dataset.images[first].spacing)
        for phase in setup.phases:
            maps = {
                keyword: jax.ShapeDtypeStruct((1, *sides, *whole[keyword].shape[len(sides) :]), whole[keyword].dtype)
                for keyword in phase.maps
            }
            jax.eval_shape(phase.loss, logits, labels, where=where, **maps)
    except ValueError as error:
        raise ValueError(f"loss.name {config.loss.name} does not fit {config.data.title}: {error}") from error
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error


def open_folder(setup: Setup) -> RunFolder:
    """The folder of the run, new or taken up again, with its config and split.

    Args:
        setup: as returned by `prepare_run`.

    Raises:
        RunError: a folder that holds something else, or a run with other images.
        ValueError: a run with other settings.
    """
    config = setup.config
    folder = RunFolder.of(config)
    folder.check_own()
    if folder.has_begun:
        remedy = "give another folder with --output, or remove this one"
        check_settings(folder, config, remedy)
        check_images(folder, setup.dataset, config.data.title, remedy)
        check_split(folder, setup.dataset.names, setup.split, remedy)
    if parallel.is_first():
        try:
            if not folder.has_begun:
                _begin(setup, folder)
            elif is_longer(folder, config):
                print(lengthen(folder, config.epochs, setup.epoch_steps), flush=True)
        except OSError as error:
            raise folder.unwritable(error) from error
    return folder


def _begin(setup: Setup, folder: RunFolder) -> None:
    if folder.is_run:
        print(f"{folder}: the run there never took a step; beginning anew", flush=True)
    facts = DataFacts.of(setup.dataset, setup.statistics)
    folder.begin(with_whole_paths(setup.config), _split_by_name(setup), facts)


def with_whole_paths(config: Config) -> Config:
    """A config for those who read it from another folder.

    Args:
        config: as it was given.
    """
    data = config.data
    source, splits = (str(Path(path).expanduser().resolve()) if path else "" for path in (data.source, data.splits))
    groups = str(Path(data.groups).expanduser().resolve()) if data.groups.lower().endswith(".csv") else data.groups
    return dataclasses.replace(
        config,
        compilation_cache=str(Path(config.program_folder).resolve()) if config.program_folder else "off",
        data=dataclasses.replace(
            data, folder=str(Path(data.folder).resolve()), source=source, splits=splits, groups=groups
        ),
    )


def reopen_run(folder: RunFolder, *, source: Path | None = None) -> Setup:
    """Prepares a run again from what its folder says.

    Args:
        folder: the run's.
        source: folder of the original data, if it is another than when the run began.

    Returns:
        As `prepare_run`, on the split that the run was trained on: what made it need not be there any more.

    Raises:
        ValueError: the folder is no run.
        RunError: its data are not there or not the same any more.
    """
    config, facts = folder.read_config(), folder.read_facts()
    remedy = "name the folder of those that it was trained on with --source"
    data = config.data if source is None else dataclasses.replace(config.data, source=str(source))
    try:
        dataset = open_data(data, facts.checksum if source is None else None)
    except DatasetError as error:
        if source is not None:
            raise
        # Without the remedy for those who train.
        reason = str(error).splitlines()[0].partition("; ")[0]
        raise RunError(f"the images of {folder} are not at hand ({reason}); {remedy}") from error
    check_images(folder, dataset, data.title, remedy)
    split = recorded_split(folder, dataset.names)
    # Runs of earlier versions have left open what later ones choose.
    config = fitted(config, dataset.images, PartSizes(len(split.train), len(split.validation)))
    return _set_up(config, dataset, split)


def _split_by_name(setup: Setup) -> dict[str, dict[str, int]]:
    """Part -> name -> index of each of its images."""
    names = setup.dataset.names
    return {part: {names[index]: int(index) for index in indices} for part, indices in setup.split._asdict().items()}


def initial_state(setup: Setup) -> TrainState:
    """The state before the first step.

    Args:
        setup: as returned by `prepare_run`.
    """
    dataset = setup.dataset
    return untrained(
        setup.config, setup.network, setup.optimizer, spatial_dims=dataset.spatial_dims, channels=dataset.channels
    )
