"""Padding, worked by hand."""

import numpy as np

from train.datasets.padding import pad_to_multiple


def test_padding_is_half_on_each_side_and_the_odd_pixel_comes_last():
    values = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    # From 3 x 3 to 4 x 4: nothing before, one row and one column after.
    np.testing.assert_array_equal(pad_to_multiple(values, 4), [[1, 2, 3, 3], [4, 5, 6, 6], [7, 8, 9, 9], [7, 8, 9, 9]])
    # From 2 x 3 to 5 x 5: one row before and two after, one column on either side.
    expected = [[1, 1, 2, 3, 3], [1, 1, 2, 3, 3], [4, 4, 5, 6, 6], [4, 4, 5, 6, 6], [4, 4, 5, 6, 6]]
    np.testing.assert_array_equal(pad_to_multiple(values[:2], 5), expected)
    np.testing.assert_array_equal(pad_to_multiple(values, 3), values)


def test_padding_with_a_value_leaves_the_channels_alone():
    padded = pad_to_multiple(np.zeros((3, 4, 3), np.uint8), 4, fill=255)
    assert padded.shape == (4, 4, 3) and padded.dtype == np.uint8
    assert (padded[3] == 255).all() and not padded[:3].any()


def test_size_of_the_paper():
    assert pad_to_multiple(np.zeros((584, 565)), 32).shape == (608, 576)
    assert pad_to_multiple(np.zeros((1500, 1500)), 32).shape == (1504, 1504)
