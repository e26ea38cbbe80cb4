"""SLEAP's files, made with h5py as SLEAP makes them."""

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

NAN = np.nan
RED = (250, 20, 10)
FRAME = [("frame_id", "u8"), ("video", "u4"), ("frame_idx", "u8"), ("instance_id_start", "u8"), ("instance_id_end", "u8")]
INSTANCE = [
    *(("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "u8"), ("skeleton", "u4"), ("track", "i4"), ("from_predicted", "i8")),
    *(("score", "f4"), ("point_id_start", "u8"), ("point_id_end", "u8"), ("tracking_score", "f4")),
]
POINT = [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")]
EDGE = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [1]}]}
SYMMETRY = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [2]}]}
SKELETON = {
    "directed": True,
    "graph": {"name": "fly", "num_edges_inserted": 2},
    "links": [
        {"edge_insert_idx": 0, "key": 0, "source": 0, "target": 1, "type": EDGE},
        {"edge_insert_idx": 1, "key": 0, "source": 0, "target": 2, "type": {"py/id": 1}},
        {"key": 0, "source": 2, "target": 1, "type": SYMMETRY},
        {"key": 0, "source": 1, "target": 2, "type": {"py/id": 2}},
    ],
    "nodes": [{"id": 1}, {"id": 0}, {"id": 2}],
}
METADATA = {"version": "2.0.0", "skeletons": [SKELETON], "nodes": [{"name": "head"}, {"name": "left"}, {"name": "right"}]}
SEQUENCE = {"filename": "a.png", "backend": {"type": "ImageVideo", "filename": "a.png", "filenames": ["x/a.png", "x/b.png"]}}
EMBEDDED = {"filename": ".", "backend": {"type": "HDF5Video", "filename": ".", "dataset": "video0/video"}}


def png(color: tuple[int, int, int], size: tuple[int, int] = (20, 10)) -> np.ndarray:
    """The bytes of a PNG file, as SLEAP stores them."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return np.frombuffer(buffer.getvalue(), np.int8)


class Contents(dict):
    """What is written to a file, by its place in it; changed by tests."""

    def __init__(self, video: Any = EMBEDDED) -> None:
        super().__init__()
        self.format_id, self.metadata, self.videos = 1.3, json.loads(json.dumps(METADATA)), [json.loads(json.dumps(video))]
        self["frames"] = np.array([(0, 0, 0, 0, 2), (1, 0, 1, 2, 4)], FRAME)
        # The second frame has an instance by a user and a prediction.
        types = [(0, 0, 3), (0, 3, 6), (0, 6, 9), (1, 0, 3)]
        self["instances"] = np.array([(i, t, i // 2, 0, -1, -1, 0, s, e, 0) for i, (t, s, e) in enumerate(types)], INSTANCE)
        points = [(1, 2), (3, 4), (5, 6), (1.5, 2.5), (NAN, NAN), (8, 9), (0, 0), (1, 1), (2, 2)]
        self["points"] = np.array([(x, y, True, False) for x, y in points], POINT)
        self["points"]["visible"][8] = False

    def save(self, path: Path, images: list[np.ndarray] | np.ndarray | None = None, **attributes: Any) -> Path:
        """Writes the file, with embedded images if there are any."""
        with h5py.File(path, "w") as file:
            file.create_group("metadata").attrs["format_id"] = self.format_id
            file["metadata"].attrs["json"] = np.bytes_(json.dumps(self.metadata))
            file["videos_json"] = np.array([json.dumps(video).encode() for video in self.videos])
            for name, rows in self.items():
                file[name] = rows
            if images is not None:
                if isinstance(images, list):
                    dataset = file.create_dataset("video0/video", (len(images),), h5py.vlen_dtype(np.int8))
                    for index, image in enumerate(images):
                        dataset[index] = image
                else:
                    file["video0/video"] = images
                file["video0/video"].attrs.update(attributes)
                file["video0/frame_numbers"] = np.arange(len(images))
        return path


def package(path: Path, **attributes: Any) -> Path:
    """A package with two red images."""
    return Contents().save(path, [png(RED), png(RED)], format="png", channel_order="RGB", **attributes)
