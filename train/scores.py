"""Every score of a segmentation, in one table: what computes it, which way is better, and how it is shown."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cwmi_jax import metrics

Classes = npt.NDArray[np.integer[Any]]


class Score(NamedTuple):
    """A score.

    Attributes:
        name: in tables and files.
        function: takes prediction and label: all classes, with `num_classes`, or the masks of one foreground.
        higher: whether more is better.
        digits: after the point in tables.
        unit: "" for none.
        of_classes: whether it counts all classes. The others know a foreground alone: with more than two classes they are
            means over the classes 1 and up, each against all the rest.
        in_table_1: whether the paper's Table 1 has it.
    """

    name: str
    function: Callable[..., Any]
    higher: bool
    digits: int
    unit: str = ""
    of_classes: bool = False
    in_table_1: bool = True

    @property
    def heading(self) -> str:
        """Name with the direction in which it gets better."""
        return f"{self.name} {'↑' if self.higher else '↓'}"

    def of_image(self, predicted: Classes, label: Classes, classes: int) -> float:
        """The score of one image.

        Args:
            predicted: classes `[*shape]`.
            label: as `predicted`.
            classes: how many there are.
        """
        dims = label.ndim
        if self.of_classes:
            return float(self.function(predicted, label, num_classes=classes, spatial_dims=dims))
        each = [self.function(predicted == c, label == c, spatial_dims=dims) for c in range(1, classes)]
        return float(np.mean(each))


SCORES = (
    Score("mIoU", metrics.mean_iou, True, 3, of_classes=True),
    Score("mDice", metrics.mean_dice, True, 3, of_classes=True),
    Score("VI", metrics.variation_of_information, False, 2, "bits"),
    Score("ARI", metrics.adjusted_rand_index, True, 3),
    Score("HD", metrics.modified_hausdorff, False, 2, "pixels"),
    Score("HD95", metrics.hausdorff95, False, 2, "pixels", in_table_1=False),
    Score("Betti error", metrics.betti_error, False, 1, in_table_1=False),
    Score("clDice", metrics.cldice_score, True, 3, in_table_1=False),
    Score("ARE", metrics.adapted_rand_error, False, 3, in_table_1=False),
)
"""In the order of tables."""

TABLE_1 = tuple(score for score in SCORES if score.in_table_1)
"""Those of the paper's Table 1, which every result has."""

FURTHER = tuple(score for score in SCORES if not score.in_table_1)
"""The others, which results of earlier versions may lack."""

VALIDATION = ("mIoU", "mDice")
"""Scores of the validation images, which `train.runs.steps.eval_step` computes; the first chooses the best checkpoint."""
