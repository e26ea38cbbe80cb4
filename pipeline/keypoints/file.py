"""keypoints.toml: what a user says about a keypoint set that its label files do not say, or say differently.

Keypoints are referred to by name or by number, counted from 1 in the order of the set. "3-7" means the keypoints 3 to 7, and "7-3" means
the same ones backwards.
"""

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import InputError, meant
from pipeline.keypoints.definition import KeypointSet
from pipeline.units import printable, size

NAME = "keypoints.toml"
LARGEST = 1 << 20  # bytes
NORMALISERS = ("pair", "box", "mm-per-pixel")
ORIGINS = ("upper-left", "lower-left")
DETECTORS = ("none", "face")
PREDICT = "predict"  # the entry of [sources] that is not a source
ONLY_SOURCE = "labels"  # the name of the annotation source of a set that has only one

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Normaliser:
    """The length by which errors are divided, apart from that in pixels.

    pair: the distance of two keypoints. box: whether it is the size of the instance's box. mm_per_pixel: errors are in millimetres, and
    this is the size of a pixel in all images. file: a CSV file with the columns image and mm_per_pixel. One of the four is given.
    """

    pair: tuple[str, str] | None = None
    box: bool = False
    mm_per_pixel: float | None = None
    file: str = ""


@dataclass(frozen=True)
class Selection:
    """Which keypoints of the label files a set has, and what it calls them.

    order: for each keypoint of the set its number in the label files, from 0. names: its name.
    """

    order: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class KeypointFile:
    """The values of a keypoints.toml. None or "" stands for what it does not say.

    path: the file, for messages. text: its content. name: what the set is called. names: keypoints, see `selection`. mirror: pairs of
    references, () if a mirrored image exchanges none, False if images must not be mirrored. skeleton: chains of references that drawings
    join by lines. groups: specialist group -> references. sources: annotation source -> references. predict: the annotation source whose
    convention predictions follow. normalise: references are not yet names. origin: one of ORIGINS. detector: one of DETECTORS. group_by: a
    regular expression with one group for the path of an image, or a CSV file with the columns image and group; samples of one group are
    never divided between training and validation. boxes: a CSV file with the columns image, x, y, width, height and perhaps instance.
    """

    path: str = NAME
    text: str = ""
    name: str = ""
    names: tuple[str, ...] | None = None
    mirror: tuple[tuple[Any, Any], ...] | Literal[False] | None = None
    skeleton: tuple[tuple[Any, ...], ...] | None = None
    groups: dict[str, tuple[Any, ...]] | None = None
    sources: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    predict: str = ""
    normalise: Normaliser | None = None
    origin: str = ""
    detector: str = ""
    group_by: str = ""
    boxes: str = ""

    def selection(self, labelled: tuple[str, ...]) -> Selection:
        """The keypoints of the set, given those of the label files.

        If the file names some of them, these are selected and brought into this order. If it gives as many other names as there are
        keypoints, they are renamed. Raises InputError if neither is the case.
        """
        if self.names is None:
            return Selection(tuple(range(len(labelled))), labelled)
        unknown = [name for name in self.names if name not in labelled]
        if not unknown:
            return Selection(tuple(labelled.index(name) for name in self.names), self.names)
        numbered = all(name[-1:].isdigit() for name in labelled)
        if len(self.names) == len(labelled) and (numbered or len(unknown) == len(self.names)):
            return Selection(tuple(range(len(labelled))), self.names)
        if numbered or len(unknown) == len(self.names):
            raise self.fault(
                "names", f"{len(self.names)} names are given, but the labels have {len(labelled)} keypoints. Name each of them."
            )
        raise self.fault("names", f"the labels have no keypoint {unknown[0]!r}; {meant(unknown[0], labelled)}", unknown[0])

    def pairs(self, names: tuple[str, ...]) -> Pairs | None:
        """The mirror pairs by name; None if images must not be mirrored. Only if `mirror` is not None."""
        found: list[tuple[str, str]] = []
        for pair in self.mirror or ():
            one, other = (self._expanded("mirror", [end], names) for end in pair)
            if len(one) != len(other):
                raise self.fault(
                    "mirror", f"{pair[0]!r} has {len(one)} keypoints and {pair[1]!r} has {len(other)}. Make them equal.", pair[0]
                )
            found += zip(one, other, strict=True)
        return None if self.mirror is False else tuple(found)

    def lines(self, names: tuple[str, ...]) -> Pairs:
        """The lines of the skeleton by name."""
        chains = [self._expanded("skeleton", chain, names) for chain in self.skeleton or ()]
        return tuple(line for chain in chains for line in pairwise(chain))

    def members(self, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """The specialist groups by name."""
        return {group: self._expanded("groups", members, names, group) for group, members in (self.groups or {}).items()}

    def normaliser(self, names: tuple[str, ...]) -> Normaliser | None:
        """The normaliser with names for references."""
        if self.normalise is None or self.normalise.pair is None:
            return self.normalise
        pair = self._expanded("normalise", self.normalise.pair, names, "pair")
        if len(pair) != 2:
            raise self.fault("normalise", f"a pair has two keypoints, not {len(pair)}. Name two.")
        return Normaliser(pair=(pair[0], pair[1]))

    def keypointset(
        self,
        names: tuple[str, ...],
        *,
        title: str,
        mirror: Pairs | None,
        groups: dict[str, tuple[str, ...]],
        sources: tuple[str, ...] = (),
        skeleton: Pairs = (),
    ) -> KeypointSet:
        """The keypoint set.

        names: its keypoints. title, mirror, groups, skeleton: those to use if the file has none. sources: the names of the annotation
        sources in the label files, () if there is only one.

        Raises InputError, with the line of the file, if it contradicts itself or the labels.
        """
        values: dict[str, Any] = {
            "names": names,
            "mirror": mirror if self.mirror is None else self.pairs(names),
            "sources": self._sources(names, sources),
            "groups": groups if self.groups is None else self.members(names),
            "skeleton": skeleton if self.skeleton is None else self.lines(names),
        }
        parts: dict[str, Any] = {"mirror": (), "sources": {ONLY_SOURCE: names}, "groups": {"all": names}}
        for key, value in values.items():
            parts[key] = value
            try:
                found = KeypointSet(name=self.name or title, **parts)
            except InputError as error:
                raise InputError(f"{self.place(key)}: {error}" if self._line(key) else str(error)) from None
        return found

    def source_to_predict(self, sources: Iterable[str]) -> str:
        """The annotation source whose convention predictions follow: the first, unless the file names another."""
        known = list(sources)
        if self.predict and self.predict not in known:
            raise self.fault("sources", f"there is no annotation source {self.predict!r}; {meant(self.predict, known)}", PREDICT)
        return self.predict or known[0]

    def beside(self, name: str) -> Path:
        """The path of a file that this file names, relative to itself."""
        return Path(self.path).parent / name

    def fault(self, key: str, what: str, value: Any = None) -> InputError:
        """The error that a value is wrong."""
        return InputError(f"{self.place(key, value)}: {key}: {what}")

    def _sources(self, names: tuple[str, ...], labelled: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        known = labelled or tuple(self.sources) or (ONLY_SOURCE,)
        if unknown := [source for source in self.sources if source not in known]:
            raise self.fault("sources", f"no label file is called {unknown[0]!r}; {meant(unknown[0], known)}", unknown[0])
        ordered = [*self.sources, *(source for source in known if source not in self.sources)]
        given = {source: self._expanded("sources", members, names, source) for source, members in self.sources.items()}
        # The first source is the one that predictions follow, and has to know all keypoints.
        ordered.sort(key=lambda source: not set(names) <= set(given.get(source, names)))
        return {source: given.get(source) or names for source in ordered}

    def _expanded(self, key: str, references: Iterable[Any], names: tuple[str, ...], within: str = "") -> tuple[str, ...]:
        """The keypoints that references mean."""
        found: list[str] = []
        for reference in references:
            bounds = re.fullmatch(r"(\d{1,9})-(\d{1,9})", reference) if isinstance(reference, str) else None
            if reference in names:
                found.append(reference)
            elif bounds or isinstance(reference, int) or re.fullmatch(r"\d{1,9}", reference):
                first, last = map(int, bounds.groups()) if bounds else [int(reference)] * 2
                if wrong := [number for number in (first, last) if not 1 <= number <= len(names)]:
                    raise self.fault(
                        key, f"there is no keypoint {wrong[0]}; they are numbered from 1 to {len(names)}.", within or reference
                    )
                step = 1 if first <= last else -1
                found += [names[number - 1] for number in range(first, last + step, step)]
            else:
                raise self.fault(key, f"there is no keypoint {reference!r}; {meant(reference, names)}", reference)
        return tuple(found)

    def place(self, key: str, value: Any = None) -> str:
        """File and line of a key, or of a value in it, for messages."""
        line = self._line(key, value)
        return f"{printable(self.path)}, line {line}" if line else printable(self.path)

    def _line(self, key: str, value: Any = None) -> int:
        """The line of a key of the file, or of a value in it; 0 if it is not found."""
        spelling = re.escape(key).replace("\\-", "[-_]")
        begins = re.compile(rf"""\s*(\[\s*)?["']?{spelling}["']?\s*[\].=]""")
        lines = self.text.splitlines()
        first = next((number for number, line in enumerate(lines, 1) if begins.match(line)), 0)
        if not first or value is None:
            return first
        word = re.compile(rf"(?<![\w-]){re.escape(str(value))}(?![\w-])")
        return next((number for number in range(first, len(lines) + 1) if word.search(lines[number - 1].split("#")[0])), first)


def read(path: Path) -> KeypointFile:
    """The values of a keypoints.toml.

    Raises InputError, in a sentence with the line, if it cannot be read, is not TOML, or has unknown keys or values of other kinds.
    """
    try:
        length = path.stat().st_size
        if length > LARGEST:
            raise InputError(f"{printable(path)} has {size(length)}, and such files of up to {size(LARGEST)} are read. Shorten it.")
        text = path.read_text(encoding="utf-8-sig")
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at ")
        raise InputError(f"{printable(path)}, {where.rstrip(')') or 'line 1'}: not TOML ({printable(what).lower()}). Correct it.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{printable(path)}: byte {error.start + 1} is not UTF-8 text. Save the file as UTF-8.") from None
    except (RecursionError, ValueError):
        raise InputError(f"{printable(path)} is nested too deeply or has a number that is too long. Correct it.") from None
    except OSError as error:
        raise InputError(f"{printable(path)} cannot be read: {(error.strerror or str(error)).lower()}. Check the path.") from None
    return _parsed(KeypointFile(path=str(path), text=text), values)


def _parsed(file: KeypointFile, values: dict[str, Any]) -> KeypointFile:
    given = {key.replace("_", "-"): value for key, value in values.items()}
    if unknown := [key for key in given if key not in _PARSERS]:
        raise InputError(f"{file.place(unknown[0])}: there is no key {unknown[0]!r}; {meant(unknown[0], _PARSERS)}")
    found = {key.replace("-", "_"): _PARSERS[key](file, key, value) for key, value in given.items()}
    if "sources" in found:
        found["predict"] = found["sources"].pop(PREDICT, "")
    return replace(file, **found)


def _text(file: KeypointFile, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise file.fault(key, "a text in quotes is needed.")
    return value


def _choice(file: KeypointFile, key: str, value: Any) -> str:
    choices = {"origin": ORIGINS, "detector": DETECTORS}[key]
    if value not in choices:
        raise file.fault(key, f"{value!r} is unknown; {meant(str(value), choices)}")
    return str(value)


def _names(file: KeypointFile, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name.strip() for name in value):
        raise file.fault(key, "a list of names in quotes is needed.")
    return tuple(value)


def _mirror(file: KeypointFile, key: str, value: Any) -> tuple[tuple[Any, ...], ...] | Literal[False]:
    if value is False:
        return False
    if not isinstance(value, list):
        raise file.fault(key, "a list of pairs is needed, [] if a flip exchanges nothing, or false if images must not be flipped.")
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise file.fault(key, f"{pair!r} is not a pair of keypoints. Write each pair in brackets.", _first(pair))
    return tuple(_references(file, key, pair) for pair in value)


def _skeleton(file: KeypointFile, key: str, value: Any) -> tuple[tuple[Any, ...], ...]:
    if not isinstance(value, list) or not all(isinstance(chain, list) and chain for chain in value):
        raise file.fault(key, 'a list of lists of keypoints is needed, such as [["elbow", "wrist"]].')
    return tuple(_references(file, key, chain) for chain in value)


def _members(file: KeypointFile, key: str, value: Any) -> dict[str, tuple[Any, ...]]:
    if not isinstance(value, dict):
        raise file.fault(key, f"write [{key}], and below it lines such as NAME = [KEYPOINTS].")
    for name, members in value.items():
        if name.replace("_", "-") in _PARSERS and not isinstance(members, list):
            raise file.fault(key, f"{name} belongs to the set. Move its line above the first line in brackets.", name)
        if not isinstance(members, list) or not members:
            raise file.fault(key, f"{name} must be a list of keypoints.", name)
    return {name: _references(file, key, members) for name, members in value.items()}


def _sources(file: KeypointFile, key: str, value: Any) -> dict[str, Any]:
    predict = value.get(PREDICT, "") if isinstance(value, dict) else ""
    if not isinstance(predict, str):
        raise file.fault(key, f"{PREDICT} must be the name of an annotation source in quotes.", PREDICT)
    named = {name: members for name, members in value.items() if name != PREDICT} if isinstance(value, dict) else value
    return {PREDICT: predict, **_members(file, key, named)}


def _references(file: KeypointFile, key: str, value: list[Any]) -> tuple[Any, ...]:
    if wrong := [entry for entry in value if isinstance(entry, bool) or not isinstance(entry, str | int)]:
        raise file.fault(key, f"{wrong[0]!r} is neither the name nor the number of a keypoint.", _first(wrong[0]))
    return tuple(value)


def _normalise(file: KeypointFile, key: str, value: Any) -> Normaliser:
    given = {name.replace("_", "-"): entry for name, entry in value.items()} if isinstance(value, dict) else {}
    if len(given) != 1:
        raise file.fault(key, "write one of { pair = [A, B] }, { box = true } and { mm-per-pixel = NUMBER OR FILE }.")
    ((name, entry),) = given.items()
    if name not in NORMALISERS:
        raise file.fault(key, f"{name!r} is unknown; {meant(name, NORMALISERS)}")
    is_number = isinstance(entry, int | float) and not isinstance(entry, bool)
    if name == "pair" and isinstance(entry, list) and len(entry) == 2:
        one, other = _references(file, key, entry)
        return Normaliser(pair=(one, other))
    if name == "box" and entry is True:
        return Normaliser(box=True)
    if name == "mm-per-pixel" and is_number and 0 < entry < float("inf"):
        return Normaliser(mm_per_pixel=float(entry))
    if name == "mm-per-pixel" and isinstance(entry, str) and entry:
        return Normaliser(file=entry)
    needed = {"pair": "two keypoints", "box": "true", "mm-per-pixel": "a positive number or a CSV file"}[name]
    raise file.fault(key, f"{name} must be {needed}.", name)


def _group_by(file: KeypointFile, key: str, value: Any) -> str:
    text = _text(file, key, value)
    if text.lower().endswith(".csv"):
        return text
    try:
        groups = re.compile(text).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise file.fault(key, f"not a regular expression ({error}). Correct it.") from None
    if groups != 1:
        raise file.fault(key, f"the regular expression must have one group in parentheses, and this one has {groups}.")
    return text


def _first(value: Any) -> Any:
    """A value by which a line can be found."""
    return value[0] if isinstance(value, list) and value else value


# How the value of each key is checked and converted.
_PARSERS: dict[str, Callable[[KeypointFile, str, Any], Any]] = {
    "name": _text,
    "names": _names,
    "mirror": _mirror,
    "skeleton": _skeleton,
    "groups": _members,
    "sources": _sources,
    "normalise": _normalise,
    "origin": _choice,
    "detector": _choice,
    "group-by": _group_by,
    "boxes": _text,
}
