"""Corrected values in XML files: CVAT and imglab.

The texts have a character for each byte, because the parser says at which byte an element begins.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from pipeline.data.amending.edits import Amendment, Edit, NoPlaceError, shown
from pipeline.data.formats import documents
from pipeline.data.formats.folder import Folder

_ATTRIBUTE = r"""\s+([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')"""
_TAG = re.compile(rf"<[^\s/>]+(?:{_ATTRIBUTE})*\s*(/?)>")
_SKELETON, _TRACK = re.compile(r", image (.*), skeleton (\d+)$", re.DOTALL), re.compile(r", track (.*), frame (\d+)$", re.DOTALL)
_BOX = re.compile(r", image (\d+), box (\d+)$")


class _Place(NamedTuple):
    """Where the start tag of an element begins and ends, and where the element ends."""

    start: int
    end: int
    whole: int


def cvat(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a file of CVAT's."""
    root = documents.read_xml(folder.path(file))
    places = _places(root, text)
    for amendment in amendments:
        points = _points_of(root, amendment)
        found = points.get(amendment.name)
        if found is None:
            raise NoPlaceError(f"{amendment.instance.place}: there is no element for {amendment.name}.")
        values = {"outside": str(int(amendment.is_missing)), "occluded": str(int(amendment.occluded))}
        if not amendment.is_missing:
            values["points"] = f"{shown(amendment.x)},{shown(amendment.y)}"
        yield from _attributes(text, places[found], values, found)


def dlib(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a file of imglab's, whose coordinates are integers."""
    root = documents.read_xml(folder.path(file))
    places = _places(root, text)
    for amendment in amendments:
        match = _BOX.search(amendment.instance.place)
        if not match:
            raise NoPlaceError(f"{amendment.instance.place} is not the place of a box.")
        box = list(list(root.iter("image"))[int(match[1]) - 1].iter("box"))[int(match[2]) - 1]
        parts = {part.get("name", "").strip(): part for part in box.iter("part")}
        found = parts.get(amendment.name)
        if amendment.is_missing and found is not None:
            start, _, end = places[found]
            yield Edit(len(text[:start].rstrip(" \t\r\n")), end, "")
            continue
        x, y = round(amendment.x), round(amendment.y)
        if found is not None:
            yield from _attributes(text, places[found], {"x": str(x), "y": str(y)}, found)
        else:
            *_, last = parts.values()
            start, _, end = places[last]
            space = text[len(text[:start].rstrip(" \t\r\n")) : start]
            added = f"<part name={quoteattr(amendment.name)} x='{x}' y='{y}'/>".encode().decode("latin-1")
            yield Edit(end, end, f"{space}{added}")


def _places(root: ET.Element, text: str) -> dict[ET.Element, _Place]:
    """Where each element is in the text."""
    parser, starts, ends, open_ = expat.ParserCreate(), list[int](), dict[int, int](), list[int]()

    def begin(*_: object) -> None:
        open_.append(len(starts))
        starts.append(parser.CurrentByteIndex)

    def finish(*_: object) -> None:
        number = open_.pop()
        tag = _TAG.match(text, starts[number])
        is_empty = bool(tag and text[tag.end() - 2] == "/")
        ends[number] = tag.end() if tag and is_empty else text.index(">", parser.CurrentByteIndex) + 1

    parser.StartElementHandler, parser.EndElementHandler = begin, finish
    parser.Parse(text.encode("latin-1"), True)
    found = {}
    for number, element in enumerate(root.iter()):
        tag = _TAG.match(text, starts[number])
        if tag is None:
            raise NoPlaceError(f"<{element.tag}> is not found.")
        found[element] = _Place(starts[number], tag.end(), ends[number])
    return found


def _attributes(text: str, place: _Place, values: dict[str, str], element: ET.Element) -> Iterator[Edit]:
    """The edits that give attributes of an element other values; what is equal stays as it is."""
    at = place.start + 1 + len(element.tag)
    known = {}
    while found := re.compile(_ATTRIBUTE).match(text, at):
        known[found[1]] = found.span(2)
        at = found.end()
    for name, value in values.items():
        if name not in known:
            yield Edit(at, at, f' {name}="{value}"')
        elif element.get(name) != value:
            yield Edit(known[name][0] + 1, known[name][1] - 1, value)


def _points_of(root: ET.Element, amendment: Amendment) -> dict[str, ET.Element]:
    """The elements of the keypoints of an instance, by label."""
    place = amendment.instance.place
    if match := _TRACK.search(place):
        track = next(each for each in root.iterfind("track") if (each.get("id") or "") == match[1])
        frame = match[2]
        inner = {
            each.get("label") or "": points
            for each in track.iterfind("track")
            for points in each.iterfind("points")
            if points.get("frame") == frame
        }
        skeleton = next(each for each in track.iterfind("skeleton") if each.get("frame") == frame)
        return {**{points.get("label") or "": points for points in skeleton.iterfind("points")}, **inner}
    if match := _SKELETON.search(place):
        image = next((each for each in root.iterfind("image") if (each.get("name") or "") == match[1]), None)
        if image is not None:
            skeleton = list(image.iterfind("skeleton"))[int(match[2]) - 1]
            return {points.get("label") or "": points for points in skeleton.iterfind("points")}
    raise NoPlaceError(f"{place}: the skeleton is not found.")
