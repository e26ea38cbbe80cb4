"""What lies in a workspace and is not needed.

Only what is recognisably this program's counts: by its name, which holds a key, and, where it is whole, by what is in it. A file beside an
artifact counts if the artifact has its checksum. Links are not followed, folders are left alone.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.store.cleanup import in_use
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import adoptions
from pipeline.store.run.targets import Artifact
from pipeline.store.workspace import files, locks, names
from pipeline.store.workspace.names import Name

FOLDERS = (*names.FOLDERS, adoptions.FOLDER.as_posix())
OTHER = "other settings, data or code"


@dataclass(frozen=True)
class Leftover:
    """Files that go together, in this order, with their sizes in bytes. age: seconds since the last of them was written.

    place: FOLDER/STEM-KEY of what they belong to; its lock has the same name.
    """

    files: dict[Path, int]
    kind: str
    place: str
    why: str
    age: float


def find(root: Path, kept: set[str]) -> Iterator[Leftover]:
    """What belongs to none of the artifacts `kept`, given as FOLDER/STEM-KEY, and what nobody needs any more of those that do."""
    for folder in FOLDERS:
        for path in regular_files(root / folder):
            # A process that lives may take its files away meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if (name := names.parse(path)) and (found := _found(root, path, name, kept)):
                    place, why, *beside = found
                    sizes = {file: file.lstat().st_size for file in (*beside, path)}
                    yield Leftover(sizes, name.kind, place, why, time.time() - path.lstat().st_mtime)


def regular_files(folder: Path) -> list[Path]:
    """The files in a folder, in the order of their names; none where the folder itself is a link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]


def newest(root: Path, count: int) -> set[str]:
    """FOLDER/STEM-KEY of the newest artifacts of each stage."""
    by_stage: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(names.all_artifacts(root), key=lambda path: path.lstat().st_mtime, reverse=True):
        if _published(path) is not None:
            by_stage.setdefault((path.parent.name, names.parse(path).stem), []).append(path)
    return {f"{path.parent.name}/{path.stem}" for paths in by_stage.values() for path in paths[:count]}


def user(root: Path, leftover: Leftover) -> str | None:
    """The process that makes, reads or is going to read what a leftover belongs to; None if there is none."""
    path = root / leftover.place
    writer = locks.holder(path.with_name(f".{path.name}.lock"))
    return in_use.needed_by(root / "models", {leftover.place}) if writer is None else locks.who(writer)


def remove(root: Path, leftover: Leftover) -> bool:
    """Removes the files unless another process holds their lock; whether it did."""
    with locks.free(root / f"{leftover.place}.h5") as free:
        # A dead process' lock file goes with the lock that was just taken over.
        for path in leftover.files if free and leftover.kind != "lock" else ():
            path.unlink(missing_ok=True)
    return free


def _found(root: Path, path: Path, name: Name, kept: set[str]) -> tuple | None:
    """(what it belongs to, why it is a leftover, files that go with it ...) if the file is one."""
    place = f"{path.parent.relative_to(root).as_posix()}/{name.owner}"
    match name.kind:
        case "artifact" if place not in kept and (published := _published(path)) is not None:
            # These go first: if the removal is interrupted, the artifact still says what belongs to it.
            return place, f"made with {OTHER}", *_sound_beside(path, published)
        case kind if kind in names.UNFINISHED and _published(path) is not None and Artifact(root / f"{place}.h5").exists():
            return place, f"{kind} of a training that has ended"
        case kind if kind in names.UNFINISHED and _published(path) is not None and place not in kept:
            return place, f"{kind} of a training with {OTHER}"
        case "adoption" if path.parent == root / adoptions.FOLDER and (adoption := adoptions.read(path)):
            places = [f"{folder}/{name.stem}-{adoption.adopted}" for folder in names.FOLDERS]
            adopted = next((place for place in places if (root / f"{place}.h5").exists()), place)
            # Needed by whoever needs the artifact.
            return None if adopted in kept else (adopted, f"adoption of what was made with {OTHER}")
        case "set aside" if _was_ours(path, name):
            return place, "set aside by forget" if ".forgotten-" in path.name else "set aside as damaged"
        case "draft" if not _lives(name.pid):
            return place, "unfinished, its process has died"
        case "lock" if locks.holder(path) is None:
            return place, "lock of a process that has died"
    return None


def _published(path: Path) -> dict[str, str] | None:
    """Names and checksums of the files that were published with an artifact; None if `path` is none."""
    try:
        return artifacts.published(path)
    except (artifacts.Damaged, OSError):
        return None


def _sound_beside(path: Path, published: dict[str, str]) -> list[Path]:
    """The files that were published with an artifact, bear its name and are still what they were, or may be anything."""
    beside = {path.with_name(name): digest for name, digest in published.items() if name.startswith(f"{path.stem}.")}
    there = {file: digest for file, digest in beside.items() if not file.is_symlink() and file.is_file()}
    return [file for file, digest in there.items() if digest in (artifacts.ANY, files.sha256(file))]


def _was_ours(path: Path, name: Name) -> bool:
    """Whether a file set aside was an artifact or like one, a record or, as an artifact of that name says, published with one."""
    former = path.name.rsplit(".", 1)[0]
    if former.endswith(".h5") or path.parent.name == adoptions.FOLDER.name:
        return True
    return any(former in (_published(artifact) or ()) for artifact in path.parent.glob(f"{name.owner}.h5*"))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
