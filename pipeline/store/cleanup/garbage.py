"""Files in a workspace that nothing needs any more.

Only files that this program has certainly written are found: they are recognised by their names, which contain a key, and by their content
where they are complete. A file beside an artifact is included if the artifact stores its digest. Links are not followed, and folders are
left alone.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline import environment
from pipeline.store.cleanup import in_use
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import adoptions
from pipeline.store.workspace import files, locks, names
from pipeline.store.workspace.names import Name

FOLDERS = (*names.FOLDERS, adoptions.FOLDER.as_posix())
OTHER = "other settings, data or code"


@dataclass(frozen=True)
class Leftover:
    """Files that belong together and are removed in this order, with their sizes in bytes.

    kind: see `pipeline.store.workspace.names.Name`.
    place: FOLDER/STEM-KEY of the artifact that they belong to, which is also the name of its lock.
    why: the reason why nothing needs them.
    age: seconds since the last file was written.
    """

    files: dict[Path, int]
    kind: str
    place: str
    why: str
    age: float


class _Found(NamedTuple):
    """Why a file is a leftover of the artifact `place`, and other files that are removed before it."""

    place: str
    why: str
    together: tuple[Path, ...] = ()


def find(root: Path, kept: set[str]) -> Iterator[Leftover]:
    """The leftovers of a workspace: all that belongs to none of the artifacts `kept`, and what they themselves no longer need.

    kept: artifacts as FOLDER/STEM-KEY.
    """
    for folder in FOLDERS:
        for path in regular_files(root / folder):
            # A running process may remove its files in the meantime.
            with contextlib.suppress(FileNotFoundError):
                if (name := names.parse(path)) and (found := _found(root, path, name, kept)):
                    sizes = {file: file.lstat().st_size for file in (*found.together, path)}
                    yield Leftover(sizes, name.kind, found.place, found.why, time.time() - path.lstat().st_mtime)


def regular_files(folder: Path) -> list[Path]:
    """The regular files in a folder, sorted by name; none if the folder itself is a link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]


def newest(root: Path, count: int) -> set[str]:
    """The newest `count` artifacts of each stage, as FOLDER/STEM-KEY."""
    by_stage: dict[str, list[Path]] = {}
    for path in sorted(names.all_artifacts(root), key=lambda path: path.lstat().st_mtime, reverse=True):
        if _published(path) is not None:
            by_stage.setdefault(f"{path.parent.name}/{path.stem.removesuffix(names.key_of(path))}", []).append(path)
    return {f"{path.parent.name}/{path.stem}" for paths in by_stage.values() for path in paths[:count]}


def user(root: Path, leftover: Leftover) -> str | None:
    """The name of a process that writes, reads or is going to read the artifact that a leftover belongs to; None if there is none."""
    path = root / leftover.place
    writer = locks.holder(path.with_name(f".{path.name}.lock"))
    return in_use.needed_by(root / "models", {leftover.place}) if writer is None else locks.who(writer)


def remove(root: Path, leftover: Leftover) -> bool:
    """Removes the files unless another process holds the lock of their artifact; returns whether they were removed."""
    with locks.free(root / f"{leftover.place}.h5") as free:
        # The lock file of a dead process disappears with the lock that has just been taken over.
        for path in leftover.files if free and leftover.kind != "lock" else ():
            path.unlink(missing_ok=True)
    return free


def _found(root: Path, path: Path, name: Name, kept: set[str]) -> _Found | None:
    """Why a file is a leftover; None if it is not."""
    place = f"{path.parent.relative_to(root).as_posix()}/{name.owner}"
    if name.kind in names.UNFINISHED:
        return _unfinished(root, path, name.kind, place, kept)
    match name.kind:
        case "artifact" if place not in kept and (published := _published(path)) is not None:
            # The files beside it are removed first: if the removal is interrupted, the artifact still says what belongs to it.
            return _Found(place, f"made with {OTHER}", tuple(_sound_beside(path, published)))
        case "adoption" if path.parent == root / adoptions.FOLDER and (adoption := adoptions.read(path)):
            places = [f"{folder}/{name.stem}-{adoption.adopted}" for folder in names.FOLDERS]
            adopted = next((place for place in places if (root / f"{place}.h5").exists()), place)
            # Whoever needs the artifact needs the record.
            return None if adopted in kept else _Found(adopted, f"adoption of what was made with {OTHER}")
        case "quarantined" if _was_ours(path, name):
            return _Found(place, "quarantined by forget" if ".forgotten-" in path.name else "quarantined as damaged")
        case "draft" if not _is_written(path, name):
            return _Found(place, "draft of a process that has died")
        case "lock" if locks.holder(path) is None:
            return _Found(place, "lock of a process that has died")
    return None


def _unfinished(root: Path, path: Path, kind: str, place: str, kept: set[str]) -> _Found | None:
    """Why a checkpoint or snapshot is a leftover; None if it is not."""
    if _published(path) is None:
        return None
    if artifacts.is_sound(root / f"{place}.h5"):
        return _Found(place, f"{kind} of a training that has ended")
    return _Found(place, f"{kind} of a training with {OTHER}") if place not in kept else None


def _published(path: Path) -> dict[str, str] | None:
    """The names and digests of the files that were published with an artifact; None if `path` is not an artifact."""
    try:
        return artifacts.published(path)
    except (artifacts.Damaged, OSError):
        return None


def _sound_beside(path: Path, published: dict[str, str]) -> list[Path]:
    """The files published with an artifact that have its key, and still have the content that was published or may have any."""
    beside = {path.with_name(name): digest for name, digest in published.items() if f"-{names.key_of(path)}." in name}
    existing = {file: digest for file, digest in beside.items() if not file.is_symlink() and file.is_file()}
    return [file for file, digest in existing.items() if digest in (artifacts.ANY, files.sha256(file))]


def _was_ours(path: Path, name: Name) -> bool:
    """Whether a quarantined file was an artifact, a partial result, a record of an adoption, or published with an artifact."""
    former = path.name.rsplit(".", 1)[0]
    if former.endswith(".h5") or path.parent.name == adoptions.FOLDER.name:
        return True
    return any(former in (_published(artifact) or ()) for artifact in path.parent.glob(f"*-{name.key}.h5*"))


def _is_written(draft: Path, name: Name) -> bool:
    """Whether a draft may belong to a running process.

    Only the processes of this host can be seen here. One on another host, or in a container, writes while the lock of its artifact is held
    or, where locks do not reach across hosts, while there is a lock file and the draft changes.
    """
    lock = draft.with_name(f".{name.owner}.lock")
    if locks.holder(lock) is not None:
        return True
    if name.host in (None, environment.host()):
        return name.pid is not None and _lives(name.pid)
    return lock.exists() and files.may_be_in_use(draft, name.host)


def _lives(pid: int) -> bool:
    """Whether a process of this host exists."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
