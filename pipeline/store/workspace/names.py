"""What the files of a workspace are, by their names: STEM-KEY.h5 is an artifact, and all that belongs to it starts with STEM-KEY."""

import re
from pathlib import Path
from typing import NamedTuple

KEY_LENGTH = 10
# What an unfinished stage leaves, files like artifacts.
UNFINISHED = ("checkpoint", "snapshot")
FOLDERS = ("data", "models", "submissions")

_OWNER = rf"(?P<owner>(?P<stem>[a-z][\w-]*)-(?P<key>[0-9a-f]{{{KEY_LENGTH}}}))"
# Small files that are rewritten as a whole.
_NOTE = r"\.file-hashes|last-run"
_KINDS = {
    "artifact": rf"{_OWNER}\.h5",
    **{kind: rf"{_OWNER}\.{kind}-\d+\.h5" for kind in UNFINISHED},
    "adoption": rf"{_OWNER}\.json",
    "set aside": rf"{_OWNER}\..+\.(damaged|forgotten)-\d+",
    "lock": rf"\.({_OWNER}|(?P<other>run-\d+-\d+|needs|{_NOTE}))\.lock",
    "draft": rf"\.({_OWNER}(\..+)?|(?P<other>{_NOTE}))\.(?P<pid>\d+)\.part(\.\w+)?",
}


class Name(NamedTuple):
    """kind: artifact, checkpoint, snapshot, adoption, set aside, lock or draft. owner: STEM-KEY, or what is locked or written.

    pid: of a draft.
    """

    kind: str
    owner: str
    stem: str | None
    key: str | None
    pid: int | None


def parse(path: Path) -> Name | None:
    """What a file is by its name; None if that is none of this program's, or of a file published with an artifact."""
    for kind, pattern in _KINDS.items():
        if found := re.fullmatch(pattern, path.name):
            parts = found.groupdict()
            owner = parts["owner"] or parts["other"]
            return Name(kind, owner, parts["stem"], parts["key"], int(parts["pid"]) if "pid" in parts else None)
    return None


def key_of(path: Path) -> str:
    """The key in the file name of an artifact or of what an unfinished stage left."""
    return parse(path).key


def artifacts(folder: Path, stem: str | None = None, kinds: tuple[str, ...] = ("artifact",)) -> list[Path]:
    """The artifacts in a folder, sound or not, and files like them; with `stem` those of one stage."""
    named = ((path, parse(path)) for path in sorted(folder.glob("*.h5")))
    return [path for path, name in named if name and name.kind in kinds and stem in (None, name.stem)]


def all_artifacts(root: Path, kinds: tuple[str, ...] = ("artifact",)) -> list[Path]:
    """Every artifact of a workspace, sound or not, and files like them."""
    return [path for folder in FOLDERS for path in artifacts(root / folder, kinds=kinds)]
