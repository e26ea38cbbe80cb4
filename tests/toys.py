"""A small set of keypoints, faces made of dots, and nets and recipes that train on them in seconds."""

import hashlib
from dataclasses import replace

import numpy as np

from pipeline.geometry import alignment, augmentation
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets.samples import DrawnVersions, Labelled, Samples, StoredVersions, rows_with
from pipeline.nets.sight import AlignedWindow

DOTS = KeypointSet(
    name="dots",
    names=("left_eye", "right_eye", "nose_tip"),
    mirror=(("left_eye", "right_eye"),),
    sources={"all": ("left_eye", "right_eye", "nose_tip"), "nose": ("nose_tip",)},
    groups={"eyes": ("left_eye", "right_eye"), "nose": ("nose_tip",)},
)
SIDE = 32  # of the images, pixels
EYES = DOTS.indices("eyes")
# Where the dots lie on average; left and right of the image's middle alike.
TARGET = np.array([[23, 10], [9, 10], [16, 23]], np.float32)
# No random transform at all.
STILL = augmentation.Ranges(
    flip=0.0, rotation=0.0, shear=0.0, shift=0.0, scale=1.0, stretch=1.0, small_share=0.0, small_scale=1.0, gain=0.0, bias=0.0
)


def dot_faces(n, *, seed):
    """Images uint8 (n, 32, 32) of two bright dots, the left one at the larger x, above a dark one; where they are (n, 3, 2), pixels."""
    rng = np.random.default_rng(seed)
    keypoints = TARGET.astype(float) + rng.uniform(-5, 5, (n, 3, 2))
    centre = np.arange(SIDE) + 0.5
    x, y = (np.exp(-((centre - keypoints[:, :, [axis]]) ** 2) / (2 * 1.5**2)) for axis in (0, 1))
    grey = 120 + np.einsum("k,nky,nkx->nyx", np.array([120, 120, -100]), y, x) + rng.normal(0, 2, (n, SIDE, SIDE))
    return np.clip(np.round(grey), 0, 255).astype(np.uint8), keypoints.astype(np.float32)


def labelled(n, *, seed):
    """Dot faces as samples; every third one is of the second source, which labels only the nose."""
    images, keypoints = dot_faces(n, seed=seed)
    source = (np.arange(n) % 3 == 2).astype(np.int8)
    keypoints[source == 1, :2] = np.nan
    return Samples(images, keypoints, source, np.ones(n, np.float32))


def together(training, validation):
    """Two sets of samples as one labelled data set that holds the second one out."""
    images, keypoints, source = (
        np.concatenate([getattr(part, name) for part in (training, validation)]) for name in ("images", "keypoints", "source")
    )
    return Labelled(images, keypoints, source, np.arange(len(images)) >= len(training.images))


def versions_of(*faces, rows=None, indices=None):
    """Sets of equally many faces as the augmented versions of one set."""
    images, keypoints = np.stack([f.images for f in faces]), np.stack([f.keypoints for f in faces])
    rows = np.arange(images.shape[1]) if rows is None else rows
    return StoredVersions(images, keypoints, faces[0].source, rows=rows, indices=indices or list(range(keypoints.shape[2])))


def sight_of(base, window):
    """What a specialist sees through a window of the faces that `base` has aligned."""
    return AlignedWindow(window, alignment.aligning(base.located, base.target))


def windows_of(faces, base, window):
    """Windows around the eyes of the labelled faces that are not held out, where `base` has located them; mirrored, rotated, shifted."""
    return DrawnVersions(
        faces,
        sight_of(base, window).view(len(faces.images)),
        keypointset=DOTS,
        ranges=replace(STILL, flip=0.5, rotation=10.0, shift=2.0),
        seed=1,
        rows=rows_with(faces.keypoints, EYES, among=~faces.held_out),
        indices=EYES,
    )


def dots_at(points, *, side, width=2.5):
    """Images uint8 (n, side, side), black but for a round blob (a normal density, `width` pixels) at each of the points (n, 2), pixels."""
    centre = np.arange(side) + 0.5
    x, y = (np.exp(-((centre - points[:, [axis]]) ** 2) / (2 * width**2)) for axis in (0, 1))
    return np.round(255 * y[:, :, None] * x[:, None, :]).astype(np.uint8)


def centroid(images):
    """The mean position (n, 2) of what is not black in images (n, side, side), pixels."""
    grey, centre = images.astype(float), np.arange(images.shape[-1]) + 0.5
    total = grey.sum(axis=(1, 2))
    return np.stack([(grey.sum(axis=1) * centre).sum(axis=1), (grey.sum(axis=2) * centre).sum(axis=1)], axis=1) / total[:, None]


def recipe(**changes):
    """Three epochs of Adam in batches of 16, changed as asked."""
    from pipeline.nets.training import Recipe

    values = {
        "epochs": 3,
        "batch": 16,
        "optimizer": "adam",
        "schedule": "constant",
        "learning_rate": 1e-3,
        "learning_rate_stop": 1e-5,
        "decay": 0.1,
        "warmup": 1.0,
        "halving_patience": 2,
        "momentum": 0.9,
        "momentum_stop": 0.9,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "robust_from": 0.0,
        "patience": 0,
        "patience_factor": 0.5,
        "improvement": 0.005,
        "device_memory": 64,
        "seed": 0,
    }
    return Recipe(**values | changes)


def structure(name, **changes):
    """The structure of the net `name` with its own settings, changed as asked."""
    from pipeline.nets.structure import Structure

    values = {"filters": 1.0, "kernel": 0, "pool": 2, "activation": "relu", "hidden": 1000, "pixel_mean": 120.0, "pixel_std": 40.0}
    return Structure(name, **values | {"l1": 0.0, "l2": 0.0, "dropout": 0.0, "initialisation": "net"} | changes)


def build(name, *, side=32, keypoints=3, **changes):
    """The net `name` for the three dots."""
    from pipeline.nets import network

    return network.build(structure(name, **changes), side=side, keypoints=keypoints, sources=2)


def train_dots(seed):
    """SHA-256 of the weights of a compact net trained with dropout (two epochs, two versions, four blocks), its history and its health."""
    from pipeline.nets import device, network, training

    device.prepare(seed=seed, threads=0)
    net = build("compact", dropout=1.0)
    versions, options = versions_of(*(labelled(30, seed=s) for s in (1, 2))), recipe(epochs=2, batch=4, device_memory=0, seed=seed)
    history, health = training.fit(net, versions, labelled(10, seed=3), options, keypointset=DOTS, hooks=training.Hooks())
    return hashlib.sha256(b"".join(value.tobytes() for value in network.weights(net).values())).hexdigest(), history, health


def linear_net(*, keypoints=3, sources=1):
    """One dense layer from the pixels to the coordinates: quick to compile, and a loop can train it."""
    import keras

    image = keras.Input((32, 32))
    x = keras.layers.Dense(sources * keypoints * 2, kernel_initializer="zeros", name="keypoints")(keras.layers.Flatten()(image / 255))
    return keras.Model(image, keras.layers.Reshape((sources, keypoints, 2))(x), name="linear")
