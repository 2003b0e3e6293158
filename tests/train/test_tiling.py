"""Tiles, and that a network which sees little gives the result of one pass whatever the tiles."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from train.tiling import predict_tiled, tile_starts, tile_weights


@pytest.mark.parametrize("side", [7, 64, 65, 100, 129, 1000])
@pytest.mark.parametrize(("overlap", "multiple"), [(0, 1), (5, 1), (16, 8), (56, 8)])
def test_tiles_cover_the_axis_and_overlap_as_asked(side, overlap, multiple):
    starts = tile_starts(side, tile=64, overlap=overlap, multiple=multiple)
    assert starts[0] == 0
    assert all(start % multiple == 0 for start in starts)
    assert side <= starts[-1] + 64 < side + multiple or side <= 64
    assert all(before + 64 - after >= overlap for before, after in itertools.pairwise(starts))
    assert starts == sorted(set(starts))


@pytest.mark.parametrize("overlap", [0, 1, 3, 16, 40])
def test_weights_add_up_to_one(overlap):
    starts = [0, 24, 48, 50]
    weights = tile_weights(starts, 64, overlap)
    total = np.zeros(starts[-1] + 64)
    for start, along in zip(starts, weights, strict=True):
        total[start : start + 64] += along
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    assert (weights >= 0).all()


def test_the_outer_quarter_of_an_overlap_counts_for_nothing_and_the_rest_rises():
    _, second = tile_weights([0, 48], 64, 16)
    assert second[:4].max() < 1e-6
    assert (np.diff(second[4:12]) > 0).all()
    np.testing.assert_allclose(second[12:], 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(50, 70), (33, 97), (20, 90), (16, 16), (40, 37, 50)])
def test_a_local_network_gives_the_untiled_result(shape):
    image = np.random.default_rng(0).random((*shape, 2), np.float32)

    def blur(window):
        """Sees two pixels around each, and the nearest edge beyond the border, as `predict_tiled` fills up."""
        smooth = ndimage.uniform_filter(window, (*[5] * len(shape), 1), mode="nearest")
        return np.concatenate([smooth, window[..., :1] ** 2], axis=-1)

    tiled = predict_tiled(blur, image, tile=32, overlap=8, multiple=4)
    assert tiled.shape == (*shape, 3)
    np.testing.assert_allclose(tiled, blur(image), atol=2e-6)


def test_a_network_that_halves_finds_the_same_blocks():
    image = np.random.default_rng(0).random((60, 90, 1), np.float32)

    def coarse(window):
        rows, columns = window.shape[0] // 4, window.shape[1] // 4
        blocks = window.reshape(rows, 4, columns, 4, 1).max(axis=(1, 3))
        return blocks.repeat(4, axis=0).repeat(4, axis=1)

    whole = coarse(np.pad(image, ((0, 0), (0, 2), (0, 0)), mode="edge"))[:, :90]
    np.testing.assert_allclose(predict_tiled(coarse, image, tile=24, overlap=16, multiple=4), whole, atol=1e-6)


def test_all_tiles_have_one_shape_and_small_images_are_one_pass():
    shapes = []

    def record(window):
        shapes.append(window.shape)
        return window

    predict_tiled(record, np.zeros((70, 20, 1), np.float32), tile=32, overlap=8, multiple=4)
    assert set(shapes) == {(32, 20, 1)}
    shapes.clear()
    predict_tiled(record, np.zeros((31, 29, 1), np.float32), tile=32, overlap=8, multiple=4)
    assert shapes == [(31, 29, 1)]


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (30, 8, "tile must be a positive multiple of 4 for this network, got 30"),
        (0, 0, "tile must be a positive multiple of 4 for this network, got 0"),
        (32, 29, "overlap must be 0 to 28 for tiles of 32, got 29"),
        (32, -1, "overlap must be 0 to 28 for tiles of 32, got -1"),
    ],
)
def test_settings_out_of_range(tile, overlap, message):
    with pytest.raises(ValueError, match=message):
        predict_tiled(np.square, np.zeros((40, 40, 1), np.float32), tile=tile, overlap=overlap, multiple=4)
