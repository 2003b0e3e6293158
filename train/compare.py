"""The paper's Table 1: every loss on every fold, whatever is missing, then tables and tests.

Runs lie in OUTPUT/MODEL-LOSS-foldK, those of a seed other than 0 in MODEL-LOSS-seedS-foldK. The same command goes on where
it was stopped: complete runs are kept, an interrupted one is resumed; with more epochs all are made longer. In the end
OUTPUT holds table.md, table.csv, images.csv (every score of every test image) and report.html. All losses see the same
folds, the same batches and the same initial weights.

A loss may stand there with settings of its own, as often as you like: `--losses ce,cwmi,cwmi:ce_weight=20,levels=3` has
three rows. Names with a dot are settings of the run: `cwmi:model.norm=group`. `--seeds 0,1,2` does all of it for each seed.

Every other flag of `python -m train PRESET`, such as `--folds 5`, `--epochs 10` or `--model.width 16`, changes that setting
for all runs; `python -m train PRESET --help` lists them. All folds are run unless `--fold 0` says which.

Example: python -m train.compare --dataset drive --losses ce,rmi,cwmi --folds 3 --data.source DRIVE --model.width 16
"""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from train.atomic_files import written_whole
from train.command_line import UsageError, fail, parse_known
from train.config import Config, DataConfig
from train.loss_options import check_classes
from train.plans import PROGRAM, Comparison, Plan, make_plan, plan_of
from train.reports.page import page
from train.reports.results import RunKey, read_rows
from train.reports.tables import csv_text, failures, images_csv_text, markdown
from train.runs.continuation import check_settings, is_done
from train.runs.folder import RunError, RunFolder
from train.runs.interruption import Interrupted, leave, stop_signals
from train.runs.processes import run_in_process
from train.variants import Variant

_REMEDY = "give another --output"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares losses from the command line.

    Args:
        arguments: those of the process when None.

    Returns:
        Exit status: 0 also after a signal, when everything is saved; 1 if a run failed; 2 if the command line is wrong.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        comparison, flags = parse_known(Comparison, arguments, prog=PROGRAM, description=__doc__)
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
    return _start(plan_of(config, [config.model.name], [variant], [config.seed], config.loss.options), command)


def _start(plan: Plan, command: str) -> int:
    try:
        check_folders(plan)
        with stop_signals():
            _check_data(plan)
    except Interrupted as stopped:
        print(stopped, flush=True)
        return 0
    except (ValueError, RunError) as error:
        return fail(error)
    return compare(plan, run_in_process, command)


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
        check_settings(key.folder, config, _REMEDY)


def _output(plan: Plan) -> Path:
    """The folder of all runs and of the tables."""
    return next(iter(plan)).folder.path.parent


def _check_data(plan: Plan) -> None:
    """Prepares the data once, before the first run; refuses losses that do not fit them, and runs that were on others."""
    from train.runs.data import check_images, check_split, open_data, split_of

    data = next(iter(plan.values())).data
    try:
        dataset = open_data(data)
        for config in plan.values():
            check_classes(config.loss.name, dataset.classes, data.title)
        splits = {
            key.folder: split_of(config.data, dataset.names, fold=key.part.fold, seed=key.part.seed)
            for key, config in plan.items()
        }
    except ValueError as error:
        if not _need_no_data(plan):
            raise
        reason = str(error).splitlines()[0]
        print(f"the data are not at hand, so the complete runs are shown as they are: {reason}", flush=True)
        return
    for folder, split in splits.items():
        if folder.has_begun:
            check_images(folder, dataset, data.title, _REMEDY)
            check_split(folder, dataset.names, split, _REMEDY)


def _need_no_data(plan: Plan) -> bool:
    """Whether all runs are complete, and nothing names other data or another split than they had."""
    from train.runs.setup import with_whole_paths

    def as_before(now: DataConfig, before: DataConfig) -> bool:
        same = (now.splits, now.groups) == (before.splits, before.groups)
        return same and now.source in ("", before.source)

    return all(
        is_done(key.folder, config) and as_before(with_whole_paths(config).data, key.folder.read_config().data)
        for key, config in plan.items()
    )


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
