"""What the files of a workspace are, judged by name: STEM-KEY.h5 is an artifact, and the files that belong to it start with STEM-KEY."""

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from pipeline import environment

KEY_LENGTH = 10
# Bytes of a name to which a draft adds its own part; most file systems allow 255.
LONGEST_STEM = 100
# Partial results of a stage that has not finished; they have the form of artifacts.
UNFINISHED = ("checkpoint", "snapshot")
FOLDERS = ("data", "models", "submissions")

_OWNER = rf"(?P<owner>(?P<stem>[a-z][\w-]*)-(?P<key>[0-9a-f]{{{KEY_LENGTH}}}))"
# A process: HOST-PID, or only PID in files of earlier versions.
_PROCESS = r"((?P<host>[a-z0-9-]+)-)?(?P<pid>\d+)"
# Small files that are always rewritten as a whole.
_NOTE = r"\.file-hashes|\.definitions|last-run"
_KINDS = {
    "artifact": rf"{_OWNER}\.h5",
    **{kind: rf"{_OWNER}\.{kind}-\d+\.h5" for kind in UNFINISHED},
    "adoption": rf"{_OWNER}\.json",
    "quarantined": rf"{_OWNER}\..+\.(damaged|forgotten)-\d+",
    "lock": rf"\.({_OWNER}|(?P<other>run-([a-z0-9-]+-)?\d+-\d+|needs|{_NOTE}))\.lock",
    "draft": rf"\.({_OWNER}(\..+)?|(?P<other>{_NOTE}))\.{_PROCESS}\.part(\.\w+)?",
}


class Name(NamedTuple):
    """What a file name says.

    kind: artifact, checkpoint, snapshot, adoption, quarantined, lock or draft.
    owner: STEM-KEY, or the name of the small file that is locked or written.
    stem, key: the two parts of STEM-KEY; None where the owner is no artifact.
    host, pid: the process that writes a draft; None for the other kinds. Drafts of earlier versions name no host.
    """

    kind: str
    owner: str
    stem: str | None
    key: str | None
    host: str | None
    pid: int | None


def parse(path: Path) -> Name | None:
    """What a file is, judged by its name. None for files of other programs and for files published with an artifact."""
    for kind, pattern in _KINDS.items():
        if found := re.fullmatch(pattern, path.name):
            parts = found.groupdict()
            owner = parts["owner"] or parts["other"]
            return Name(kind, owner, parts["stem"], parts["key"], parts.get("host"), int(parts["pid"]) if "pid" in parts else None)
    return None


def draft(path: Path) -> Path:
    """The temporary file that this process writes before it is renamed to `path`.

    A long name, which only users give, is replaced by its hash.
    """
    stem = path.stem if len(os.fsencode(path.stem)) <= LONGEST_STEM else hashlib.sha256(os.fsencode(path.stem)).hexdigest()[:32]
    return path.with_name(f".{stem}.{environment.process()}.part{path.suffix}")


def key_of(path: Path) -> str:
    """The key in the file name of an artifact, checkpoint or snapshot. Raises ValueError if there is none."""
    name = parse(path)
    if name is None or name.key is None:
        raise ValueError(f"the name of {path} contains no key")
    return name.key


def artifacts(folder: Path, stem: str | None = None, kinds: tuple[str, ...] = ("artifact",)) -> list[Path]:
    """The files of a folder that are named like artifacts, damaged ones included, sorted by name.

    stem: limits the result to one stage.
    kinds: the kinds of files to list, see `Name`.
    """
    named = ((path, parse(path)) for path in sorted(folder.glob("*.h5")))
    return [path for path, name in named if name and name.kind in kinds and stem in (None, name.stem)]


def all_artifacts(root: Path, kinds: tuple[str, ...] = ("artifact",)) -> list[Path]:
    """The files of a whole workspace that are named like artifacts, damaged ones included."""
    return [path for folder in FOLDERS for path in artifacts(root / folder, kinds=kinds)]
