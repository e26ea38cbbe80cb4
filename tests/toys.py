"""A small keypoint set, faces made of dots, and nets and recipes that train on them in seconds."""

import hashlib
from dataclasses import replace

import numpy as np

from pipeline.geometry import augmentation
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets.samples import DrawnVersions, Labelled, Samples, StoredVersions, rows_with
from pipeline.nets.sight import AlignedWindow, located_by

DOTS = KeypointSet(
    name="dots",
    names=("left_eye", "right_eye", "nose_tip"),
    mirror=(("left_eye", "right_eye"),),
    sources={"all": ("left_eye", "right_eye", "nose_tip"), "nose": ("nose_tip",)},
    groups={"eyes": ("left_eye", "right_eye"), "nose": ("nose_tip",)},
)
SIDE = 32  # width and height of the images, pixels
EYES = DOTS.indices("eyes")
# Mean positions of the dots, symmetric about the middle of the image.
TARGET = np.array([[23, 10], [9, 10], [16, 23]], np.float32)
# Ranges without any random transform.
STILL = augmentation.Ranges(
    flip=0.0, rotation=0.0, shear=0.0, shift=0.0, scale=1.0, stretch=1.0, small_share=0.0, small_scale=1.0, gain=0.0, bias=0.0
)


def dot_faces(n, *, seed):
    """Images uint8 (n, 32, 32) of two bright dots, the left one at larger x, above a dark one; and the positions (n, 3, 2) in pixels."""
    rng = np.random.default_rng(seed)
    keypoints = TARGET.astype(float) + rng.uniform(-5, 5, (n, 3, 2))
    centre = np.arange(SIDE) + 0.5
    x, y = (np.exp(-((centre - keypoints[:, :, [axis]]) ** 2) / (2 * 1.5**2)) for axis in (0, 1))
    grey = 120 + np.einsum("k,nky,nkx->nyx", np.array([120, 120, -100]), y, x) + rng.normal(0, 2, (n, SIDE, SIDE))
    return np.clip(np.round(grey), 0, 255).astype(np.uint8), keypoints.astype(np.float32)


def labelled(n, *, seed):
    """Dot faces as samples; every third one belongs to the second source, which labels only the nose."""
    images, keypoints = dot_faces(n, seed=seed)
    source = (np.arange(n) % 3 == 2).astype(np.int8)
    keypoints[source == 1, :2] = np.nan
    return Samples(images, keypoints, source, np.ones(n, np.float32))


def together(training, validation):
    """Two sets of samples as one labelled data set, of which the second set is held out."""
    images, keypoints, source = (
        np.concatenate([getattr(part, name) for part in (training, validation)]) for name in ("images", "keypoints", "source")
    )
    return Labelled(images, keypoints, source, np.arange(len(images)) >= len(training.images))


def versions_of(*faces, rows=None, indices=None):
    """Sets with the same number of faces as augmented versions of one set."""
    images, keypoints = np.stack([f.images for f in faces]), np.stack([f.keypoints for f in faces])
    rows = np.arange(images.shape[1]) if rows is None else rows
    return StoredVersions(images, keypoints, faces[0].source, rows=rows, indices=indices or list(range(keypoints.shape[2])))


def sight_of(base, window):
    """The sight of a specialist that sees a window of the faces aligned by the predictions of `base`."""
    return AlignedWindow(window, located_by(base).aligning)


def windows_of(faces, base, window):
    """Mirrored, rotated and shifted windows around the eyes of the training faces, placed by the predictions of `base`."""
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
    """Black images uint8 (n, side, side), each with a round blob (normal density, `width` pixels) at one of the points (n, 2), pixels."""
    centre = np.arange(side) + 0.5
    x, y = (np.exp(-((centre - points[:, [axis]]) ** 2) / (2 * width**2)) for axis in (0, 1))
    return np.round(255 * y[:, :, None] * x[:, None, :]).astype(np.uint8)


def centroid(images):
    """The mean position (n, 2), weighted by grey level, in images (n, side, side), pixels."""
    grey, centre = images.astype(float), np.arange(images.shape[-1]) + 0.5
    total = grey.sum(axis=(1, 2))
    return np.stack([(grey.sum(axis=1) * centre).sum(axis=1), (grey.sum(axis=2) * centre).sum(axis=1)], axis=1) / total[:, None]


def recipe(**changes):
    """Three epochs of Adam with batches of 16, with the given changes."""
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
    """The structure of the net `name` with its own settings, with the given changes."""
    from pipeline.nets.structure import Structure

    values = {"filters": 1.0, "kernel": 0, "pool": 2, "activation": "relu", "hidden": 1000, "channels": 1}
    values |= {"pixel_mean": 120.0, "pixel_std": 40.0}
    return Structure(name, **values | {"l1": 0.0, "l2": 0.0, "dropout": 0.0, "initialisation": "net"} | changes)


def build(name, *, side=32, keypoints=3, **changes):
    """The net `name` for the three dots."""
    from pipeline.nets import network

    return network.build(structure(name, **changes), side=side, keypoints=keypoints, sources=2)


def train_dots(seed):
    """Trains a compact net with dropout (two epochs, two versions, four blocks): the SHA-256 of its weights, its history, its health."""
    from pipeline.nets import device, network, training

    device.prepare(seed=seed, threads=0)
    net = build("compact", dropout=1.0)
    versions, options = versions_of(*(labelled(30, seed=s) for s in (1, 2))), recipe(epochs=2, batch=4, device_memory=0, seed=seed)
    history, health = training.fit(net, versions, labelled(10, seed=3), options, keypointset=DOTS, hooks=training.Hooks())
    return hashlib.sha256(b"".join(value.tobytes() for value in network.weights(net).values())).hexdigest(), history, health


def linear_net(*, keypoints=3, sources=1):
    """One dense layer from pixels to coordinates, which compiles quickly and can be trained by loops."""
    import keras

    image = keras.Input((32, 32))
    x = keras.layers.Dense(sources * keypoints * 2, kernel_initializer="zeros", name="keypoints")(keras.layers.Flatten()(image / 255))
    return keras.Model(image, keras.layers.Reshape((sources, keypoints, 2))(x), name="linear")
