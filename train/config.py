"""Every setting of a run, with its default and its unit; no other module holds a hyperparameter, but for those that
`train.fitting` chooses where they are left open.

Settings that are wrong by themselves, or that contradict each other, raise a ValueError that names them when the config is
made: before data are read, and before anything is written.
"""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import tyro

from cwmi_jax.losses import LOSSES
from train.batches.augmentation import Augmentation
from train.loss_options import FIRST_PHASE, OptionValue, read_option

_OPEN_NUMBER = "1 or more, or 0 to have it chosen"


def _check(holds: bool, name: str, what: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"{name} must be {what}, got {value!r}")


def data_title(dataset: str, source: str) -> str:
    """What data are called for people.

    Args:
        dataset: name in `train.datasets.DATASETS`.
        source: folder that they come from; "" where it is not known.
    """
    return os.path.basename(os.path.abspath(source)) if dataset == "folder" and source else dataset


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and which of them for what.

    Attributes:
        dataset: name in `train.datasets.DATASETS`.
        source: folder of the original archive, or of `images/` and `masks/` for the data set "folder"; needed once.
        folder: where prepared data sets and weight maps are kept.
        ignore: what of the masks of the data set "folder" stands for no class: numbers such as 255, names of its table of
            classes, or folders beside `masks/` with masks that are not 0 there (`not:NAME` for one that is 0 there).
        image_names: names of the images of the data set "folder", with a `*` for what they share with those of their masks,
            such as `*_0000`; needed where several rules fit.
        mask_names: likewise of the masks, such as `*_1stHO`; others are left out.
        groups: what keeps images together in one part: a regular expression whose match in the name is the group, or a CSV
            file with the columns name and group.
        splits: file of splits to take instead of drawing them, as nnU-Net's `splits_final.json`, or CSV.
        standardise: images by the mean and deviation of the training part ("dataset"), or each by its own ("image"), where
            scales differ from image to image.
        folds: parts of the cross-validation; each image is tested in one of them.
        fold: which part is tested, 0 to folds - 1; or "all", for a run each.
        validation_fraction: share of the other parts that chooses the best epoch.
        blocks: split into runs of neighbours instead of at random, for slices of one volume.
        gap: images left out between two runs of neighbours that belong to different parts.
        augmentation: what is done to training images.
        workers: threads that read and augment ahead; 0 does it between steps. The batches do not depend on it.
        prefetch: batches made ahead by the threads.
    """

    dataset: str = "mni152"
    source: str = ""
    folder: str = "data"
    ignore: tuple[str, ...] = ()
    image_names: str = ""
    mask_names: str = ""
    groups: str = ""
    splits: str = ""
    standardise: Literal["dataset", "image"] = "dataset"
    folds: Annotated[int, tyro.conf.arg(aliases=["--folds"])] = 3
    fold: Annotated[int | Literal["all"], tyro.conf.arg(aliases=["--fold"])] = 0
    validation_fraction: float = 0.2
    blocks: bool = False
    gap: int = 0
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    workers: int = 2
    prefetch: int = 2

    @property
    def title(self) -> str:
        """What the data are called for people: one's own by the name of their folder."""
        return data_title(self.dataset, self.source)

    @property
    def map_folder(self) -> str:
        """Where weight maps are kept."""
        return os.path.join(self.folder, "maps")

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range."""
        for name in ("image_names", "mask_names"):
            pattern = getattr(self, name)
            _check(not pattern or pattern.count("*") == 1, f"data.{name}", "a name with one *", pattern)
        _check(not (self.blocks and self.groups), "data.groups", "empty with data.blocks", self.groups)
        _check(not (self.blocks and self.splits), "data.splits", "empty with data.blocks", self.splits)
        _check(self.folds >= (1 if self.splits else 2), "data.folds", "2 or more", self.folds)
        known = self.fold == "all" or 0 <= self.fold < self.folds
        _check(known, "data.fold", f"all or 0 to {self.folds - 1} (data.folds - 1)", self.fold)
        _check(
            0 < self.validation_fraction < 1,
            "data.validation_fraction",
            "above 0 and below 1",
            self.validation_fraction,
        )
        _check(self.gap >= 0, "data.gap", "0 or more", self.gap)
        _check(self.blocks or self.gap == 0, "data.gap", "0 unless data.blocks is set", self.gap)
        _check(self.workers >= 0, "data.workers", "0 or more", self.workers)
        _check(self.prefetch >= 1, "data.prefetch", "1 or more", self.prefetch)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        name: "unet" or "attention_unet".
        width: channels of the first stage; each further one has twice as many. 0 for a number chosen from the images.
        depth: how often the image is halved; 0 likewise.
        norm: "batch" as in the paper, or "group", which does not depend on the other images of a batch.
        groups: number of groups of the group normalisation; must divide width.
        bfloat16: compute in bfloat16, with float32 parameters and loss.
        remat: compute activations again for the gradient, to save memory.
    """

    name: Literal["unet", "attention_unet"] = "unet"
    width: int = 64
    depth: int = 4
    norm: Literal["batch", "group"] = "batch"
    groups: int = 8
    bfloat16: bool = False
    remat: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range."""
        _check(self.width >= 0, "model.width", _OPEN_NUMBER, self.width)
        _check(self.depth >= 0, "model.depth", _OPEN_NUMBER, self.depth)
        divides = self.norm != "group" or (self.groups >= 1 and self.width % self.groups == 0)
        _check(divides, "model.groups", f"a divisor of model.width {self.width}", self.groups)


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What is minimised.

    Attributes:
        name: in `cwmi_jax.losses.LOSSES`.
        options: settings of the loss that differ from its defaults, such as `levels 3 class_weights none`.
        cross_entropy_epochs: first epochs of cwmi and cwmi_real that take cross entropy alone; other losses, bounded_cwmi
            too, have none. Unless it is given 1, or 0 in a run of one epoch.
        topology_epoch: epochs of skea_topo before its topology term is added; unless it is given two of five, 20 at most.
    """

    name: str = "cwmi"
    options: Mapping[str, OptionValue] = dataclasses.field(default_factory=dict)
    cross_entropy_epochs: int | None = None
    topology_epoch: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown loss or option."""
        _check(self.name in LOSSES, "loss.name", f"one of {', '.join(LOSSES)}", self.name)
        for option, value in self.options.items():
            read_option(self.name, option, value)
        for name in ("cross_entropy_epochs", "topology_epoch"):
            epochs = getattr(self, name)
            _check(epochs is None or epochs >= 0, f"loss.{name}", "0 or more", epochs)

    def with_first_epochs(self, epochs: int) -> "LossConfig":
        """The same with a number where none is given.

        Args:
            epochs: those of the run, of which the first phase gets less than all.
        """
        cross_entropy, topology = self.cross_entropy_epochs, self.topology_epoch
        return dataclasses.replace(
            self,
            cross_entropy_epochs=min(1, epochs // 2) if cross_entropy is None else cross_entropy,
            topology_epoch=min(20, 2 * epochs // 5) if topology is None else topology,
        )

    @property
    def first_epochs(self) -> int:
        """Epochs at the start that minimise something simpler; they are given, or of `with_first_epochs`."""
        epochs = getattr(self, FIRST_PHASE[self.name]) if self.name in FIRST_PHASE else 0
        assert epochs is not None, f"loss.{FIRST_PHASE[self.name]} is not chosen yet"
        return epochs


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How parameters follow the gradient.

    Attributes:
        name: "adam" or "adamw".
        learning_rate: step size at its highest.
        weight_decay: how much adamw shrinks the weights, per step and learning rate.
        schedule: "steps" multiplies the learning rate by `decay` every `decay_epochs`, "cosine" lets it fall to 0 over the
            run, "constant" leaves it.
        decay: factor of the schedule "steps".
        decay_epochs: epochs between two of its factors.
        warmup_epochs: epochs over which the learning rate rises from 0.
        clip_norm: global norm at which gradients are clipped; 0 for never.
        accumulate: batches whose gradients are averaged before a step of the optimizer.
        ema: decay, in each step of the optimizer, of the running mean of parameters that is evaluated in their place; 0 for
            none.
    """

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: Literal["steps", "cosine", "constant"] = "steps"
    decay: float = 0.8
    decay_epochs: int = 10
    warmup_epochs: float = 0.0
    clip_norm: float = 5.0
    accumulate: int = 1
    ema: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for settings out of range or in contradiction."""
        _check(0 < self.learning_rate < math.inf, "optimizer.learning_rate", "above 0 and finite", self.learning_rate)
        _check(self.weight_decay >= 0, "optimizer.weight_decay", "0 or more", self.weight_decay)
        adamw = self.name == "adamw" or self.weight_decay == 0
        _check(adamw, "optimizer.weight_decay", "0 unless optimizer.name is adamw", self.weight_decay)
        _check(0 < self.decay <= 1, "optimizer.decay", "above 0 and at most 1", self.decay)
        _check(self.decay_epochs >= 1, "optimizer.decay_epochs", "1 or more", self.decay_epochs)
        _check(self.warmup_epochs >= 0, "optimizer.warmup_epochs", "0 or more", self.warmup_epochs)
        _check(self.clip_norm >= 0, "optimizer.clip_norm", "0 or more", self.clip_norm)
        _check(self.accumulate >= 1, "optimizer.accumulate", "1 or more", self.accumulate)
        _check(0 <= self.ema < 1, "optimizer.ema", "at least 0 and below 1", self.ema)


@dataclasses.dataclass(frozen=True)
class Config:
    """One network, one loss, and one fold or all of them.

    Attributes:
        output: folder of the run, or of those of all folds; a run that is there already is taken up where it stopped.
        seed: what the initial weights, the split and the batches are drawn from.
        epochs: passes over the training images; 0 for a number that is chosen from the images, as by the preset `own`. A run
            that has fewer, finished or not, goes on until it has so many.
        epoch_steps: batches that count as one epoch; 0 for one pass over the training images.
        batch_size: images a step, over all devices; 0 for a number that is chosen from the images.
        validate_epochs: epochs between two validations, each of which saves a checkpoint; 0 likewise.
        log_steps: steps between two reports of the loss.
        panels: images drawn at every validation and at the end; 0 for none.
        compilation_cache: folder where compiled programs are kept for later runs; "off" keeps none, and "" is `compiled` in
            data.folder. A folder in JAX_COMPILATION_CACHE_DIR is used instead of it.
        data: images and splits.
        model: the network.
        loss: the loss.
        optimizer: the optimizer.
    """

    output: str = "runs/train"
    seed: int = 0
    epochs: int = 50
    epoch_steps: int = 0
    batch_size: int = 10
    validate_epochs: int = 1
    log_steps: int = 20
    panels: int = 4
    compilation_cache: str = ""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = ModelConfig()
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    optimizer: OptimizerConfig = OptimizerConfig()

    @property
    def program_folder(self) -> str | None:
        """Where compiled programs are kept; None for nowhere."""
        if self.compilation_cache == "off":
            return None
        return self.compilation_cache or os.path.join(self.data.folder, "compiled")

    def __post_init__(self) -> None:
        """Raises ValueError for settings out of range or in contradiction."""
        _check(bool(self.output), "output", "a folder", self.output)
        _check(self.seed >= 0, "seed", "0 or more", self.seed)
        _check(self.epochs >= 0, "epochs", _OPEN_NUMBER, self.epochs)
        _check(self.epoch_steps >= 0, "epoch_steps", "0 or more", self.epoch_steps)
        _check(self.batch_size >= 0, "batch_size", _OPEN_NUMBER, self.batch_size)
        _check(self.validate_epochs >= 0, "validate_epochs", _OPEN_NUMBER, self.validate_epochs)
        _check(self.log_steps >= 1, "log_steps", "1 or more", self.log_steps)
        _check(self.panels >= 0, "panels", "0 or more", self.panels)
        if not self.epochs:
            return
        warmup = self.optimizer.warmup_epochs
        _check(warmup < self.epochs, "optimizer.warmup_epochs", f"below epochs ({self.epochs})", warmup)
        first = FIRST_PHASE.get(self.loss.name, "")
        below = f"below epochs ({self.epochs}), or {self.loss.name} is never minimised"
        first_epochs = self.loss.with_first_epochs(self.epochs).first_epochs
        _check(first_epochs < self.epochs, f"loss.{first}", below, first_epochs)
