"""Axial slices of the MNI152 brain that the nilearn wheel carries, split by height, in seeded batches.

Nothing is downloaded. The image is the T1-weighted average of 152 people; the label is its grey matter, a thin folded
ribbon. All slices come from this *one* averaged brain: held-out slices show that the network learnt more than the
slices it saw, not that it would work on another person.

Arrays are NumPy on the host; rows run from front to back and columns from the brain's right to its left.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from nilearn import datasets

from train.config import DataConfig


class Batch(NamedTuple):
    """Images and labels of the same slices.

    Attributes:
        images: Grey values, `[B, H, W, 1]`, float32; standardised with the training slices' mean and deviation.
        labels: 1 on grey matter, else 0, `[B, H, W]`, int32.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]


class Split(NamedTuple):
    """Training and held-out slices.

    Attributes:
        train: Training slices, lowest first.
        held_out: Held-out slices, lowest first.
        train_mm: Height of each training slice, `[N]`, millimetres.
        held_out_mm: Height of each held-out slice, `[M]`, millimetres.
    """

    train: Batch
    held_out: Batch
    train_mm: npt.NDArray[np.float64]
    held_out_mm: npt.NDArray[np.float64]


def load_split(config: DataConfig) -> Split:
    """Reads the brain, splits its slices, and standardises them with the statistics of the training part.

    Args:
        config: Resolution, heights, split and threshold.

    Returns:
        Training and held-out slices.

    Raises:
        ValueError: If one part of the split would be empty.
    """
    images, labels, heights = load_slices(config)
    train, held_out = split_blocks(heights, config.held_out_mm, config.gap_slices)
    if not (train.size and held_out.size):
        raise ValueError(
            f"the split of {heights.size} slices leaves {train.size} for training and {held_out.size} held out; "
            f"change data.held_out_mm {config.held_out_mm} or data.gap_slices {config.gap_slices}"
        )
    images = (images - images[train].mean()) / images[train].std()
    return Split(
        Batch(images[train], labels[train]),
        Batch(images[held_out], labels[held_out]),
        heights[train],
        heights[held_out],
    )


def load_slices(
    config: DataConfig,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Reads the axial slices between two heights, cropped to the brain.

    Args:
        config: Resolution, heights, size and threshold.

    Returns:
        Images `[N, H, W, 1]` with grey values from 0 to 1, labels `[N, H, W]`, and heights `[N]` in millimetres.
    """
    template = datasets.load_mni152_template(resolution=config.resolution_mm)
    probability = datasets.load_mni152_gm_template(resolution=config.resolution_mm)
    heights = template.affine[2, 3] + template.affine[2, 2] * np.arange(template.shape[2])
    used = (heights >= config.lowest_mm) & (heights <= config.highest_mm)
    images = _axial(np.asarray(template.dataobj, np.float32))[used]
    labels = _axial(np.asarray(probability.dataobj) > config.label_threshold)[used]
    brain = datasets.load_mni152_brain_mask(resolution=config.resolution_mm)
    window = _window(_axial(np.asarray(brain.dataobj) > 0)[used], config.multiple_pixels)
    return images[window][..., None], labels[window].astype(np.int32), heights[used]


def split_blocks(
    heights_mm: npt.NDArray[np.float64], held_out_mm: tuple[tuple[float, float], ...], gap_slices: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Splits slices into contiguous blocks; slices next to a held-out block belong to neither part.

    Neighbouring slices of a brain are nearly the same picture: a random split would measure memory.

    Args:
        heights_mm: Height of each slice, ascending, `[N]`, millimetres.
        held_out_mm: Lowest and highest height of each held-out block, both included, millimetres.
        gap_slices: Slices discarded on each side of a held-out block.

    Returns:
        Indices of the training slices and of the held-out slices, ascending.
    """
    held_out = np.zeros(heights_mm.size, bool)
    for low, high in held_out_mm:
        held_out |= (heights_mm >= low) & (heights_mm <= high)
    near = np.convolve(held_out, np.ones(2 * gap_slices + 1), mode="full")[gap_slices : gap_slices + held_out.size] > 0
    return np.flatnonzero(~near), np.flatnonzero(held_out)


def batch_at(slices: Batch, batch_size: int, seed: int, step: int) -> Batch:
    """Draws the batch of one step; a pure function of the step, so a run can resume at any of them.

    Every slice is drawn once before any is drawn again. Each drawn slice is flipped at random along each axis.

    Args:
        slices: Slices to draw from, `[N, ...]`.
        batch_size: Slices to draw.
        seed: Seed of the order and of the flips.
        step: Number of the step, from 0.

    Returns:
        Batch of `batch_size` slices.
    """
    count = slices.labels.shape[0]
    epochs, places = np.divmod(step * batch_size + np.arange(batch_size), count)
    orders = {epoch: np.random.default_rng([seed, 0, epoch]).permutation(count) for epoch in np.unique(epochs)}
    drawn = np.array([orders[epoch][place] for epoch, place in zip(epochs, places, strict=True)])
    images, labels = slices.images[drawn], slices.labels[drawn]
    flips = np.random.default_rng([seed, 1, step]).random((batch_size, 2)) < 0.5
    for index, (vertical, horizontal) in enumerate(flips):
        direction = (slice(None, None, -1 if vertical else 1), slice(None, None, -1 if horizontal else 1))
        images[index], labels[index] = images[index][direction], labels[index][direction]
    return Batch(images, labels)


def batches(slices: Batch, batch_size: int, seed: int) -> Iterator[Batch]:
    """Yields the batches of steps 0, 1, 2 and so on, without end.

    Args:
        slices: Slices to draw from.
        batch_size: Slices of each batch.
        seed: Seed of the order and of the flips.

    Yields:
        `batch_at` of each step.
    """
    for step in itertools.count():
        yield batch_at(slices, batch_size, seed, step)


def _axial(volume: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    # The volume is [right to left, back to front, bottom to top]; the first row of a picture is to be the front.
    return np.ascontiguousarray(volume.transpose(2, 1, 0)[:, ::-1])


def _window(brain: npt.NDArray[np.bool_], multiple: int) -> tuple[slice, slice, slice]:
    # One window for all slices: the empty surroundings are easy pixels that would only flatter the scores. Sides that
    # are a multiple of a power of two spare the network its padding and the pyramid slow transforms.
    edges = []
    for axis in (1, 2):
        inside = np.flatnonzero(brain.any(axis=(0, 3 - axis)))
        first, size = int(inside[0]), int(inside[-1]) + 1 - int(inside[0])
        grown = -size % multiple
        start = min(max(first - grown // 2, 0), max(brain.shape[axis] - size - grown, 0))
        edges.append(slice(start, start + size + grown))
    return slice(None), edges[0], edges[1]
