"""Boundaries between instances, worked by hand."""

import numpy as np

from train.datasets.snemi3d import membranes


def test_membranes_are_both_sides_of_a_boundary_and_number_zero():
    instances = np.array(
        [
            [1, 1, 1, 2, 2],
            [1, 1, 1, 2, 2],
            [1, 1, 1, 2, 2],
            [3, 3, 3, 3, 3],
            [3, 3, 3, 3, 3],
            [3, 3, 3, 3, 0],
        ]
    )
    expected = [
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1],
    ]
    np.testing.assert_array_equal(membranes(instances), expected)


def test_pixels_that_touch_at_a_corner_are_no_boundary():
    instances = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 2, 2], [1, 1, 2, 2]])
    # Of the four pixels around the corner, the one across it from instance 2 stays inside.
    np.testing.assert_array_equal(membranes(instances), [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 1, 0]])
