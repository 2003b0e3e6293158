"""Every score of a segmentation, in one table: what computes it, which way is better, and how it is shown."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cwmi_jax import metrics

Classes = npt.NDArray[np.integer[Any]]


class Score(NamedTuple):
    """A score.

    With more than two classes a score is the mean over those that an image has, in its label or its prediction; what counts
    shapes leaves class 0 out. A class that was predicted and is not there has an overlap of 0.

    Attributes:
        name: in tables and files.
        function: takes a table of counts and gives a value for each class ("overlap"), or takes the masks of one class.
        higher: whether more is better.
        digits: after the point in tables.
        kind: "overlap" of all classes, "shape" of one class against the rest, or "cells" that a foreground parts, which
            means nothing with more than two classes.
        unit: "" for none; "length" for that of the spacing, or pixels, until `in_unit` says which.
        of_class: its name where it is of one class among several.
        in_table_1: whether the paper's Table 1 has it.
    """

    name: str
    function: Callable[..., Any]
    higher: bool
    digits: int
    kind: Literal["overlap", "shape", "cells"] = "shape"
    unit: str = ""
    of_class: str = ""
    in_table_1: bool = True

    @property
    def label(self) -> str:
        """Name, with the unit of a length that is not in pixels."""
        return self._with_unit(self.name)

    @property
    def class_label(self) -> str:
        """Likewise where a line is a class."""
        return self._with_unit(self.of_class)

    @property
    def heading(self) -> str:
        """Label with the direction in which it gets better."""
        return f"{self.label} {'↑' if self.higher else '↓'}"

    @property
    def is_physical(self) -> bool:
        """Whether it is a length in mm, µm or the like."""
        return self.unit not in ("", "bits", "length", "pixels")

    def in_unit(self, unit: str) -> "Score":
        """The score of data whose unit of length is known; others than lengths stay as they are.

        Args:
            unit: "pixels", or a physical one. Of that a pixel may be a small part, and tables have a digit more.
        """
        if self.unit != "length":
            return self
        known = self._replace(unit=unit)
        return known._replace(digits=self.digits + 1) if known.is_physical else known

    def _with_unit(self, name: str) -> str:
        return f"{name} ({self.unit})" if self.is_physical else name

    def by_class(self, class_names: Sequence[str]) -> "list[tuple[str, Score]]":
        """Each class that has the score by itself, and its column in what `score_image` returns."""
        names = class_names if self.kind == "overlap" else class_names[1:]
        return [(name, self._replace(name=f"{self.of_class} {name}")) for name in names]

    def shown(self, value: float, more: int = 0, sign: str = "") -> str:
        """A value of the score as tables have it, without the minus of what is rounded to zero.

        Args:
            value: of one image, a mean or a difference.
            more: digits beside those of the score.
            sign: "+" to have one before positive values too.
        """
        return f"{value:{sign}z.{self.digits + more}f}"


SCORES = (
    Score("mIoU", metrics.iou_from_confusion, True, 3, "overlap", of_class="IoU"),
    Score("mDice", metrics.dice_from_confusion, True, 3, "overlap", of_class="Dice"),
    Score("VI", metrics.variation_of_information, False, 2, "cells", "bits"),
    Score("ARI", metrics.adjusted_rand_index, True, 3, "cells"),
    Score("HD", metrics.modified_hausdorff, False, 2, "shape", "length", of_class="HD"),
    Score("HD95", metrics.hausdorff95, False, 2, "shape", "length", of_class="HD95", in_table_1=False),
    Score("Betti error", metrics.betti_error, False, 1, "shape", of_class="Betti error", in_table_1=False),
    Score("clDice", metrics.cldice_score, True, 3, "shape", of_class="clDice", in_table_1=False),
    Score("ARE", metrics.adapted_rand_error, False, 3, "cells", in_table_1=False),
)
"""In the order of tables."""

TABLE_1 = tuple(score for score in SCORES if score.in_table_1)
"""Those of the paper's Table 1, which every result of two classes has."""

FURTHER = tuple(score for score in SCORES if not score.in_table_1)
"""The others, which results of earlier versions may lack."""

BY_CLASS = tuple(score for score in SCORES if score.of_class)
"""Those that each of more than two classes has by itself."""

VALIDATION = ("mIoU", "mDice")
"""Scores of the validation images, which `train.runs.steps.eval_step` computes; the first chooses the best checkpoint."""


def score_image(
    predicted: Classes,
    label: Classes,
    *,
    where: npt.NDArray[np.bool_],
    class_names: Sequence[str],
    spacing: Sequence[float] | None = None,
) -> dict[str, float]:
    """All scores of one image.

    Args:
        predicted: classes `[*shape]`.
        label: as `predicted`.
        where: bool `[*shape]`; False pixels are no part of any class.
        class_names: of all classes.
        spacing: from a pixel to the next along each axis; None for 1.

    Returns:
        Name of each score -> value, and with more than two classes `IoU NAME` and so on of each of them, NaN where neither
        label nor prediction has it. A score that is the mean over no class at all is NaN, too.
    """
    classes = len(class_names)
    counts = _counts(predicted, label, where, classes)
    present = present_classes(counts)

    def of_mask(score: Score, number: int) -> float:
        physical = {} if spacing is None or score.unit != "length" else {"spacing": spacing}
        masks = (predicted == number, label == number)
        return float(score.function(*masks, where=where, spatial_dims=label.ndim, **physical))

    scores: dict[str, float] = {}
    by_class: dict[str, float] = {}
    for score in SCORES if classes == 2 else BY_CLASS:
        if score.kind == "overlap":
            values = np.where(present, score.function(counts), np.nan).tolist()
        else:
            values = [of_mask(score, number) if present[number] else math.nan for number in range(1, classes)]
        scores[score.name] = mean_of(values)
        if classes > 2:
            columns = [column.name for _, column in score.by_class(class_names)]
            by_class |= dict(zip(columns, values, strict=True))
    return scores | by_class


def mean_iou(predicted: Classes, label: Classes, *, where: npt.NDArray[np.bool_], classes: int) -> float:
    """The first of the scores alone; see `score_image`."""
    counts = _counts(predicted, label, where, classes)
    return mean_of(np.where(present_classes(counts), SCORES[0].function(counts), np.nan))


def present_classes(confusion: Any) -> Any:
    """Which classes have a part in an image's mean: both of two, and of more those that its label or its prediction has.

    Args:
        confusion: counts `[..., C, C]`, NumPy or JAX.

    Returns:
        `[..., C]`, bool.
    """
    return (confusion.sum(axis=-1) + confusion.sum(axis=-2) > 0) | (confusion.shape[-1] == 2)


def mean_of(values: npt.ArrayLike) -> float:
    """The mean of those values that are not NaN; NaN where all are."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else math.nan


def deviation_of(values: npt.ArrayLike) -> float:
    """The sample standard deviation of those values that are not NaN; 0 for a single one, NaN for none or infinite ones."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    with np.errstate(invalid="ignore"):
        return float(known.std(ddof=min(known.size - 1, 1))) if known.size else math.nan


def _counts(predicted: Classes, label: Classes, where: npt.NDArray[np.bool_], classes: int) -> npt.NDArray[np.int64]:
    """Pixels of label i predicted as j at `[i, j]`."""
    cells = label[where].astype(np.int64) * classes + predicted[where]
    return np.bincount(cells, minlength=classes**2).astype(np.int64).reshape(classes, classes)
