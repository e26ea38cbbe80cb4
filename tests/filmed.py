"""Sets of pictures in which a spot moves slowly, as in a video, or is anywhere."""

import numpy as np

from pipeline.data.tables import Given, LabelledFaces, Origin

SIDE = 48
# The note on one video in five folds.
BLOCKS = (
    "{} images are frames of 1 video, so that each of the 5 folds holds out a block of consecutive frames of it. "
    "Only the frames at the borders of a block are next to frames that are trained on."
)


def walk(count, *, seed=0, step=1.5):
    """Places (count, 2) of a spot that moves by about `step` pixels from frame to frame."""
    steps = np.random.default_rng(seed).normal(0, step, (count, 2)).cumsum(axis=0) + SIDE / 2
    low, high = 8, SIDE - 8
    return low + np.abs((steps - low) % (2 * (high - low)) - (high - low))


def spiral(count, *, seed=0):
    """Places (count, 2) of a spot that moves by about 3 pixels from frame to frame and never comes back to a place."""
    share = np.sqrt((np.arange(count) + 2) / (count + 2))
    angle = 2 * np.pi * share * count / 20 + seed
    return SIDE / 2 + 17 * (share * np.stack([np.cos(angle), np.sin(angle)])).T


def anywhere(count, *, seed=0):
    """Places (count, 2) of a spot that may be anywhere."""
    return np.random.default_rng(seed).uniform(8, SIDE - 8, (count, 2))


def pictures(places, *, seed=0):
    """A picture uint8 (48, 48) for each place: a bright spot on a background that all of them share, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    background = rng.uniform(40, 120, (SIDE, SIDE))
    spots = 120 * np.exp(-((x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2) / 8)
    return np.clip(background + spots + rng.normal(0, 0.5, spots.shape), 0, 255).astype(np.uint8)


def keypoints(places):
    """The spot and a point beside it, float32 (n, 2, 2)."""
    return np.stack([places, places + 4], axis=1).astype(np.float32)


def sampled(names, places, *, together=None, validation=None, annotators=1, seed=0):
    """A set of such pictures as it is loaded: samples and what is known of them. Each annotator labels each image.

    together: image -> group; validation: the images that are held out, if that is fixed.
    """
    images = pictures(places, seed=seed)
    photograph = np.arange(len(names)).repeat(annotators).astype(np.int32)
    of = [names[number] for number in photograph]
    units = [(together or {}).get(name, name) for name in of]
    origin = Origin(
        image=np.array(of),
        instance=np.array(["1"] * len(of)),
        size=np.full((len(of), 2), SIDE, np.int32),
        box=np.full((len(of), 4), np.nan),
        to_original=np.tile(np.eye(2, 3), (len(of), 1, 1)),
        white=np.full(len(of), 255, np.int32),
    )
    given = Given(
        source=np.tile(np.arange(annotators), len(names)).astype(np.int8),
        together=np.unique(units, return_inverse=True)[1].astype(np.int32),
        validation=None if validation is None else np.isin(of, list(validation)),
        occluded=np.zeros((len(of), 2), bool),
        origin=origin,
        photographs=images,
        photograph=photograph,
    )
    return LabelledFaces(images[photograph], keypoints(places)[photograph]), given
