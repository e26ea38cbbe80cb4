"""Checks that the nets and their training can do what they must and cannot do what they must not.

After A. Karpathy, "A recipe for training neural networks", 2019, https://karpathy.github.io/2019/04/25/recipe/
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from pipeline.keypoints.definition import KeypointSet
from pipeline.metrics.rmse import rmse
from pipeline.nets import forward, network, training
from pipeline.nets.samples import Samples, StoredVersions
from pipeline.nets.sources import of_source
from pipeline.nets.structure import Structure
from pipeline.schema import array, record

TINY = 8  # faces to learn by heart
STEPS = 8  # of an epoch at least
LEARNED = 0.1  # px, RMSE of a net that knows its faces by heart
MANY = 640  # faces whose labels are shuffled, and as many to validate with at most
PENALTIES = (0.0, 1e-4, 1e-2)


@dataclass(frozen=True)
class Check:
    """figure: what was measured, in `unit`; limit: "at most" or "at least" which value it passes; usually: what a failure mostly means."""

    name: str
    tried: str
    figure: float
    unit: str
    at_most: float
    at_least: float
    usually: str

    @property
    def passed(self) -> bool:
        return bool(self.at_least <= self.figure <= self.at_most)


@record
class Checks:
    """What each check tried and found."""

    names: np.ndarray = array("text", "check", "", "name")
    tried: np.ndarray = array("text", "check", "", "what was tried")
    figure: np.ndarray = array("float32", "check", "", "what was measured, in the unit")
    units: np.ndarray = array("text", "check", "", "unit of the figure")
    at_least: np.ndarray = array("float32", "check", "", "lowest figure that passes")
    at_most: np.ndarray = array("float32", "check", "", "highest figure that passes")
    passed: np.ndarray = array("bool", "check", "", "whether it passed")
    usually: np.ndarray = array("text", "check", "", "what a failure usually means")


@dataclass(frozen=True)
class Setup:
    """What every check takes: how to build the net (or with another penalty: `l2`), how to train it, on which faces. faces: those to
    learn; held_out: others to validate with."""

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
        """The validation RMSE at the end of a fresh net that was trained on the faces as they are."""
        net = self.build()
        # Of few faces an epoch takes each several times: what is done after an epoch takes longer than a step.
        rows = np.repeat(np.arange(len(faces.images)), max(1, STEPS * batch // len(faces.images)))
        versions = StoredVersions(faces.images[None], faces.keypoints[None], faces.source, rows=rows, indices=self.indices)
        recipe = dataclasses.replace(self.recipe, epochs=epochs, batch=batch, warmup=min(self.recipe.warmup, epochs / 4))
        history, _ = training.fit(net, versions, validation, recipe, keypointset=self.keypointset, hooks=training.Hooks())
        return float(history.validation_rmse[-1])


def run(setup: Setup, epochs: int) -> Iterator[Check]:
    """Yields the checks, one after the other. epochs: of learning a few faces by heart."""
    yield first_loss(setup)
    yield stronger_penalty(setup)
    yield blind(setup, epochs)
    yield by_heart(setup, epochs)
    if setup.keypointset.mirror is not None:
        yield mirrored(setup)
    yield from shuffled(setup)


def first_loss(setup: Setup) -> Check:
    """A fresh net knows nothing of faces: its answers are spread around the middle of the image, and cost what that answer costs."""
    faces = setup.faces
    predicted = forward.predict(setup.build(), faces.images, setup.keypointset, indices=setup.indices, mirrored=False)
    own = rmse(of_source(predicted, faces.source), faces.keypoints)
    middle = rmse(np.full_like(faces.keypoints, faces.images.shape[-1] / 2), faces.keypoints)
    return Check(
        "first loss",
        f"an untrained net beside the answer 'the middle of the image' ({middle:.1f} px) for {len(faces.images)} faces",
        own / middle,
        "of that RMSE",
        1.5,
        0.7,
        "pixels or coordinates are scaled otherwise than the net expects, or its first weights are far too large",
    )


def stronger_penalty(setup: Setup) -> Check:
    """The loss of one and the same fresh net must grow with the penalty on its weights."""
    losses = []
    for penalty in PENALTIES:
        keras.utils.set_random_seed(setup.seed)
        net = setup.build(l2=penalty)
        losses.append(float(sum(map(keras.ops.convert_to_numpy, net.losses))) if net.losses else 0.0)
    return Check(
        "regularisation",
        f"penalty in the loss of a fresh net for l2 of {', '.join(f'{penalty:g}' for penalty in PENALTIES)}: "
        + ", ".join(f"{loss:.3g}" for loss in losses),
        float(np.diff(losses).min()),
        "px² more at each step",
        np.inf,
        1e-9,
        "the penalty is not added to the loss, or not all kernels have it",
    )


def blind(setup: Setup, epochs: int) -> Check:
    """Without a picture the best answer is the mean face: what the loss begins with for a net that knows the labels alone."""
    faces = _first(setup.faces, TINY * 4)
    grey = dataclasses.replace(faces, images=np.full_like(faces.images, int(faces.images.mean())))
    reached = setup.fit(grey, grey, epochs=epochs, batch=TINY)
    best = rmse(_mean_faces(faces)[faces.source], faces.keypoints)
    return Check(
        "blind",
        f"a net that was trained on {len(faces.images)} faces without seeing them, beside their mean face ({best:.2f} px)",
        reached / best,
        "of that RMSE",
        1.1,
        0.98,
        "below: the labels reach the net by another way than the image; above: the output layer cannot move to the mean face",
    )


def by_heart(setup: Setup, epochs: int) -> Check:
    """A net must be able to learn a few faces to the last digit."""
    faces = _first(setup.faces, TINY)
    # Batches of twice as many faces are more alike: with TINY of them batch normalisation shakes the last tenth of a pixel.
    reached = setup.fit(faces, faces, epochs=epochs, batch=2 * TINY)
    return Check(
        "by heart",
        f"{len(faces.images)} faces, {epochs} epochs of {STEPS} steps, validated on the same faces",
        reached,
        "px",
        LEARNED,
        0.0,
        "images and labels do not belong together, the learning rate does not fit, or the net is too small",
    )


def mirrored(setup: Setup) -> Check:
    """What is said of a face and what is said of its mirror image must be mirror images."""
    images, order = _first(setup.held_out, 64).images, list(setup.keypointset.mirror_order)
    net = setup.build()
    predicted, of_mirror = (
        forward.predict(net, seen, setup.keypointset, indices=setup.indices, mirrored=True) for seen in (images, images[:, :, ::-1])
    )
    back = of_mirror[:, :, order] * np.float32([-1, 1]) + np.float32([images.shape[-1], 0])
    return Check(
        "mirror",
        f"mirrored averaging for {len(images)} faces and for their mirror images, largest distance",
        float(np.abs(predicted - back).max()),
        "px",
        0.01,
        0.0,
        "left and right keypoints are not exchanged, or the image's middle is half a pixel off",
    )


def shuffled(setup: Setup, epochs: int = 12) -> Iterator[Check]:
    """Right labels teach something of other faces, labels of other faces nothing."""
    faces, held_out = _first(setup.faces, MANY), _first(setup.held_out, MANY)
    order = np.random.default_rng(setup.seed).permutation(len(faces.images))
    wrong = dataclasses.replace(faces, keypoints=faces.keypoints[order], source=faces.source[order])
    best = rmse(setup.mean_face[held_out.source], held_out.keypoints)
    tried = f"{len(faces.images)} faces, {epochs} epochs, validated on {len(held_out.images)} others, beside the mean face ({best:.2f} px)"
    right, shuffled = (setup.fit(given, held_out, epochs=epochs, batch=setup.recipe.batch) for given in (faces, wrong))
    unit = "of the mean face's RMSE"
    yield Check("right labels", tried, right / best, unit, 0.95, 0.0, "too few faces or epochs, or a learning rate that does not fit")
    yield Check(
        "shuffled labels",
        f"the same with the labels of other faces: {tried}",
        shuffled / best,
        unit,
        np.inf,
        0.95,
        "validation faces were trained on, or the labels of validation faces leak into what the net sees",
    )


def _mean_faces(faces: Samples) -> np.ndarray:
    """Mean label of each source (S, K, 2); 0 where it has none, for nothing is compared there."""
    known = ~np.isnan(faces.keypoints)
    own = faces.source == np.arange(faces.source.max() + 1)[:, None]  # (S, n)
    counts = np.einsum("sn,nkd->skd", own, known.astype(int))
    return np.einsum("sn,nkd->skd", own, np.where(known, faces.keypoints, 0)) / np.maximum(counts, 1)


def _first(faces: Samples, count: int) -> Samples:
    return Samples(*(getattr(faces, field.name)[:count] for field in dataclasses.fields(Samples)))


def build(structure: Structure, keypointset: KeypointSet, *, side: int) -> Callable[..., keras.Model]:
    """How to build a net of this structure for whole images; with other fields of the structure where they are given."""
    options = {"side": side, "keypoints": len(keypointset.names), "sources": len(keypointset.sources)}
    return lambda **changes: network.build(dataclasses.replace(structure, **changes), **options)


def chosen(faces, labels: np.ndarray, *, held_out: bool, seed: int) -> Samples:
    """The labelled faces of the data set's training or validation part in random order: the first of them are of every source."""
    rows = np.flatnonzero((faces.validation == held_out) & ~np.isnan(labels).all(axis=(1, 2)))
    rows = np.random.default_rng(seed).permutation(rows)
    return Samples(faces.images[rows], labels[rows], faces.source[rows], np.ones(len(rows), np.float32))


def record(checks: list[Check]) -> Checks:
    def column(name, dtype=None):
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
    """What it tried, its figure, whether it passed; what a failure means where it did not."""
    limits = [f"{word} {limit:g}" for word, limit in (("at least", check.at_least), ("at most", check.at_most)) if 0 < limit < np.inf]
    verdict = "pass" if check.passed else "FAIL"
    line = f"{verdict}  {check.name}: {check.figure:.3g} {check.unit}, wanted {' and '.join(limits)}\n      {check.tried}"
    return line if check.passed else f"{line}\n      usually: {check.usually}"
