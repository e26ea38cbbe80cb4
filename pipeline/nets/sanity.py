"""Checks that nets and their training can do what they must and cannot do what they must not.

They follow A. Karpathy, "A recipe for training neural networks", 2019, https://karpathy.github.io/2019/04/25/recipe/
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from pipeline.keypoints.definition import KeypointSet
from pipeline.metrics.rmse import rmse
from pipeline.nets import forward, network, training
from pipeline.nets.samples import Labelled, Samples, StoredVersions
from pipeline.nets.sources import of_source
from pipeline.nets.structure import Structure
from pipeline.schema import array, record
from pipeline.units import counted

TINY = 8  # number of faces to memorise
STEPS = 8  # minimum number of training steps per epoch
LEARNED = 0.1  # largest RMSE of a net that has memorised its faces, pixels
MANY = 640  # maximum number of faces to train on with correct and with shuffled labels, and of faces to validate on
PENALTIES = (0.0, 1e-4, 1e-2)  # values of l2, ascending


@dataclass(frozen=True)
class Check:
    """The outcome of a check.

    tried: what was tried. figure: what was measured, in `unit`; the check passes between `at_least` and `at_most`. usually: what a failure
    usually means.
    """

    name: str
    tried: str
    figure: float
    unit: str
    at_most: float
    at_least: float
    usually: str

    @property
    def passed(self) -> bool:
        """Whether the figure is within the limits; NaN never is."""
        return bool(self.at_least <= self.figure <= self.at_most)


@record
class Checks:
    """The outcomes of all checks."""

    names: np.ndarray = array("text", "check", "", "name of the check")
    tried: np.ndarray = array("text", "check", "", "what was tried")
    figure: np.ndarray = array("float32", "check", "", "what was measured, in its unit")
    units: np.ndarray = array("text", "check", "", "unit of the figure")
    at_least: np.ndarray = array("float32", "check", "", "lowest figure that passes")
    at_most: np.ndarray = array("float32", "check", "", "highest figure that passes")
    passed: np.ndarray = array("bool", "check", "", "whether the check passed")
    usually: np.ndarray = array("text", "check", "", "what a failure usually means")


@dataclass(frozen=True)
class Setup:
    """What every check needs.

    build: builds a fresh net, with another penalty if `l2` is given. recipe: how to train it. faces: the samples to train on.
    held_out: other samples to validate on. mean_face: (S, K, 2), the mean face of each annotation source, pixels.
    """

    build: Callable[..., keras.Model]
    recipe: training.Recipe
    keypointset: KeypointSet
    faces: Samples
    held_out: Samples
    mean_face: np.ndarray
    seed: int

    @property
    def indices(self) -> list[int]:
        """All keypoints of the set."""
        return list(range(len(self.keypointset.names)))

    def fit(self, faces: Samples, validation: Samples, *, epochs: int, batch: int) -> float:
        """Trains a fresh net on the faces without augmentation and returns its last validation RMSE in pixels."""
        net = self.build()
        # An epoch uses each of a few faces several times, because the work after an epoch takes longer than a training step.
        rows = np.repeat(np.arange(len(faces.images)), max(1, STEPS * batch // len(faces.images)))
        versions = StoredVersions(faces.images[:][None], faces.keypoints[None], faces.source, rows=rows, indices=self.indices)
        recipe = dataclasses.replace(self.recipe, epochs=epochs, batch=batch, warmup=min(self.recipe.warmup, epochs / 4))
        history, _ = training.fit(net, versions, validation, recipe, keypointset=self.keypointset, hooks=training.Hooks())
        return float(history.validation_rmse[-1])


def run(setup: Setup, epochs: int) -> Iterator[Check]:
    """Runs the checks and yields the outcome of each. epochs: of the trainings on a few faces."""
    yield first_loss(setup)
    yield stronger_penalty(setup)
    yield blind(setup, epochs)
    yield by_heart(setup, epochs)
    if setup.keypointset.mirror is not None:
        yield mirrored(setup)
    yield from shuffled(setup)


def first_loss(setup: Setup) -> Check:
    """An untrained net must be about as far off as a prediction of the image centre, because it knows nothing about faces."""
    faces = setup.faces
    predicted = forward.predict(setup.build(), faces.images, setup.keypointset, indices=setup.indices, mirrored=False)
    own = rmse(of_source(predicted, faces.source), faces.keypoints)
    middle = rmse(np.full_like(faces.keypoints, faces.images.shape[1] / 2), faces.keypoints)
    return Check(
        "first loss",
        f"an untrained net compared with predicting the image centre ({middle:.1f} px) for {len(faces.images)} samples",
        own / middle,
        "of that RMSE",
        1.5,
        0.7,
        "pixels or coordinates are not scaled as the net expects, or its initial weights are far too large",
    )


def stronger_penalty(setup: Setup) -> Check:
    """The loss of a fresh net must increase with the penalty on its weights."""
    losses = []
    for penalty in PENALTIES:
        keras.utils.set_random_seed(setup.seed)
        net = setup.build(l2=penalty)
        losses.append(float(sum(map(keras.ops.convert_to_numpy, net.losses))) if net.losses else 0.0)
    return Check(
        "regularisation",
        f"penalty in the loss of a fresh net for l2 = {', '.join(f'{penalty:g}' for penalty in PENALTIES)}: "
        + ", ".join(f"{loss:.3g}" for loss in losses),
        float(np.diff(losses).min()),
        "px² (smallest increase)",
        np.inf,
        1e-9,
        "the penalty is not added to the loss, or does not apply to all kernels",
    )


def blind(setup: Setup, epochs: int) -> Check:
    """A net that is trained on uniformly grey images must predict the mean face: the best prediction that uses only the labels."""
    faces = _first(setup.faces, TINY * 4)
    images = faces.images[:]
    grey = dataclasses.replace(faces, images=np.full_like(images, int(images.mean())))
    reached = setup.fit(grey, grey, epochs=epochs, batch=TINY)
    best = rmse(_mean_faces(faces)[faces.source], faces.keypoints)
    return Check(
        "blind",
        f"a net trained on the labels of {len(faces.images)} samples with grey images, compared with their mean shape ({best:.2f} px)",
        reached / best,
        "of that RMSE",
        1.1,
        0.98,
        "too low: the labels reach the net in some other way than through the image; too high: the output cannot reach the mean shape",
    )


def by_heart(setup: Setup, epochs: int) -> Check:
    """A net must be able to memorise a few faces almost exactly."""
    faces = _first(setup.faces, TINY)
    # Larger batches resemble each other more: with batches of TINY samples, batch normalisation adds noise of a tenth of a pixel.
    reached = setup.fit(faces, faces, epochs=epochs, batch=2 * TINY)
    return Check(
        "by heart",
        f"trained on {len(faces.images)} samples for {counted(epochs, 'epoch')} of {STEPS} steps and validated on the same samples",
        reached,
        "px",
        LEARNED,
        0.0,
        "images and labels do not belong together, the learning rate is unsuitable, or the net is too small or needs more --Sanity-epochs",
    )


def mirrored(setup: Setup) -> Check:
    """The predictions for faces and for their mirror images must be mirror images of each other."""
    images, order = _first(setup.held_out, 64).images[:], list(setup.keypointset.mirror_order)
    net = setup.build()
    predicted, of_mirror = (
        forward.predict(net, seen, setup.keypointset, indices=setup.indices, mirrored=True) for seen in (images, images[:, :, ::-1])
    )
    back = of_mirror[:, :, order] * np.array([-1, 1], np.float32) + np.array([images.shape[1], 0], np.float32)
    return Check(
        "mirror",
        f"largest difference between the predictions, with mirrored averaging, for {len(images)} samples and for their mirror images",
        float(np.abs(predicted - back).max()),
        "px",
        0.01,
        0.0,
        "left and right keypoints are not exchanged, or the image centre is off by half a pixel",
    )


def shuffled(setup: Setup, epochs: int = 12) -> Iterator[Check]:
    """A net must learn something about other faces from correct labels, and nothing from labels that belong to other faces."""
    faces, held_out = _first(setup.faces, MANY), _first(setup.held_out, MANY)
    order = np.random.default_rng(setup.seed).permutation(len(faces.images))
    wrong = dataclasses.replace(faces, keypoints=faces.keypoints[order], source=faces.source[order])
    best = rmse(setup.mean_face[held_out.source], held_out.keypoints)
    tried = (
        f"trained on {len(faces.images)} samples for {counted(epochs, 'epoch')} and validated on {len(held_out.images)} others,"
        f" compared with the mean shape ({best:.2f} px)"
    )
    right, mixed = (setup.fit(given, held_out, epochs=epochs, batch=setup.recipe.batch) for given in (faces, wrong))
    unit = "of the mean shape's RMSE"
    yield Check("right labels", tried, right / best, unit, 0.95, 0.0, "too few samples or epochs, or an unsuitable learning rate")
    yield Check(
        "shuffled labels",
        f"with the labels of other samples, {tried}",
        mixed / best,
        unit,
        np.inf,
        0.95,
        "the net was trained on validation samples, or the labels of validation samples leak into its input",
    )


def _mean_faces(faces: Samples) -> np.ndarray:
    """The mean label of each source, (S, K, 2), pixels; 0 where a source has no label, because nothing is compared there."""
    known = ~np.isnan(faces.keypoints)
    own = faces.source == np.arange(faces.source.max() + 1)[:, None]  # (S, n)
    counts = np.einsum("sn,nkd->skd", own, known.astype(int))
    return np.einsum("sn,nkd->skd", own, np.where(known, faces.keypoints, 0)) / np.maximum(counts, 1)


def _first(faces: Samples, count: int) -> Samples:
    return Samples(*(getattr(faces, field.name)[:count] for field in dataclasses.fields(Samples)))


def build(structure: Structure, keypointset: KeypointSet, *, side: int) -> Callable[..., keras.Model]:
    """Returns a function that builds a net of this structure for whole images; its keyword arguments replace fields of the structure."""
    keypoints, sources = len(keypointset.names), len(keypointset.sources)
    return lambda **changes: network.build(
        dataclasses.replace(structure, **changes), side=side, keypoints=keypoints, sources=sources, trains=True
    )


def part_of(labelled: Labelled, *, held_out: bool, seed: int) -> Samples:
    """The samples of the training or the validation part that have a label, in random order, so that the first of them have all sources.

    Their pixels count as they are. The images must be those of the nets' frame.
    """
    rows = np.flatnonzero((labelled.held_out == held_out) & ~np.isnan(labelled.keypoints).all(axis=(1, 2)))
    rows = np.random.default_rng(seed).permutation(rows)
    return Samples(labelled.images[rows], labelled.keypoints[rows], labelled.source[rows], np.ones(len(rows), np.float32))


def tabulated(checks: list[Check]) -> Checks:
    """The outcomes of the checks as arrays."""

    def column(name: str, dtype: type | None = None) -> np.ndarray:
        return np.array([getattr(check, name) for check in checks], dtype)

    return Checks(
        names=column("name"),
        tried=column("tried"),
        figure=column("figure", np.float32),
        units=column("unit"),
        at_least=column("at_least", np.float32),
        at_most=column("at_most", np.float32),
        passed=column("passed"),
        usually=column("usually"),
    )


def text(check: Check) -> str:
    """The outcome in words: the figure and its limits, what was tried, and, after a failure, what it usually means."""
    limits = [f"{word} {limit:g}" for word, limit in (("at least", check.at_least), ("at most", check.at_most)) if 0 < limit < np.inf]
    verdict = "pass" if check.passed else "FAIL"
    line = f"{verdict}  {check.name}: {check.figure:.3g} {check.unit}, required: {' and '.join(limits)}\n      {check.tried}"
    return line if check.passed else f"{line}\n      usual cause: {check.usually}"
