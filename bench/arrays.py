"""Checks that the arrays of two workspaces are equal to the byte, for changes of the code that must not change any result.

    python bench/arrays.py OLD NEW [--renamed docs/renamed-arrays.toml]

Compares every artifact of the workspaces OLD and NEW, whatever the keys in their file names, and every CSV file that was published with an
artifact. Equal files under several keys count once. Reads the artifacts only with h5py, so OLD may have been made by any earlier version.
--renamed names a TOML file that has, for each kind of artifact, a table from the old names of arrays to the new ones; KIND:NAME is an array
that has moved to another kind of artifact. Its table `added` lists, by kind, the beginnings of the names of arrays that are new. Prints a
table and exits with 1 if anything differs.
"""

import argparse
import hashlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import h5py

NAME = re.compile(r"(?P<stem>[a-z][\w-]*)-(?P<key>[0-9a-f]{10})(?P<rest>\.\w+)?\.(?P<suffix>h5|csv)")
BLOCK_BYTES = 16 << 20  # read at once

# The arrays of a file, by name: the SHA-256 of shape, type and bytes. A CSV file counts as one array.
Arrays = dict[str, str]


def main() -> int:
    """Compares two workspaces, prints the table and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD", help="workspace made by the old code")
    parser.add_argument("new", type=Path, metavar="NEW", help="workspace made by the new code")
    parser.add_argument("--renamed", type=Path, help="TOML file with the new names of arrays (default: no array has a new name)")
    options = parser.parse_args()
    renamed = tomllib.loads(options.renamed.read_text()) if options.renamed else {}
    added = renamed.pop("added", {})
    old, new = contents(options.old, renamed), contents(options.new, {}, added)
    for workspace, found in ((options.old, old), (options.new, new)):
        if not found:
            print(f"There are no artifacts in the workspace {workspace}.")
            return 1
    names = sorted({*old, *new})
    print(f"{'artifact':<48}{'files':>6}{'arrays':>8}  SHA-256 of all arrays, old and new")
    different = [print_row(name, old.get(name, []), new.get(name, [])) for name in names].count(False)
    print(f"{different} of {len(names)} differ")
    return 1 if different else 0


def print_row(name: str, old: list[Arrays], new: list[Arrays]) -> bool:
    """Prints the row of the files that share a name, and the names of arrays that differ; returns whether the files are equal."""
    same = old == new
    hashes = " ".join(digest(repr(files).encode())[:12] if files else "-" * 12 for files in (old, new))
    print(f"{name:<48}{len(new):>6}{sum(map(len, new)):>8}  {hashes}{'' if same else '  DIFFERENT'}")
    if old and new and len(old) != len(new):
        print(f"    {len(old)} old files and {len(new)} new files")
    elif not same:
        for one, other in zip(old, new, strict=False):
            if wrong := [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]:
                print(f"    {', '.join(wrong)}")
    return same


def contents(workspace: Path, renamed: dict[str, dict[str, str]], added: dict[str, list[str]] | None = None) -> dict[str, list[Arrays]]:
    """The distinct files of a workspace by their names without the key; several files may share a name.

    renamed: for each kind of artifact a table from the names of arrays in the file to their names in the result, KIND:NAME for an array of
    another kind of artifact. added: for each kind the beginnings of the names of arrays that are left out.
    """
    found: dict[str, dict[str, Arrays]] = {}
    for path in sorted(workspace.glob("*/*")):
        if match := NAME.fullmatch(path.name):
            name = f"{path.parent.name}/{match['stem']}{match['rest'] or ''}.{match['suffix']}"
            kind = match["stem"].split("-")[0]
            file = arrays(path, renamed.get(kind, {})) if path.suffix == ".h5" else {"bytes": digest(path.read_bytes())}
            file = {array: value for array, value in file.items() if not array.startswith(tuple((added or {}).get(kind, ())))}
            for other in sorted({array.split(":")[0] for array in file if ":" in array}):
                moved = {array.split(":")[1]: file.pop(array) for array in list(file) if array.startswith(f"{other}:")}
                moved = dict(sorted(moved.items()))
                found.setdefault(f"{path.parent.name}/{other}.h5", {})[repr(moved)] = moved
            found.setdefault(name, {})[repr(file)] = file
    return {name: [files[key] for key in sorted(files)] for name, files in found.items()}


def arrays(path: Path, names: dict[str, str]) -> Arrays:
    """The arrays of an artifact, in the order of their names. Leaves out `plot/`, which repeats other arrays for viewers."""
    found: Arrays = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("plot/"):
            found[names.get(name, name)] = digest(f"{item.shape} {item.dtype} ".encode(), *blocks(item))

    with h5py.File(path) as file:
        file.visititems(visit)
    return dict(sorted(found.items()))


def blocks(item: h5py.Dataset) -> Iterator[bytes]:
    """The bytes of an array, block by block; of an array of text, its representation."""
    if item.dtype.kind == "O":
        yield repr(item.asstr()[()]).encode() if item.ndim == 0 else repr(item.asstr()[()].tolist()).encode()
    elif item.ndim == 0:
        yield item[()].tobytes()
    else:
        rows = max(1, BLOCK_BYTES * len(item) // max(1, item.nbytes))
        yield from (item[start : start + rows].tobytes() for start in range(0, len(item), rows))


def digest(*parts: bytes) -> str:
    """The SHA-256 of the parts, one after another."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
