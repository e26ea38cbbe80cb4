"""Specialist groups for a set that has none: keypoints that are close to each other, the two of a mirror pair always together."""

import re
from collections.abc import Iterable

import numpy as np

from pipeline.data.mirror import SIDES, words
from pipeline.data.shapes import few, mean_shape, normalised
from pipeline.keypoints.definition import RESERVED
from pipeline.keypoints.file import Pairs

MOST = 6  # groups; each is a net to train
# Parts of a mean shape of size 1 are joined up to this diameter, even if there are few.
NEAR = 0.5
# A group whose keypoints are labelled in fewer samples may have no label in the validation part, unless all groups have so few.
FEWEST_LABELLED, SHARE_LABELLED = 30, 1 / 3
LONGEST = 32  # letters of a name


def guessed(keypoints: np.ndarray, names: tuple[str, ...], mirror: Pairs | None) -> dict[str, tuple[str, ...]]:
    """Specialist group -> its keypoints, in the order of the set; at most six.

    keypoints: (n, K, 2), pixels, NaN where not labelled. They are joined by complete linkage: first what makes the smallest group. What is
    rarely labelled joins the nearest group.
    """
    distances = _distances(keypoints, len(names))
    parts = _with_rare(distances, _joined(distances, _units(names, mirror)), ~np.isnan(keypoints).any(axis=2))
    return {title: tuple(names[index] for index in part) for title, part in zip(_titles(parts, names), parts, strict=True)}


def _units(names: tuple[str, ...], mirror: Pairs | None) -> list[list[int]]:
    """The keypoints that stay together, by index."""
    partners = {name: other for pair in mirror or () for name, other in (pair, pair[::-1])}
    indices = ({index, names.index(partners.get(name, name))} for index, name in enumerate(names))
    return [list(unit) for unit in dict.fromkeys(tuple(sorted(unit)) for unit in indices)]


def _distances(keypoints: np.ndarray, count: int) -> np.ndarray:
    """The distances (K, K) of keypoints in the mean shape; keypoints that are never labelled are at its centre."""
    shapes = normalised(few(keypoints))
    mean = np.nan_to_num(mean_shape(shapes)) if len(shapes) else np.zeros((count, 2))
    return np.linalg.norm(mean[:, None] - mean, axis=2)


def _joined(distances: np.ndarray, units: list[list[int]]) -> list[list[int]]:
    """The units, joined until there are few enough and none are near each other."""
    diameters = _between(distances, units)
    while len(units) > 1:
        one, other = sorted(map(int, np.unravel_index(diameters.argmin(), diameters.shape)))
        if len(units) <= MOST and diameters[one, other] > NEAR:
            break
        units[one] = sorted(units[one] + units.pop(other))
        merged = np.maximum(diameters[one], diameters[other])  # the farthest pair of two joined groups is that of one of them
        diameters[one], diameters[:, one], diameters[one, one] = merged, merged, np.inf
        diameters = np.delete(np.delete(diameters, other, 0), other, 1)
    return units


def _with_rare(distances: np.ndarray, parts: list[list[int]], labelled: np.ndarray) -> list[list[int]]:
    """The parts, those that are rarely labelled joined to the nearest of the others. labelled: bool (n, K)."""
    count = [int(labelled[:, part].any(axis=1).sum()) for part in parts]
    fewest = min(FEWEST_LABELLED, SHARE_LABELLED * max(count))
    often = [part for part, own in zip(parts, count, strict=True) if own >= fewest]
    found = {index: list(part) for index, part in enumerate(often)}
    for part, own in zip(parts, count, strict=True):
        if own < fewest:
            nearest = min(found, key=lambda index: float(distances[np.ix_(part, often[index])].min()))
            found[nearest] += part
    return [sorted(part) for part in found.values()]


def _between(distances: np.ndarray, units: list[list[int]]) -> np.ndarray:
    """The largest distance of a keypoint of one unit from one of another, in which mirror pairs count by their nearer sides."""
    count = len(units)
    found = np.full((count, count), np.inf)
    for one in range(count):
        for other in range(one):
            block = distances[np.ix_(units[one], units[other])]
            found[one, other] = found[other, one] = max(block.min(axis=0).max(), block.min(axis=1).max())
    return found


def _titles(parts: list[list[int]], names: tuple[str, ...]) -> list[str]:
    """A name for each group: the words that its keypoints share, or all their words, or the numbers of its keypoints, or its own number."""
    found: list[str] = []
    for number, part in enumerate(parts, 1):
        own = [[word for word in words(names[index], numbers=False) if word not in SIDES] for index in part]
        shared = [word for word in own[0] if all(word in each for each in own)]
        title = _joint(shared) or _joint(word for each in own for word in each)
        if not title and part == list(range(part[0], part[-1] + 1)):
            title = f"points_{part[0] + 1}_to_{part[-1] + 1}" if len(part) > 1 else f"point_{part[0] + 1}"
        if not title or title in (RESERVED, *found):
            title = f"{title or 'group'}_{number}"
        found.append(title)
    return found


def _joint(parts: Iterable[str]) -> str:
    """A name of words, each once; "" if it would be too long."""
    title = re.sub(r"[^A-Za-z0-9_]+", "_", "_".join(dict.fromkeys(parts))).strip("_")
    return title if len(title) <= LONGEST else ""
