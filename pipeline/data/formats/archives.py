"""The bytes of one CSV file in blocks, so that memory use stays small even for huge or malicious files.

The file is plain, or inside a zip file. Kaggle also serves all its files in one zip file, with some of them zipped once more in it: the
path of such a file is that of the zip file followed by the name inside, such as facial-keypoints-detection.zip/training.zip.
"""

import contextlib
import os
import re
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pipeline.errors import InputError
from pipeline.progress import OnProgress, ignored

BLOCK = 4 << 20  # bytes; with 1 MiB `csvrows` took a third longer, and 8 MiB gained nothing
LARGEST = 4 << 30  # bytes inflated from a zip file; Kaggle's largest file has 195 MB
LARGEST_RATIO = 50  # Kaggle's files have a ratio of about 4; the limit of deflate is about 1,000
HARMLESS = 100 << 20  # bytes that may be inflated at any ratio, because a few blank images compress very well
LARGEST_DIRECTORY = 1 << 20  # bytes; enough for 10,000 files


class Source(NamedTuple):
    """A CSV file that has been opened.

    label: its name in messages.
    blocks: its bytes, to be consumed once; raises InputError if they cannot be read.
    """

    label: str
    blocks: Iterator[bytes]


def find_file(folder: Path, stem: str) -> Path | None:
    """STEM.csv or STEM.zip in a folder, or anywhere in a zip file that has several of Kaggle's files; None if there is neither.

    Raises InputError if there are both, and if the zip file cannot be used.
    """
    if _is_zip(folder):
        return _find_member(Path(folder), stem)
    found = [path for path in (Path(folder) / f"{stem}.csv", Path(folder) / f"{stem}.zip") if os.path.lexists(path)]
    if len(found) > 1:
        raise InputError(f"{folder} contains both {found[0].name} and {found[1].name}; remove the one that should not be read.")
    return found[0] if found else None


def open_csv(path: Path, on_progress: OnProgress = ignored) -> Source:
    """Opens a CSV file or, if the path ends in .zip, the only CSV file in the zip file. The path may lead into another zip file.

    Nothing is ever unpacked to disk, so names in a zip file cannot do harm, but a zip file with a harmful name is refused anyway.

    on_progress: receives the number of bytes of each block when the next one is requested.

    Raises InputError, at once or while the blocks are consumed, if the path is not a readable file; if a zip file is damaged, encrypted or
    does not contain exactly one CSV file; and if it would inflate to more than 4 GB, or to more than 50 times its size.
    """
    located = _located(Path(path))
    if not located.members:
        return Source(str(path), _reported(_file_blocks(located.path), on_progress))
    return Source(located.label, _reported(_ahead(_member_blocks(located)), on_progress))


def size(path: Path) -> int:
    """The number of bytes that `open_csv` will yield. Raises InputError if it would refuse the file at once."""
    located = _located(Path(path))
    return located.members[-1].file_size if located.members else located.path.stat().st_size


class _Located(NamedTuple):
    """Where a CSV file is: a file, and for each zip file around it, from the outermost, the member that leads to it."""

    path: Path
    members: tuple[zipfile.ZipInfo, ...]

    @property
    def label(self) -> str:
        return f"{self.path} ({' / '.join(_shown(member) for member in self.members)} inside)"


def _located(path: Path) -> _Located:
    around = next((folder for folder in path.parents if _is_zip(folder)), None)
    if around:
        return _located_inside(around, path.relative_to(around).as_posix())
    _check_is_file(path)
    if path.suffix.lower() != ".zip":
        return _Located(path, ())
    return _checked(_Located(path, (_only_csv(str(path), _directory(path, ())),)))


def _located_inside(path: Path, name: str) -> _Located:
    """The CSV file of this name in a zip file, or the only CSV file in the zip file of this name in it."""
    outer = next((member for member in _directory(path, ()) if PurePosixPath(member.filename) == PurePosixPath(name)), None)
    if outer is None:
        raise InputError(f"{path} no longer contains {_cut(name)}; check that it is the right file.")
    found = _checked(_Located(path, (outer,)))
    if name.lower().endswith(".zip"):
        found = _checked(_Located(path, (outer, _only_csv(found.label, _directory(path, (outer,))))))
    return found


def _is_zip(path: Path) -> bool:
    try:
        return path.suffix.lower() == ".zip" and path.is_file()
    except PermissionError:
        return False


def _find_member(path: Path, stem: str) -> Path | None:
    """The path of STEM.csv or STEM.zip in a zip file."""
    wanted = {f"{stem}.csv".lower(), f"{stem}.zip".lower()}
    found = [member for member in _directory(path, ()) if _is_ours(member) and PurePosixPath(member.filename).name.lower() in wanted]
    if len(found) > 1:
        raise InputError(f"{path} contains both {_shown(found[0])} and {_shown(found[1])}; remove the one that should not be read.")
    return path / found[0].filename if found else None


def _check_is_file(path: Path) -> None:
    try:
        path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if path.is_dir():
        raise InputError(f"{path} is a folder; replace it with a file of that name.")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; replace it with one.")


def _unreadable(label: str | Path, error: OSError) -> InputError:
    return InputError(f"{label} cannot be read ({error.strerror or error}); check that it exists and that you have permission to read it.")


def _damaged(label: str | Path, error: Exception) -> InputError:
    return InputError(f"{label} is not a usable zip file ({_cut(str(error)) or type(error).__name__}); create or copy it again.")


def _file_blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        raise _unreadable(path, error) from error


def _member_blocks(located: _Located) -> Iterator[bytes]:
    # ZipExtFile never returns more than the declared size, so what was checked of the declared size holds for the content too.
    try:
        with contextlib.ExitStack() as opened:
            stream: Any = opened.enter_context(located.path.open("rb"))
            for member in located.members:
                stream = opened.enter_context(opened.enter_context(zipfile.ZipFile(stream)).open(member))
            while block := stream.read(BLOCK):
                yield block
    except PermissionError as error:
        raise _unreadable(located.path, error) from error
    except Exception as error:  # see _directory
        raise _damaged(located.label, error) from error


def _ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, each prepared by another thread while the previous one is in use: inflating takes a quarter of a reader's time."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block


def _reported(blocks: Iterator[bytes], on_progress: OnProgress) -> Iterator[bytes]:
    for block in blocks:
        yield block
        on_progress(len(block))


def _directory(path: Path, members: tuple[zipfile.ZipInfo, ...]) -> list[zipfile.ZipInfo]:
    """The members of a zip file or, if `members` leads into it, of a zip file inside. InputError if one has a harmful name."""
    label = _Located(path, members).label if members else str(path)
    try:
        with contextlib.ExitStack() as opened:
            stream: Any = opened.enter_context(path.open("rb"))
            for member in members:
                stream = opened.enter_context(opened.enter_context(zipfile.ZipFile(stream)).open(member))
            everything = opened.enter_context(zipfile.ZipFile(_Sparing(stream))).infolist()
    except PermissionError as error:
        raise _unreadable(path, error) from error
    # A damaged zip file makes zipfile raise BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error and more.
    except Exception as error:
        raise _damaged(label, error) from error
    if climbing := [member for member in everything if _climbs(member.filename)]:
        raise InputError(f"{label} contains a file whose name points outside the folder ({_shown(climbing[0])}); do not use it.")
    return everything


def _only_csv(label: str, everything: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    members = [member for member in everything if _is_ours(member) and member.filename.lower().endswith(".csv")]
    if len(members) != 1:
        names = ", ".join(_shown(member) for member in members[:5])
        found = f"{len(members)} ({names})" if members else "none"
        raise InputError(f"{label} must contain exactly one CSV file but contains {found}; give the CSV file itself.")
    return members[0]


class _Sparing:
    """A file that refuses to read much at once: zipfile reads a zip file's directory in one piece, as large as the file says it is."""

    def __init__(self, file: Any):
        self.seek, self.tell, self.seekable, self._file = file.seek, file.tell, file.seekable, file

    def read(self, size: int = -1) -> bytes:
        """As of any file. Raises BadZipFile for too many bytes."""
        if size > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"its directory has {size:,} bytes")
        return bytes(self._file.read(size))


def _shown(member: zipfile.ZipInfo) -> str:
    """A name as shown in messages. Names in a zip file can be long and contain any character, even those that control a terminal."""
    return _cut(member.filename.encode("unicode_escape").decode())


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def _climbs(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return not parts[0] or parts[0].endswith(":") or ".." in parts


def _is_ours(member: zipfile.ZipInfo) -> bool:
    """Whether it is a file that a person put there. macOS adds a hidden companion of each file, in __MACOSX/."""
    hidden = any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(member.filename).parts)
    return not hidden and not member.is_dir()


def _checked(located: _Located) -> _Located:
    """The same place, after a look at what its last member says of itself. Raises InputError for what cannot be inflated without risk."""
    label, member = located.label, located.members[-1]
    if member.flag_bits & 0x1:
        raise InputError(f"{label} is encrypted; unpack it with its password and give the CSV file instead.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{label} uses an unusual compression method; unpack it and give the CSV file instead.")
    stored = min(located.path.stat().st_size, *(member.compress_size for member in located.members))
    ratio = member.file_size / max(1, stored)
    if member.file_size > LARGEST or (member.file_size > HARMLESS and ratio > LARGEST_RATIO):
        raise InputError(
            f"{label} would inflate to {member.file_size:,} bytes, {ratio:,.0f} times its size, as harmful files do; "
            "if you trust it, unpack it and give the CSV file instead."
        )
    return located
