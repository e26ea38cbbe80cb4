"""Predicting keypoints with finished nets, for images in memory and in files."""

import contextlib
import functools
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.api import figures, pictures
from pipeline.api.points import EXPECTED_ERROR
from pipeline.errors import InputError
from pipeline.tasks.sections import device
from pipeline.units import counted

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from pipeline.inference.instances import PlacedInstances, SeenInstances
    from pipeline.inference.loaded import LoadedNets, PredictedCrops

    Picture = str | os.PathLike[str] | np.ndarray | Image.Image

# Bytes of crops that are predicted together.
BLOCK_BYTES = 200_000_000


@dataclass(frozen=True, eq=False)
class KeypointNets:
    """Nets that predict the keypoints of images; `load_nets` makes them.

    loaded: the nets in memory.
    """

    loaded: "LoadedNets"

    @property
    def names(self) -> tuple[str, ...]:
        """The K keypoints, in the order of the columns of a prediction."""
        return self.loaded.keypointset.names

    @property
    def skeleton(self) -> tuple[tuple[int, int], ...]:
        """Pairs of keypoints, counted from 0, that drawings join by a line."""
        return self.loaded.lines

    def predict(self, images: "Picture | Iterable[Picture]", boxes: Any = None, *, expected_errors: bool = False) -> "pd.DataFrame":
        """The keypoints in images: a row for each instance, with the columns NAME_x and NAME_y of each keypoint, in the order of `names`.

        images: an array uint8 (n, H, W) of grey images, or (n, H, W, 1) or (n, H, W, 3), RGB, of any size; or the path of a file, or of a
        folder with images; or any number of paths, of arrays (H, W) or (H, W, 3), or of Pillow's images.
        boxes: where the instances are, x, y, width and height in pixels: an array (n, 4) with one box for each image, or for each image an
        array (4,) or (m, 4) with its boxes; for a single path also one such array.
        expected_errors: whether the columns NAME_expected_error of each keypoint follow, the distance in pixels of the image that is to be
        expected between the prediction and a label. Nets know it if enough held-out samples were predicted with them.

        Without boxes, an image is one instance, which fills it as it fills a sample of the training: (H, W) need not be square. In files,
        nets for faces search for faces; there is a row for each face, and none for an image without one.

        Returns a table of float64, pixels of the upright image, x then y; pixel i covers [i, i + 1). Its index has the levels image, the
        number of an array from 0 or the path of a file, and instance, from 1 in each image. `keypoints annotate`
        writes the same values, rounded to two decimals.

        Raises InputError for an image that cannot be read, for arrays of other shapes or of another dtype than uint8, for boxes outside of
        their image, if there is no image, and if expected errors are asked for that are not known.
        """
        import pandas as pd

        given = _listed(images)
        if not given:
            raise InputError("There are no images to predict. Give at least one; check the pattern if it names files.")
        if expected_errors and self.loaded.error_model is None:
            raise InputError(
                "The expected errors of these nets are not known, as of ensembles, of a base net that is loaded by itself, and"
                " of a run with few held-out samples. Leave out expected_errors."
            )
        found = list(self._placed(given, boxes))
        rows = [(label, number) for label, own in found for number in range(1, len(own.keypoints) + 1)]
        index = pd.MultiIndex.from_tuples(rows, names=["image", "instance"]) if rows else _no_rows(pd)
        columns = [*self.loaded.keypointset.columns, *(f"{name}{EXPECTED_ERROR}" for name in self.names if expected_errors)]
        values = [np.zeros((0, len(columns)))]
        for _, own in found:
            more = [own.expected] if expected_errors and own.expected is not None else []
            values.append(np.concatenate([own.keypoints.reshape(-1, 2 * len(self.names)), *more], axis=1))
        return pd.DataFrame(np.concatenate(values).astype(np.float64), index=index, columns=columns)

    def _placed(self, given: "list[Picture]", boxes: Any) -> "Iterator[tuple[int | str, PlacedInstances]]":
        """Yields each image's label with its instances. What is predicted together is a block of images."""
        block: list[tuple[int | str, SeenInstances]] = []
        size = 0
        for number, (image, own) in enumerate(zip(given, _boxes(boxes, len(given)), strict=True)):
            shown = self._shown(image, own, f"image {number}")
            block.append((str(image) if pictures.is_file(image) else number, shown))
            if (size := size + shown.crops.nbytes) >= BLOCK_BYTES:
                yield from self._of_block(block)
                block, size = [], 0
        yield from self._of_block(block)

    def _shown(self, image: "Picture", boxes: np.ndarray | None, what: str) -> "SeenInstances":
        """What the nets see of an image."""
        from pipeline.inference import instances

        photo = pictures.photograph(image, what)
        if boxes is not None:
            instances.check_inside(boxes, photo.size, f"{what}: the box")
        return instances.shown(photo, self.loaded, boxes, detect=pictures.is_file(image))

    def _of_block(self, block: "list[tuple[int | str, SeenInstances]]") -> "Iterator[tuple[int | str, PlacedInstances]]":
        """Yields each image's label with its instances."""
        from pipeline.inference import instances

        crops = np.concatenate([shown.crops for _, shown in block]) if block else np.zeros(0)
        predicted = _predicted(self.loaded, crops) if len(crops) else None
        start = 0
        for label, shown in block:
            rows = np.arange(start, start + len(shown.crops))
            start += len(rows)
            if predicted is not None:
                yield label, instances.placed(shown, predicted.of(rows), self.loaded)

    def __repr__(self) -> str:
        loaded = self.loaded
        chains = f"{counted(len(loaded.chains), 'chain')} of {counted(len(loaded.chains[0]), 'net')}" if loaded.chains else "no nets"
        side = f"{loaded.frame.side} x {loaded.frame.side} pixels in {'colour' if loaded.frame.colour else 'grey'}"
        return f"<{counted(len(self.names), 'keypoint')} of {loaded.keypointset.name}: {chains}, samples of {side}>"


def _no_rows(pd: Any) -> "pd.MultiIndex":
    """The index of a table without rows."""
    return pd.MultiIndex.from_arrays([[], []], names=["image", "instance"])


def _listed(images: "Picture | Iterable[Picture]") -> "list[Picture]":
    """The images one by one. Raises InputError for what is not a collection of images."""
    if isinstance(images, np.ndarray):
        pictures.check(images.dtype, "The array of images")
        _check_shape(images.shape)
        return list(images)
    if pictures.is_file(images):
        from pipeline.data.formats import photographs

        path = Path(images).expanduser()
        return list(photographs.listed([path])) if path.is_dir() else [images]
    if pictures.is_pillow(images):
        return [images]
    if isinstance(images, Iterable):
        return list(images)
    raise InputError(
        f"The images are of the type {type(images).__name__}. Give an array uint8 (n, H, W) or (n, H, W, 3), a path, or a list of paths."
    )


def _check_shape(shape: tuple[int, ...]) -> None:
    """Raises InputError for a shape that is not (n, H, W), (n, H, W, 1) or (n, H, W, 3)."""
    channels = pictures.CHANNELS
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (*channels, 4) and shape[0] not in channels):
        raise InputError(f"The array of images has the shape {shape}, which is that of a single image. Add an axis: images[None].")
    if len(shape) == 4 and shape[3] in (2, 4):
        raise InputError(f"The array of images has the shape {shape}. Leave out the transparency: images[..., :{shape[3] - 1}].")
    if len(shape) == 4 and shape[3] not in channels and shape[1] in channels:
        raise InputError(f"The array of images has the shape {shape}. Put the channels last: images.transpose(0, 2, 3, 1).")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in channels):
        raise InputError(f"The array of images has the shape {shape}. Give (n, H, W), (n, H, W, 1) or (n, H, W, 3).")


def _boxes(boxes: Any, images: int) -> list[np.ndarray | None]:
    """The boxes (m, 4) of each image; None for each without boxes. Raises InputError if they are not those of so many images."""
    if boxes is None:
        return [None] * images
    if isinstance(boxes, str) or not isinstance(boxes, Iterable):
        raise InputError(f"boxes is of the type {type(boxes).__name__}. Give an array (n, 4), or for each image an array of its boxes.")
    with contextlib.suppress(TypeError, ValueError):  # images may have different numbers of boxes
        boxes = np.asarray(boxes, np.float64)
        boxes = [boxes] if images == 1 and boxes.ndim in (1, 2) else boxes
    boxes = list(boxes)
    if len(boxes) != images:
        raise InputError(f"There are boxes for {counted(len(boxes), 'image')}, but {counted(images, 'image')}. Give boxes for each image.")
    found: list[np.ndarray | None] = []
    for number, own in enumerate(boxes):
        try:
            array = np.atleast_2d(np.asarray(own, np.float64))
        except (TypeError, ValueError):
            raise InputError(f"The boxes of image {number} are no numbers. A box is x, y, width and height in pixels.") from None
        if array.ndim != 2 or array.shape[1] != 4:
            raise InputError(f"The boxes of image {number} have the shape {np.shape(own)}. A box is x, y, width and height in pixels.")
        found.append(array)
    return found


def _predicted(nets: "LoadedNets", crops: np.ndarray) -> "PredictedCrops":
    """The predictions for crops. The nets stay in memory, because a notebook asks for more."""
    _prepare()
    return nets.predict(crops, keep=True)


@functools.cache
def _prepare() -> None:
    """Starts the backend. The state of the user's random numbers stays as it was."""
    from pipeline.nets import device as devices

    figures.keep_settings()
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        # TensorFlow, once it has computed something in this process, keeps its number of threads.
        with contextlib.suppress(RuntimeError):
            devices.prepare(seed=0, threads=device().threads)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
