"""What is worth to be told before a run begins, though nothing is wrong."""

import numpy as np

from train.config import Config
from train.fitting import in_words
from train.runs.setup import Setup


def remarks(config: Config, setup: Setup) -> list[str]:
    """Lines for people.

    Args:
        config: as it was given.
        setup: what `prepare_run` made of it.
    """
    chosen = in_words(config, setup.config, setup.dataset.images)
    return [*([chosen] if chosen else []), *_in_no_part(setup), *_few_images(setup), *_missing_classes(setup)]


def _in_no_part(setup: Setup) -> list[str]:
    """Images that a file of splits does not name; those of a gap are left out with intent."""
    splits, names = setup.config.data.splits, setup.dataset.names
    left_out = np.setdiff1d(np.arange(len(names)), np.concatenate(setup.split))
    if not splits or not left_out.size:
        return []
    return [
        f"{left_out.size} of the {len(names)} images are neither trained on, validated nor tested, such as "
        f"{names[left_out[0]]!r}, for data.splits {splits} does not name them in this fold"
    ]


def _few_images(setup: Setup) -> list[str]:
    batch, images = setup.config.batch_size, len(setup.split.train)
    if batch <= images:
        return []
    return [
        f"the training part has {images} images, fewer than a batch of {batch}, which holds some of them twice or more"
    ]


def _missing_classes(setup: Setup) -> list[str]:
    """Classes that a network cannot learn, for no image of the training part has them."""
    names = setup.dataset.class_names
    has = np.array([facts.pixels for facts in setup.dataset.images]) > 0
    missing = np.flatnonzero(has.any(axis=0) & ~has[setup.split.train].any(axis=0)).tolist()
    return [
        f"class {names[number]} is in {has[:, number].sum()} of the {len(has)} images and in none of the training part, so "
        "it cannot be learnt; another --seed or --fold has another training part"
        for number in missing
    ]
