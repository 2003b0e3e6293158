"""What a command makes of a run that its folder holds already: it goes on with it, makes it longer, or refuses."""

import dataclasses

from train.config import Config
from train.fitting import filled
from train.runs.folder import RunFolder
from train.runs.logs import add_line
from train.runs.optimizer import longer_in_words
from train.settings import SHOWN_ONLY, differing, flat_settings, to_json


def taken_up(config: Config) -> Config:
    """A config whose open settings are those of the run that its folder holds, if that has begun.

    Args:
        config: as it was given.

    Raises:
        ValueError: the settings of the run cannot be read.
    """
    folder = RunFolder.of(config)
    return filled(config, folder.read_config()) if folder.has_begun else config


def check_settings(folder: RunFolder, config: Config, remedy: str) -> None:
    """Refuses to go on with other settings; more epochs than before are none.

    Args:
        folder: the run's.
        config: those of today.
        remedy: what to do where they differ.

    Raises:
        ValueError: a run has begun with other settings, or its settings cannot be read.
    """
    if not folder.has_begun:
        return
    recorded = folder.read_config()
    longer = ("epochs",) if is_longer(folder, config) else ()
    before, now = (flat_settings(to_json(settings)) for settings in (recorded, filled(config, recorded)))
    changed = differing(before, now, (*SHOWN_ONLY, *longer))
    if changed:
        raise ValueError(f"{folder} holds a run with other settings: {', '.join(changed)}; {remedy}")


def is_longer(folder: RunFolder, config: Config) -> bool:
    """Whether a run that has begun is to have more epochs than it has."""
    return folder.has_begun and config.epochs > folder.read_config().epochs


def is_done(folder: RunFolder, config: Config) -> bool:
    """Whether nothing is left to train or to test."""
    return folder.is_complete and not is_longer(folder, config)


def lengthen(folder: RunFolder, epochs: int, epoch_steps: int) -> str:
    """Gives a run more epochs; its result is removed, for it is one of the shorter run.

    Args:
        folder: of a run that has begun.
        epochs: how many the run is to have.
        epoch_steps: batches in an epoch.

    Returns:
        What it does to the learning rate, in words.

    Raises:
        OSError: a file cannot be written.
    """
    recorded, step = folder.read_config(), folder.latest_step
    folder.forget_result()
    add_line(folder, step, -(-step // epoch_steps), {"epochs": epochs, "epochs_before": recorded.epochs})
    folder.write_config(dataclasses.replace(recorded, epochs=epochs))
    schedule = longer_in_words(recorded.optimizer, (recorded.epochs, epochs), epoch_steps, step)
    return f"{folder}: from {recorded.epochs} to {epochs} epochs, after step {step}; {schedule}"
