"""Data sets: prepared once from the files of their original archives, then read at random, without TensorFlow."""

from train.datasets.dataset import Dataset, Example, ImageFacts, Indices, check_indices, facts_of, largest_shape
from train.datasets.readers import DatasetError
from train.datasets.store import DATASETS, SegmentationDataset, open_dataset, prepare

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetError",
    "Example",
    "ImageFacts",
    "Indices",
    "SegmentationDataset",
    "check_indices",
    "facts_of",
    "largest_shape",
    "open_dataset",
    "prepare",
]
