"""The JSON texts in SLEAP's files: skeletons, which SLEAP saves as graphs of networkx with jsonpickle, and videos."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pipeline.data.formats import photographs
from pipeline.data.formats.sleap_hdf5 import damaged
from pipeline.units import printable

_EDGE, _SYMMETRY = 1, 2
_DATASET = re.compile("video(0|[1-9][0-9]{0,8})/video")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class SleapSkeleton:
    """A skeleton: the names of its nodes in the order of points, and the pairs that are joined by a line or exchanged in a mirror."""

    name: str
    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    mirror: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SleapVideo:
    """Where the frames of a video are.

    dataset: the images embedded in the file; "" if there are none. images: the image files of the frames, as the file names them, if the
    video is a sequence of images. name: for messages.
    """

    dataset: str
    images: tuple[str, ...]
    name: str

    @property
    def number(self) -> int:
        """The number in the name of the dataset, which is always like video0/video."""
        return int(self.dataset.removeprefix("video").removesuffix("/video"))


def skeletons(metadata: dict[str, Any], path: Path) -> list[SleapSkeleton]:
    """The skeletons in the content of /metadata. Raises InputError."""
    return _understood(lambda: [_skeleton(each, metadata["nodes"]) for each in metadata["skeletons"]], path, "skeletons")


def videos(texts: list[Any], path: Path) -> list[SleapVideo]:
    """The videos in the content of /videos_json. Raises InputError."""
    return _understood(lambda: [_video(each) for each in texts], path, "videos")


def _understood(read: Callable[[], list[_Found]], path: Path, what: str) -> list[_Found]:
    try:
        return read()
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise damaged(path, f"its {what} are not in a form that is known: {type(error).__name__} {error}") from None


def _skeleton(content: dict[str, Any], nodes: list[dict[str, Any]]) -> SleapSkeleton:
    graph = content.get("nx_graph", content)
    names = {node["id"]: nodes[node["id"]]["name"] for node in graph["nodes"] if node["id"] >= 0}
    if not names or len(set(names.values())) < len(graph["nodes"]) or not all(isinstance(name, str) and name for name in names.values()):
        raise ValueError("its nodes are missing or do not all have names of their own")
    # A type of link is written once in full, and then as a reference to the first, second ... one that was written so.
    written: list[int] = []
    pairs: dict[int, dict[tuple[str, str], None]] = {_EDGE: {}, _SYMMETRY: {}}
    for link in graph.get("links", []):
        if "py/reduce" in link["type"]:
            kind = link["type"]["py/reduce"][1]["py/tuple"][0]
            written.append(kind)
        else:
            number = link["type"]["py/id"]
            kind = written[number - 1] if 0 < number <= len(written) else number
        ends = [link["source"], link["target"]]
        first, second = (names[end] for end in (sorted(ends, key=list(names).index) if kind == _SYMMETRY else ends))
        if kind in pairs and first != second:
            pairs[kind][first, second] = None
    name = content.get("graph", graph.get("graph", {})).get("name") or "skeleton"
    return SleapSkeleton(str(name), tuple(names.values()), tuple(pairs[_EDGE]), tuple(pairs[_SYMMETRY]))


def _video(content: dict[str, Any]) -> SleapVideo:
    backend = content["backend"]
    filename = backend.get("filename") or content.get("filename") or ""
    images = backend.get("filenames") or (filename if isinstance(filename, list) else ())
    if not images and PurePosixPath(str(filename)).suffix.lower() in photographs.suffixes() and backend.get("type") != "TiffVideo":
        images = (filename,)
    if not all(isinstance(image, str) for image in images):
        raise ValueError("the names of images are no texts")
    dataset = str(backend.get("dataset") or "") if filename == "." else ""
    if dataset and not dataset.endswith("/video"):
        dataset = f"{dataset}/video"
    if dataset and not _DATASET.fullmatch(dataset):
        raise ValueError(f"the images of a video are in {printable(dataset)[:60]}")
    return SleapVideo(dataset, tuple(images), printable(filename or "without a name")[:200])
