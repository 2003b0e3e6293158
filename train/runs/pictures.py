"""Pictures of predictions: image, label, probability, errors and gradient side by side; no display is needed.

A row an image. Of a volume the middle slice of its first axis is shown. Pixels outside `where` at the ends of the axes are
cut off.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cwmi_jax.metrics import mean_iou
from train.batches.batch import image_sides
from train.runs.steps import predicted_classes

# Okabe and Ito's palette: told apart by colour-blind readers, and all of them stand out from grey.
FALSE_POSITIVE = "#E69F00"
FALSE_NEGATIVE = "#56B4E9"
WRONG_CLASS = "#CC79A7"
TRUE_POSITIVE = "#FFFFFF"
_CLASSES = ("#000000", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#999999")  # Others than those of errors.

_PANEL_INCHES = 2.8
_DOTS_PER_INCH = 130
_DIMMED = 0.55  # Brightness of the image under the errors, so that they stand out from its white too.
_DECADES = 3  # Of the gradient below its greatest values.
_FLATTEST, _TALLEST = 0.4, 2.5  # Height of a panel over its width, whatever its image's.
_LETTER_INCHES = 0.095

Picture = npt.NDArray[np.uint8]
"""`[H, W, 3]`, RGB."""


class _View(NamedTuple):
    """One row: 2-D, without padding; `place` says which slice it is, and `score` is the whole image's."""

    image: npt.NDArray[Any]
    label: npt.NDArray[Any]
    probability: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    gradient: npt.NDArray[Any]
    place: str
    score: float


def draw_panels(
    images: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    where: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.floating[Any]],
    gradients: npt.NDArray[np.floating[Any]],
    names: Sequence[str],
    *,
    title: str = "",
) -> Picture:
    """Draws a row an image: image, label, probability, errors with the mIoU, size of the gradient.

    Args:
        images: `[N, *shape, channels]`, any scale: the 1st and the 99th percentile of each become black and white. Three
            channels are red, green and blue; of other numbers the first is shown.
        labels: classes, `[N, *shape]`.
        where: `[N, *shape]`; False where an image was padded.
        probabilities: `[N, *shape, C]`, C 1 for two classes. For more, the predicted class is shown, as bright as it is
            probable.
        gradients: the loss's with respect to the logits, `[N, *shape, C]`; their norm over C is shown, in one logarithmic
            scale for all rows whose upper end is the 99.5th percentile.
        names: the images', N; long ones are cut.
        title: above the rows.

    Raises:
        ValueError: no image.
    """
    if not len(names):
        raise ValueError("names must name one image at least, got none")
    views = [_view(*row) for row in zip(images, labels, where, probabilities, gradients, strict=True)]
    classes = max(probabilities.shape[-1], 2)
    heights = [np.clip(view.label.shape[0] / view.label.shape[1], _FLATTEST, _TALLEST) for view in views]
    size = (5 * _PANEL_INCHES + 1.1, sum(heights) * _PANEL_INCHES + (1.2 if title else 0.9))
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="compressed")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(views), 5, squeeze=False, height_ratios=heights)
    top = _greatest([view.gradient for view in views])
    bottom = top * 10.0**-_DECADES
    for axes, view, name, height in zip(panels, views, names, heights, strict=True):
        caption = _shortened(name, int(height * _PANEL_INCHES / _LETTER_INCHES))
        axes[0].set_ylabel(f"{caption}{view.place}", parse_math=False)
        _show(axes[0], view.image)
        _show(axes[1], view.label if classes == 2 else _coloured(view.label))
        _show(axes[2], _probability_picture(view))
        _show(axes[3], error_map(view.image, view.label, view.predicted))
        axes[3].set_title(f"errors, mIoU {view.score:.3f}")
        gradient = axes[4].imshow(np.maximum(view.gradient, bottom), norm=LogNorm(bottom, top), cmap="magma")
        axes[4].set(xticks=[], yticks=[])
    predicted = "probability" if classes == 2 else "predicted class"
    for axes, heading in zip(panels[0], ("image", "label", predicted, None, "gradient of the loss"), strict=True):
        if heading:
            axes.set_title(heading)
    figure.colorbar(gradient, ax=list(panels[:, 4]), extend="both", fraction=0.06, label="|dL / dlogit|")
    figure.legend(handles=_legend(classes), loc="outside lower center", ncols=4, frameon=False)
    if title:
        figure.suptitle(title, parse_math=False)
    with warnings.catch_warnings():
        # A name in letters that the font lacks is shown with boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def error_map(
    image: npt.NDArray[np.floating[Any]], label: npt.NDArray[np.integer[Any]], predicted: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.float64]:
    """Paints what was found, made up and missed over a dimmed image.

    Args:
        image: `[H, W]` or `[H, W, 3]`, 0 to 1.
        label: classes, `[H, W]`; every class but 0 is foreground.
        predicted: as `label`.

    Returns:
        `[H, W, 3]`, 0 to 1. Class 0 where both say so is the image in grey.
    """
    grey = np.asarray(image, np.float64).mean(axis=-1) if image.ndim == 3 else np.asarray(image, np.float64)
    colours = np.repeat(_DIMMED * grey[..., None], 3, axis=-1)
    colours[(predicted == label) & (label != 0)] = to_rgb(TRUE_POSITIVE)
    colours[(predicted != 0) & (label == 0)] = to_rgb(FALSE_POSITIVE)
    colours[(predicted == 0) & (label != 0)] = to_rgb(FALSE_NEGATIVE)
    colours[(predicted != label) & (predicted != 0) & (label != 0)] = to_rgb(WRONG_CLASS)
    return colours


def _view(
    image: npt.NDArray[Any],
    label: npt.NDArray[Any],
    where: npt.NDArray[np.bool_],
    probability: npt.NDArray[Any],
    gradient: npt.NDArray[Any],
) -> _View:
    sides = image_sides(where)
    image, label, probability, gradient = image[sides], label[sides], probability[sides], gradient[sides]
    predicted = predicted_classes(probability)
    score = mean_iou(predicted, label, num_classes=max(probability.shape[-1], 2), spatial_dims=label.ndim)
    place = ""
    if label.ndim == 3:
        middle = len(label) // 2
        place = f"\n{middle + 1} of {len(label)}"
        image, label, probability, gradient, predicted = (
            array[middle] for array in (image, label, probability, gradient, predicted)
        )
    size = np.linalg.norm(gradient.astype(np.float64), axis=-1)
    return _View(_to_unit_range(image), label, probability, predicted, size, place, float(score))


def _shortened(name: str, length: int) -> str:
    """Without its middle where it is longer: names of a data set often differ at the end."""
    kept = (length - 3) // 2
    return name if len(name) <= length else f"{name[:kept]}...{name[-kept:]}"


def _to_unit_range(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """`[H, W]` or `[H, W, 3]`."""
    shown = np.asarray(image if image.shape[-1] == 3 else image[..., 0], np.float64)
    lowest, highest = np.percentile(shown, (1, 99))
    return np.clip((shown - lowest) / ((highest - lowest) or 1.0), 0.0, 1.0)


def _greatest(sizes: Sequence[npt.NDArray[np.float64]]) -> float:
    """The 99.5th percentile of those above 0; 1 if there are none."""
    values = np.concatenate([size.ravel() for size in sizes])
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.percentile(values, 99.5)) if values.size else 1.0


def _coloured(classes: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
    """Class 0 black, the others in colours that come back where there are more classes than colours."""
    palette = np.array([to_rgb(colour) for colour in _CLASSES])
    return palette[np.where(classes == 0, 0, 1 + (classes - 1) % (len(palette) - 1))]


def _probability_picture(view: _View) -> npt.NDArray[Any]:
    if view.probability.shape[-1] == 1:
        return view.probability[..., 0]
    return _coloured(view.predicted) * view.probability.max(axis=-1, keepdims=True)


def _legend(classes: int) -> list[Patch]:
    entries = [
        (TRUE_POSITIVE, "found"),
        (FALSE_POSITIVE, "false positive (not in the label)"),
        (FALSE_NEGATIVE, "false negative (missed)"),
    ]
    if classes > 2:
        entries.append((WRONG_CLASS, "another class"))
    return [Patch(facecolor=colour, edgecolor="black", linewidth=0.5, label=label) for colour, label in entries]


def _show(axes: Axes, picture: npt.NDArray[Any]) -> None:
    axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0)
    axes.set(xticks=[], yticks=[])
