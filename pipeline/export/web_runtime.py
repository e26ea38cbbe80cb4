"""The files of ONNX Runtime for browsers: in a folder, in the archive of npm, or fetched with npm."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.units import printable

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
FOLDER = "package/dist"  # of the files in the archive of npm
SHA256 = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
BY_HAND = f"On a machine with npm, run `npm pack {PACKAGE}@{VERSION}` and name the file that it writes with --runtime FILE."


@dataclass(frozen=True)
class WebRuntime:
    """The script, an ECMAScript module, and the WebAssembly that it runs."""

    script: bytes
    binary: bytes


def given(place: Path) -> WebRuntime:
    """The files in a folder or in an archive of npm. Raises InputError if they are not there."""
    name = printable(place)
    try:
        if place.is_dir():
            folder = next((folder for folder in (place, place / "dist", place / FOLDER) if (folder / SCRIPT).is_file()), place)
            return WebRuntime(*((folder / file).read_bytes() for file in (SCRIPT, BINARY)))
        with tarfile.open(place) as archive:
            return WebRuntime(*(_member(archive, f"{FOLDER}/{file}") for file in (SCRIPT, BINARY)))
    except (OSError, KeyError, tarfile.TarError):
        raise InputError(
            f"--runtime {name} is no archive of {PACKAGE} with {SCRIPT} and {BINARY}, and no folder of them. {BY_HAND}"
        ) from None


def fetched() -> WebRuntime:
    """The files from the user's cache, where they are put with npm if they are missing.

    Raises InputError if there is no npm, or if it fails, or if the files are not those of VERSION.
    """
    cache = cached()
    if not all((cache / file).is_file() for file in (SCRIPT, BINARY)):
        _fetch(cache)
    found = given(cache)
    for file, content in ((SCRIPT, found.script), (BINARY, found.binary)):
        if hashlib.sha256(content).hexdigest() != SHA256[file]:
            raise InputError(f"{printable(cache / file)} is not that of {PACKAGE} {VERSION}. Remove it, and run the command again.")
    return found


def cached() -> Path:
    """The folder of the files that npm has fetched."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keypoints" / f"{PACKAGE}-{VERSION}"


def _fetch(cache: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"The page needs {PACKAGE}, which npm fetches, but npm is not installed. {BY_HAND}")
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run([npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=place, capture_output=True, text=True, check=False)
        archives = list(Path(place).glob("*.tgz"))
        if done.returncode or not archives:
            raise InputError(f"npm could not fetch {PACKAGE} {VERSION}. {BY_HAND}")
        found = given(archives[0])
    cache.mkdir(parents=True, exist_ok=True)
    for file, content in ((SCRIPT, found.script), (BINARY, found.binary)):
        draft = cache / f"{file}.{os.getpid()}"
        draft.write_bytes(content)
        draft.replace(cache / file)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()
