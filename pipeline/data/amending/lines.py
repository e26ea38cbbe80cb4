"""Corrected values in texts with a line for each point or object: .pts, TPS and YOLO."""

import re
from collections.abc import Iterator, Sequence

from pipeline.data.amending.edits import DECIMALS, Amendment, Edit, NoPlaceError, shown
from pipeline.data.formats.folder import Folder

_WORD = re.compile(r"\S+")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|$)")
_NUMBER = re.compile(r", line (\d+)")


def pts(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a file of 300-W's."""
    points = [words for _, words in _words(text) if len(words) == 2 and not words[0][0].endswith(":")]
    for amendment in amendments:
        yield from _pair(points[amendment.number], amendment, "nan")


def tps(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a file of tpsDig's."""
    lines = _words(text)
    commas = not any("." in word for _, words in lines if len(words) == 2 for word, _ in words)
    for amendment in amendments:
        start = _number(amendment)
        below = [words for number, words in lines if number > start and words]
        yield from _pair(below[amendment.number], amendment, "-1", comma=commas and "," in text)


def yolo(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a file with the objects of an image."""
    lines = dict(_words(text))
    for amendment in amendments:
        words, count = lines[_number(amendment)], len(amendment.instance.keypoints)
        values = (len(words) - 5) // count
        own = words[5 + values * amendment.number :][:values]
        width, height = amendment.size
        places = [0.0, 0.0] if amendment.is_missing else [amendment.x / width, amendment.y / height]
        for (_, span), value in zip(own, places, strict=False):
            yield Edit(*span, shown(value, DECIMALS))
        if values == 3 and (state := 0 if amendment.is_missing else 1 if amendment.occluded else 2) != float(own[2][0]):
            yield Edit(*own[2][1], str(state))


def _number(amendment: Amendment) -> int:
    """The number of the line of an instance, from 1."""
    found = _NUMBER.findall(amendment.instance.place)
    if not found:
        raise NoPlaceError(f"{amendment.instance.place} is not the place of a line.")
    return int(found[-1])


def _words(text: str) -> list[tuple[int, list[tuple[str, tuple[int, int]]]]]:
    """The number of each line, from 1, and its words with their places in the text."""
    found, start = [], 1 if text.startswith("\ufeff") else 0
    for number, line in enumerate(_LINE.finditer(text, start), 1):
        found.append((number, [(word[0], (word.start() + line.start(), word.end() + line.start())) for word in _WORD.finditer(line[0])]))
    return found


def _pair(words: list[tuple[str, tuple[int, int]]], amendment: Amendment, missing: str, *, comma: bool = False) -> Iterator[Edit]:
    """The edits of a line with x and y. missing: what both are if the point is missing."""
    for (_, span), value in zip(words, (amendment.x, amendment.y), strict=True):
        text = missing if amendment.is_missing else shown(value)
        yield Edit(*span, text.replace(".", ",") if comma else text)
