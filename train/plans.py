"""The plan of a comparison: which runs it has, and the settings of each."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from train.command_line import did_you_mean, flags_of, parse_known, refuse_unknown
from train.config import Config
from train.loss_options import OptionValue, loss_options
from train.presets import PRESETS
from train.reports.results import Part, RunKey
from train.runs.folder import RunFolder
from train.variants import Variant, parse_variants, with_variant

PROGRAM = "python -m train.compare"

# Settings that this program sets, and the flag that does.
_OURS = {"--loss.name": "--losses", "--model.name": "--models", "--seed": "--seeds"}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        dataset: preset, as of `python -m train`.
        losses: names in `cwmi_jax.losses.LOSSES`, with commas between them; `NAME:OPTION=VALUE` for one with settings.
        models: unet, attention_unet, or both with a comma between them.
        seeds: with commas between them; each has its own split into folds.
        output: folder of the runs and of the tables; runs/compare-DATASET if not given.
        options: settings of losses, such as `levels 3 class_weights none`; each loss takes those that it knows, and those
            of the preset that are not given.
    """

    dataset: str = "demo"
    losses: str = "ce,cwmi"
    models: str = "unet"
    seeds: str = "0"
    output: str = ""
    options: Annotated[dict[str, OptionValue], tyro.conf.arg(name="loss.options")] = dataclasses.field(
        default_factory=dict
    )


Plan = Mapping[RunKey, Config]
"""The runs in the order in which they are trained, with their settings."""


def make_plan(comparison: Comparison, flags: Sequence[str]) -> Plan:
    """Lists the runs, fold by fold, so that all losses have had the first fold early.

    Args:
        comparison: what is compared.
        flags: those of `python -m train PRESET`, for all runs.

    Returns:
        The plan.

    Raises:
        ValueError: an unknown name, or settings out of range or in contradiction.
    """
    variants = parse_variants(comparison.losses)
    models = _models(comparison.models)
    seeds = _seeds(comparison.seeds)
    name = comparison.dataset
    if name not in PRESETS:
        raise ValueError(f"--dataset must be one of {', '.join(PRESETS)}, got {name!r}{did_you_mean(name, PRESETS)}")
    for flag in flags:
        ours = _OURS.get(flag.partition("=")[0].replace("_", "-"))
        if ours:
            raise ValueError(f"{flag} is not for a comparison; use {ours}")
    for option in comparison.options:
        if not any(option in loss_options(variant.loss) for variant in variants):
            names = ", ".join(dict.fromkeys(variant.loss for variant in variants))
            raise ValueError(f"--loss.options {option} is of none of the losses {names}")
    preset = PRESETS[name][1]
    data = dataclasses.replace(preset.data, fold="all")
    # A loss of one phase, which fits any number of epochs: that of each row is set with the row's own settings.
    loss = dataclasses.replace(preset.loss, name="ce", options={})
    default = dataclasses.replace(preset, data=data, loss=loss)
    config, unknown = parse_known(Config, flags, prog=f"python -m train {name}", description=None, default=default)
    refuse_unknown(unknown, [*flags_of(Comparison), *flags_of(Config)], PROGRAM)
    output = comparison.output or f"runs/compare-{name}"
    return plan_of(
        dataclasses.replace(config, output=output),
        models,
        variants,
        seeds,
        {**preset.loss.options, **comparison.options},
    )


def plan_of(
    config: Config,
    models: Sequence[str],
    variants: Sequence[Variant],
    seeds: Sequence[int],
    options: Mapping[str, OptionValue],
) -> Plan:
    """Lists a run for each seed, fold, network and variant.

    Args:
        config: what all runs share; its output is the folder of them all, and its fold may be "all".
        models: the networks.
        variants: the losses.
        seeds: each has its own split into folds.
        options: settings of losses; each takes those that it knows.

    Returns:
        The plan.

    Raises:
        ValueError: settings in contradiction, or two variants that are the same runs.
    """
    data = config.data
    folds = range(data.folds) if data.fold == "all" else [data.fold]
    plan = {}
    for seed, fold, model, variant in itertools.product(seeds, folds, models, variants):
        of_seed = f"-seed{seed}" if seed else ""
        folder = Path(config.output) / f"{model}-{variant.file_name}{of_seed}-fold{fold}"
        run = dataclasses.replace(
            config,
            output=str(folder),
            seed=seed,
            data=dataclasses.replace(data, fold=fold),
            model=dataclasses.replace(config.model, name=model),
        )
        key = RunKey(model, variant.name, Part(seed, fold), RunFolder(folder))
        plan[key] = with_variant(run, variant, options)
    known: dict[str, str] = {}
    for key, config in plan.items():
        other = known.setdefault(repr(dataclasses.replace(config, output="-")), key.loss)
        if other != key.loss:
            raise ValueError(f"--losses must name each one once: {other} and {key.loss} are the same runs")
    return plan


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--seeds must be whole numbers with commas between them, got {text!r}") from None
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds must name each one once, got {text!r}")
    return seeds


def _models(text: str) -> list[str]:
    from train.models import MODELS

    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in MODELS:
            raise ValueError(f"--models must be of {', '.join(MODELS)}, got {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"--models must name each one once, got {text!r}")
    return names
