"""Draws the README's picture of four kinds of keypoint sets, with their labels.

    python bench/kinds.py MIRROR-MOUSE GLUE-TUBES OUT.png

MIRROR-MOUSE is the data folder of the example of Lightning Pose (github.com/paninski-lab/lightning-pose), and GLUE-TUBES that of
github.com/alexppppp/keypoint_rcnn_training_pytorch; both have the MIT licence. The face and the leaf are drawn by the program.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from pipeline.commands.support import sets
from pipeline.data.definition import Asked
from pipeline.data.synthetic.portrait import portrait
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.results.style import save_png

FACE_SIDE = 240  # pixels
COLOUR = "#ff7a1a"
EXAMPLES = Path(__file__).parents[1] / "examples" / "keypoint-sets"


def main() -> None:
    """Reads the two sets, draws the two others, and saves the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mouse", help="folder of the set mirror-mouse")
    parser.add_argument("tubes", help="folder of the set glue-tubes")
    parser.add_argument("out", type=Path, help="the picture, a PNG file")
    options = parser.parse_args()
    figure = Figure(figsize=(10.4, 2.7), layout="constrained")
    places = figure.subplots(1, 4)
    draw_labelled(places[0], options.mouse, "mirror-mouse", row=19)
    draw_labelled(places[1], options.tubes, "glue-tubes", row=6)
    face, points = portrait(KAGGLE.names, side=FACE_SIDE, steady=True, rng=np.random.default_rng(8))
    draw(places[2], face, [points])
    draw_leaf(places[3])
    save_png(figure, options.out)
    # 256 colours are enough, and make the file a third as large.
    Image.open(options.out).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(options.out, optimize=True)


def draw_labelled(place: Axes, folder: str, name: str, *, row: int) -> None:
    """Draws a labelled image of a set, given by its number, in a square around its middle."""
    found = sets.understood(Asked(folder, keypoints=str(EXAMPLES / f"{name}.toml")))
    image = found.definition.labelled[row]
    own = [instance.keypoints for instance in found.labels.instances if instance.image == image]
    index = {name: number for number, name in enumerate(found.keypointset.names)}
    picture = Image.open(found.folder.path(image)).convert("RGB")
    draw(place, np.asarray(picture), own, [(index[one], index[other]) for one, other in found.keypointset.skeleton])
    centre, half = np.nanmean(np.concatenate(own), axis=0), min(picture.size) / 2
    centre = np.clip(centre, half, np.array(picture.size) - half)
    place.set_xlim(centre[0] - half, centre[0] + half)
    place.set_ylim(centre[1] + half, centre[1] - half)


def draw(place: Axes, image: np.ndarray, instances: Iterable[np.ndarray], lines: Iterable[tuple[int, int]] = ()) -> None:
    """Draws an image with the keypoints (K, 2), in its pixels, of each instance."""
    height, width = image.shape[:2]
    place.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    for points in instances:
        for line in lines:
            place.plot(*points[list(line)].T, "-", color="white", linewidth=1.2)
        place.plot(*points.T, "o", markersize=4.5, color=COLOUR, markeredgecolor="#000a", markeredgewidth=0.7)
    place.set_axis_off()


def draw_leaf(place: Axes) -> None:
    """Draws a leaf with a landmark at its tip, its base, and both ends of its veins."""
    along = np.linspace(0, 1, 200)
    half = 0.55 * np.sin(np.pi * along**0.8) * (1 - 0.25 * along)
    bend = 0.18 * np.sin(2.2 * along)

    def at(position: float, side: float) -> tuple[float, float]:
        """A place in the leaf, by its share of the length and of the half width."""
        return np.interp(position, along, bend) + side * np.interp(position, along, half), position

    outline = np.array([at(position, 1) for position in along] + [at(position, -1) for position in along[::-1]])
    place.fill(*outline.T, color="#5c8f4a", edgecolor="#30502a", linewidth=1.5)
    place.plot(bend, along, color="#d8e4b8", linewidth=2)
    place.plot([0, -0.03], [0, -0.12], color="#30502a", linewidth=4)
    starts = (0.15, 0.32, 0.5, 0.67)
    veins = [(at(start, 0), at(start + 0.16, 0.86 * side)) for start in starts for side in (-1, 1)]
    for vein in veins:
        place.plot(*np.array(vein).T, color="#d8e4b8", linewidth=1.2)
    landmarks = np.array([at(0, 0), at(1, 0), *(end for _, end in veins), *(at(start, 0) for start in starts)])
    place.plot(*landmarks.T, "o", markersize=4.5, color=COLOUR, markeredgecolor="#000a", markeredgewidth=0.7)
    place.set(xlim=(-0.6, 0.85), ylim=(-0.2, 1.08), facecolor="#f4f1e8", xticks=[], yticks=[], box_aspect=1)
    place.spines[:].set_visible(False)


if __name__ == "__main__":
    main()
