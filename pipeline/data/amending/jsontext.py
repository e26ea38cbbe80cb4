"""The values of a JSON text together with their places in it."""

import json
import re
from functools import cached_property
from typing import Any

from pipeline.data.amending.edits import Edit

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def _after_space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches everywhere


class JsonValue:
    """A value of a JSON text: the value itself, and where it begins and ends."""

    def __init__(self, text: str, start: int = 0) -> None:
        self.text, self.start = text, _after_space(text, start)
        self.value, self.end = _DECODER.raw_decode(text, self.start)

    @cached_property
    def items(self) -> "list[JsonValue]":
        """The values of a list."""
        found: list[JsonValue] = []
        at = _after_space(self.text, self.start + 1)
        while self.text[at] != "]":
            found.append(JsonValue(self.text, at))
            at = _after_space(self.text, found[-1].end)
            at = _after_space(self.text, at + 1) if self.text[at] == "," else at
        return found

    @cached_property
    def members(self) -> "dict[str, JsonValue]":
        """The values of an object by name; of equal names the last one, as Python's json has it."""
        found: dict[str, JsonValue] = {}
        at = _after_space(self.text, self.start + 1)
        while self.text[at] != "}":
            name = JsonValue(self.text, at)
            colon = _after_space(self.text, name.end)
            found[name.value] = JsonValue(self.text, colon + 1)
            at = _after_space(self.text, found[name.value].end)
            at = _after_space(self.text, at + 1) if self.text[at] == "," else at
        return found

    def replaced(self, value: Any) -> Edit:
        """The edit that puts another value in its place."""
        return Edit(self.start, self.end, json.dumps(value, ensure_ascii=self.text.isascii()))

    def without(self, unwanted: "list[JsonValue]") -> list[Edit]:
        """The edits that remove some of the values of a list, each with a comma beside it."""
        gone = {id(item) for item in unwanted}
        edits, kept = [], -1
        for number, item in enumerate(self.items):
            if id(item) not in gone:
                kept = number
            elif kept >= 0:
                edits.append(Edit(self.items[number - 1].end, item.end, ""))
            else:
                following = self.items[number + 1].start if number + 1 < len(self.items) else item.end
                edits.append(Edit(item.start, following, ""))
        return edits

    def added(self, text: str, after: "JsonValue") -> Edit:
        """The edit that adds a value to a list behind another of its values, with the same white space before it."""
        number = next(number for number, item in enumerate(self.items) if item is after)
        before = self.text[self.items[number - 1].end if number else self.start + 1 : after.start]
        return Edit(after.end, after.end, f",{before.partition(',')[2] if number else before}{text}")
