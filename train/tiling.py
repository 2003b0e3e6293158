"""Prediction of images that are too large for one pass: overlapping tiles, blended without a seam.

A network of convolutions sees a window around each pixel. Near the border of a tile that window is cut off, so what a tile
says there is left to its neighbour: of the overlap's four quarters the outermost counts for nothing, and the weight rises
smoothly over the two in the middle. The weights of all tiles add up to 1 at every pixel.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_NEGLIGIBLE = 1e-12


def predict_tiled(
    predict: Callable[[Array], npt.ArrayLike], image: Array, *, tile: int, overlap: int, multiple: int
) -> Array:
    """Predicts an image of any size; one that is no larger than a tile in one pass.

    Tiles begin at multiples of `multiple`, so that a network that halves the image finds the same pixels side by side as
    in the whole image: one that sees no further around a pixel than a quarter of the overlap gives the result of one
    pass. (Group normalisation sees the whole tile.) What the last tiles lack is filled up by repeating the image's edge.

    Args:
        predict: one tile `[*sides, channels]` to values `[*sides, C]`. All tiles of an image have the same sides.
        image: `[*shape, channels]`.
        tile: longest side of a tile, pixels; a multiple of `multiple`.
        overlap: pixels that two neighbours share at least, below `tile`.
        multiple: sides of the blocks that the network joins into one pixel at its coarsest.

    Returns:
        `[*shape, C]`, float32.

    Raises:
        ValueError: a tile or an overlap out of range.
    """
    check_tiles(tile, overlap, multiple)
    shape = image.shape[:-1]
    if max(shape) <= tile:
        return np.asarray(predict(image), np.float32)
    starts = [tile_starts(side, tile=tile, overlap=overlap, multiple=multiple) for side in shape]
    sides = [min(side, tile) for side in shape]
    weights = [tile_weights(begins, side, overlap) for begins, side in zip(starts, sides, strict=True)]
    covered = [begins[-1] + side for begins, side in zip(starts, sides, strict=True)]
    growth = [(0, end - side) for end, side in zip(covered, shape, strict=True)]
    padded = np.pad(image, [*growth, (0, 0)], mode="edge")

    blended: Array | None = None
    for places in itertools.product(*(range(len(begins)) for begins in starts)):
        window = tuple(
            slice(begins[place], begins[place] + side)
            for begins, place, side in zip(starts, places, sides, strict=True)
        )
        values = np.array(predict(padded[window]), np.float32)
        for axis, place in enumerate(places):
            along = weights[axis][place]
            values *= along.reshape([-1 if other == axis else 1 for other in range(values.ndim)])
        if blended is None:
            blended = np.zeros((*covered, values.shape[-1]), np.float32)
        blended[window] += values
    assert blended is not None
    return blended[tuple(map(slice, shape))]


def check_tiles(tile: int, overlap: int, multiple: int) -> None:
    """Raises a ValueError unless tiles can be laid out so; see `predict_tiled`."""
    if tile < 1 or tile % multiple:
        raise ValueError(f"tile must be a positive multiple of {multiple} for this network, got {tile}")
    if not 0 <= overlap <= tile - multiple:
        raise ValueError(f"overlap must be 0 to {tile - multiple} for tiles of {tile}, got {overlap}")


def tile_starts(side: int, *, tile: int, overlap: int, multiple: int) -> list[int]:
    """Where tiles begin along an axis.

    Args:
        side: the image's, pixels.
        tile: side of a tile, pixels.
        overlap: pixels that two neighbours share at least.
        multiple: what every start is a multiple of.

    Returns:
        Starts, ascending, the first 0; the last tile may reach over the image's end, by less than `multiple`.

    Example:
        >>> tile_starts(1000, tile=512, overlap=64, multiple=16)
        [0, 448, 496]
    """
    if side <= tile:
        return [0]
    last = -(-(side - tile) // multiple) * multiple
    stride = (tile - overlap) // multiple * multiple
    return [*range(0, last, stride), last]


def tile_weights(starts: Sequence[int], tile: int, overlap: int) -> Array:
    """Weights of the tiles along an axis.

    Args:
        starts: where they begin, ascending, leaving no gap.
        tile: side of a tile, pixels.
        overlap: pixels that two neighbours share at least.

    Returns:
        `[tiles, tile]`, 0 to 1; at each pixel of the axis the weights of its tiles add up to 1.
    """
    inside = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5
    rise = np.clip(2 * inside / max(overlap, 1) - 0.5, 0.0, 1.0)
    # At the image's border one tile is alone, with any weight above 0.
    window = np.maximum(np.sin(np.pi / 2 * rise) ** 2, _NEGLIGIBLE)
    total = np.zeros(starts[-1] + tile)
    for start in starts:
        total[start : start + tile] += window
    return np.stack([window / total[start : start + tile] for start in starts]).astype(np.float32)
