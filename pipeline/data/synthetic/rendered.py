"""Faces that the program draws itself, with known keypoints, as arrays or as files in Kaggle's formats.

With them the whole pipeline runs without Kaggle's data. They imitate the quirks of those data: two groups of labellers with different noise
and habits, small faces away from the middle, repeated images, and labels that are missing or plainly wrong.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.data.formats import kaggle
from pipeline.data.synthetic.anatomy import DESIGN_SIDE
from pipeline.data.synthetic.portrait import portrait
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Collector, Images, chosen
from pipeline.progress import OnProgress, ignored
from pipeline.scatter import Points
from pipeline.schema import array, record

_WIDEST_SOURCE_SHARE = 1 / 3  # in Kaggle's files 2,284 of 7,049 training faces and 591 of 1,783 test faces

# How accurately the labellers of the widest source and those of the others worked, in pixels of Kaggle's images. The shifts go to larger
# x. They were measured on Kaggle's files, as was the noise of the others (from identical images labelled twice), rounded down because the
# measured noise contains the outliers.
_NOISE = (0.3, 1.0)
_SHIFT_OF_EYES = (0.0, 0.8)
_SHIFT_OF_REST = (0.0, 0.5)
_INCOMPLETE_ROWS = 0.02  # of the widest source
_WRONG_LABELS = 0.003
_REPEATED_IMAGES = 0.04  # of the training faces of the other sources


@record
class RenderedFaces:
    """n drawn faces; those of the keypoint set's first annotation source come first."""

    images: Images = array("uint8", "face y x", "", "grey levels")
    keypoints: np.ndarray = array("float64", "face keypoint xy", "px", "where the keypoints were drawn")
    labels: np.ndarray = array("float64", "face keypoint xy", "px", "labels by the face's annotation source, NaN where not labelled")
    source: np.ndarray = array("int8", "face", "", "annotation source, index into the keypoint set's source_names")


@record
class Truth:
    """The true keypoints of the test faces, which the files in Kaggle's formats do not contain."""

    keypoints: np.ndarray = array("float64", "face keypoint xy", "px", "where the keypoints of the test faces were drawn")
    points: Points


def rendered_faces(
    keypointset: KeypointSet,
    *,
    side: int,
    count: int,
    widest_source_share: float,
    seed: int,
    images: Collector | None = None,
    on_progress: OnProgress = ignored,
) -> RenderedFaces:
    """Draws `count` faces of side x side pixels; the first round(count * widest_source_share) belong to the first annotation source.

    The others belong to the last source. All keypoints and labels lie in the image; pixel i covers [i, i + 1). Equal arguments give equal
    bytes, and a face does not depend on how many follow it. A face takes 6 ms on one core.

    keypointset: its names must be among Kaggle's fifteen.
    images: an empty collector, for images that may not fit into memory.
    on_progress: receives 1 for each face.

    Raises ValueError for a share outside [0, 1] and for a keypoint that is not drawn.
    """
    if not 0 <= widest_source_share <= 1:
        raise ValueError(f"widest_source_share must be in [0, 1], not {widest_source_share}")
    source = np.zeros(count, np.int8)
    source[round(count * widest_source_share) :] = len(keypointset.source_names) - 1
    images = images or Collector()
    images.add(np.empty((0, side, side), np.uint8))
    keypoints = np.empty((count, len(keypointset.names), 2))
    for i in range(count):
        rng = _generator(seed, i + 1)
        image, keypoints[i] = portrait(keypointset.names, side=side, steady=source[i] == 0, rng=rng)
        images.add(image[None])
        on_progress(1)
    labels = labels_for(keypointset, keypoints, source, side=side, rng=_generator(seed, 0))
    return RenderedFaces(images.rows(), keypoints, labels, source)


def _generator(seed: int, number: int) -> np.random.Generator:
    """One of any number of independent generators: `default_rng(seed).spawn(...)[number]` without making the others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def labels_for(keypointset: KeypointSet, keypoints: np.ndarray, source: np.ndarray, *, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draws labels as the annotation source of each face would give them: (n, K, 2) float64, pixels, NaN where not labelled.

    Adds the noise and the constant shift of each source, omits what the source does not label and a few labels of the first source, and
    misplaces a few labels by a third of the image. All labels lie in the image.

    keypoints: true positions (n, K, 2), pixels.
    source: index of each face's source, integers (n,).
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


def _labelled_by(keypointset: KeypointSet) -> np.ndarray:
    """Whether each annotation source labels each keypoint: bool (S, K)."""
    return np.array([[name in labelled for name in keypointset.names] for labelled in keypointset.sources.values()])


def _left_out(source: np.ndarray, keypoints: int, *, rng: np.random.Generator) -> np.ndarray:
    """Whether each label is missing, bool (n, K): in a few rows of the first source with a probability of 0.2."""
    rows = (rng.random(len(source)) < _INCOMPLETE_ROWS) & (source == 0)
    return rows[:, None] & (rng.random((len(source), keypoints)) < 0.2)


def with_repeats(keypointset: KeypointSet, faces: RenderedFaces, *, rng: np.random.Generator) -> RenderedFaces:
    """Replaces a few faces, none of them of the first annotation source, by earlier images of such faces, which are labelled again."""
    others = np.flatnonzero(faces.source > 0)
    places = np.flatnonzero(rng.random(len(others)) < _REPEATED_IMAGES)
    places = places[places > 0]
    shown = np.arange(len(faces.source))
    for place in places:  # in order, so that the image of an earlier place is final
        shown[others[place]] = shown[others[rng.integers(place)]]
    images, keypoints, labels = chosen(faces.images, shown), faces.keypoints[shown], faces.labels.copy()
    again = others[places]
    labels[again] = labels_for(keypointset, keypoints[again], faces.source[again], side=images.shape[-1], rng=rng)
    return replace(faces, images=images, keypoints=keypoints, labels=labels)


def write_kaggle_files(folder: str | Path, keypointset: KeypointSet, *, side: int, training: int, test: int, seed: int) -> np.ndarray:
    """Writes training.csv, test.csv and IdLookupTable.csv into a folder, which is created if necessary; see `write_files`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = kaggle.KaggleFiles(folder / "training.csv", folder / "test.csv", folder / "IdLookupTable.csv")
    return write_files(files, keypointset, side=side, training=training, test=test, seed=seed)


def write_files(
    files: kaggle.KaggleFiles,
    keypointset: KeypointSet,
    *,
    side: int,
    training: int,
    test: int,
    seed: int,
    collector: Callable[[], Collector] = Collector,
    on_progress: OnProgress = ignored,
) -> np.ndarray:
    """Writes drawn faces as Kaggle publishes its faces: labelled faces, faces to predict, and the values to predict.

    A third of either belongs to the first annotation source and comes first. Existing files are replaced; equal arguments give equal bytes.

    training, test: the numbers of labelled faces and of faces to predict.
    collector: makes an empty collector for images; the default keeps them in memory.
    on_progress: receives 1 for each face.

    Returns the true keypoints of the test faces, (test, K, 2) float64, pixels.
    """
    seeds = np.random.SeedSequence(seed).generate_state(3).tolist()
    draw = partial(rendered_faces, keypointset, side=side, widest_source_share=_WIDEST_SOURCE_SHARE, on_progress=on_progress)
    drawn = draw(count=training, seed=seeds[0], images=collector())
    asked = draw(count=test, seed=seeds[1], images=collector())
    drawn = with_repeats(keypointset, drawn, rng=np.random.default_rng(seeds[2]))
    kaggle.write_training(files.training, keypointset, drawn.images, drawn.labels)
    kaggle.write_test(files.test, asked.images)
    kaggle.write_lookup(files.lookup, keypointset, _labelled_by(keypointset)[asked.source])
    return asked.keypoints
