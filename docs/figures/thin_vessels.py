"""Draws docs/thin-vessels.png: what cross entropy and CWMI find of the thin vessels of a retina.

The photograph comes with scikit-image (Häggström, "Medical gallery of Mikael Häggström 2014", CC0). Nobody has labelled its
vessels, so the two networks are trained on DRIVE, whose own images may not be shown. Their scores below the panels are means
over the images of DRIVE that they were tested on. What is one piece and what is cut off from it is decided on the whole
photograph, at the scale of DRIVE's. The detail was chosen for its many thin vessels: the difference is larger in it than in
six of seven others of its size, and the program prints it for the whole photograph too.

How far it can be trusted, as measured once. On the 14 test images the largest piece covers 47 percent of the label's
centreline with cross entropy and 57 with CWMI, and more with CWMI on each image. Part of that is the threshold of 0.5, where
cross entropy finds less: at 0.4, where both mark as many pixels, it covers 51 percent. With `--seed 1`, also another split,
the connected piece gains more, but CWMI has thicker vessels and more specks, and takes some of the field of view's rim for a
vessel.

With the original DRIVE archive in the folder DRIVE, from the root of the repository, 2 to 3 minutes a run on 2 CPU cores:

    python -m train drive-narrow --data.source DRIVE --output runs/figure-ce --loss.name ce
    python -m train drive-narrow --data.source DRIVE --output runs/figure-cwmi --loss.name cwmi
    python -m docs.figures.thin_vessels runs/figure-ce runs/figure-cwmi
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch, Rectangle
from scipy import ndimage
from skimage.data import retina
from skimage.morphology import skeletonize

from train.predict import load_trained, predict_file
from train.runs.folder import RunFolder
from train.runs.steps import predicted_classes

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# Diameters of the field of view, pixels: that of the photograph, and what DRIVE's have.
FIELD_OF_VIEW, DRIVE_FIELD_OF_VIEW = 1394, 540
SCALE = FIELD_OF_VIEW / DRIVE_FIELD_OF_VIEW
# The detail in pixels of the scaled photograph, and how large one of them is drawn.
TOP, LEFT, HEIGHT, WIDTH = 264, 330, 214, 196
DETAIL = np.s_[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]
ENLARGED = 2
DARK = 40  # grey levels that all three channels stay below outside the field of view
CONTRAST = 2  # of the photograph as it is shown; the networks see it as it is

INK, CUT_OFF, GREY = "#1b2a41", "#d55e00", "#57606a"
TITLES = ("image", "cross entropy", "CWMI")
GAP, HEADER, FOOTER, LOCATOR = 12, 42, 78, 100
POINTS = 0.72  # of 100 dots an inch, so that sizes of letters are in pixels too


def main() -> None:
    """Predicts the photograph with both runs and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cross_entropy", type=Path, help="folder of the run with cross entropy")
    parser.add_argument("cwmi", type=Path, help="folder of the run with CWMI")
    parser.add_argument("--output", type=Path, default=Path("docs/thin-vessels.png"), help="(default: %(default)s)")
    arguments = parser.parse_args()
    runs = (arguments.cross_entropy, arguments.cwmi)
    photograph = retina()
    masks = [find_vessels(run, photograph) for run in runs]
    for run, mask in zip(runs, masks, strict=True):
        piece = main_piece(mask)
        centreline = skeletonize(piece)
        print(
            f"{run}: {piece.sum() / mask.sum():.1%} of the vessels are one piece, its centreline has {centreline.sum()} "
            f"pixels, {centreline[DETAIL].sum()} of them in the detail"
        )
    draw(photograph, masks, [scores(run) for run in runs], arguments.output)


def find_vessels(run: Path, photograph: Picture) -> Mask:
    """The vessels that the network of a run finds in the photograph, `[H, W]` at the scale of DRIVE."""
    sides = [round(side / SCALE) for side in photograph.shape[1::-1]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "retina.png"
        PIL.Image.fromarray(photograph).resize(sides, PIL.Image.Resampling.LANCZOS).save(path)
        probabilities = predict_file(load_trained(RunFolder(run)), path, tile=640, overlap=0)  # in one pass
    return predicted_classes(probabilities) == 1


def main_piece(mask: Mask) -> Mask:
    """The largest connected piece of a mask, with diagonal neighbours."""
    pieces, _ = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(pieces[mask])
    return pieces == sizes.argmax()


def scores(run: Path) -> str:
    """One line of a run's scores on the images that it was tested on."""
    result = json.loads((run / "result.json").read_text())
    mean = result["mean"]
    return f"{result['images']} test images of DRIVE: clDice ↑ {mean['clDice']:.2f}, VI ↓ {mean['VI']:.2f}"


def draw(photograph: Picture, masks: list[Mask], captions: list[str], path: Path) -> None:
    """Writes the detail of the photograph, where it is, and the same detail of both masks as a PNG."""
    panels = [_enlarged_photograph(photograph)]
    for mask in masks:
        colours = np.ones((*mask.shape, 3))
        colours[mask] = to_rgb(CUT_OFF)
        colours[main_piece(mask)] = to_rgb(INK)
        panels.append((255 * colours[DETAIL]).astype(np.uint8).repeat(ENLARGED, 0).repeat(ENLARGED, 1))

    height, width = HEIGHT * ENLARGED, WIDTH * ENLARGED
    total = (3 * width + 4 * GAP, HEADER + height + FOOTER)
    figure = Figure(figsize=(total[0] / 100, total[1] / 100), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)

    def axes_at(left: float, bottom: float, width: float, height: float) -> Axes:
        axes = figure.add_axes((left / total[0], bottom / total[1], width / total[0], height / total[1]))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#d0d7de")
        return axes

    captions = [f"photograph without a label, contrast x {CONTRAST}", *captions]
    for number, (panel, title, caption) in enumerate(zip(panels, TITLES, captions, strict=True)):
        axes = axes_at(GAP + number * (width + GAP), FOOTER, width, height)
        axes.imshow(panel, interpolation="none", aspect="auto")
        axes.set_title(title, fontsize=21 * POINTS, color=INK, pad=7)
        axes.set_xlabel(caption, fontsize=15 * POINTS, color=GREY, labelpad=7)

    locator = axes_at(GAP + width - LOCATOR - 6, FOOTER + 6, LOCATOR, LOCATOR)
    locator.imshow(photograph).set_clip_path(Circle((0.5, 0.5), 0.495, transform=locator.transAxes))
    corner, sides = np.array((LEFT, TOP)) * SCALE, np.array((WIDTH, HEIGHT)) * SCALE
    locator.add_patch(Rectangle(tuple(corner), *sides, fill=False, edgecolor="white", linewidth=1.5))
    locator.set_axis_off()

    legend = (Patch(color=INK, label="one connected piece"), Patch(color=CUT_OFF, label="cut off from it"))
    figure.legend(
        handles=legend,
        loc="lower center",
        bbox_to_anchor=((2 * width + 2.5 * GAP) / total[0], 6 / total[1]),
        ncols=2,
        frameon=False,
        fontsize=16 * POINTS,
        labelcolor=INK,
        handlelength=1.1,
        handleheight=1.1,
        borderpad=0,
    )
    canvas.draw()
    PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(path, optimize=True)


def _enlarged_photograph(photograph: Picture) -> Picture:
    """The detail in the photograph's own resolution, as large as it is drawn."""
    box = (LEFT * SCALE, TOP * SCALE, (LEFT + WIDTH) * SCALE, (TOP + HEIGHT) * SCALE)
    image = PIL.Image.fromarray(photograph)
    size = (WIDTH * ENLARGED, HEIGHT * ENLARGED)
    enlarged = np.asarray(image.resize(size, PIL.Image.Resampling.LANCZOS, box=box), np.float64)
    outside = enlarged.max(axis=-1, keepdims=True) < DARK
    mean = enlarged.mean(axis=(0, 1), where=~outside)
    stretched = np.where(outside, enlarged, mean + CONTRAST * (enlarged - mean))
    return stretched.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
