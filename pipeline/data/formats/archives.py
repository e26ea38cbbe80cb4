"""The bytes of one CSV file, plain or inside a zip, in blocks: memory stays small whatever the file's size, and whatever its intent."""

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

BLOCK = 4 << 20  # bytes; 1 MiB cost a third more time in the reader above this one, 8 MiB gained nothing
LARGEST = 4 << 30  # bytes inflated from a zip; Kaggle's largest file has 195 MB
LARGEST_RATIO = 50  # Kaggle's zips shrink to a quarter; deflate ends at about 1,000
HARMLESS = 100 << 20  # bytes that may be inflated from any ratio: a few blank images compress very well
LARGEST_DIRECTORY = 1 << 20  # bytes; 10,000 files


class Source(NamedTuple):
    """label: how messages name the file. blocks: its bytes, to be consumed once; raises InputError where they cannot be read."""

    label: str
    blocks: Iterator[bytes]


def find_file(folder: Path, stem: str) -> Path | None:
    """STEM.csv or STEM.zip in the folder, None where neither is there. Raises InputError if both are."""
    found = [path for path in (Path(folder) / f"{stem}.csv", Path(folder) / f"{stem}.zip") if os.path.lexists(path)]
    if len(found) > 1:
        raise InputError(
            f"{folder} has both {found[0].name} and {found[1].name}; remove one of them, so that it is clear which one counts."
        )
    return found[0] if found else None


def open_csv(path: Path, report: OnProgress = ignored) -> Source:
    """The bytes of a CSV file or, if the path ends in .zip, of the one CSV inside.

    report: told of each block's bytes when the next one is asked for.
    Raises InputError, now or while the blocks are consumed, for anything that is no readable file, for a zip that is damaged, encrypted,
    or has not exactly one CSV, and for one that would inflate to more than 4 GB or to more than 50 times its size.
    Nothing is ever unpacked into a file, so that names in a zip cannot do harm; a name that tries is a reason to refuse all the same.
    """
    path = Path(path)
    _check_is_file(path)
    if path.suffix.lower() != ".zip":
        return Source(str(path), _reported(_file_blocks(path), report))
    member = _only_csv(path)
    label = f"{path} ({_shown(member)} inside)"
    _check_member(label, member, path.stat().st_size)
    return Source(label, _reported(_ahead(_member_blocks(path, label, member)), report))


def size(path: Path) -> int:
    """How many bytes `open_csv` will give; InputError where it refuses the file at once."""
    _check_is_file(path)
    return path.stat().st_size if path.suffix.lower() != ".zip" else _only_csv(path).file_size


def _check_is_file(path: Path):
    try:
        path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if path.is_dir():
        raise InputError(f"{path} is a folder; a file of that name is expected in its place.")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; put Kaggle's file in its place.")


def _unreadable(label, error: OSError) -> InputError:
    return InputError(f"{label} cannot be read ({error.strerror or error}); check that it is there and that you may read it.")


def _damaged(label, error: Exception) -> InputError:
    return InputError(f"{label} is not a usable zip file ({_cut(str(error)) or type(error).__name__}); download it again.")


def _file_blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        raise _unreadable(path, error) from error


def _member_blocks(path: Path, label: str, member: zipfile.ZipInfo) -> Iterator[bytes]:
    # ZipExtFile never returns more than the declared size, so that the checks of the declaration hold for the content too.
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            while block := stream.read(BLOCK):
                yield block
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # see _only_csv
        raise _damaged(label, error) from error


def _ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, each made by another thread while the one before is in use: inflating takes a quarter of a reader's time."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block


def _reported(blocks: Iterator[bytes], report: OnProgress) -> Iterator[bytes]:
    for block in blocks:
        yield block
        report(len(block))


def _only_csv(path: Path) -> zipfile.ZipInfo:
    try:
        with _Sparing(path) as file, zipfile.ZipFile(file) as archive:
            everything = archive.infolist()
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except (
        Exception
    ) as error:  # damaged zips make zipfile raise BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error and more
        raise _damaged(path, error) from error
    if climbing := [member for member in everything if _climbs(member.filename)]:
        raise InputError(f"{path} has a file whose name leads out of the folder ({_shown(climbing[0])}); do not use it.")
    members = [member for member in everything if _is_csv(member)]
    if len(members) != 1:
        names = ", ".join(_shown(member) for member in members[:5]) or "none"
        raise InputError(f"{path} must hold exactly one CSV file, it holds {len(members)} ({names}); download it again.")
    return members[0]


class _Sparing(io.FileIO):
    """A file of which little is read at once. A zip's directory is read in one piece, as large as the zip says."""

    def read(self, size=-1):
        if size > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"its directory has {size:,} bytes")
        return super().read(size)


def _shown(member: zipfile.ZipInfo) -> str:
    """A name as messages show it: names in a zip can be long and hold any character, those that drive a terminal included."""
    return _cut(member.filename.encode("unicode_escape").decode())


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def _climbs(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return not parts[0] or parts[0].endswith(":") or ".." in parts


def _is_csv(member: zipfile.ZipInfo) -> bool:
    """Whether it is a CSV file that a person put there: macOS adds a hidden twin of each file, in __MACOSX/."""
    parts = PurePosixPath(member.filename).parts
    hidden = any(part == "__MACOSX" or part.startswith(".") for part in parts)
    return not hidden and not member.is_dir() and member.filename.lower().endswith(".csv")


def _check_member(label: str, member: zipfile.ZipInfo, archive_size: int):
    if member.flag_bits & 0x1:
        raise InputError(f"{label} is encrypted; unpack it with its password and give the CSV file instead.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{label} is compressed by an unusual method; unpack it and give the CSV file instead.")
    ratio = member.file_size / max(1, min(member.compress_size, archive_size))
    if member.file_size > LARGEST or (member.file_size > HARMLESS and ratio > LARGEST_RATIO):
        raise InputError(
            f"{label} would inflate to {member.file_size:,} bytes, {ratio:,.0f} times its size, which no file of Kaggle's does; "
            "download it again, or unpack it if you trust it."
        )
