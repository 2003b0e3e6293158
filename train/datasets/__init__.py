"""Data sets: prepared once from the files of their original archives, then read at random, without TensorFlow."""

from train.datasets.files import DatasetError
from train.datasets.store import DATASETS, Example, SegmentationDataset, open_dataset, prepare

__all__ = ["DATASETS", "DatasetError", "Example", "SegmentationDataset", "open_dataset", "prepare"]
