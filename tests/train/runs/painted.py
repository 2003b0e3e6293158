"""A data set whose images say where each pixel came from."""

import numpy as np

from train.datasets import Example, facts_of


class Painted:
    """Image i has the value i in its first channel and a pixel's coordinates in the others; its label numbers its pixels.

    The name says i as well. Shapes are repeated as often as there are images.
    """

    name, classes, class_names, class_colours, checksum = "painted", 2, ("0", "1"), (), 0
    white, stretched = 65535, None
    length_unit, class_values = "pixels", ()

    def __init__(self, count, shapes=((4, 5),)):
        self.shapes = [shapes[index % len(shapes)] for index in range(count)]
        self.spatial_dims = len(shapes[0])
        self.channels = self.spatial_dims + 1
        self.names = [f"image {index}" for index in range(count)]
        self.images = [facts_of(self[index], classes=2) for index in range(count)]
        self.read = []

    def __len__(self):
        return len(self.shapes)

    def __getitem__(self, index):
        if hasattr(self, "read"):
            self.read.append(index)
        shape = self.shapes[index]
        coordinates = np.indices(shape).astype(np.float32)
        image = np.stack([np.full(shape, index, np.float32), *coordinates], axis=-1)
        return Example(f"image {index}", image, numbered(shape), np.ones(shape, bool))


def numbered(shape):
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape)


def assert_label_fits_image(images, labels, where, shape):
    """The label of each pixel in `where` is the number of the pixel that the image's coordinates name."""
    at = np.rint(images[..., 1:]).astype(int)
    np.testing.assert_array_equal(np.ravel_multi_index(tuple(np.moveaxis(at, -1, 0)), shape)[where], labels[where])
