"""`python -m train.predict RUN IMAGE...`: masks and probabilities of any images, by a trained network.

Images are PNG, TIFF, JPEG, BMP, GIF or NIfTI files of any size. Large ones are cut into overlapping tiles, whose
predictions are blended. NAME.png, or another picture, gives NAME_mask.png and NAME_probability.tif with 32-bit floats (a
page a class where there are more than two). A volume of TIFF pages gives NAME_mask.tif and NAME_probability.tif with as
many, or of each slice a page a class. TIFF files are ImageJ's, with the distances between pixels where the image has them
(ImageJ, OME). NAME.nii.gz gives NAME_mask.nii.gz and NAME_probability.nii.gz, with the affine, the sizes of voxels and
the units of the image.

Masks hold the numbers that the masks of the run's data have for their classes, in pictures as a palette of the classes'
colours. Where these are not known they are 0, 1, ...; of two classes without colours of their own 0 and 255, but for
NIfTI.

The files are written to RUN/predictions unless --output names another folder, in place of an earlier prediction; a
NAME_mask or NAME_probability without the other is no prediction, and is left alone. An image that cannot be predicted is
named in one line, and the others are predicted all the same.
"""

import dataclasses
import functools
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import tyro

from train.command_line import UsageError, fail, parse
from train.datasets.intensities import bit_depth, to_unit_range
from train.datasets.readers import DatasetError, read_image, stem
from train.prediction_files import Probabilities, prediction_files, write_prediction
from train.runs.checkpoints import CheckpointError, Checkpoints
from train.runs.data_facts import DataFacts
from train.runs.folder import RunFolder
from train.runs.network import network_of, untrained
from train.runs.steps import TrainState, predict_step, predicted_classes
from train.tiling import check_tiles, predict_tiled

_TILES = {2: 512, 3: 128}
_OVERLAP = 8
_SHARES = 4  # Classes whose shares are told.
_FAINTER = 16  # times: an image that is darker than white by this is taken for one of fewer bits
_LOG = logging.getLogger(__name__)


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
        facts: of the data that it was trained on.
        multiple: sides of the blocks that it joins into one pixel at its coarsest.
    """

    network: nn.Module
    state: TrainState
    facts: DataFacts
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
    return Trained(network, jax.device_put(state), facts, 2**config.model.depth)


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
    values = read_image(path, stretched=trained.facts.stretched)
    dims, channels = values.ndim - 1, values.shape[-1]
    facts, wanted = trained.facts, trained.facts.channels
    if dims != facts.spatial_dims:
        remedy = (
            "its slices, each a file of its own" if dims > facts.spatial_dims else "the volume that it is a slice of"
        )
        raise DatasetError(
            f"{path}: has {dims} spatial axes, and the run was trained on images of {facts.spatial_dims}; give {remedy}"
        )
    if channels != wanted:
        raise DatasetError(
            f"{path}: has {_channels(channels)}, and the run was trained on images of {wanted}; convert it"
        )
    if values.dtype == np.uint16:
        _check_white(path, int(values.max()), facts.white)
    standardised = facts.statistics.standardise(to_unit_range(values, white=facts.white))

    def predict(window: npt.NDArray[np.float32]) -> jax.Array:
        return _predict(trained.state, jnp.asarray(window[None]), network=trained.network)[0]

    return predict_tiled(predict, standardised, tile=tile, overlap=overlap, multiple=trained.multiple)


def _check_white(path: Path, greatest: int, white: int | None) -> None:
    """Refuses 16 bits of which nothing says what is white, and says so where they hardly fit what was."""
    depth = bit_depth(greatest)
    if white is None and depth < 16:
        raise DatasetError(
            f"{path}: holds {greatest} at most in 16 bits, as a camera of {depth} bits does, and the run was trained on no "
            "images of 16 bits, so that nothing says what is white; save it as those were, or with 65535 as white"
        )
    if white is not None and not white < _FAINTER * greatest <= _FAINTER * white:
        _LOG.warning(
            "%s: holds %d at most, where %d was white in the images that the run was trained on; if it is of another depth, "
            "save it with theirs",
            path,
            greatest,
            white,
        )


def _predict_all(settings: Prediction) -> int:
    folder = RunFolder(settings.run)
    output = settings.output or folder.predictions
    trained = load_trained(folder)
    facts = trained.facts
    tile = _TILES[facts.spatial_dims] if settings.tile is None else settings.tile
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
            # Before the work, for it may refuse.
            prediction_files(output, path, facts.spatial_dims, values=facts.class_values)
            probabilities = predict_file(trained, path, tile=tile, overlap=overlap)
            mask, _ = write_prediction(
                output, path, probabilities, values=facts.class_values, colours=facts.class_colours
            )
        except ValueError as error:
            status = fail(error)
            continue
        shares = _shares(predicted_classes(probabilities), facts.class_names)
        size = " x ".join(map(str, probabilities.shape[:-1]))
        print(f"{path}: {size}, {shares}, {time.perf_counter() - started:.1f} s, {mask}", flush=True)
    return status


def _shares(classes: npt.NDArray[np.int32], names: Sequence[str]) -> str:
    """The share of the foreground, or of several classes those that are most of it."""
    parts = np.bincount(classes.ravel(), minlength=len(names)) / classes.size
    if len(names) == 2:
        return f"foreground {parts[1]:.1%}"
    largest = [number for number in np.argsort(-parts, kind="stable")[:_SHARES] if parts[number]]
    return ", ".join(f"{names[number]}: {parts[number]:.1%}" for number in largest)


def _channels(count: int) -> str:
    return f"{count} channel{'s' * (count > 1)}"


@functools.partial(jax.jit, static_argnames="network")
def _predict(state: TrainState, images: jax.Array, *, network: nn.Module) -> jax.Array:
    return predict_step(state, images, network=network)


if __name__ == "__main__":
    sys.exit(main())
