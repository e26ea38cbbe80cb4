"""A keypoints.toml that says what was understood of a keypoint set, with comments, for the user to edit."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.file import ONLY_SOURCE, KeypointFile, Normaliser

_WIDTH = 100
_HEAD = """\
# What was understood of this keypoint set. Correct what is wrong, and remove what you do not need: what is missing is taken from the
# label files. Keypoints may also be given by number, from 1, and "3-7" means the keypoints 3 to 7.
"""
_NORMALISE = """\
# Errors are given in pixels and, if you choose a length here, as a share of it or in millimetres:
# normalise = { pair = [KEYPOINT, KEYPOINT] }
# normalise = { box = true }
# normalise = { mm-per-pixel = 0.1 }
"""


def draft(keypointset: KeypointSet, *, said: KeypointFile, mirror: str, group_by: Mapping[str, str], predict: str) -> str:
    """The text of a keypoints.toml that means the same as a keypoint set.

    said: what a keypoints.toml has said about the set already. mirror: how the mirror pairs are known, a sentence. group_by: what the names
    of the images say about images that belong together, a sentence -> a regular expression. predict: the annotation source whose
    convention predictions follow; "" if there is only one.
    """
    parts = [
        _HEAD,
        f"name = {_text(keypointset.name)}\n",
        _entry("names", map(_text, keypointset.names)),
        f"\n{_comment(mirror)}{_mirror(keypointset)}",
        "\n# Lines of drawings:\n" + _entry("skeleton", map(_pair, keypointset.skeleton)),
        f"\n{_normalise(said.normaliser(keypointset.names))}",
        *_facts(said),
        *_group_by(said, group_by),
        "\n# A net is trained for each of these groups. Partners in a mirrored image belong to one group.\n[groups]\n",
        *(_entry(group, map(_text, members)) for group, members in keypointset.groups.items()),
        *_sources(keypointset, predict),
    ]
    return "".join(parts)


def _mirror(keypointset: KeypointSet) -> str:
    if keypointset.mirror is None:
        return "mirror = false    # images are never mirrored; [] if mirrored images exchange no keypoints\n"
    return _entry("mirror", map(_pair, keypointset.mirror))


def _normalise(normaliser: Normaliser | None) -> str:
    if normaliser is None:
        return _NORMALISE
    if normaliser.pair:
        return f"normalise = {{ pair = {_pair(normaliser.pair)} }}\n"
    if normaliser.box:
        return "normalise = { box = true }\n"
    length = _text(normaliser.file) if normaliser.file else repr(normaliser.mm_per_pixel)
    return f"normalise = {{ mm-per-pixel = {length} }}\n"


def _facts(said: KeypointFile) -> Iterator[str]:
    for key, value in {"origin": said.origin, "detector": said.detector, "boxes": said.boxes}.items():
        if value:
            yield f"{key} = {_text(value)}\n"


def _group_by(said: KeypointFile, found: Mapping[str, str]) -> Iterator[str]:
    if said.group_by:
        yield f"group-by = {_text(said.group_by)}\n"
    elif found:
        yield "\n# Images of one group are never divided between training and validation. Their names suggest:\n"
        for sentence, pattern in found.items():
            yield f"# group-by = '{pattern}'    # {sentence}\n"


def _sources(keypointset: KeypointSet, predict: str) -> Iterator[str]:
    if tuple(keypointset.sources) == (ONLY_SOURCE,):
        return
    yield "\n# Annotators whose labels differ. Predictions follow the convention of one of them.\n[sources]\n"
    if predict:
        yield f"predict = {_text(predict)}\n"
    if any(names != keypointset.names for names in keypointset.sources.values()):
        for source, names in keypointset.sources.items():
            yield _entry(_text(source), map(_text, names))


def _comment(sentence: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(sentence, _WIDTH))


def _entry(key: str, values: Iterable[str]) -> str:
    """An entry with a list, on one line or on as many as it needs."""
    items = list(values)
    line = f"{key} = [{', '.join(items)}]"
    if len(line) <= _WIDTH:
        return f"{line}\n"
    rows = textwrap.wrap(" ".join(item.replace(" ", "\0") + "," for item in items), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"{key} = [\n" + "".join(f"  {row.replace(chr(0), ' ')}\n" for row in rows) + "]\n"


def _pair(pair: tuple[str, str]) -> str:
    return f"[{_text(pair[0])}, {_text(pair[1])}]"


def _text(value: str) -> str:
    """A string of TOML. Its escapes are those of JSON, but that DEL needs one."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
