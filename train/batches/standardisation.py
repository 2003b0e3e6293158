"""What images are standardised with, so that a network sees numbers of one size."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from train.datasets import Dataset, Indices, check_indices


class ChannelStatistics(NamedTuple):
    """What the images of a run are standardised with, for each channel.

    Attributes:
        mean: `[channels]`, float32.
        deviation: `[channels]`, float32, above 0.
    """

    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]

    def standardise(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Takes the mean from an image `[..., channels]`, and divides by the deviation."""
        return (image - self.mean) / self.deviation

    def restore(self, standardised: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The image that was standardised."""
        return standardised * self.deviation + self.mean


def channel_statistics(dataset: Dataset, indices: Indices) -> ChannelStatistics:
    """Mean and pooled deviation of every channel, each image weighing the same whatever its size.

    With the mean m_i and the deviation s_i of each image, m = mean(m_i) and sqrt(mean(s_i^2 + (m_i - m)^2)); for images of
    one size these are the mean and the deviation of all pixels. No image is read: its facts are kept with the data set.

    Args:
        dataset: the images.
        indices: those of them that count: the training part, for nothing of the test may be known.

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
    deviation[deviation < 1e-6] = 1.0
    return ChannelStatistics(mean.astype(np.float32), deviation.astype(np.float32))
