"""Measures how many small faces, faces in corners and faces beside others are lost, and how much time the predictions take.

    python bench/lost_faces.py FOLDER WORKSPACE [--seed 0] [-- LUIGI FLAGS, such as --Augment-scene-share 0]

FOLDER: Kaggle's files. Runs `luigi --module pipeline Predict`; results that are already in WORKSPACE are not computed again. Each held-out
face is placed in scenes as `pipeline/geometry/scenes.py` draws them, from other held-out faces: reduced to 0.3 to 0.5 times its size near
the centre or in a corner, and beside a second face, which has no labels, is smaller, and is further from the centre or partly outside. A
face is lost if the mean distance between its labels and the predictions of the chain that was not trained on it exceeds a tenth of the side
of the image. The other face is found instead if the same distance from that one's labels does not.
"""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import chain
import numpy as np

from pipeline.data import dataset as datasets
from pipeline.geometry import affine, scenes
from pipeline.inference import ensemble
from pipeline.keypoints.definition import KeypointSet
from pipeline.metrics.rmse import rmse
from pipeline.nets import device
from pipeline.nets.trained import Trained

LOST = 0.1
SMALL = 0.3, 0.5
KINDS = ("as they are", "small", "in a corner", "beside another")


@dataclass(frozen=True)
class Chain:
    """A chain of nets and the share of its base net, with the held-out images (n, s, s), labels (n, K, 2) and sources (n,)."""

    nets: list[Trained]
    share: float
    images: np.ndarray
    truth: np.ndarray
    source: np.ndarray


def main() -> None:
    """Runs Predict and prints a line for each kind of scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the scenes (default: %(default)s)")
    options, flags = chain.arguments(parser)
    flags = [*chain.dataset_path(options.folder), "--workspace-root", str(options.workspace.resolve()), *flags]
    chain.run("Predict", flags, show=True)
    chains, keypointset = [], None
    with chain.task("Predict", flags) as predict:
        for inputs in predict.input()["chains"]:
            data = inputs["faces"].load(datasets.Dataset)
            held_out, keypointset = np.flatnonzero(data.validation), data.keypointset.restored()
            nets = [artifact.load(Trained) for artifact in (inputs["base"], *inputs["specialists"].values())]
            chains.append(Chain(nets, predict.share, data.images[held_out], datasets.labels(data)[held_out], data.source[held_out]))
    print(device.prepare(seed=0, threads=0))
    columns = f"{'lost':>9}{'other found':>13}{'by the base net':>17}{'median, px':>12}{'RMSE, px':>10}{'s per 1,000':>13}"
    print(f"\n{'held-out faces':<18}{'faces':>7}{columns}")
    for kind in KINDS:
        print(measured(chains, kind, keypointset, seed=options.seed), flush=True)


def measured(chains: list[Chain], kind: str, keypointset: KeypointSet, *, seed: int) -> str:
    """A line with what the chains predict for the held-out faces in scenes of a kind. seed: of the scenes."""
    from pipeline.inference import prediction

    found, base, labels, besides, seconds = [], [], [], [], 0.0
    for number, own in enumerate(chains, len(chains) * seed):
        nothing = np.full_like(own.truth, np.nan)
        images, truth, beside = (own.images, own.truth, nothing) if kind == KINDS[0] else placed(own, kind, seed=number)
        start = time.perf_counter()
        each = [net.keypoints for net in prediction.predict_chain(own.nets, images, own.source, keypointset)]
        seconds += time.perf_counter() - start
        found.append(ensemble.combined(own.nets, each, base_share=own.share))
        base.append(each[0])
        labels.append(truth)
        besides.append(beside)
    truth = np.concatenate(labels)
    errors, of_base = (distances(np.concatenate(each), truth) for each in (found, base))
    of_other = distances(np.concatenate(found), np.concatenate(besides))
    limit = LOST * chains[0].images.shape[1]
    other = (errors > limit) & (of_other <= limit)
    shares = f"{(errors > limit).mean():>9.2%}{other.mean():>13.2%}{(of_base > limit).mean():>17.2%}"
    accuracy = f"{np.median(errors):>12.2f}{rmse(np.concatenate(found), truth):>10.3f}"
    return f"{kind:<18}{len(errors):>7}{shares}{accuracy}{1000 * seconds / len(errors):>13.1f}"


def placed(own: Chain, kind: str, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The held-out faces of a chain in scenes of a kind: images and labels of the same shapes, and the labels of the face beside each."""
    n, side = own.images.shape[:2]
    rng = np.random.default_rng(seed)
    drawn = scenes.draw(n, side, 1.0, rng=rng)
    size = np.exp(rng.uniform(*np.log(SMALL), n))
    room = ((1 - size) * side / 2)[:, None]
    places = rng.uniform(-0.5, 0.5, (n, 2)) if kind == "small" else rng.uniform(0.8, 1.0, (n, 2)) * rng.choice([-1, 1], (n, 2))
    if kind == "beside another":
        others, places = rng.integers(0, n, n), rng.uniform(-1, 1, (n, 2))
        opposite = side / 2 - room * np.sign(places) * rng.uniform(0.8, 1.4, (n, 2))
        smaller = size * np.exp(rng.uniform(np.log(scenes.RELATIVE[0]), np.log(scenes.RELATIVE[1]), n))
        drawn = replace(drawn, beside=others, beside_at=scenes.centred(opposite, smaller, side))
    else:
        drawn = replace(drawn, beside=np.full(n, -1))
    beside = np.where((drawn.beside >= 0)[:, None, None], affine.move(own.truth[drawn.beside], drawn.beside_at), np.nan)
    drawn = replace(drawn, placed=scenes.centred(side / 2 + room * places, size, side))
    matrix = drawn.after(affine.identity(n))
    images = scenes.Surrounded(affine.Warped(own.images, matrix, side), drawn, affine.identity(n))[:]
    return images, affine.move(own.truth, matrix), beside


def distances(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The mean distance (n,) between predictions and labels (n, K, 2) of each face, pixels; NaN without labels."""
    apart = np.linalg.norm(found - truth, axis=2)
    count = np.isfinite(apart).sum(axis=1)
    return np.where(count, np.nansum(apart, axis=1) / np.maximum(count, 1), np.nan)


if __name__ == "__main__":
    main()
