"""The bytes of one CSV file, plain or inside a zip file, in blocks: memory use stays small even for huge or malicious files."""

import io
import os
import re
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

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
    """STEM.csv or STEM.zip in the folder, or None if there is neither. Raises InputError if there are both."""
    found = [path for path in (Path(folder) / f"{stem}.csv", Path(folder) / f"{stem}.zip") if os.path.lexists(path)]
    if len(found) > 1:
        raise InputError(f"{folder} contains both {found[0].name} and {found[1].name}; remove the one that should not be read.")
    return found[0] if found else None


def open_csv(path: Path, on_progress: OnProgress = ignored) -> Source:
    """Opens a CSV file or, if the path ends in .zip, the only CSV file in the zip file.

    Nothing is ever unpacked to disk, so names in a zip file cannot do harm, but a zip file with a harmful name is refused anyway.

    on_progress: receives the number of bytes of each block when the next one is requested.

    Raises InputError, at once or while the blocks are consumed, if the path is not a readable file; if a zip file is damaged, encrypted or
    does not contain exactly one CSV file; and if it would inflate to more than 4 GB, or to more than 50 times its size.
    """
    path = Path(path)
    _check_is_file(path)
    if path.suffix.lower() != ".zip":
        return Source(str(path), _reported(_file_blocks(path), on_progress))
    member = _only_csv(path)
    label = f"{path} ({_shown(member)} inside)"
    _check_member(label, member, path.stat().st_size)
    return Source(label, _reported(_ahead(_member_blocks(path, label, member)), on_progress))


def size(path: Path) -> int:
    """The number of bytes that `open_csv` will yield. Raises InputError if it would refuse the file at once."""
    _check_is_file(path)
    return path.stat().st_size if path.suffix.lower() != ".zip" else _only_csv(path).file_size


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


def _member_blocks(path: Path, label: str, member: zipfile.ZipInfo) -> Iterator[bytes]:
    # ZipExtFile never returns more than the declared size, so what was checked of the declared size holds for the content too.
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            while block := stream.read(BLOCK):
                yield block
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # see _only_csv
        raise _damaged(label, error) from error


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


def _only_csv(path: Path) -> zipfile.ZipInfo:
    try:
        with _Sparing(path) as file, zipfile.ZipFile(file) as archive:
            everything = archive.infolist()
    except PermissionError as error:
        raise _unreadable(path, error) from error
    # A damaged zip file makes zipfile raise BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error and more.
    except Exception as error:
        raise _damaged(path, error) from error
    if climbing := [member for member in everything if _climbs(member.filename)]:
        raise InputError(f"{path} contains a file whose name points outside the folder ({_shown(climbing[0])}); do not use it.")
    members = [member for member in everything if _is_csv(member)]
    if len(members) != 1:
        names = ", ".join(_shown(member) for member in members[:5])
        found = f"{len(members)} ({names})" if members else "none"
        raise InputError(f"{path} must contain exactly one CSV file but contains {found}; give the CSV file itself.")
    return members[0]


class _Sparing(io.FileIO):
    """A file that refuses to read much at once: zipfile reads a zip file's directory in one piece, as large as the file says it is."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"its directory has {size:,} bytes")
        return super().read(size)


def _shown(member: zipfile.ZipInfo) -> str:
    """A name as shown in messages. Names in a zip file can be long and contain any character, even those that control a terminal."""
    return _cut(member.filename.encode("unicode_escape").decode())


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def _climbs(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return not parts[0] or parts[0].endswith(":") or ".." in parts


def _is_csv(member: zipfile.ZipInfo) -> bool:
    """Whether it is a CSV file that a person put there. macOS adds a hidden companion of each file, in __MACOSX/."""
    parts = PurePosixPath(member.filename).parts
    hidden = any(part == "__MACOSX" or part.startswith(".") for part in parts)
    return not hidden and not member.is_dir() and member.filename.lower().endswith(".csv")


def _check_member(label: str, member: zipfile.ZipInfo, archive_size: int) -> None:
    if member.flag_bits & 0x1:
        raise InputError(f"{label} is encrypted; unpack it with its password and give the CSV file instead.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{label} uses an unusual compression method; unpack it and give the CSV file instead.")
    ratio = member.file_size / max(1, min(member.compress_size, archive_size))
    if member.file_size > LARGEST or (member.file_size > HARMLESS and ratio > LARGEST_RATIO):
        raise InputError(
            f"{label} would inflate to {member.file_size:,} bytes, {ratio:,.0f} times its size, as harmful files do; "
            "if you trust it, unpack it and give the CSV file instead."
        )
