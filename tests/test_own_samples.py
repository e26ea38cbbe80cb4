"""Nets for samples of any side, in grey and in colour, and for sets of one, two and many keypoints."""

from dataclasses import replace

import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, STILL, TARGET, dot_faces, labelled, recipe, structure, together, versions_of

from pipeline.geometry import affine, alignment
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets.samples import DrawnVersions, Labelled, StoredVersions, rows_with
from pipeline.nets.sight import AlignedWindow, WholeImage, located_by

pytestmark = pytest.mark.keras

SMALL = together(labelled(40, seed=1), labelled(10, seed=2))


@pytest.fixture(scope="module")
def models():
    from pipeline.nets import device

    device.prepare(seed=0, threads=0)
    from pipeline.inference import prediction
    from pipeline.nets import fitting, start, training

    return fitting, start, training, prediction


@pytest.fixture
def train(models):
    """`fitting.train` of a compact net for one epoch, always from the same random weights."""
    import keras

    fitting, start, training, _ = models

    def of(faces, versions, sight, *, base=None, keypointset=DOTS, **plan):
        keras.utils.set_random_seed(0)
        channels, plan = (*faces.images.shape[3:], 1)[0], recipe(epochs=1, frame_pixel=1 / sight.scale, **plan)
        begin = start.FromBase(base, keep_head=True) if base else start.Fresh()
        job = fitting.TrainingJob(
            structure("compact", channels=channels, filters=0.25), faces, plan, versions.indices, begin, sight, keypointset
        )
        return fitting.train(job, versions, hooks=training.Hooks())

    return of


def enlarged(faces, factor):
    """The same samples with more pixels."""
    images = faces.images.repeat(factor, axis=1).repeat(factor, axis=2)
    return replace(faces, images=images, keypoints=faces.keypoints * factor)


def coloured(faces):
    """The samples in three colours, of which each has another contrast."""
    grey = faces.images[..., None] / 255
    return replace(faces, images=np.round(255 * grey ** np.array([0.5, 1, 2])).astype(np.uint8))


def windows(faces, base, *, zoom, keypointset=DOTS, indices=EYES):
    """A specialist's sight, and versions of what it sees."""
    frame = int(base.frame)
    window = alignment.window(base.target, indices, margin=frame / 4, extent=frame / 2, zoom=zoom)
    sight = AlignedWindow(window, located_by(base).aligning, frame / faces.images.shape[1])
    rows = rows_with(faces.keypoints, indices, among=~faces.held_out)
    view, ranges = sight.view(len(faces.images)), replace(STILL, flip=0.5, rotation=10.0)
    return sight, DrawnVersions(faces, view, keypointset=keypointset, ranges=ranges, seed=1, rows=rows, indices=indices)


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_the_size_of_the_samples_does_not_change_the_training(train, optimizer):
    """Of samples with twice the side a net sees the same frame: it has the same weights, and predictions of twice the coordinates."""
    versions = versions_of(labelled(40, seed=1))
    plain = train(SMALL, versions, WholeImage(SIDE), optimizer=optimizer, robust_from=1.0)
    twice = StoredVersions(versions.images, versions.keypoints, versions.source, rows=versions.rows, indices=versions.indices, pixel=2.0)
    large = train(enlarged(SMALL, 2), twice, WholeImage(SIDE, None, 0.5), optimizer=optimizer, robust_from=1.0)
    assert all((large.weights[name] == value).all() for name, value in plain.weights.items())
    np.testing.assert_allclose(large.validation, 2 * plain.validation, rtol=1e-5)
    np.testing.assert_allclose([large.rmse, *large.history.training_rmse], [2 * plain.rmse, *2 * plain.history.training_rmse], rtol=1e-5)
    assert (plain.frame, plain.stored, large.frame, large.stored, large.side) == (SIDE, SIDE, SIDE, 2 * SIDE, SIDE)


@pytest.mark.parametrize("prepare", [lambda faces: faces, coloured], ids=["grey", "colour"])
def test_a_chain_for_large_samples(models, train, prepare):
    """Base net and specialist learn from samples of 80 pixels; prediction repeats what they stored, and takes samples of other sides."""
    faces, predict_chain = prepare(enlarged(SMALL, 5)), models[-1].predict_chain
    faces = replace(faces, images=affine.resized(faces.images, 80)[:], keypoints=faces.keypoints / 2)
    sight = WholeImage(SIDE, TARGET, SIDE / 80)
    every = list(range(3))
    rows = rows_with(faces.keypoints, every, among=~faces.held_out)
    view, ranges = sight.view(len(faces.images)), replace(STILL, flip=0.5)
    base = train(faces, DrawnVersions(faces, view, keypointset=DOTS, ranges=ranges, seed=0, rows=rows, indices=every), sight)
    sight, versions = windows(faces, base, zoom=2.5)
    eyes = train(faces, versions, sight, base=base)
    assert base.structure.channels == eyes.structure.channels == (*faces.images.shape[3:], 1)[0]
    held_out, source = faces.images[faces.held_out], faces.source[faces.held_out]
    for net, again in zip((base, eyes), predict_chain([base, eyes], held_out, source, DOTS), strict=True):
        np.testing.assert_allclose(again.keypoints, net.validation, atol=1e-3)
        np.testing.assert_allclose(again.spread, net.validation_spread, atol=1e-3)
        assert again.keypoints.max() > 40
    doubled = held_out.repeat(2, axis=1).repeat(2, axis=2)
    for net, larger in zip((base, eyes), predict_chain([base, eyes], doubled, source, DOTS), strict=True):
        # A net that is hardly trained is sensitive to the last grey level.
        assert np.median(np.abs(larger.keypoints / 2 - net.validation)) < 2


def test_a_window_shows_the_detail_of_the_samples():
    """Stripes that are as narrow as two pixels of the samples are visible in a window of their resolution, but not in the frame."""
    stripes = np.tile(np.array([0, 255], np.uint8).repeat(2), (1, 128, 32))
    window = alignment.Window(np.concatenate([np.eye(2) * 4, [[-32], [-32]]], axis=1), 64)
    sight = AlignedWindow(window, affine.scaling(1, 0.25), 0.25)
    assert sight.view(1).images(stripes)[:].std() == pytest.approx(127.5)
    assert WholeImage(32, None, 0.25).view(1).images(stripes)[:].std() < 1


def some(names, *, mirror):
    """A keypoint set with one group for each pair of keypoints."""
    names = tuple(names)
    groups = {f"g{first}": names[first : first + 2] for first in range(0, len(names), 2)}
    return KeypointSet(name="own", names=names, mirror=mirror, sources={"all": names}, groups=groups)


@pytest.mark.parametrize(
    ("count", "mirror"), [(1, ()), (1, None), (2, (("k0", "k1"),)), (3, None), (68, None)], ids=["one", "never", "pair", "three", "many"]
)
def test_sets_of_any_number_of_keypoints(models, train, count, mirror):
    """A base net and a specialist can be trained, whether or not the images may be mirrored."""
    keypointset = some((f"k{number}" for number in range(count)), mirror=mirror)
    images, dots = dot_faces(40, seed=1)
    keypoints = dots[:, np.arange(count) % 3] + np.linspace(0, 4, count, dtype=np.float32)[:, None] * (count > 3)
    faces = Labelled(images, keypoints, np.zeros(40, np.int8), np.arange(40) >= 30)
    target = alignment.upright(keypoints.mean(axis=0), keypointset, side=SIDE).astype(np.float32)
    every, sight = list(range(count)), WholeImage(SIDE, target)
    drawn = {"keypointset": keypointset, "ranges": replace(STILL, flip=0.5), "seed": 0}
    view, rows = sight.view(40), rows_with(keypoints, every, among=~faces.held_out)
    base = train(faces, DrawnVersions(faces, view, rows=rows, indices=every, **drawn), sight, keypointset=keypointset)
    indices = keypointset.indices("g0")
    sight, versions = windows(faces, base, zoom=1.0, keypointset=keypointset, indices=indices)
    part = train(faces, versions, sight, base=base, keypointset=keypointset)
    found = models[-1].predict_chain([base, part], images, faces.source, keypointset)
    assert [one.keypoints.shape for one in found] == [(40, count, 2), (40, len(indices), 2)]
    assert all(np.isfinite(one.keypoints).all() for one in found)
    assert part.keypointset.restored() == keypointset


def test_a_mean_face_with_all_keypoints_at_one_place(models, train):
    """It tells neither angle nor size, so the faces are only shifted."""
    place = np.full((3, 2), SIDE / 2, np.float32)
    base = train(SMALL, versions_of(labelled(40, seed=1)), WholeImage(SIDE, place))
    np.testing.assert_array_equal(located_by(base).aligning[:, :, :2], np.tile(np.eye(2), (50, 1, 1)))
    assert np.isfinite(models[-1].predict(base, SMALL.images, DOTS).of_source(SMALL.source).keypoints).all()
