"""Pictures of predictions and of their errors, as PNG; no display is needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cwmi_jax.metrics import mean_iou
from train.config import FigureConfig

# Okabe and Ito's palette: told apart by colour-blind readers, and both stand out from grey.
FALSE_POSITIVE = "#E69F00"
FALSE_NEGATIVE = "#56B4E9"

_DIMMED = 0.6  # Brightness of the image under the errors, so that they stand out from white matter too.
_HEADINGS_INCHES = 1.0  # Height of the title, the first row's headings and the legend.


def write_comparison(
    path: Path,
    images: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    predictions: Mapping[str, npt.NDArray[np.integer[Any]]],
    row_names: Sequence[str],
    title: str,
    config: FigureConfig,
) -> None:
    """Writes a grid: a row for each image; columns image, label, and prediction and errors of each loss.

    Args:
        path: PNG to write.
        images: Grey values, `[N, H, W]`, any scale.
        labels: True classes 0 or 1, `[N, H, W]`.
        predictions: Name of each loss -> predicted classes 0 or 1, `[N, H, W]`.
        row_names: What to write beside each row, N of them.
        title: What to write above the grid.
        config: Size of the picture.
    """
    rows, columns = len(images), 2 + 2 * len(predictions)
    height = config.panel_inches * images.shape[1] / images.shape[2]
    figure = Figure(figsize=(columns * config.panel_inches, rows * height + _HEADINGS_INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    grey = _to_unit_range(images)
    for row, axes in enumerate(panels):
        _show(axes[0], grey[row], "T1 image" if row == 0 else "")
        _show(axes[1], labels[row].astype(float), "label (grey matter)" if row == 0 else "")
        axes[0].set_ylabel(row_names[row])
        for number, (name, predicted) in enumerate(predictions.items()):
            score = float(mean_iou(predicted[row], labels[row]))
            heading = f"{name}: prediction" if row == 0 else ""
            _show(axes[2 + 2 * number], predicted[row].astype(float), heading)
            heading = f"{name}: errors\nmIoU {score:.3f}" if row == 0 else f"mIoU {score:.3f}"
            _show(axes[3 + 2 * number], error_map(grey[row], labels[row], predicted[row]), heading)
    figure.suptitle(title)
    figure.legend(
        handles=[
            Patch(color=FALSE_POSITIVE, label="false positive (predicted, not in the label)"),
            Patch(color=FALSE_NEGATIVE, label="false negative (in the label, missed)"),
        ],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    figure.savefig(path, dpi=config.dots_per_inch)


def error_map(
    grey: npt.NDArray[np.floating[Any]],
    label: npt.NDArray[np.integer[Any]],
    predicted: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.float64]:
    """Paints false positives and false negatives over a dimmed image.

    Args:
        grey: Image, `[H, W]`, from 0 to 1.
        label: True classes 0 or 1, `[H, W]`.
        predicted: Predicted classes 0 or 1, `[H, W]`.

    Returns:
        Colours, `[H, W, 3]`, from 0 to 1.
    """
    colours = np.repeat(_DIMMED * np.asarray(grey, np.float64)[..., None], 3, axis=-1)
    colours[(predicted == 1) & (label == 0)] = to_rgb(FALSE_POSITIVE)
    colours[(predicted == 0) & (label == 1)] = to_rgb(FALSE_NEGATIVE)
    return colours


def _to_unit_range(images: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    lowest, highest = float(images.min()), float(images.max())
    return np.asarray((images - lowest) / ((highest - lowest) or 1.0))


def _show(axes: Axes, picture: npt.NDArray[np.floating[Any]], heading: str) -> None:
    axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_title(heading, fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])
