"""The images that label files refer to: found in the folder, all of them, and of the size that the labels were made on."""

from collections.abc import Iterable

from pipeline.data.formats import photographs
from pipeline.data.formats.folder import Folder
from pipeline.errors import InputError
from pipeline.units import counted, printable

_SHOWN = 5


def images(folder: Folder, texts: Iterable[str], label: str) -> dict[str, str]:
    """What a label file says of its images, and the names of these images in the folder, in the same order.

    label: the label file, relative to the folder. Raises InputError, with the first of them, if images are not there.
    """
    found = {text: folder.find(text, label) for text in texts}
    if lacking := [text for text, name in found.items() if name is None]:
        missing = [printable(text)[:200] or "an image without a name" for text in lacking]
        more = f" and {counted(len(missing) - _SHOWN, 'other')}" if len(missing) > _SHOWN else ""
        if others := _unread(folder, lacking):
            raise InputError(f"{printable(folder.path(label))} labels images of a format that is not read. {others}")
        raise InputError(
            f"{printable(folder.path(label))} labels {counted(len(missing), 'image')} that {'is' if len(missing) == 1 else 'are'} not in "
            f"{printable(folder.root)}: {', '.join(missing[:_SHOWN])}{more}. Add them, or remove their labels."
        )
    return {text: name for text, name in found.items() if name is not None}


def _unread(folder: Folder, texts: list[str]) -> str:
    """How to convert the files among these that are in the folder but cannot be read as images; "" if there are none."""
    known = {name.rsplit("/", 1)[-1].lower(): name for name in folder.files}
    names = (known.get(text.replace("\\", "/").rsplit("/", 1)[-1].lower()) for text in texts)
    return " ".join(photographs.advice(folder.path(name) for name in names if name))


def checked_size(folder: Folder, name: str, stated: tuple[int, int], place: str) -> tuple[int, int]:
    """Width and height of an image, pixels. stated: those that its labels were made on. place: file and entry, for messages.

    Raises InputError if they differ.
    """
    if (actual := folder.size(name)) != stated:
        raise InputError(
            f"{place}: the labels were made on an image of {stated[0]} x {stated[1]} pixels, but {printable(name)} has "
            f"{actual[0]} x {actual[1]}. Use the original image."
        )
    return actual
