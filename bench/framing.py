"""How much of a photograph the nets should see around a face, and how to tell a face from what the detector takes for one.

    python bench/framing.py FOLDER WORKSPACE [-- LUIGI FLAGS]

FOLDER: Kaggle's files. Runs `luigi --module pipeline Predict` (what is in WORKSPACE is not made again). The faces are the validation
part's, each in a canvas that repeats its edge pixels. The detector's boxes on it, scaled, are cut out and predicted as
`keypoints annotate` does, and the keypoints are compared with the labels in the original pixels: the figures behind `FRAME` in
inference/detection.py. What is no face is all that the detector finds on pictures without faces that come with scikit-image; the figures
behind `DOUBTFUL` in commands/annotate.py.
"""

import argparse
from pathlib import Path

import chain
import numpy as np
import skimage.data
from PIL import Image

from pipeline.data import dataset as datasets
from pipeline.data.formats import images
from pipeline.geometry import crops
from pipeline.inference import detection, ensemble, prediction
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.metrics.rmse import rmse, rmse_by_source
from pipeline.nets import device
from pipeline.nets.trained import Trained

MARGIN = SIDE // 2
RATIOS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0)
FACELESS = (
    "brick", "cell", "chelsea", "clock_motion", "coffee", "coins", "color", "grass", "gravel", "horse", "hubble_deep_field", "ihc",
    "moon", "motorcycle_left", "motorcycle_right", "page", "retina", "rocket", "text",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("workspace", type=Path)
    options, flags = chain.arguments(parser)
    flags = ["--dataset-path", str(options.folder.resolve()), "--workspace-root", str(options.workspace.resolve()), *flags]
    chain.run("Predict", flags, show=True)
    with chain.task("Predict", flags) as predict:
        inputs = predict.input()["chains"][0]
        faces = inputs["faces"].load(datasets.Dataset)
        nets = [artifact.load(Trained) for artifact in (inputs["base"], *inputs["specialists"].values())]
        share = predict.base_share
    print(device.prepare(seed=0, threads=0))

    held_out = np.flatnonzero(faces.validation)
    canvases = [Image.fromarray(np.pad(image, MARGIN, mode="edge")) for image in faces.images[held_out]]
    boxes = [face_of(detection.find(canvas)) for canvas in canvases]
    found = np.array([box is not None for box in boxes])
    held_out, canvases = held_out[found], [canvas for canvas, has in zip(canvases, found, strict=True) if has]
    boxes = np.array([box for box in boxes if box is not None])
    print_boxes(boxes, len(found))
    print_framing(canvases, boxes, faces.keypoints[held_out], faces.source[held_out], nets, share)
    print_doubt(canvases, boxes, nets)


def face_of(squares: np.ndarray) -> np.ndarray | None:
    """The largest square (3,) about the middle of the canvas."""
    centre, size = squares[:, :2] + squares[:, 2:] / 2, SIDE
    near = squares[(np.abs(centre - 2 * MARGIN) < size / 4).all(axis=1) & (squares[:, 2] > size / 3)]
    return near[near[:, 2].argmax()] if len(near) else None


def answers(photos: list, squares: np.ndarray, nets: list, source: np.ndarray) -> list[np.ndarray]:

    images = np.concatenate([crops.crop(photo, square[None], SIDE) for photo, square in zip(photos, squares, strict=True)])
    return prediction.predict_chain(nets, images, source, KAGGLE)


def print_boxes(boxes: np.ndarray, faces: int) -> None:
    shift = boxes[:, :2] + boxes[:, 2:] / 2 - 2 * MARGIN
    print(f"\nfound on {len(boxes)} of {faces} faces; the boxes beside the frames of {SIDE} px: 10 %, median, 90 %")
    for name, values in (("centre x", shift[:, 0]), ("centre y", shift[:, 1]), ("frame's side / box's", SIDE / boxes[:, 2])):
        print(f"  {name:<22}" + "".join(f"{value:8.2f}" for value in np.percentile(values, [10, 50, 90])))


def print_framing(canvases: list, boxes: np.ndarray, truth: np.ndarray, source: np.ndarray, nets: list, share: float) -> None:
    print(f"\n{'side, in boxes':<16}{'all':>8}{'15-point':>10}{'4-point':>9}{'median face':>13}{'base net':>10}    RMSE, px of the frame")
    frame = np.tile([MARGIN, MARGIN, SIDE], (len(boxes), 1)).astype(float)
    for name, squares in [("the frame", frame), *((f"{ratio}", crops.scaled(boxes, ratio)) for ratio in RATIOS)]:
        own = answers(canvases, squares, nets, source)
        both = ensemble.combined(nets, own, base_share=share), own[0]
        predicted, base = (crops.to_photo(keypoints, squares, SIDE) - MARGIN for keypoints in both)
        sources = rmse_by_source(predicted, truth, source, len(KAGGLE.sources))
        median = np.median(np.sqrt(np.nanmean(np.square(predicted - truth), axis=(1, 2))))
        print(
            f"{name:<16}{rmse(predicted, truth):8.2f}{sources[0]:10.2f}{sources[1]:9.2f}{median:13.2f}{rmse(base, truth):10.2f}",
            flush=True,
        )


def print_doubt(canvases: list, boxes: np.ndarray, nets: list) -> None:
    folder = Path(skimage.data.__file__).parent
    pictures = [images.read(next(folder.glob(f"{name}.*"))) for name in FACELESS]
    false = [(picture, square) for picture in pictures for square in detection.find(picture)]
    print(f"\n{'base net and specialists apart, px; percentiles':<54}" + "".join(f"{p:>8}" for p in (1, 5, 50, 95, 98, 99)))
    no_faces = [picture for picture, _ in false], np.array([square for _, square in false])
    for name, (photos, squares) in {"faces": (canvases, boxes), f"{len(FACELESS)} pictures without": no_faces}.items():
        squares = crops.scaled(squares, detection.FRAME)
        doubt = ensemble.disagreement(nets, answers(photos, squares, nets, np.zeros(len(squares), int)))
        print(f"  {name:<44}{len(doubt):>6}  " + "".join(f"{value:8.2f}" for value in np.percentile(doubt, [1, 5, 50, 95, 98, 99])))


if __name__ == "__main__":
    main()
