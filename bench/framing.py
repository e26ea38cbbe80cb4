"""Measures how much of a photograph around a face the nets should see, and how false detections can be recognised.

    python bench/framing.py FOLDER WORKSPACE NETS [-- LUIGI FLAGS]

FOLDER: Kaggle's files. Runs `luigi --module pipeline Load`, unless its result is in WORKSPACE. NETS: a file that `keypoints pack` has
written; the flags must be those with which the nets were trained, so that the nets have not seen the faces.

Framing: each face of the validation part is placed on a canvas that repeats its edge pixels. The detector's box, scaled by several ratios,
is cut out and predicted as `keypoints annotate` does, and the predictions are compared with the labels, in pixels of the original images.
`FRAME` in pipeline/inference/detection.py was chosen from these figures. The detector is the best one that is installed.

False detections: everything that the detector finds in pictures without faces, which come with scikit-image. `DOUBTFUL` in
pipeline/inference/instances.py was chosen from these figures.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import chain
import numpy as np
import skimage.data
from PIL import Image

from pipeline.data import dataset as datasets
from pipeline.data.formats import images
from pipeline.geometry import crops
from pipeline.inference import detection, ensemble
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.metrics.rmse import rmse, rmse_by_source
from pipeline.nets import device
from pipeline.nets.trained import Trained
from pipeline.tasks import packfiles

MARGIN = SIDE // 2
RATIOS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0)
FACELESS = (
    "brick", "cell", "chelsea", "clock_motion", "coffee", "coins", "color", "grass", "gravel", "horse", "hubble_deep_field", "ihc",
    "moon", "motorcycle_left", "motorcycle_right", "page", "retina", "rocket", "text",
)  # fmt: skip
PERCENTILES = (1, 5, 50, 95, 98, 99)


@dataclass(frozen=True)
class Detected:
    """Faces on their canvases, and the detector's box on each.

    boxes: squares (n, 3), x, y and side in pixels of the canvas. truth: labels (n, K, 2) in pixels of the original image. source: (n,).
    """

    canvases: list[Image.Image]
    boxes: np.ndarray
    truth: np.ndarray
    source: np.ndarray


def main() -> None:
    """Prints three tables: the boxes, the RMSE by framing, and the disagreement of the nets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("folder", "workspace", "nets"):
        parser.add_argument(name, type=Path)
    options, flags = chain.arguments(parser)
    with chain.task("Load", [*chain.dataset_path(options.folder), "--workspace-root", str(options.workspace.resolve()), *flags]) as load:
        chain.make(load)
        data = load.output().load(datasets.Dataset)
    loaded = packfiles.read(options.nets).loaded()
    (nets,), share = loaded.chains, loaded.base_share
    print(device.prepare(seed=0, threads=0))
    faces = detected(data)
    print_boxes(faces.boxes, int(data.validation.sum()))
    print_framing(faces, nets, share)
    print_disagreement(faces, nets)


def detected(data: datasets.Dataset) -> Detected:
    """The faces of the validation part that the detector finds."""
    held_out = np.flatnonzero(data.validation)
    canvases = [Image.fromarray(np.pad(image, MARGIN, mode="edge")) for image in data.images[held_out]]
    boxes = {number: box for number, canvas in enumerate(canvases) if (box := face_of(detection.find(canvas))) is not None}
    if not boxes:
        raise SystemExit(f"The detector found none of the {len(canvases)} faces of the validation part.")
    rows = held_out[list(boxes)]
    return Detected([canvases[number] for number in boxes], np.stack(list(boxes.values())), data.keypoints[rows], data.source[rows])


def face_of(squares: np.ndarray) -> np.ndarray | None:
    """The largest of the squares (n, 3) near the centre of the canvas, as (3,); None if there is none."""
    centre = squares[:, :2] + squares[:, 2:] / 2
    near = squares[(np.abs(centre - 2 * MARGIN) < SIDE / 4).all(axis=1) & (squares[:, 2] > SIDE / 3)]
    return near[near[:, 2].argmax()] if len(near) else None


def predictions(photos: list[Image.Image], squares: np.ndarray, nets: Sequence[Trained], source: np.ndarray) -> list[np.ndarray]:
    """What each net predicts for one square (3,) of each photo: keypoints (n, k, 2) in pixels of the crops."""
    from pipeline.inference import prediction

    cut = np.concatenate([crops.crop(photo, square[None], SIDE) for photo, square in zip(photos, squares, strict=True)])
    return [found.keypoints for found in prediction.predict_chain(nets, cut, source, KAGGLE)]


def print_boxes(boxes: np.ndarray, faces: int) -> None:
    """Prints how far the boxes (n, 3) differ from Kaggle's frames."""
    shift = boxes[:, :2] + boxes[:, 2:] / 2 - 2 * MARGIN
    print(f"\ndetected {len(boxes)} of {faces} faces; boxes and Kaggle's frames of {SIDE} px: 10th percentile, median, 90th percentile")
    for name, values in (("centre x, px", shift[:, 0]), ("centre y, px", shift[:, 1]), ("side of frame / box", SIDE / boxes[:, 2])):
        print(f"  {name:<22}" + "".join(f"{value:8.2f}" for value in np.percentile(values, [10, 50, 90])))


def print_framing(faces: Detected, nets: Sequence[Trained], share: float) -> None:
    """Prints the RMSE for each size of the region that the nets see. share: the weight of the base net."""
    boxes, truth, source = faces.boxes, faces.truth, faces.source
    names = "".join(f"{name:>10}" for name in KAGGLE.source_names)
    print(f"\n{'RMSE, px; side in boxes':<26}{'all':>8}{names}{'median face':>13}{'base net':>10}")
    frame = np.tile([MARGIN, MARGIN, SIDE], (len(boxes), 1)).astype(float)
    for name, squares in [("Kaggle's frame", frame), *((f"{ratio}", crops.scaled(boxes, ratio)) for ratio in RATIOS)]:
        own = predictions(faces.canvases, squares, nets, source)
        both = ensemble.combined(nets, own, base_share=share), own[0]
        predicted, base = (crops.to_photo(keypoints, squares, SIDE) - MARGIN for keypoints in both)
        sources = "".join(f"{value:10.2f}" for value in rmse_by_source(predicted, truth, source, len(KAGGLE.sources)))
        median = np.median(np.sqrt(np.nanmean(np.square(predicted - truth), axis=(1, 2))))
        print(f"  {name:<24}{rmse(predicted, truth):8.2f}{sources}{median:13.2f}{rmse(base, truth):10.2f}", flush=True)


def print_disagreement(faces: Detected, nets: Sequence[Trained]) -> None:
    """Prints percentiles of the disagreement between base net and specialists, for faces and for false detections."""
    folder = Path(skimage.data.__file__).parent
    pictures = [images.read(next(folder.glob(f"{name}.*"))) for name in FACELESS]
    false = [(picture, square) for picture in pictures for square in detection.find(picture)]
    print(f"\n{'disagreement of base net and specialists, px':<44}{'number':>8}  " + "".join(f"{f'{p} %':>8}" for p in PERCENTILES))
    without = [picture for picture, _ in false], np.array([square for _, square in false])
    for name, (photos, squares) in {"faces": (faces.canvases, faces.boxes), f"{len(FACELESS)} pictures without faces": without}.items():
        squares = crops.scaled(squares, detection.FRAME)
        apart = ensemble.disagreement(nets, predictions(photos, squares, nets, np.zeros(len(squares), int)))
        print(f"  {name:<42}{len(apart):>8}  " + "".join(f"{value:8.2f}" for value in np.percentile(apart, PERCENTILES)))


if __name__ == "__main__":
    main()
