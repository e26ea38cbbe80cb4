"""Texts, JSON, XML and YAML of the user's, read within bounds of time and memory. Every fault is an InputError that names the file."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from xml.parsers import expat

from pipeline.errors import InputError
from pipeline.units import printable, size

LARGEST = 400 << 20  # bytes; the annotations of the people of COCO's 118,287 training images have 238 MB
LARGEST_YAML = 1 << 20
# Objects, lists and texts of JSON, and its values of any kind; elements and attributes of XML. A few bytes of a file become a hundred in
# memory. COCO's annotations of people have about 5 million and 45 million.
MOST_OBJECTS, MOST_VALUES = 20_000_000, 60_000_000
_BLOCK = 1 << 20


def text(path: Path, *, largest: int = LARGEST) -> str:
    """The text of a UTF-8 file, without a byte order mark, with line ends as they are.

    Raises InputError if it cannot be read, is larger than `largest` bytes, or is not UTF-8.
    """
    try:
        length = path.stat().st_size
        if length > largest:
            raise InputError(f"{printable(path)} has {size(length)}, and label files of up to {size(largest)} are read. Divide it.")
        with path.open("rb") as file:
            return file.read(largest + 1).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{printable(path)}: byte {error.start + 1} is not UTF-8 text. Save the file as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{printable(path)} cannot be read: {(error.strerror or str(error)).lower()}. Check the file.") from None


def beginning(path: Path, count: int = 4096) -> str:
    """The first bytes of a file as text, by which a format is recognised; other bytes than those of text are replaced. "" if unreadable."""
    return ends(path, count, 0)


def ends(path: Path, first: int, last: int) -> str:
    """As `beginning`, with the last bytes behind the first ones."""
    try:
        with path.open("rb") as file:
            start = file.read(first)
            file.seek(max(first, path.stat().st_size - last))
            return (start + file.read(last)).decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


def read_json(path: Path, *, largest: int = LARGEST) -> Any:
    """The content of a JSON file. Raises InputError, with line and column, if it is not JSON; see `text` for `largest`."""
    content = text(path, largest=largest)
    objects = content.count("{") + content.count("[") + content.count('"') // 2
    if objects > MOST_OBJECTS or content.count(",") > MOST_VALUES:
        raise _too_many(path)
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{printable(path)}, {where}: not JSON ({error.msg.lower()}). Export the labels again.") from None
    except (RecursionError, ValueError):
        raise InputError(f"{printable(path)} is nested too deeply or has a number that is too long. Export the labels again.") from None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file of plain values. Raises InputError, with the line, if it is not YAML.

    Aliases can make a file of a kilobyte stand for gigabytes, or for itself; then it is refused too.
    """
    import yaml

    try:
        content = yaml.safe_load(text(path, largest=LARGEST_YAML))
        if _extent(content, {}) > 16 * LARGEST_YAML:
            raise ValueError("its aliases stand for too much")
        return content
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{printable(path)}{line}: not YAML ({error.problem}). Correct the file.") from None
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise InputError(f"{printable(path)} is not YAML ({printable(error)[:100]}). Correct the file.") from None


def _extent(value: Any, known: dict[int, int]) -> int:
    """The number of characters of a value, as if nothing in it were shared. known: those of lists and mappings; 0 for one that is open.

    Raises ValueError if a value contains itself.
    """
    if not isinstance(value, list | dict):
        return len(value) if isinstance(value, str | bytes) else 8
    if id(value) not in known:
        known[id(value)] = 0
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_extent(part, known) for part in parts)
    elif not known[id(value)]:
        raise ValueError("it contains itself")
    return known[id(value)]


def read_xml(path: Path) -> ET.Element:
    """The root element of an XML file. Raises InputError, with the line, if it is not XML, or if it defines entities.

    Entities can make a file of a kilobyte expand to gigabytes, or refer to other files; no label format needs them.
    """
    builder, parser = ET.TreeBuilder(), expat.ParserCreate()

    def refuse(*_: Any) -> int:
        raise InputError(
            f"{printable(path)}, line {parser.CurrentLineNumber}: the file defines XML entities, as harmful files do. Remove them."
        )

    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    parser.buffer_text = True
    try:
        if (length := path.stat().st_size) > LARGEST:
            raise InputError(f"{printable(path)} has {size(length)}, and label files of up to {size(LARGEST)} are read. Divide it.")
        objects = 0
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                objects += block.count(b"<") + block.count(b"=")
                if objects > MOST_OBJECTS:
                    raise _too_many(path)
                parser.Parse(block, False)
        parser.Parse(b"", True)
        return builder.close()
    except expat.ExpatError as error:
        raise InputError(
            f"{printable(path)}, line {error.lineno}: not XML ({expat.ErrorString(error.code)}). Export the labels again."
        ) from None
    except (OSError, LookupError, ValueError) as error:
        raise InputError(f"{printable(path)} cannot be read: {printable(error)[:100]}. Check the file.") from None


def _too_many(path: Path) -> InputError:
    return InputError(f"{printable(path)} has more than {MOST_OBJECTS:,} entries, for which there may not be enough memory. Divide it.")
