"""Are the arrays of two workspaces the same, byte for byte? For changes of the code that must change no result.

    python bench/arrays.py OLD NEW [--renamed docs/renamed-arrays.toml]

Compares every artifact of the workspaces OLD and NEW, whatever the keys in their names, and every CSV that was published with one. Reads
them with h5py only, so that OLD may have been made by any earlier version. `--renamed` names a TOML file: for each kind of artifact a
table from the old names of arrays to the new ones. Prints a table and exits with 1 if anything differs.
"""

import argparse
import hashlib
import re
import sys
import tomllib
from pathlib import Path

import h5py

NAME = re.compile(r"(?P<stem>[a-z][\w-]*)-(?P<key>[0-9a-f]{10})(?P<rest>\.\w+)?\.(?P<suffix>h5|csv)")


def contents(workspace: Path, renamed: dict[str, dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Artifact without its key -> for each file of that name {array: SHA-256 of its shape, dtype and bytes}."""
    found: dict[str, list[dict[str, str]]] = {}
    for path in sorted(workspace.glob("*/*")):
        if match := NAME.fullmatch(path.name):
            name = f"{path.parent.name}/{match['stem']}{match['rest'] or ''}.{match['suffix']}"
            names = renamed.get(match["stem"].split("-")[0], {})
            found.setdefault(name, []).append(arrays(path, names) if path.suffix == ".h5" else {"bytes": digest(path.read_bytes())})
    return {name: sorted(files, key=str) for name, files in found.items()}


def arrays(path: Path, names: dict[str, str]) -> dict[str, str]:
    """SHA-256 of each array of an artifact, by its new name; `plot/` only repeats other arrays for viewers."""
    found = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("plot/"):
            found[names.get(name, name)] = digest(f"{item.shape} {item.dtype} ".encode(), *blocks(item))

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def blocks(item: h5py.Dataset):
    """The bytes of an array, row by row where it has rows."""
    if item.dtype.kind == "O":
        yield repr(item.asstr()[()].tolist()).encode()
    elif item.ndim == 0:
        yield item[()].tobytes()
    else:
        yield from (item[row].tobytes() for row in range(len(item)))


def digest(*parts: bytes) -> str:
    """SHA-256 of some bytes."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


def main() -> int:
    """Compares and prints; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--renamed", type=Path)
    options = parser.parse_args()
    renamed = tomllib.loads(options.renamed.read_text()) if options.renamed else {}
    old, new = contents(options.old, renamed), contents(options.new, {})
    different = 0
    print(f"{'artifact':<48}{'files':>6}{'arrays':>8}  SHA-256 of all, old and new")
    for name in sorted({*old, *new}):
        before, after = old.get(name, []), new.get(name, [])
        same = before == after
        different += not same
        hashes = " ".join(
            digest(repr([sorted(file.items()) for file in files]).encode())[:12] if files else "-" * 12 for files in (before, after)
        )
        print(f"{name:<48}{len(after):>6}{sum(map(len, after)):>8}  {hashes}{'' if same else '  DIFFERENT'}")
        for one, other in zip(before, after, strict=False):
            wrong = [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
            if wrong:
                print(f"    {', '.join(wrong)}")
    print(f"{different} of {len({*old, *new})} differ")
    return 1 if different or not old else 0


if __name__ == "__main__":
    sys.exit(main())
