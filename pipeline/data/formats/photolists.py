"""Many photographs, by the name of their folder or of a text file that lists them."""

from pathlib import Path

from pipeline.data.formats import photographs
from pipeline.errors import InputError
from pipeline.units import printable


def named(place: Path) -> tuple[Path, list[str]]:
    """The folder to which the names of photographs are relative, and these names in their order, each once.

    place: a folder, whose photographs are those directly in it, sorted by name; or a text file in UTF-8 with the path of a photograph in
    each line, absolute or relative to the folder of the text file.

    Raises InputError if there is no such place, if it cannot be read, or if it names no photograph.
    """
    if not place.exists():
        raise InputError(f"--photos {printable(place)} does not exist. Name a folder of photographs, or a text file that lists them.")
    if place.is_dir():
        return place, [path.name for path in photographs.listed([place])]
    if not place.is_file():
        raise InputError(f"--photos {printable(place)} is no file. Name a folder, or a text file that lists photographs.")
    if place.suffix.lower() in photographs.suffixes():
        raise InputError(f"--photos {printable(place)} is a photograph. Name its folder, or a text file that lists photographs.")
    return place.parent, _lines(place)


def _lines(file: Path) -> list[str]:
    try:
        # Names of files may have bytes that are not UTF-8, and a list that another program has written may begin with a byte order mark.
        text = file.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"--photos {printable(file)} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    if "\0" in text:
        raise InputError(f"--photos {printable(file)} is not a text file. Name a folder, or a text file with a photograph in each line.")
    found = list(dict.fromkeys(line for each in text.split("\n") if (line := each.rstrip("\r")).strip()))
    if not found:
        raise InputError(f"--photos {printable(file)} lists no photographs. Write the path of one into each line.")
    return found
