"""SLEAP's files, .slp and .pkg.slp: instances of skeletons in frames of videos, of which packages contain the labelled frames.

An integer is the centre of a pixel, since format 1.1; before that, 0 was the edge of the image. Only what users labelled is read, no
predictions.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.data.formats import numbers, sleap_hdf5, sleap_writing
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.several import add_image, parts, with_sources
from pipeline.data.formats.sleap_json import SleapSkeleton, SleapVideo, skeletons, videos
from pipeline.data.formats.sleap_process import SleapReader
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Part, Reading, check_one_source
from pipeline.errors import InputError, meant
from pipeline.units import counted, printable

CONVENTION = Convention(
    first=0.0,
    upwards=False,
    visibility="A point that is not visible, or NaN, is missing, as in SLEAP's own training; there is no mark for occluded points.",
    boxes=False,
)
_EDGE_IS_0_BEFORE = 1.1  # the number of the format
_USER = 0  # the type of an instance
_FRAMES = ("frame_id", "video", "frame_idx", "instance_id_start", "instance_id_end")
_INSTANCES = (
    *("instance_id", "instance_type", "frame_id", "skeleton", "track", "from_predicted", "score"),
    *("point_id_start", "point_id_end"),
)
_POINTS = ("x", "y", "visible")


def find(folder: Folder) -> tuple[str, ...]:
    """The files with the suffix .slp that are HDF5."""
    return tuple(name for name in folder.labels(".slp") if sleap_hdf5.is_sleap(folder.path(name)))


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """What users labelled in SLEAP's files. The category is the name of a skeleton, if there are several.

    An image is embedded, or it is a file of the folder that the file names as a frame. If no file has images of its frames, or for any
    other fault, InputError is raised; a file without images beside one that has them is left out with a note.
    """
    found: list[_SleapFile] = []
    notes: list[str] = []
    part = parts(files)
    for file in files:
        try:
            found.append(_SleapFile(folder, file, part[file]))
        except _NoFramesError as error:
            if file == files[-1] and not found:
                raise
            notes.append(str(error))
    if not found:
        raise InputError(notes[0])
    skeleton = _chosen(found, reading.category)
    convention = reading.of(CONVENTION)
    images: dict[str, LabelledImage] = {}
    instances: dict[str, list[Instance]] = {}
    for each in found:
        for image in each.images.values():
            add_image(images, image, printable(each.path))
        instances[each.file] = list(each.instances(skeleton, convention))
        notes += each.notes()
    mirror = skeleton.mirror or None
    return Labels("sleap", files, skeleton.nodes, tuple(images.values()), with_sources(instances), mirror, skeleton.edges, tuple(notes))


def frame(folder: Folder, file: str, number: int) -> bytes:
    """The bytes of an embedded image, as an image file of PNG or JPEG. Raises InputError if it cannot be read.

    file, number: as in `LabelledImage.embedded`.
    """
    opened = SleapReader(folder.path(file))
    video, row = divmod(number, _ROWS)
    return opened.image(f"video{video}/video", row)


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes a file of SLEAP's, whose videos are sequences of the image files or, for embedded images, contain them again.

    Boxes and occlusion have no place in it.
    """
    check_one_source(labels)
    sleap_writing.save(labels, CONVENTION, out, images=_Images(folder))


class _Images:
    """The images of labels that are written: their sizes, and the bytes of those that are embedded."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def size(self, image: LabelledImage) -> tuple[int, int]:
        """Width and height, pixels."""
        return _size_of(self.content(image)) if image.embedded else self.folder.size(image.name)

    def content(self, image: LabelledImage) -> bytes:
        """The bytes of an embedded image."""
        assert image.embedded
        return frame(self.folder, *image.embedded)


def _size_of(encoded: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG")) as image:
        return image.size


_ROWS = 1 << 32  # more than a video has frames


class _NoFramesError(InputError):
    """The images of a file are in videos, which are not read."""


@dataclass(frozen=True)
class _Labelled:
    """An instance that a user labelled."""

    image: str
    skeleton: int
    points: np.ndarray  # float64 (K, 2), in the file's own coordinates, NaN where missing
    place: str


class _SleapFile:
    """One file: its skeletons, and its images and instances that users labelled. Raises InputError for any fault in it."""

    def __init__(self, folder: Folder, file: str, part: Part) -> None:
        self.folder, self.file, self.path, self.part = folder, file, folder.path(file), part
        self.images: dict[tuple[int, int], LabelledImage] = {}
        self.sizes: dict[str, tuple[int, int] | None] = {}
        self.labelled: list[_Labelled] = []
        self.predicted_only = self.without_points = 0
        opened = SleapReader(self.path)
        metadata, format_id = opened.metadata()
        self.shift = 0.5 if format_id < _EDGE_IS_0_BEFORE else 0.0
        self.skeletons = skeletons(metadata, self.path)
        self.videos = videos(opened.texts("videos_json"), self.path)
        self._read(_Tables(opened), opened)

    def instances(self, skeleton: SleapSkeleton, convention: Convention) -> Iterator[Instance]:
        """Yields the instances of skeletons with the nodes of this one."""
        count: dict[str, int] = {}
        for each in self.labelled:
            count[each.image] = count.get(each.image, 0) + 1
            if self.skeletons[each.skeleton].nodes == skeleton.nodes:
                size = self._size(each.image)
                keypoints = convention.inwards(each.points - self.shift, size[1])
                numbers.check_near(keypoints, size, each.place, skeleton.nodes)
                hidden = np.zeros(len(skeleton.nodes), bool)
                yield Instance(each.image, str(count[each.image]), keypoints, hidden, place=each.place)

    def notes(self) -> Iterator[str]:
        """Yields what was left out."""
        if self.predicted_only:
            yield f"{self.file}: {counted(self.predicted_only, 'frame')} with predictions only: not read."
        if self.without_points:
            yield f"{self.file}: {counted(self.without_points, 'instance')} without a visible point: not read."

    def _size(self, image: str) -> tuple[int, int]:
        size = self.sizes[image]
        if size is None:
            embedded = next(each.embedded for each in self.images.values() if each.name == image)
            size = self.sizes[image] = _size_of(frame(self.folder, *embedded)) if embedded else self.folder.size(image)
        return size

    def _read(self, tables: "_Tables", opened: SleapReader) -> None:
        rows_of: dict[int, dict[int, int]] = {}
        is_gapless = {video for video, *_ in tables.frames} == set(range(len(self.videos)))
        for video, index, first, end in tables.frames:
            place = f"{printable(self.path)}, frame {index} of video {video}"
            types = tables.types(first, end, place)
            if len(types) and (types != _USER).all():
                self.predicted_only += 1
                continue
            number = self._video(video, is_gapless, place)
            if number not in rows_of:
                rows_of[number] = self._rows(opened, number)
            image = self._image(number, index, rows_of[number], place)
            for position in np.flatnonzero(types == _USER) + first:
                where = f"{place}, instance {position - first + 1}, image {image}"
                skeleton, points = tables.points_of(int(position), [len(each.nodes) for each in self.skeletons], where)
                if np.isnan(points).all():
                    self.without_points += 1
                else:
                    self.labelled.append(_Labelled(image, skeleton, points, where))

    def _video(self, id: int, is_gapless: bool, place: str) -> int:
        """The position of a video. Packages number videos by their datasets, which may have gaps, and other files by their positions."""
        if not is_gapless:
            for position, video in enumerate(self.videos):
                if video.dataset == f"video{id}/video":
                    return position
        if not 0 <= id < len(self.videos):
            raise InputError(f"{place}: the file has no such video. Save it with SLEAP again.")
        return id

    def _rows(self, opened: SleapReader, number: int) -> dict[int, int]:
        """The rows of the embedded images of a video, by the number of the frame; empty if it has none."""
        video = self.videos[number]
        if not video.dataset:
            return {}
        rows, size = opened.frame_rows(video.dataset)
        self.sizes |= {self._name(number, index): size for index in rows}
        return rows

    def _name(self, number: int, index: int) -> str:
        """The name of an embedded image, as if the file were a folder."""
        stem = self.file.removesuffix(".slp").removesuffix(".pkg")
        return f"{stem}/{self.videos[number].dataset.rpartition('/')[0]}/{index:06}.png"

    def _image(self, number: int, index: int, rows: dict[int, int], place: str) -> str:
        key, video = (number, index), self.videos[number]
        if key not in self.images:
            if video.dataset:
                if index not in rows:
                    raise InputError(f"{place}: the image is not in the file. Make the package again, with all labelled frames.")
                self.images[key] = LabelledImage(self._name(number, index), self.part, (self.file, video.number * _ROWS + rows[index]))
            elif video.images:
                if index >= len(video.images):
                    raise InputError(f"{place}: the video has only {counted(len(video.images), 'image')}. Save the file with SLEAP again.")
                self.images[key] = LabelledImage(self.folder.image(video.images[index], self.file, place), self.part)
                self.sizes.setdefault(self.images[key].name, None)
            else:
                raise self._no_frames(video)
        return self.images[key].name

    def _no_frames(self, video: SleapVideo) -> "_NoFramesError":
        name = printable(PurePosixPath(self.file).name)
        package = f"{name.removesuffix('.slp')}.pkg.slp"
        return _NoFramesError(
            f"{printable(self.path)} labels frames of the video {video.name} and does not contain them. Make a package with SLEAP, or with "
            f"sleap-io: sio embed {name} -o {package}"
        )


class _Tables:
    """The tables of a file, checked: frames, instances and points that users labelled."""

    def __init__(self, opened: SleapReader) -> None:
        self.path = opened.path
        frames, instances = opened.table("frames", _FRAMES), opened.table("instances", _INSTANCES)
        points = opened.table("points", _POINTS)
        self.frames = list(zip(*(self._whole(frames[name]).tolist() for name in _FRAMES[1:]), strict=True))
        self.type, self.skeleton = self._whole(instances["instance_type"]), self._whole(instances["skeleton"])
        self.start, self.end = self._whole(instances["point_id_start"]), self._whole(instances["point_id_end"])
        self.xy = np.stack([points["x"], points["y"]], axis=1)
        self.xy[points["visible"] == 0] = np.nan

    def types(self, first: int, end: int, place: str) -> np.ndarray:
        """The types of some instances."""
        if not 0 <= first <= end <= len(self.type):
            raise InputError(f"{place}: the file has no instances {first} to {end}. Save it with SLEAP again.")
        return self.type[first:end]

    def points_of(self, position: int, nodes: list[int], place: str) -> tuple[int, np.ndarray]:
        """The skeleton and the points of an instance. nodes: the number of nodes of each skeleton."""
        skeleton, start, end = int(self.skeleton[position]), int(self.start[position]), int(self.end[position])
        if not 0 <= skeleton < len(nodes) or not 0 <= start <= end <= len(self.xy) or end - start != nodes[skeleton]:
            raise InputError(f"{place}: the points do not fit its skeleton. Save the file with SLEAP again.")
        found = self.xy[start:end].copy()
        found[np.isnan(found).any(axis=1)] = np.nan
        for value in found[~np.isnan(found)]:
            numbers.number(float(value), place, "a coordinate")
        return skeleton, found

    def _whole(self, values: np.ndarray) -> np.ndarray:
        """Numbers of rows as int64."""
        if not (np.isfinite(values).all() and (values >= 0).all() and (values < 1 << 32).all() and (values % 1 == 0).all()):
            raise sleap_hdf5.damaged(self.path, "its tables have numbers that are no numbers of rows")
        return values.astype(np.int64)


def _chosen(found: list[_SleapFile], category: str) -> SleapSkeleton:
    """The skeleton that is read: the one that the user names, or else the only one that is in use."""
    used = [each.skeletons[index] for each in found for index in sorted({labelled.skeleton for labelled in each.labelled})]
    used = used or [skeleton for each in found for skeleton in each.skeletons]
    by_name = {skeleton.name: skeleton for skeleton in reversed(used)}
    names = list(reversed(by_name))
    if category and category not in by_name:
        raise InputError(f"{printable(found[0].path)}: there is no labelled skeleton {category!r}; {meant(category, names)}")
    wanted = [skeleton for skeleton in used if category in ("", skeleton.name)]
    if not wanted:
        raise InputError(f"{printable(found[0].path)} has no skeleton. Label some frames with SLEAP first.")
    if len({skeleton.nodes for skeleton in wanted}) > 1:
        raise InputError(
            f"{printable(found[0].path)}: instances have several skeletons ({', '.join(names)}). Choose one with --dataset-category."
            if len(names) > 1
            else f"{printable(found[0].path)}: the skeleton {names[0]!r} has other nodes in another file. Leave out one of the files."
        )
    return wanted[0]
