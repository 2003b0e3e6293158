"""What a run's folder says of its data, for those who do not have them at hand."""

from typing import Any, NamedTuple

import numpy as np

from train.batches.standardisation import ChannelStatistics
from train.datasets import Dataset


class DataFacts(NamedTuple):
    """What is known of a run's data.

    Attributes:
        checksum: of every pixel of the images and labels.
        statistics: what images are standardised with.
        classes: number of classes.
        channels: channels of every image.
        spatial_dims: 2 for images, 3 for volumes.
    """

    checksum: int
    statistics: ChannelStatistics
    classes: int
    channels: int
    spatial_dims: int

    @classmethod
    def of(cls, dataset: Dataset, statistics: ChannelStatistics) -> "DataFacts":
        """Those of a data set, and of what its images are standardised with."""
        return cls(dataset.checksum, statistics, dataset.classes, dataset.channels, dataset.spatial_dims)

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON can hold them."""
        mean, deviation = (values.tolist() for values in self.statistics)
        numbers = {name: value for name, value in self._asdict().items() if name != "statistics"}
        return {"mean": mean, "deviation": deviation, **numbers}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "DataFacts":
        """The facts that `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: they are damaged.
        """
        statistics = ChannelStatistics(np.array(values["mean"], np.float32), np.array(values["deviation"], np.float32))
        numbers = (int(values[name]) for name in ("classes", "channels", "spatial_dims"))
        return cls(values["checksum"], statistics, *numbers)
