"""Every setting of a run, with its default and its unit; no other module holds a hyperparameter.

The demo trains a small U-Net twice, from the same start and with the same batches, on the brain that nilearn ships:
once with CWMI and once with cross entropy. `python -m train` takes about three minutes on two CPU cores.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


def setting(default: Any, description: str) -> Any:
    """Declares a field of a config whose description is also its `--help` text.

    Args:
        default: The value used when none is given; immutable.
        description: What the setting does, and its unit.

    Returns:
        A dataclass field.
    """
    return dataclasses.field(default=default, metadata={"description": description})


def _at_least(name: str, value: float, lowest: float) -> None:
    if not value >= lowest:
        raise ValueError(f"{name} must be at least {lowest}, got {value}")


def _above(name: str, value: float, bound: float) -> None:
    if not value > bound:
        raise ValueError(f"{name} must be above {bound}, got {value}")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise ValueError(f"{name} must lie strictly between {low} and {high}, got {value}")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which slices of the MNI152 brain are used, and how they are split."""

    resolution_mm: int = setting(2, "edge of a voxel, millimetres")
    lowest_mm: float = setting(-30.0, "height of the lowest axial slice used in MNI space, millimetres")
    highest_mm: float = setting(66.0, "height of the highest axial slice used, millimetres")
    held_out_mm: tuple[tuple[float, float], ...] = setting(
        ((10.0, 20.0), (44.0, 54.0)),
        "blocks of held-out slices, [[lowest, highest], ...], ends included, millimetres",
    )
    gap_slices: int = setting(3, "slices discarded on each side of a held-out block, so that no neighbours are split")
    multiple_pixels: int = setting(16, "the slices are cropped to the brain, with sides a multiple of this, pixels")
    label_threshold: float = setting(0.5, "grey-matter probability above which a pixel is foreground")

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range."""
        _at_least("data.resolution_mm", self.resolution_mm, 1)
        _at_least("data.gap_slices", self.gap_slices, 1)
        _at_least("data.multiple_pixels", self.multiple_pixels, 1)
        _between("data.label_threshold", self.label_threshold, 0.0, 1.0)
        if self.lowest_mm >= self.highest_mm:
            raise ValueError(
                f"data.lowest_mm must be below data.highest_mm, got {self.lowest_mm} and {self.highest_mm}"
            )
        if not self.held_out_mm:
            raise ValueError("data.held_out_mm must hold at least one block, got ()")
        for block in self.held_out_mm:
            if len(block) != 2 or not self.lowest_mm <= block[0] <= block[1] <= self.highest_mm:
                raise ValueError(
                    "data.held_out_mm must hold [lowest, highest] pairs inside "
                    f"[{self.lowest_mm}, {self.highest_mm}], got {list(block)}"
                )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Size of the U-Net."""

    width: int = setting(16, "channels of the first stage; each further stage has twice as many")
    depth: int = setting(3, "number of times the image is halved")
    groups: int = setting(8, "groups of each group normalisation; must divide width")

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range."""
        _at_least("model.width", self.width, 1)
        _at_least("model.depth", self.depth, 1)
        _at_least("model.groups", self.groups, 1)
        if self.width % self.groups:
            raise ValueError(f"model.groups must divide model.width, got {self.groups} and {self.width}")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam with a cosine decay to zero over the run."""

    learning_rate: float = setting(2e-3, "step size of Adam at the start, per step")
    gradient_norm: float = setting(5.0, "global norm at which gradients are clipped (CWMI paper: 5)")

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range."""
        _above("optimizer.learning_rate", self.learning_rate, 0.0)
        _above("optimizer.gradient_norm", self.gradient_norm, 0.0)


@dataclasses.dataclass(frozen=True)
class CWMIConfig:
    """Settings passed on to `cwmi_jax.cwmi_loss`, which says what they mean."""

    levels: int = setting(4, "scales of the pyramid")
    orientations: int = setting(4, "orientations of each scale")
    ce_weight: float = setting(0.9, "factor of the cross-entropy term")
    epsilon: float = setting(5e-4, "added to the diagonal of the covariance sums, squared band amplitude")
    warmup_fraction: float = setting(0.1, "share of the run's steps, the first, taken with cross entropy (paper: 0.02)")

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range."""
        _at_least("cwmi.levels", self.levels, 1)
        _at_least("cwmi.orientations", self.orientations, 1)
        _at_least("cwmi.ce_weight", self.ce_weight, 0)
        _above("cwmi.epsilon", self.epsilon, 0.0)
        if not 0.0 <= self.warmup_fraction < 1.0:
            raise ValueError(f"cwmi.warmup_fraction must be at least 0 and below 1, got {self.warmup_fraction}")


@dataclasses.dataclass(frozen=True)
class FigureConfig:
    """What the PNG shows."""

    rows: int = setting(4, "held-out slices shown, evenly spread")
    dots_per_inch: int = setting(130, "resolution of the PNG, pixels per inch")
    panel_inches: float = setting(1.9, "width of one panel, inches")

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range."""
        _at_least("figure.rows", self.rows, 1)
        _at_least("figure.dots_per_inch", self.dots_per_inch, 1)
        _above("figure.panel_inches", self.panel_inches, 0.0)


@dataclasses.dataclass(frozen=True)
class DemoConfig:
    """The whole demo."""

    output: str = setting("runs/demo", "folder to write; a folder in use is left alone and a number is added")
    seed: int = setting(0, "seed of the initial weights and of the batches")
    steps: int = setting(320, "optimizer steps of each of the two runs")
    batch_size: int = setting(4, "slices per step")
    threshold: float = setting(0.5, "foreground probability above which a pixel is predicted foreground")
    log_every: int = setting(20, "steps between two progress reports")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    cwmi: CWMIConfig = CWMIConfig()
    figure: FigureConfig = FigureConfig()

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of range."""
        _at_least("seed", self.seed, 0)
        _at_least("steps", self.steps, 1)
        _at_least("batch_size", self.batch_size, 1)
        _between("threshold", self.threshold, 0.0, 1.0)
        _at_least("log_every", self.log_every, 1)
        if not self.output:
            raise ValueError("output must name a folder, got ''")


def from_flat(values: Mapping[str, Any]) -> DemoConfig:
    """Builds a config from dotted names.

    Args:
        values: Value of each setting that differs from its default, for example `{"steps": 10, "model.width": 8}`.

    Returns:
        The config.

    Raises:
        ValueError: If a name is unknown or a value is out of range.
    """
    top: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    known = flat_settings()
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"unknown setting {name!r}; known: {', '.join(known)}")
        part, _, field = name.rpartition(".")
        (parts.setdefault(part, {}) if part else top)[field] = value
    for part, changes in parts.items():
        top[part] = dataclasses.replace(getattr(DemoConfig, part), **changes)
    return DemoConfig(**top)


def flat_settings() -> dict[str, dataclasses.Field[Any]]:
    """Lists every setting of the demo under its dotted name.

    Returns:
        Dotted name -> dataclass field, in the order of declaration.
    """
    settings: dict[str, dataclasses.Field[Any]] = {}
    for field in dataclasses.fields(DemoConfig):
        if dataclasses.is_dataclass(field.default):
            settings |= {f"{field.name}.{inner.name}": inner for inner in dataclasses.fields(field.default)}
        else:
            settings[field.name] = field
    return settings
