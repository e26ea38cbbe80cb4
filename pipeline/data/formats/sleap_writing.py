"""Writes a file that SLEAP and sleap-io read: the layout is that of format 1.2, in which an integer is the centre of a pixel."""

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.data.labels import Convention, LabelledImage, Labels

_FORMAT_ID = 1.2
_FRAME = [("frame_id", "u8"), ("video", "u4"), ("frame_idx", "u8"), ("instance_id_start", "u8"), ("instance_id_end", "u8")]
_INSTANCE = [
    *(("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "u8"), ("skeleton", "u4"), ("track", "i4"), ("from_predicted", "i8")),
    *(("score", "f4"), ("point_id_start", "u8"), ("point_id_end", "u8"), ("tracking_score", "f4")),
]
_POINT = [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")]


class Images(Protocol):
    """The images of the labels."""

    def size(self, image: LabelledImage) -> tuple[int, int]:
        """Width and height, pixels."""

    def content(self, image: LabelledImage) -> bytes:
        """The bytes of an image that is embedded in a label file."""


def save(labels: Labels, convention: Convention, out: Path, *, images: Images) -> None:
    """Writes labels as a new file. Images of one size are one video, because SLEAP expects that; embedded images are embedded again."""
    import h5py

    videos: dict[tuple[bool, tuple[int, int]], list[LabelledImage]] = {}
    for image in labels.images:
        videos.setdefault((image.embedded is not None, images.size(image)), []).append(image)
    # With an open file, a full disk is an OSError; with a path, HDF5 reports it when the file is closed, and crashes.
    with out.open("w+b") as stream, h5py.File(stream, "w") as file:
        file.create_group("metadata").attrs["format_id"] = _FORMAT_ID
        file["metadata"].attrs["json"] = np.bytes_(_text(_metadata(labels)))
        texts = []
        for number, ((is_embedded, size), own) in enumerate(videos.items()):
            if is_embedded:
                _embed(file, f"video{number}", [images.content(image) for image in own], size)
            texts.append(_text(_video(own, number, size)))
        _save_texts(file, "videos_json", texts)
        _save_texts(file, "tracks_json", [])
        _save_texts(file, "suggestions_json", [])
        for name, rows in _tables(labels, convention, list(videos.values())).items():
            file[name] = rows


def _metadata(labels: Labels) -> dict[str, Any]:
    number = {name: index for index, name in enumerate(labels.names)}
    links: list[dict[str, Any]] = []
    written: list[int] = []
    for kind, pairs in ((1, labels.skeleton), (2, labels.mirror or ())):
        for index, (source, target) in enumerate(pairs):
            # jsonpickle writes a type of link once, and then refers to it by its number.
            if kind in written:
                kind_of_link: dict[str, Any] = {"py/id": written.index(kind) + 1}
            else:
                kind_of_link = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [kind]}]}
                written.append(kind)
            link = {"key": 0, "source": number[source], "target": number[target], "type": kind_of_link}
            links.append({"edge_insert_idx": index, **link} if kind == 1 else link)
    graph = {"name": "Skeleton-0", "num_edges_inserted": len(labels.skeleton)}
    skeleton = {"directed": True, "graph": graph, "links": links, "multigraph": True, "nodes": [{"id": index} for index in number.values()]}
    nodes = [{"name": name, "weight": 1.0} for name in labels.names]
    empty: dict[str, Any] = {"videos": [], "tracks": [], "suggestions": [], "negative_anchors": {}, "provenance": {}}
    return {"version": "2.0.0", "skeletons": [skeleton], "nodes": nodes, **empty}


def _video(images: list[LabelledImage], number: int, size: tuple[int, int]) -> dict[str, Any]:
    """The description of a video: the names of its images, or the dataset that contains them."""
    width, height = size
    shape: Any = [len(images), height, width, 3]
    if images[0].embedded:
        dataset = {"dataset": f"video{number}/video", "input_format": "channels_last", "convert_range": False}
        return {"filename": ".", "backend": {"type": "HDF5Video", "filename": ".", "shape": shape, **dataset}}
    names = [image.name for image in images]
    backend = {"type": "ImageVideo", "filename": names[0], "filenames": names, "shape": shape}
    return {"filename": names[0], "backend": {**backend, "height_": height, "width_": width, "channels_": 3, "grayscale": False}}


def _embed(file: Any, group: str, encoded: list[bytes], size: tuple[int, int]) -> None:
    import h5py

    dataset = file.create_dataset(f"{group}/video", (len(encoded),), h5py.vlen_dtype(np.int8))
    for row, content in enumerate(encoded):
        dataset[row] = np.frombuffer(content, np.int8)
    is_jpeg = all(content.startswith(b"\xff\xd8") for content in encoded)
    given: dict[str, Any] = {"format": "jpg" if is_jpeg else "png", "channel_order": "RGB", "width": size[0], "height": size[1]}
    for name, value in {**given, "channels": 3, "frames": len(encoded)}.items():
        dataset.attrs[name] = value
    file[f"{group}/frame_numbers"] = np.arange(len(encoded))


def _tables(labels: Labels, convention: Convention, videos: list[list[LabelledImage]]) -> dict[str, np.ndarray]:
    own: dict[str, list[np.ndarray]] = {image.name: [] for image in labels.images}
    for instance in labels.instances:
        own[instance.image].append(convention.outwards(instance.keypoints))
    frames: list[tuple] = []
    instances: list[tuple] = []
    points: list[tuple] = []
    for video, images in enumerate(videos):
        for index, image in enumerate(images):
            frames.append((len(frames), video, index, len(instances), len(instances) + len(own[image.name])))
            for keypoints in own[image.name]:
                first = len(points)
                points += [(x, y, not np.isnan(x), False) for x, y in keypoints]
                instances.append((len(instances), 0, len(frames) - 1, 0, -1, -1, 0.0, first, len(points), 0.0))
    return {
        "frames": np.array(frames, _FRAME),
        "instances": np.array(instances, _INSTANCE),
        "points": np.array(points, _POINT),
        "pred_points": np.array([], [*_POINT, ("score", "f8")]),
    }


def _save_texts(file: Any, name: str, texts: list[str]) -> None:
    import h5py

    file.create_dataset(name, data=texts, shape=(len(texts),), dtype=h5py.string_dtype(), maxshape=(None,))


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))
