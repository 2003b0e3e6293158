"""Pictures of errors."""

import matplotlib.image
import numpy as np
from matplotlib.colors import to_rgb

from train.config import FigureConfig
from train.figures import FALSE_NEGATIVE, FALSE_POSITIVE, error_map, write_comparison


def test_each_kind_of_error_has_its_colour_and_hits_are_dimmed():
    grey = np.array([[0.2, 0.4, 0.6, 0.8]])
    label, predicted = np.array([[0, 1, 0, 1]]), np.array([[1, 0, 0, 1]])
    colours = error_map(grey, label, predicted)
    np.testing.assert_allclose(colours[0, :2], [to_rgb(FALSE_POSITIVE), to_rgb(FALSE_NEGATIVE)])
    right = colours[0, 2:]
    np.testing.assert_array_equal(right, right[:, :1].repeat(3, axis=1))
    np.testing.assert_allclose(right[1] / right[0], 0.8 / 0.6)
    assert right[1, 0] < 0.8


def test_the_picture_is_as_wide_as_asked_and_shows_both_colours(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (2, 20, 16))
    config = FigureConfig(dots_per_inch=50, panel_inches=2.0)
    path = tmp_path / "comparison.png"
    write_comparison(
        path, rng.random((2, 20, 16)), labels, {"a": 1 - labels, "b": labels}, ["one", "two"], "title", config
    )
    picture = matplotlib.image.imread(path)[..., :3]
    assert picture.shape[1] == 6 * 2.0 * 50
    for colour in (FALSE_POSITIVE, FALSE_NEGATIVE):
        assert (abs(picture - to_rgb(colour)).max(axis=-1) < 0.01).sum() > 100
