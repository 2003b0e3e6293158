"""Pictures of predictions: image, label, probability, errors and gradient side by side; no display is needed.

A row an image. Of a volume the middle slice of its first axis is shown. What was added at the ends of the axes is cut off;
pixels whose class is not known are grey.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from train.palette import class_colours
from train.runs.steps import predicted_classes
from train.scores import mean_iou

# Okabe and Ito's palette: told apart by colour-blind readers, and all of them stand out from grey.
FALSE_POSITIVE = "#E69F00"
FALSE_NEGATIVE = "#56B4E9"
WRONG_CLASS = "#CC79A7"
TRUE_POSITIVE = "#FFFFFF"
UNKNOWN = "#808080"

_PANEL_INCHES = 2.8
_DOTS_PER_INCH = 130
_DIMMED = 0.55  # Brightness of the image under the errors, so that they stand out from its white too.
_DECADES = 3  # Of the gradient below its greatest values.
_FLATTEST, _TALLEST = 0.4, 2.5  # Height of a panel over its width, whatever its image's.
_GRADIENT_COLOURS = "magma"
_LETTER_INCHES = 0.095
_LONGEST_NAME = 24  # Letters of a class in the legend.

Picture = npt.NDArray[np.uint8]
"""`[H, W, 3]`, RGB."""


class Shown(NamedTuple):
    """What is shown of one image; of its own size.

    Attributes:
        name: the image's; long ones are cut.
        image: `[*shape, channels]`, any scale: its 1st and its 99th percentile become black and white. Three channels are
            red, green and blue; of other numbers the first is shown.
        label: classes, `[*shape]`.
        where: `[*shape]`, bool; False where the class is not known.
        probability: `[*shape, C]`, C 1 for two classes. For more, the predicted class is shown, as bright as it is probable.
        gradient: the loss's with respect to the logits, `[*shape, C]`; its norm over C is shown.
    """

    name: str
    image: npt.NDArray[np.floating[Any]]
    label: npt.NDArray[np.integer[Any]]
    where: npt.NDArray[np.bool_]
    probability: npt.NDArray[np.floating[Any]]
    gradient: npt.NDArray[np.floating[Any]]


class _View(NamedTuple):
    """One row, 2-D; `name` says which slice it is, too, `height` is of its panels of width 1, `score` the whole image's."""

    name: str
    height: float
    image: npt.NDArray[Any]
    label: npt.NDArray[Any]
    where: npt.NDArray[np.bool_]
    probability: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    gradient: npt.NDArray[Any]
    score: float


def draw_panels(
    rows: Sequence[Shown], *, class_names: Sequence[str], colours: Sequence[str] = (), title: str = ""
) -> Picture:
    """Draws a row an image: image, label, probability, errors with the mIoU, size of the gradient.

    Args:
        rows: the images. Their gradients have one logarithmic scale, whose upper end is the 99.5th percentile.
        class_names: of all classes; a legend says which colour is which, of two classes if they are the user's own.
        colours: of all classes, as `#rrggbb`, if they are the user's own.
        title: above the rows.

    Raises:
        ValueError: no image.
    """
    if not rows:
        raise ValueError("rows must hold one image at least, got none")
    classes = len(class_names)
    coloured = classes > 2 or bool(colours)
    palette = class_colours(classes, colours) if coloured else np.array([[0] * 3, [255] * 3], np.uint8)
    views = [_view(row, classes) for row in rows]
    legend = _legend(class_names, palette if coloured else None, unknown=any(not view.where.all() for view in views))
    columns = 6 if coloured else 4
    figure, panels = _panels(views, lines=-(-len(legend) // columns), title=title)
    predicted = "probability" if classes == 2 else "predicted class"
    for axes, heading in zip(panels[0], ("image", "label", predicted, "", "gradient of the loss"), strict=True):
        axes.set_title(heading)
    top = _greatest([view.gradient for view in views])
    scale = LogNorm(top * 10.0**-_DECADES, top, clip=True)
    for axes, view in zip(panels, views, strict=True):
        _draw_row(axes, view, palette, scale)
    gradients = ScalarMappable(scale, cmap=_GRADIENT_COLOURS)
    figure.colorbar(gradients, ax=list(panels[:, 4]), extend="both", fraction=0.06, label="|dL / dlogit|")
    figure.legend(handles=legend, loc="outside lower center", ncols=columns, frameon=False)
    if title:
        figure.suptitle(title, parse_math=False)
    return _drawn(figure)


def _panels(views: Sequence[_View], *, lines: int, title: str) -> tuple[Figure, npt.NDArray[Any]]:
    """A figure with axes for five panels a row, and with room for the lines of the legend and for the title."""
    heights = [view.height for view in views]
    # A line of the legend and the title are a quarter of an inch.
    around = 0.65 + 0.25 * lines + (0.3 if title else 0.0)
    size = (5 * _PANEL_INCHES + 1.1, sum(heights) * _PANEL_INCHES + around)
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="compressed")
    return figure, figure.subplots(len(views), 5, squeeze=False, height_ratios=heights)


def _draw_row(axes: Sequence[Axes], view: _View, palette: npt.NDArray[np.uint8], scale: LogNorm) -> None:
    axes[0].set_ylabel(view.name, parse_math=False)
    _show(axes[0], view.image)
    _show(axes[1], _label_picture(view, palette))
    _show(axes[2], _probability_picture(view, palette))
    _show(axes[3], error_map(view.image, view.label, view.predicted, view.where, classes=len(palette)))
    axes[3].set_title(f"errors, mIoU {view.score:.3f}")
    axes[4].imshow(view.gradient, norm=scale, cmap=_GRADIENT_COLOURS)
    axes[4].set(xticks=[], yticks=[])


def _drawn(figure: Figure) -> Picture:
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A name in letters that the font lacks is shown with boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def error_map(
    image: npt.NDArray[np.floating[Any]],
    label: npt.NDArray[np.integer[Any]],
    predicted: npt.NDArray[np.integer[Any]],
    where: npt.NDArray[np.bool_],
    *,
    classes: int,
) -> npt.NDArray[np.float64]:
    """Paints what was found, made up and missed over a dimmed image.

    Args:
        image: `[H, W]` or `[H, W, 3]`, 0 to 1.
        label: classes, `[H, W]`.
        predicted: as `label`.
        where: `[H, W]`; where it is False nothing is right or wrong.
        classes: how many there are. Of two, what was found of class 1 is painted, too.

    Returns:
        `[H, W, 3]`, 0 to 1. What is not painted is the image in grey.
    """
    grey = np.asarray(image, np.float64).mean(axis=-1) if image.ndim == 3 else np.asarray(image, np.float64)
    colours = np.repeat(_DIMMED * grey[..., None], 3, axis=-1)
    wrong = (predicted != label) & where
    if classes == 2:
        colours[(predicted == label) & (label != 0) & where] = to_rgb(TRUE_POSITIVE)
    colours[wrong & (label == 0)] = to_rgb(FALSE_POSITIVE)
    colours[wrong & (predicted == 0)] = to_rgb(FALSE_NEGATIVE)
    colours[wrong & (predicted != 0) & (label != 0)] = to_rgb(WRONG_CLASS)
    return colours


def _view(row: Shown, classes: int) -> _View:
    predicted = predicted_classes(row.probability)
    score = mean_iou(predicted, row.label, where=row.where, classes=classes)
    arrays = (row.image, row.label, row.where, row.probability, predicted, row.gradient)
    place = ""
    if row.label.ndim == 3:
        middle = len(row.label) // 2
        place = f"\n{middle + 1} of {len(row.label)}"
        arrays = tuple(array[middle] for array in arrays)
    image, label, where, probability, predicted, gradient = arrays
    height = float(np.clip(label.shape[0] / label.shape[1], _FLATTEST, _TALLEST))
    name = _shortened(row.name, int(height * _PANEL_INCHES / _LETTER_INCHES))
    size = np.linalg.norm(gradient.astype(np.float64), axis=-1)
    return _View(f"{name}{place}", height, _to_unit_range(image), label, where, probability, predicted, size, score)


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


def _label_picture(view: _View, palette: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    picture = palette[view.label] / 255
    picture[~view.where] = to_rgb(UNKNOWN)
    return picture


def _probability_picture(view: _View, palette: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    if view.probability.shape[-1] == 1:
        return view.probability[..., 0]
    return palette[view.predicted] / 255 * view.probability.max(axis=-1, keepdims=True)


def _legend(class_names: Sequence[str], palette: npt.NDArray[np.uint8] | None, *, unknown: bool) -> list[Patch]:
    first = _shortened(class_names[0], _LONGEST_NAME)
    if len(class_names) == 2:
        entries = [
            (TRUE_POSITIVE, "found"),
            (FALSE_POSITIVE, "false positive (not in the label)"),
            (FALSE_NEGATIVE, "false negative (missed)"),
        ]
    else:
        entries = [
            (FALSE_POSITIVE, f"wrong, is {first}"),
            (FALSE_NEGATIVE, f"wrong, called {first}"),
            (WRONG_CLASS, "wrong, otherwise"),
        ]
    if unknown:
        entries.append((UNKNOWN, "not known"))
    if palette is not None:
        names = [_shortened(name, _LONGEST_NAME) for name in class_names]
        entries += zip(map(to_hex, palette / 255), names, strict=True)
    return [Patch(facecolor=colour, edgecolor="black", linewidth=0.5, label=label) for colour, label in entries]


def _show(axes: Axes, picture: npt.NDArray[Any]) -> None:
    axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0)
    axes.set(xticks=[], yticks=[])
