"""Faces that the program draws itself, with known keypoints, in arrays or in Kaggle's files.

They let a newcomer run the whole pipeline without Kaggle's data and carry that data's quirks: two groups of labellers with their own noise
and habits, small faces away from the middle, repeated images, labels that are missing or plainly wrong.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.data.synthetic.anatomy import DESIGN_SIDE
from pipeline.data.synthetic.portrait import portrait
from pipeline.lazyrows import Collector, Images, chosen, each
from pipeline.progress import OnProgress, ignored
from pipeline.scatter import Points
from pipeline.schema import array, record

_WIDEST_SOURCE_SHARE = 1 / 3  # in Kaggle's files 2,284 of 7,049 training faces and 591 of 1,783 test faces

# How the labellers of the widest source and those of the others worked. Pixels of Kaggle's images; the shifts are to larger x and were
# measured on Kaggle's files, as was the noise of the others (identical images labelled twice), rounded down to leave room for outliers.
_NOISE = (0.3, 1.0)
_SHIFT_OF_EYES = (0.0, 0.8)
_SHIFT_OF_REST = (0.0, 0.5)
_INCOMPLETE_ROWS = 0.02  # of the widest source
_WRONG_LABELS = 0.003
_REPEATED_IMAGES = 0.04  # of the training faces of the other sources

_GREYS = tuple(str(level) for level in range(256))


@record
class RenderedFaces:
    """n drawn faces, those of the keypoint set's first source first."""

    images: Images = array("uint8", "face y x", "", "grey levels")
    keypoints: np.ndarray = array("float64", "face keypoint xy", "px", "where the keypoints were drawn")
    labels: np.ndarray = array("float64", "face keypoint xy", "px", "what a labeller of the face's source wrote; NaN where nothing")
    source: np.ndarray = array("int8", "face", "", "index into the keypoint set's source_names")


@record
class Truth:
    """What no file of Kaggle's tells: where the keypoints of the test faces are."""

    keypoints: np.ndarray = array("float64", "face keypoint xy", "px", "where the keypoints of the test faces were drawn")
    points: Points


def rendered_faces(
    keypointset,
    *,
    side: int,
    count: int,
    widest_source_share: float,
    seed: int,
    images: Collector | None = None,
    report: OnProgress = ignored,
) -> RenderedFaces:
    """Draw `count` faces; the first round(count * widest_source_share) are labelled by the first source, the rest by the last.

    keypointset: names among Kaggle's fifteen, any side. Keypoints and labels: x then y, pixel i covers [i, i + 1); all lie in the image.
    Equal arguments give equal bytes, and face i does not depend on how many follow it. 6 ms a face on one core. images: an empty
    collector, for more of them than belong into memory. report: told of each.
    Raises ValueError for a share outside [0, 1], and for a keypoint that is not drawn.
    """
    if not 0 <= widest_source_share <= 1:
        raise ValueError(f"widest_source_share must lie in [0, 1], it is {widest_source_share}")
    source = np.zeros(count, np.int8)
    source[round(count * widest_source_share) :] = len(keypointset.source_names) - 1
    images = images or Collector()
    images.add(np.empty((0, side, side), np.uint8))
    keypoints = np.empty((count, len(keypointset.names), 2))
    for i in range(count):
        rng = _generator(seed, i + 1)
        image, keypoints[i] = portrait(keypointset.names, side=side, steady=source[i] == 0, rng=rng)
        images.add(image[None])
        report(1)
    labels = labels_for(keypointset, keypoints, source, side=side, rng=_generator(seed, 0))
    return RenderedFaces(images.rows(), keypoints, labels, source)


def _generator(seed: int, number: int) -> np.random.Generator:
    """One of as many as one likes; the same as `default_rng(seed).spawn(...)[number]`, which makes all of them."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def labels_for(keypointset, keypoints, source, *, side: int, rng) -> np.ndarray:
    """What labellers of each face's source would write: (n, k, 2) float64 pixels within the image, NaN where they wrote nothing.

    keypoints: (n, k, 2) true positions, pixels. source: (n,) integers. Adds noise and each source's constant shift, leaves out what the
    source does not label and a few labels of the first, and misplaces a few by a third of the image.
    """
    other = (source > 0).astype(int)
    pixel = side / DESIGN_SIDE
    is_eye = np.array(["eye_center" in name for name in keypointset.names])
    shift = np.where(is_eye, np.take(_SHIFT_OF_EYES, other)[:, None], np.take(_SHIFT_OF_REST, other)[:, None])
    noise = np.take(_NOISE, other)[:, None, None] * rng.standard_normal(keypoints.shape)
    labels = keypoints + pixel * (noise + np.stack([shift, np.zeros_like(shift)], axis=-1))
    wrong = rng.random(labels.shape[:2]) < _WRONG_LABELS
    labels[wrong] += rng.normal(0, side / 3, (int(wrong.sum()), 2))
    labelled = _labelled_by(keypointset)[source] & ~_left_out(source, len(keypointset.names), rng=rng)
    return np.where(labelled[..., None], np.clip(labels, 0, side), np.nan)


def _labelled_by(keypointset):
    """(sources, k) bool: which source labels which keypoint."""
    return np.array([[name in labelled for name in keypointset.names] for labelled in keypointset.sources.values()])


def _left_out(source, keypoints, *, rng):
    """(n, k) bool: in a few rows of the first source each label is missing with one chance in five."""
    rows = (rng.random(len(source)) < _INCOMPLETE_ROWS) & (source == 0)
    return rows[:, None] & (rng.random((len(source), keypoints)) < 0.2)


def with_repeats(keypointset, faces: RenderedFaces, *, rng) -> RenderedFaces:
    """The faces, with a few of those not of the first source replaced by an earlier image of their kind, labelled a second time."""
    others = np.flatnonzero(faces.source > 0)
    places = np.flatnonzero(rng.random(len(others)) < _REPEATED_IMAGES)
    places = places[places > 0]
    shown = np.arange(len(faces.source))
    for place in places:  # in order, so that what an earlier place shows is settled
        shown[others[place]] = shown[others[rng.integers(place)]]
    images, keypoints, labels = chosen(faces.images, shown), faces.keypoints[shown], faces.labels.copy()
    again = others[places]
    labels[again] = labels_for(keypointset, keypoints[again], faces.source[again], side=images.shape[-1], rng=rng)
    return replace(faces, images=images, keypoints=keypoints, labels=labels)


def write_kaggle_files(folder, keypointset, *, side: int, training: int, test: int, seed: int) -> np.ndarray:
    """Write training.csv, test.csv and IdLookupTable.csv into a folder, which is made if need be: see `write_files`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / name for name in ("training.csv", "test.csv", "IdLookupTable.csv"))
    return write_files(*paths, keypointset, side=side, training=training, test=test, seed=seed)


def write_files(
    training_path,
    test_path,
    lookup_path,
    keypointset,
    *,
    side: int,
    training: int,
    test: int,
    seed: int,
    collector: Callable[[], Collector] = Collector,
    report: OnProgress = ignored,
) -> np.ndarray:
    """Write `training` and `test` drawn faces as Kaggle hands faces out: labelled faces, faces to label, values asked for.

    A third of each is of the first source and comes first. Existing files are replaced; equal arguments give equal bytes. Returns the
    true keypoints of the test faces, (test, k, 2) float64 pixels. collector: where the images wait. report: told of each face drawn.
    """
    seeds = np.random.SeedSequence(seed).generate_state(3).tolist()
    drawn, asked = (
        rendered_faces(
            keypointset, side=side, count=count, widest_source_share=_WIDEST_SOURCE_SHARE, seed=own, images=collector(), report=report
        )
        for count, own in zip((training, test), seeds, strict=False)
    )
    drawn = with_repeats(keypointset, drawn, rng=np.random.default_rng(seeds[2]))
    _write(training_path, _training_lines(keypointset, drawn))
    _write(test_path, _test_lines(asked.images))
    _write(lookup_path, _lookup_lines(keypointset, asked.source))
    return asked.keypoints


def _write(path, lines):
    with Path(path).open("w", encoding="ascii", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _training_lines(keypointset, faces):
    yield ",".join((*keypointset.columns, "Image"))
    for labels, image in zip(faces.labels, each(faces.images), strict=True):
        coordinates = ("" if value != value else f"{value:.6f}" for value in labels.ravel().tolist())
        yield ",".join((*coordinates, _image_text(image)))


def _test_lines(images):
    yield "ImageId,Image"
    yield from (f"{image_id},{_image_text(image)}" for image_id, image in enumerate(each(images), start=1))


def _lookup_lines(keypointset, source):
    yield "RowId,ImageId,FeatureName,Location"
    labelled = np.repeat(_labelled_by(keypointset), 2, axis=1)  # x and y of each keypoint, as in columns
    wanted = [[name for name, asked in zip(keypointset.columns, of_source, strict=True) if asked] for of_source in labelled]
    asked = ((image_id, name) for image_id, own in enumerate(source.tolist(), start=1) for name in wanted[own])
    yield from (f"{row_id},{image_id},{name}," for row_id, (image_id, name) in enumerate(asked, start=1))


def _image_text(image):
    return " ".join(map(_GREYS.__getitem__, image.tobytes()))
