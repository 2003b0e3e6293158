"""Data sets: prepared once from the files of their original archives, then read at random, without TensorFlow."""

from train.datasets.contents import Reading
from train.datasets.dataset import (
    WHITE,
    Dataset,
    Example,
    ImageFacts,
    Indices,
    check_indices,
    facts_of,
    largest_shape,
    typical_spacing,
)
from train.datasets.readers import DatasetError
from train.datasets.store import DATASETS, SegmentationDataset, open_dataset, prepare

__all__ = [
    "DATASETS",
    "WHITE",
    "Dataset",
    "DatasetError",
    "Example",
    "ImageFacts",
    "Indices",
    "Reading",
    "SegmentationDataset",
    "check_indices",
    "facts_of",
    "largest_shape",
    "open_dataset",
    "prepare",
    "typical_spacing",
]
