"""The images that label files refer to: found in the folder, all of them, and of the size that the labels were made on."""

from collections.abc import Iterable

from pipeline.data.formats.folder import Folder
from pipeline.errors import InputError
from pipeline.units import counted, printable

_SHOWN = 5


def images(folder: Folder, texts: Iterable[str], label: str) -> dict[str, str]:
    """What a label file says of its images, and the names of these images in the folder, in the same order.

    label: the label file, relative to the folder. Raises InputError, with the first of them, if images are not there.
    """
    found = {text: folder.find(text, label) for text in texts}
    missing = [printable(text)[:200] or "an image without a name" for text, name in found.items() if name is None]
    if missing:
        more = f" and {counted(len(missing) - _SHOWN, 'other')}" if len(missing) > _SHOWN else ""
        raise InputError(
            f"{printable(folder.path(label))} labels {counted(len(missing), 'image')} that {'is' if len(missing) == 1 else 'are'} not in "
            f"{printable(folder.root)}: {', '.join(missing[:_SHOWN])}{more}. Add them, or remove their labels."
        )
    return {text: name for text, name in found.items() if name is not None}


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
