"""What a run's folder says of its data, for those who do not have them at hand."""

from typing import Any, NamedTuple

import numpy as np

from train.batches.standardisation import ChannelStatistics
from train.datasets import WHITE, Dataset


class DataFacts(NamedTuple):
    """What is known of a run's data.

    Attributes:
        checksum: of every pixel of the images and labels.
        statistics: what images are standardised with.
        classes: number of classes.
        channels: channels of every image.
        spatial_dims: 2 for images, 3 for volumes.
        class_names: name of each class.
        class_colours: of each class, as `#rrggbb`; none where the data set says nothing of them.
        class_values: what masks of the user's hold for each class; none where that is not known.
        white: what stands for 1 in files of 16 bits; None where there were none.
        stretched: whether files of other numbers than 8 and 16 bits were stretched to 0..1; None where it is not known.
    """

    checksum: int
    statistics: ChannelStatistics
    classes: int
    channels: int
    spatial_dims: int
    class_names: tuple[str, ...]
    class_colours: tuple[str, ...]
    class_values: tuple[int, ...]
    white: int | None
    stretched: bool | None

    @classmethod
    def of(cls, dataset: Dataset, statistics: ChannelStatistics) -> "DataFacts":
        """Those of a data set, and of what its images are standardised with."""
        return cls(
            checksum=dataset.checksum,
            statistics=statistics,
            classes=dataset.classes,
            channels=dataset.channels,
            spatial_dims=dataset.spatial_dims,
            class_names=tuple(dataset.class_names),
            class_colours=tuple(dataset.class_colours),
            class_values=tuple(dataset.class_values),
            white=dataset.white,
            stretched=dataset.stretched,
        )

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON can hold them."""
        mean, deviation, by_image = self.statistics
        others = {name: value for name, value in self._asdict().items() if name != "statistics"}
        return {"mean": mean.tolist(), "deviation": deviation.tolist(), "by_image": by_image, **others}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "DataFacts":
        """The facts that `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: they are damaged.
        """
        mean, deviation = (np.array(values[name], np.float32) for name in ("mean", "deviation"))
        classes, channels, spatial_dims = (int(values[name]) for name in ("classes", "channels", "spatial_dims"))
        # Runs of earlier versions do not have what follows.
        return cls(
            checksum=values["checksum"],
            statistics=ChannelStatistics(mean, deviation, bool(values.get("by_image"))),
            classes=classes,
            channels=channels,
            spatial_dims=spatial_dims,
            class_names=tuple(values.get("class_names") or map(str, range(classes))),
            class_colours=tuple(values.get("class_colours", ())),
            class_values=tuple(values.get("class_values", ())),
            white=values.get("white", WHITE),
            stretched=values.get("stretched"),
        )
