"""The folder of a set whose label files contain images: these are there like the images that are files."""

import io
from collections.abc import Callable
from functools import cached_property

from PIL import Image

from pipeline.data.formats import images
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.images import Glance, UnreadableError
from pipeline.data.labels import Labels
from pipeline.errors import InputError


class FolderWithFrames(Folder):
    """A folder with its images, and with those that its label files contain under the names that the labels give them.

    frame: the bytes of an embedded image, see `pipeline.data.formats.sleap.frame`.
    """

    def __init__(self, folder: Folder, labels: Labels, frame: Callable[[Folder, str, int], bytes]) -> None:
        super().__init__(folder.root, folder.only)
        self._folder, self._frame = folder, frame
        self._embedded = {image.name: image.embedded for image in labels.images if image.embedded}

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The names of all images."""
        return (*self._folder.images, *self._embedded)

    def content(self, name: str) -> bytes:
        """The bytes of an image, as an image file. Raises InputError if it cannot be read."""
        if name in self._embedded:
            return self._frame(self._folder, *self._embedded[name])
        try:
            return self.path(name).read_bytes()
        except OSError as error:
            raise InputError(f"{self.path(name)} cannot be read: {(error.strerror or str(error)).lower()}. Check the file.") from None

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an image, upright, pixels. Raises InputError if it cannot be read."""
        if name not in self._embedded:
            return self._folder.size(name)
        with Image.open(io.BytesIO(self.content(name)), formats=("PNG", "JPEG")) as image:
            return image.size

    def glance(self, name: str, side: int) -> Glance:
        """A reduced picture of an image. Raises UnreadableError if it cannot be read."""
        if name not in self._embedded:
            return images.glance(self.path(name), side)
        try:
            read = images.decoded(self.content(name), name)
        except InputError as error:
            raise UnreadableError(str(error)) from error
        read.image.thumbnail((side, side), reducing_gap=2.0)
        return Glance(read.image, read.size, "RGB")
