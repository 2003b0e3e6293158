"""The paper's Table 1: every loss on every fold, whatever is missing, then tables and tests.

Runs lie in OUTPUT/MODEL-LOSS-foldK, those of a seed other than 0 in MODEL-LOSS-seedS-foldK. The same command goes on where
it was stopped: complete runs are kept, an interrupted one is resumed. When all are done, OUTPUT holds table.md, table.csv,
images.csv (every score of every test image) and report.html. All losses see the same folds, the same batches and the same
initial weights.

A loss may stand there with settings of its own, as often as you like: `--losses ce,cwmi,cwmi:ce_weight=20,levels=3` has
three rows. Names with a dot are settings of the run: `cwmi:model.norm=group`. `--seeds 0,1,2` does all of it for each seed.

Every other flag of `python -m train PRESET`, such as `--folds 5`, `--epochs 10` or `--model.width 16`, changes that setting
for all runs; `python -m train PRESET --help` lists them. All folds are run unless `--fold 0` says which.

Example: python -m train.compare --dataset drive --losses ce,rmi,cwmi --folds 3 --data.source DRIVE --model.width 16
"""

import dataclasses
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from train.atomic_files import written_whole
from train.command_line import UsageError, did_you_mean, fail, flags_of, parse_known, refuse_unknown
from train.config import Config
from train.loss_options import OptionValue, check_classes, loss_options
from train.presets import PRESETS
from train.reports.page import page
from train.reports.results import Part, RunKey, read_rows
from train.reports.tables import csv_text, failures, images_csv_text, markdown
from train.runs.continuation import check_settings, is_done
from train.runs.folder import RunFolder
from train.runs.interruption import Interrupted, leave, stop_signals
from train.runs.processes import run_in_process
from train.variants import Variant, parse_variants, with_variant

_PROGRAM = "python -m train.compare"

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares losses from the command line.

    Args:
        arguments: those of the process when None.

    Returns:
        Exit status: 0 also after a signal, when everything is saved; 1 if a run failed; 2 if the command line is wrong.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        comparison, flags = parse_known(Comparison, arguments, prog=_PROGRAM, description=__doc__)
        plan = make_plan(comparison, flags)
    except ValueError as error:
        return fail(UsageError(error))
    return _start(plan, shlex.join(["python", "-m", "train.compare", *arguments]))


def cross_validate(config: Config, command: str) -> int:
    """Trains and tests a run for each fold, as a comparison of one loss.

    Args:
        config: whose `data.fold` is "all".
        command: what the report says that made it.

    Returns:
        Exit status, as of `main`.
    """
    variant = Variant(config.loss.name, {}, {})
    return _start(_plan(config, [config.model.name], [variant], [config.seed], config.loss.options), command)


def _start(plan: Plan, command: str) -> int:
    try:
        check_folders(plan)
        if not all(is_done(key.folder, config) for key, config in plan.items()):
            with stop_signals():
                _open_data(list(plan.values()))
    except Interrupted as stopped:
        print(stopped, flush=True)
        return 0
    except ValueError as error:
        return fail(error)
    return compare(plan, run_in_process, command)


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
    refuse_unknown(unknown, [*flags_of(Comparison), *flags_of(Config)], _PROGRAM)
    output = comparison.output or f"runs/compare-{name}"
    return _plan(
        dataclasses.replace(config, output=output),
        models,
        variants,
        seeds,
        {**preset.loss.options, **comparison.options},
    )


def _plan(
    config: Config,
    models: Sequence[str],
    variants: Sequence[Variant],
    seeds: Sequence[int],
    options: Mapping[str, OptionValue],
) -> Plan:
    """A run for each seed, fold of the config, network and variant; each takes the options that its loss knows."""
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


def check_folders(plan: Plan) -> None:
    """Refuses to mix with runs of other settings.

    Args:
        plan: as returned by `make_plan`.

    Raises:
        ValueError: a folder holds a run with other settings, or its settings cannot be read; or the output is a run.
    """
    output = _output(plan)
    if RunFolder(output).is_run:
        raise ValueError(f"{output} is a run itself; give another --output")
    for key, config in plan.items():
        check_settings(key.folder, config, "give another --output")


def _output(plan: Plan) -> Path:
    """The folder of all runs and of the tables."""
    return next(iter(plan)).folder.path.parent


def _open_data(configs: Sequence[Config]) -> None:
    """Prepares the data once, before the first run, and refuses losses that are not for so many classes."""
    from train.runs.data import open_data

    dataset = open_data(configs[0].data)
    for config in configs:
        check_classes(config.loss.name, dataset.classes, dataset.name)


def compare(plan: Plan, runner: Callable[[Config], int | None], command: str = "") -> int:
    """Runs what is missing, one after the other, and writes and prints the tables.

    Args:
        plan: as returned by `make_plan`.
        runner: trains and tests one run, and returns 0, also when the run was interrupted, the status of a failure, or None
            when this process is to stop.
        command: what the report says that made it.

    Returns:
        Exit status: 0 also if a run was stopped; 1 if one failed, or the results cannot be compared.
    """
    failed = _run_missing(plan, runner)
    if failed is None:
        return 0
    output = _output(plan)
    try:
        rows = read_rows(list(plan), failed)
        files = {
            "table.md": markdown(rows),
            "table.csv": csv_text(rows),
            "images.csv": images_csv_text(rows),
            "report.html": page(rows, command),
        }
        for name, content in files.items():
            with written_whole(output / name) as partial:
                partial.write_text(content, encoding="utf-8")
    except ValueError as error:
        return fail(error)
    except OSError as error:
        return fail(ValueError(f"cannot write the tables: {error}"))
    print(f"\n{files['table.md']}\nwrote {', '.join(os.fspath(output / name) for name in files)}")
    for sentence in failures(rows):
        print(f"failed: {sentence}; its error is above, and the same command tries again", file=sys.stderr)
    return 1 if failed else 0


def _run_missing(plan: Plan, runner: Callable[[Config], int | None]) -> dict[RunKey, str] | None:
    """Runs what is not complete; which runs failed and why, or None if one was stopped."""
    failed: dict[RunKey, str] = {}
    for number, (key, config) in enumerate(plan.items(), 1):
        name = f"[{number}/{len(plan)}] {key.folder.path.name}"
        if is_done(key.folder, config):
            print(f"{name}: complete", flush=True)
            continue
        print(name, flush=True)
        status = runner(config)
        if status is None or (status == 0 and not is_done(key.folder, config)):
            print(f"{name}: stopped; the same command goes on from there", flush=True)
            return None
        if not is_done(key.folder, config):
            failed[key] = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
            print(f"{name}: {failed[key]}; going on with the others", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    leave(main())
