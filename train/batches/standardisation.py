"""What images are standardised with, so that a network sees numbers of one size."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from train.datasets import Dataset, Indices, check_indices

_CONSTANT = 1e-6  # Deviation of a channel, of images from 0 to 1, that is rounding alone.


class ChannelStatistics(NamedTuple):
    """What the images of a run are standardised with, for each channel.

    Attributes:
        mean: `[channels]`, float32.
        deviation: `[channels]`, float32, above 0.
        by_image: whether each image has its own mean and deviation instead, where scales differ from image to image.
    """

    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]
    by_image: bool = False

    def standardise(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Takes the mean from a whole image `[*shape, channels]`, and divides by the deviation."""
        mean, deviation = self.mean, self.deviation
        if self.by_image:
            axes = tuple(range(image.ndim - 1))
            mean = image.mean(axes, dtype=np.float64).astype(np.float32)
            deviation = _divisor(image.std(axes, dtype=np.float64)).astype(np.float32)
        return (image - mean) / deviation

    def restore(self, standardised: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The image that was standardised; as it is where that was done by its own mean and deviation."""
        return standardised if self.by_image else standardised * self.deviation + self.mean


def channel_statistics(dataset: Dataset, indices: Indices, *, by_image: bool = False) -> ChannelStatistics:
    """Mean and pooled deviation of every channel, each image weighing the same whatever its size.

    With the mean m_i and the deviation s_i of each image, m = mean(m_i) and sqrt(mean(s_i^2 + (m_i - m)^2)); for images of
    one size these are the mean and the deviation of all pixels. No image is read: its facts are kept with the data set.

    Args:
        dataset: the images.
        indices: those of them that count: the training part, for nothing of the test may be known.
        by_image: as in `ChannelStatistics`.

    Returns:
        The statistics. A channel that is the same everywhere has nothing to scale by, and gets the deviation 1.

    Raises:
        ValueError: no image.
    """
    check_indices(dataset, indices)
    facts = [dataset.images[int(index)] for index in indices]
    means = np.array([of_image.mean for of_image in facts])
    variances = np.array([of_image.variance for of_image in facts])
    mean = np.mean(means, axis=0)
    deviation = np.sqrt(np.mean(variances + (means - mean) ** 2, axis=0))
    return ChannelStatistics(mean.astype(np.float32), _divisor(deviation).astype(np.float32), by_image)


def _divisor(deviation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(deviation < _CONSTANT, 1.0, deviation)
