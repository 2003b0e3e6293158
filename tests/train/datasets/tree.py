"""A folder of images and masks as a user might have it, written file by file."""

import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile

from train.datasets import DatasetError, Reading, open_dataset

RNG = np.random.default_rng(0)
BINARY = np.uint8([[0, 255, 0, 0], [255, 255, 0, 0], [0, 0, 0, 255]])
THREE = np.uint8([[0, 1, 2, 0], [1, 1, 0, 0], [0, 0, 2, 2]])


def grey(rows=3, columns=4):
    return RNG.integers(0, 256, (rows, columns), dtype=np.uint8)


def rgb(rows=3, columns=4):
    return RNG.integers(0, 256, (rows, columns, 3), dtype=np.uint8)


class Tree:
    """A folder of images and masks, and how it is opened."""

    def __init__(self, root):
        self.root, self.data = root / "mine", root / "data"
        for part in ("images", "masks"):
            (self.root / part).mkdir(parents=True)

    def add(self, name, array):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        if path.name.endswith((".nii", ".nii.gz")):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
        elif array.dtype == np.float32 or (array.dtype == np.uint16 and array.ndim == 3):
            tifffile.imwrite(path, array)
        else:
            PIL.Image.fromarray(array).save(path)
        return path

    def pair(self, name="a", image=None, mask=BINARY):
        self.add(f"images/{name}.png", grey(*mask.shape[:2]) if image is None else image)
        self.add(f"masks/{name}.png", mask)

    def open(self, **reading):
        return open_dataset("folder", data_dir=self.data, source=self.root, reading=Reading(**reading))

    def error(self, **reading):
        """The one line that opening ends with; nothing is left behind."""
        before = self._written()
        with pytest.raises(DatasetError) as raised:
            self.open(**reading)
        assert self._written() == before
        message = str(raised.value)
        assert "\n" not in message
        return message.replace(str(self.root), "mine")

    def _written(self):
        return {path for path in self.data.rglob("*") if path.name != ".lock" and path.is_file()}
