"""Checks of nets and their training: a sound net passes them, and one that is broken on purpose fails."""

import dataclasses

import numpy as np
import pytest
from toys import DOTS, SIDE, TARGET, labelled, recipe

from pipeline.nets.samples import Labelled

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def sanity():
    from pipeline.nets import device, sanity

    device.prepare(seed=0, threads=0)
    return sanity


@pytest.fixture(scope="module")
def trial(sanity):
    """A small convolutional net, which compiles in a second, with dot faces of two sources."""
    import keras
    from keras import layers

    def build(l2=0.0):
        kernels = {"kernel_regularizer": keras.regularizers.L2(l2)} if l2 else {}
        image = keras.Input((SIDE, SIDE))
        x = layers.Rescaling(1 / 30, -4.0)(layers.Reshape((SIDE, SIDE, 1))(image))
        x = layers.Conv2D(8, 5, strides=2, activation="relu", **kernels)(x)
        x = layers.Dense(64, activation="relu", **kernels)(layers.Flatten()(x))
        x = layers.Dense(2 * 3 * 2, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), **kernels)(x)
        return keras.Model(image, layers.Reshape((2, 3, 2))(x))

    mean_face = np.stack([TARGET, TARGET])
    return sanity.Setup(build, recipe(batch=16), DOTS, labelled(96, seed=1), labelled(48, seed=2), mean_face, 0)


def test_a_sound_net_passes_all(sanity, trial):
    """There are seven checks, and the table contains all of them."""
    checks = list(sanity.run(trial, epochs=30))
    assert [check.name for check in checks if not check.passed] == []
    assert len(checks) == 7
    table = sanity.tabulated(checks)
    assert table.passed.all()
    assert table.names.tolist() == [check.name for check in checks]
    for check in checks:
        assert sanity.text(check).startswith(f"pass  {check.name}: ")


def broken(trial, **changes):
    return dataclasses.replace(trial, **changes)


def test_labels_of_other_images_cannot_be_learned_by_heart_by_seeing(sanity, trial):
    """If all images are equal but their labels differ, the net can only predict the mean of the labels."""
    same = dataclasses.replace(trial.faces, images=np.tile(trial.faces.images[:1], (96, 1, 1)))
    check = sanity.by_heart(broken(trial, faces=same), epochs=5)
    assert not check.passed
    assert check.figure > 1
    assert "usual cause: " in sanity.text(check)


def test_a_penalty_that_does_not_reach_the_loss_is_found(sanity, trial):
    """A net that is built without its penalty has the same loss for every value of l2."""
    check = sanity.stronger_penalty(broken(trial, build=lambda **changes: trial.build()))
    assert not check.passed
    assert check.figure == 0


def test_a_wrong_mirror_order_is_found(sanity, trial, monkeypatch):
    """If left and right are not exchanged, the prediction for the mirror image is not the mirrored prediction."""
    wrong = dataclasses.replace(DOTS, name="wrong")
    assert sanity.mirrored(trial).passed
    wrong.__dict__["mirror_order"] = (0, 1, 2)
    predict = sanity.forward.predict
    monkeypatch.setattr(sanity.forward, "predict", lambda net, images, _, **options: predict(net, images, wrong, **options))
    assert not sanity.mirrored(trial).passed


def test_labels_that_leak_are_found(sanity, trial):
    """If the net is validated on its training faces with their shuffled labels, it memorises them."""
    few = dataclasses.replace(trial.faces, **{name: values[:32] for name, values in vars(trial.faces).items()})
    order = np.random.default_rng(trial.seed).permutation(32)
    wrong = dataclasses.replace(few, keypoints=few.keypoints[order], source=few.source[order])
    _, leaking = sanity.shuffled(broken(trial, faces=few, held_out=wrong), epochs=10)
    assert not leaking.passed


def test_the_first_faces_are_of_every_source(sanity):
    """Even if the sources follow one another, as in Kaggle's file. Faces without a label and faces of the other part are left out."""
    source, held_out, labels = np.repeat(np.int8([0, 1]), 100), np.arange(200) % 4 == 0, np.ones((200, 3, 2), np.float32)
    labels[:10] = np.nan
    labelled = Labelled(np.arange(200, dtype=np.uint8)[:, None, None], labels, source, held_out)
    for part, count in ((False, 143), (True, 47)):
        chosen = sanity.part_of(labelled, held_out=part, seed=0)
        rows = chosen.images.ravel()
        assert len(set(rows)) == len(rows) == count
        assert (held_out[rows] == part).all()
        assert (rows >= 10).all()
        assert set(chosen.source[:16]) == {0, 1}
