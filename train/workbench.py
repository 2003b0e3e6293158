"""What a run works with: its data, split, network and optimizer, made from its config, and its folder.

A run lives in a folder: `config.json`, `split.json` (which image is trained on, validated and tested), `statistics.json`,
`checkpoints/`, `metrics.jsonl`, `tensorboard/`, and at the end `test.csv`, `panels/` and `result.json`.
"""

import dataclasses
import errno
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from train import parallel
from train.checkpoints import write_json
from train.config import Config, ModelConfig, flat_settings, from_json, to_json
from train.datasets import SegmentationDataset, open_dataset
from train.examples import largest_shape
from train.losses import Phase, map_functions, phases
from train.models import create_model
from train.optimizer import create_optimizer, learning_rate
from train.pipeline import Statistics, channel_statistics, map_cache
from train.results import differing
from train.splits import Split, cross_validation
from train.steps import TrainState, create_state
from train.whole_files import locked

# Written before the first step; a run that was killed in between has some of them.
_FIRST = {"split.json", "statistics.json"}
# For a process that was told to stop, and still saves.
_PATIENCE_SECONDS = 30
# What file systems without locks answer; there it is up to people.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class RunError(RuntimeError):
    """A run cannot start or go on; the message says why and what to do."""


class Workbench(NamedTuple):
    """What the functions of a run share.

    Attributes:
        config: of the run.
        dataset: all images.
        split: which are for what.
        statistics: of the training images.
        network: of `train.models`.
        optimizer: of `train.optimizer`.
        schedule: learning rate after each number of batches.
        phases: of the loss.
        epoch_steps: batches in an epoch.
    """

    config: Config
    dataset: SegmentationDataset
    split: Split
    statistics: Statistics
    network: nn.Module
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    phases: list[Phase]
    epoch_steps: int


def prepare_run(config: Config) -> Workbench:
    """Opens the data and checks everything that can be checked before a step is taken.

    Raises:
        ValueError: data or settings that do not fit each other.
    """
    data = config.data
    if data.fold == "all":
        raise ValueError("data.fold must be one fold for one run, got 'all', which is for train.compare.cross_validate")
    dataset = open_dataset(data.dataset, data_dir=data.folder, source=data.source or None)
    split = cross_validation(
        len(dataset),
        folds=data.folds,
        fold=data.fold,
        validation_fraction=data.validation_fraction,
        seed=config.seed,
        blocks=data.blocks,
        gap=data.gap,
    )
    epoch_steps = config.epoch_steps or max(len(split.train) // config.batch_size, 1)
    if config.optimizer.accumulate > config.epochs * epoch_steps:
        raise ValueError(
            f"optimizer.accumulate must be at most the {config.epochs * epoch_steps} batches of the run, "
            f"got {config.optimizer.accumulate}"
        )
    schedule = learning_rate(config.optimizer, config.epochs, epoch_steps)
    network = network_of(config.model, classes=dataset.classes, spatial_dims=dataset.spatial_dims)
    return Workbench(
        config=config,
        dataset=dataset,
        split=split,
        statistics=channel_statistics(dataset, split.train),
        network=network,
        optimizer=create_optimizer(config.optimizer, schedule),
        schedule=schedule,
        phases=phases(config.loss, dataset.spatial_dims),
        epoch_steps=epoch_steps,
    )


def check_loss(bench: Workbench) -> None:
    """Makes sure that the loss can be computed of such images, without computing it.

    Raises:
        ValueError: it is not for so many classes, axes or pixels.
    """
    config, dataset = bench.config, bench.dataset
    sides = config.data.augmentation.crop or largest_shape(dataset, bench.split.train)
    logits = jax.ShapeDtypeStruct((1, *sides, _logits(dataset.classes)), jnp.float32)
    labels, where = (jax.ShapeDtypeStruct((1, *sides), dtype) for dtype in (jnp.int32, jnp.bool_))
    example = dataset[int(bench.split.train[0])]
    try:
        whole = map_cache(dataset, map_functions(config.loss), config.data.map_folder)(example.name, example.label)
        for phase in bench.phases:
            maps = {
                keyword: jax.ShapeDtypeStruct((1, *sides, *whole[keyword].shape[len(sides) :]), whole[keyword].dtype)
                for keyword in phase.maps
            }
            jax.eval_shape(phase.loss, logits, labels, where=where, **maps)
    except ValueError as error:
        raise ValueError(f"loss.name {config.loss.name} does not fit {dataset.name}: {error}") from error
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error


def network_of(config: ModelConfig, *, classes: int, spatial_dims: int) -> nn.Module:
    """The network that a config describes.

    Args:
        config: of the network.
        classes: of the data; two have one channel of logits.
        spatial_dims: 2 for images, 3 for volumes.
    """
    return create_model(
        config.name,
        width=config.width,
        depth=config.depth,
        classes=_logits(classes),
        spatial_dims=spatial_dims,
        norm=config.norm,
        groups=config.groups,
        axis_name=parallel.AXIS,
        dtype=jnp.bfloat16 if config.bfloat16 else jnp.float32,
        remat=config.remat,
    )


def _logits(classes: int) -> int:
    """Channels of the logits of so many classes."""
    return 1 if classes == 2 else classes


def open_folder(bench: Workbench) -> Path:
    """The folder of the run, new or taken up again, with its config and split.

    Raises:
        RunError: a folder that holds something else, or a run with other settings or other images.
    """
    config = bench.config
    folder = Path(config.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_own(folder)
        if (folder / "config.json").exists():
            changed = differing(flat_settings(to_json(read_config(folder))), flat_settings(to_json(config)))
            if changed:
                raise RunError(
                    f"{folder} holds a run with other settings: {', '.join(changed)}; give another folder "
                    f"with --output, or remove this one"
                )
            _check_images(bench, folder)
        elif parallel.is_first():
            write_json(folder / "split.json", _split_by_name(bench))
            write_json(folder / "statistics.json", _statistics(bench))
            # Last, for a folder without it is no run.
            write_json(folder / "config.json", to_json(_with_whole_paths(config)))
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _with_whole_paths(config: Config) -> Config:
    """For those who read it from another folder."""
    data = config.data
    source = str(Path(data.source).resolve()) if data.source else ""
    return dataclasses.replace(
        config,
        compilation_cache=str(Path(config.program_folder).resolve()) if config.program_folder else "off",
        data=dataclasses.replace(data, folder=str(Path(data.folder).resolve()), source=source),
    )


def _unwritable(folder: Path, error: OSError) -> RunError:
    return RunError(f"cannot write to {folder}: {error.strerror or error}; give another folder with --output")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other processes from training the same run meanwhile.

    Args:
        folder: of the run.

    Raises:
        RunError: another one is training it, and has not ended within half a minute; or the folder holds something else,
            or cannot be written.
    """
    with ExitStack() as stack:
        if parallel.is_first():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _check_own(folder)
                stack.enter_context(locked(folder / ".lock", patience=_PATIENCE_SECONDS))
            except TimeoutError as error:
                raise RunError(f"another process is training {folder}; wait for it, or stop it") from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise _unwritable(folder, error) from error
        yield


def _check_own(folder: Path) -> None:
    known = {path.name for path in folder.iterdir()}
    # Hidden ones are locks, and what was being written by a process that was killed.
    if "config.json" not in known and any(not name.startswith(".") for name in known - _FIRST):
        raise RunError(f"{folder} is no run, and is not empty; give another folder with --output")


def reopen_run(folder: Path, *, source: Path | None = None) -> Workbench:
    """Prepares a run again from what its folder says.

    Args:
        folder: of the run.
        source: of the original data, if it is another than when the run began.

    Raises:
        ValueError: the folder is no run.
        RunError: its data are not the same any more.
    """
    config = read_config(folder)
    data = config.data
    if source is not None or not Path(data.source).exists():
        # Without a source what was prepared last is taken; its checksum tells whether it is the same.
        data = dataclasses.replace(data, source="" if source is None else str(source))
    bench = prepare_run(dataclasses.replace(config, data=data))
    _check_images(bench, folder)
    return bench


def read_config(folder: Path) -> Config:
    """The settings that a run was started with.

    Raises:
        ValueError: the folder is no run.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is no run: it has no config.json")
    return from_json(read_json(folder / "config.json"))


def read_json(path: Path) -> Any:
    """What a JSON file of a run holds.

    Raises:
        ValueError: it is not there, or cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path} cannot be read: {reason}") from error


def _check_images(bench: Workbench, folder: Path) -> None:
    same = read_json(folder / "split.json") == _split_by_name(bench)
    if not same or read_json(folder / "statistics.json").get("checksum") != bench.dataset.checksum:
        raise RunError(
            f"{folder} was trained on other images or masks than {bench.config.data.dataset!r} has now; see its split.json"
        )


def _split_by_name(bench: Workbench) -> dict[str, dict[str, int]]:
    """Part -> name -> index of each of its images."""
    names = bench.dataset.names
    return {part: {names[index]: int(index) for index in indices} for part, indices in bench.split._asdict().items()}


def _statistics(bench: Workbench) -> dict[str, Any]:
    """What `train.predict` needs to know of the data, and what they are known by."""
    dataset = bench.dataset
    return {
        "checksum": dataset.checksum,
        "mean": bench.statistics.mean.tolist(),
        "deviation": bench.statistics.deviation.tolist(),
        "classes": dataset.classes,
        "channels": dataset.channels,
        "spatial_dims": dataset.spatial_dims,
    }


def initial_state(bench: Workbench) -> TrainState:
    """The state before the first step."""
    dataset = bench.dataset
    return untrained(
        bench.config, bench.network, bench.optimizer, spatial_dims=dataset.spatial_dims, channels=dataset.channels
    )


def untrained(
    config: Config, network: nn.Module, optimizer: optax.GradientTransformation, *, spatial_dims: int, channels: int
) -> TrainState:
    """The state before the first step, of a run whose data need not be there.

    Args:
        config: of the run.
        network: of `network_of`.
        optimizer: of `train.optimizer.create_optimizer`.
        spatial_dims: of the images, 2 or 3.
        channels: of the images.
    """
    # Sides do not matter to parameters, and a small image is quick to compile for.
    shape = (*(2**config.model.depth,) * spatial_dims, channels)
    return create_state(network, optimizer, config.seed, shape, ema=config.optimizer.ema > 0)
