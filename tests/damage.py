"""Damages artifacts and reads them: `python -m tests.damage --flips 500` (with `--workspace DIR`: copies of the artifacts there).

Flips one random bit at a time in an artifact or in a file published with it, and makes as many cuts at random lengths. All must be noticed.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # as pytest does

import kinds

from pipeline.store.hdf5 import artifacts


@contextlib.contextmanager
def flipped(file: Path, rng: np.random.Generator) -> Iterator[str]:
    """The content with one random bit changed, and a description of the place."""
    place, bit = int(rng.integers(file.stat().st_size)), int(rng.integers(8))
    with file.open("rb+", buffering=0) as raw:
        _flip(raw, place, bit)
        try:
            yield f"bit {bit} of byte {place} of {file.name}"
        finally:
            _flip(raw, place, bit)


def _flip(raw, place: int, bit: int) -> None:
    raw.seek(place)
    byte = raw.read(1)[0]
    raw.seek(place)
    raw.write(bytes([byte ^ 1 << bit]))


@contextlib.contextmanager
def cut(file: Path, rng: np.random.Generator) -> Iterator[str]:
    """The content without a random part of its end."""
    with file.open("rb+", buffering=0) as raw:
        length = int(rng.integers(file.stat().st_size))
        raw.seek(length)
        end = raw.read()
        raw.truncate(length)
        try:
            yield f"{file.name} cut to {length} bytes"
        finally:
            raw.seek(length)
            raw.write(end)


def found(path: Path) -> str | None:
    """The message of the next reader of the artifact; None if it notices nothing."""
    artifacts._verified.clear()  # as a new process would
    try:
        artifacts.verify(path)
    except artifacts.Damaged as error:
        return str(error)
    return None


def files_of(path: Path) -> list[Path]:
    """An artifact and the files published with it."""
    with path.open("rb") as file:
        _, published = artifacts._parse(file.read(artifacts.USER_BLOCK), path)
    return [path, *(path.with_name(name) for name in published)]


def copied(workspace: Path, folder: Path) -> list[Path]:
    """Copies of all artifacts of a workspace and of the files published with them."""
    paths = sorted(workspace.glob("*/*-*.h5"))
    for file in [file for path in paths for file in files_of(path)]:
        shutil.copy(file, folder)
    return [folder / path.name for path in paths]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, counts, silent = np.random.default_rng(options.seed), Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        paths = copied(options.workspace, folder) if options.workspace else [kinds.write(kind, folder) for kind in kinds.KINDS.values()]
        files = {path: files_of(path) for path in paths}
        for number in range(2 * options.flips):
            path = paths[number // 2 % len(paths)]
            damage = (flipped, cut)[number % 2]
            with damage(files[path][int(rng.integers(len(files[path])))], rng) as where:
                if found(path):
                    counts[damage.__name__, path.name.rsplit("-", 1)[0]] += 1
                else:
                    silent.append(where)
        intact = [path for path in paths if found(path) is None]
    for (damage, name), count in sorted(counts.items()):
        print(f"{name}: {count} times {damage}, found")
    print("\n".join([*(f"SILENT: {where}" for where in silent), f"{sum(counts.values())} of {2 * options.flips} found"]))
    if len(intact) < len(paths):
        print("the files were not put back as they were")
    return 1 if silent or len(intact) < len(paths) else 0


if __name__ == "__main__":
    sys.exit(main())
