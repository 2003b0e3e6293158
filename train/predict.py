"""`python -m train.predict RUN IMAGE...`: masks and probabilities of any images, by a trained network.

Images are PNG, TIFF, JPEG, BMP, GIF or NIfTI files of any size. Large ones are cut into overlapping tiles, whose predictions
are blended. NAME.png, or another picture, gives NAME_mask.png with 0 and 255 (the class numbers where there are more than
two) and NAME_probability.tif with 32-bit floats (a page a class where there are more than two). NAME.nii.gz gives
NAME_mask.nii.gz with class numbers and NAME_probability.nii.gz, with the affine of the image. They are written to
RUN/predictions unless --output names another folder. An image that cannot be predicted is named in one line, and the others
are predicted all the same.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import nibabel
import numpy as np
import numpy.typing as npt
import PIL.Image
import tifffile
import tyro

from train.batches.standardisation import ChannelStatistics
from train.command_line import UsageError, fail, parse
from train.datasets.readers import NIFTI_SUFFIXES, DatasetError, read_image, stem, to_unit_range
from train.runs.checkpoints import CheckpointError, Checkpoints
from train.runs.folder import RunFolder
from train.runs.network import network_of, untrained
from train.runs.steps import TrainState, predict_step, predicted_classes
from train.tiling import check_tiles, predict_tiled

Probabilities = npt.NDArray[np.float32]

_TILES = {2: 512, 3: 128}
_OVERLAP = 8


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Settings of the command line.

    Attributes:
        run: folder of the run.
        images: files to predict.
        output: folder to write to; without it RUN/predictions.
        tile: longest side of what is predicted at once, pixels; without it 512, and 128 for volumes.
        overlap: pixels that neighbouring tiles share at least; without it an eighth of a tile.
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN", help_behavior_hint="")]]
    images: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="IMAGE...", help_behavior_hint="")]]
    output: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    tile: Annotated[int | None, tyro.conf.arg(metavar="PIXELS", help_behavior_hint="")] = None
    overlap: Annotated[int | None, tyro.conf.arg(metavar="PIXELS", help_behavior_hint="")] = None


class Trained(NamedTuple):
    """A trained network and what it has to be told about images.

    Attributes:
        network: a Flax module.
        state: the parameters of its best checkpoint.
        statistics: that its images were standardised with.
        classes: how many there are.
        spatial_dims: 2 for images, 3 for volumes.
        multiple: sides of the blocks that it joins into one pixel at its coarsest.
    """

    network: nn.Module
    state: TrainState
    statistics: ChannelStatistics
    classes: int
    spatial_dims: int
    multiple: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Predicts images from the command line.

    Args:
        arguments: those of the process when None.

    Returns:
        Exit status: 0 if all images were predicted; 1 after a line for each that was not; 2 for a wrong command line.
    """
    try:
        settings = parse(Prediction, arguments, prog="python -m train.predict", description=__doc__)
        if not settings.images:
            raise UsageError("IMAGE... must name one file at least, got none")
        return _predict_all(settings)
    except (ValueError, CheckpointError) as error:
        return fail(error)


def load_trained(folder: RunFolder) -> Trained:
    """Loads the network of a run; its data set is not needed.

    Args:
        folder: the run's.

    Raises:
        ValueError: the folder is no run, or has not got as far as its first checkpoint.
        CheckpointError: there is no checkpoint that can be read.
    """
    config, facts = folder.read_config(), folder.read_facts()
    dims, channels = facts.spatial_dims, facts.channels
    network = network_of(config.model, classes=facts.classes, spatial_dims=dims)
    like = jax.eval_shape(functools.partial(untrained, config, network, None, spatial_dims=dims, channels=channels))
    checkpoints = Checkpoints(folder.checkpoints, read_only=True)
    try:
        state = checkpoints.best(like).state
    finally:
        checkpoints.close()
    return Trained(network, jax.device_put(state), facts.statistics, facts.classes, dims, 2**config.model.depth)


def predict_file(trained: Trained, path: Path, *, tile: int, overlap: int) -> Probabilities:
    """Reads an image and predicts it.

    Args:
        trained: as returned by `load_trained`.
        path: the image's.
        tile: longest side of what is predicted at once, pixels.
        overlap: pixels that neighbouring tiles share at least.

    Returns:
        `[*shape, C]`, 0 to 1; C is 1 for two classes.

    Raises:
        DatasetError: it cannot be read, or is not of the kind that the network was trained on.
        ValueError: a tile or an overlap out of range.
    """
    if path.is_dir():
        raise DatasetError(f"{path}: is a folder; name the files in it")
    if not path.exists():
        raise DatasetError(f"{path}: there is no such file")
    values = read_image(path)
    dims, channels = values.ndim - 1, values.shape[-1]
    wanted = trained.statistics.mean.size
    if dims != trained.spatial_dims:
        raise DatasetError(
            f"{path}: has {dims} spatial axes, and the run was trained on images of {trained.spatial_dims}"
        )
    if channels != wanted:
        raise DatasetError(
            f"{path}: has {_channels(channels)}, and the run was trained on images of {wanted}; convert it"
        )
    standardised = trained.statistics.standardise(to_unit_range(values))

    def predict(window: npt.NDArray[np.float32]) -> jax.Array:
        return _predict(trained.state, jnp.asarray(window[None]), network=trained.network)[0]

    return predict_tiled(predict, standardised, tile=tile, overlap=overlap, multiple=trained.multiple)


def write_prediction(folder: Path, path: Path, probabilities: Probabilities) -> list[Path]:
    """Writes mask and probability of an image in the format that goes with its own.

    Args:
        folder: to write to.
        path: the image's.
        probabilities: as returned by `predict_file`.

    Returns:
        The two files.

    Raises:
        ValueError: they cannot be written.
    """
    mask = predicted_classes(probabilities).astype(np.uint8)
    two = probabilities.shape[-1] == 1
    probability = probabilities[..., 0] if two else probabilities
    nifti = path.name.lower().endswith(NIFTI_SUFFIXES)
    suffixes = (".nii.gz", ".nii.gz") if nifti else (".png", ".tif")
    files = [
        folder / f"{stem(path)}_{kind}{suffix}" for kind, suffix in zip(("mask", "probability"), suffixes, strict=True)
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if nifti:
            affine = nibabel.load(path).affine  # type: ignore[attr-defined]
            nibabel.save(nibabel.Nifti1Image(mask, affine), files[0])
            nibabel.save(nibabel.Nifti1Image(probability, affine), files[1])
        else:
            PIL.Image.fromarray(mask * 255 if two else mask).save(files[0])
            pages = probability if two else np.moveaxis(probability, -1, 0)
            tifffile.imwrite(files[1], pages, photometric="minisblack")
    except OSError as error:
        raise ValueError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error
    return files


def _predict_all(settings: Prediction) -> int:
    folder = RunFolder(settings.run)
    output = settings.output or folder.predictions
    trained = load_trained(folder)
    tile = _TILES[trained.spatial_dims] if settings.tile is None else settings.tile
    overlap = tile // _OVERLAP if settings.overlap is None else settings.overlap
    check_tiles(tile, overlap, trained.multiple)
    status = 0
    written: dict[str, Path] = {}
    for path in settings.images:
        started = time.perf_counter()
        try:
            other = written.setdefault(stem(path), path)
            if other != path:
                raise DatasetError(
                    f"{path}: has the name of {other}, whose prediction it would replace; give another --output"
                )
            probabilities = predict_file(trained, path, tile=tile, overlap=overlap)
            mask, _ = write_prediction(output, path, probabilities)
        except ValueError as error:
            status = fail(error)
            continue
        foreground = float((predicted_classes(probabilities) != 0).mean())
        size = " x ".join(map(str, probabilities.shape[:-1]))
        print(f"{path}: {size}, foreground {foreground:.1%}, {time.perf_counter() - started:.1f} s, {mask}", flush=True)
    return status


def _channels(count: int) -> str:
    return f"{count} channel{'s' * (count > 1)}"


@functools.partial(jax.jit, static_argnames="network")
def _predict(state: TrainState, images: jax.Array, *, network: nn.Module) -> jax.Array:
    return predict_step(state, images, network=network)


if __name__ == "__main__":
    sys.exit(main())
