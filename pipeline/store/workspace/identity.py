"""The identity of a workspace: a random name in a file of its own, the same for all hosts that see the folder, under whatever path."""

import contextlib
import re
import secrets
import time
from pathlib import Path

from pipeline.store.workspace import files

NAME = ".workspace"
# Seconds for another process to write the file that it has created.
PATIENCE = 2.0


def of(root: Path) -> str:
    """The identity of the workspace in a folder, eight hexadecimal digits; the first request creates it.

    A copy of a workspace has the identity of the original.

    Raises InputError if the file cannot be written.
    """
    path = root / "models" / NAME
    if found := _read(path):
        return found
    with files.room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), path.open("x") as file:  # exclusive on NFS too
            file.write(f"{secrets.token_hex(4)}\n")
    deadline = time.monotonic() + PATIENCE
    while not (found := _read(path)):
        if time.monotonic() > deadline:  # its writer was killed, or the file was damaged
            with files.publishing(path) as draft:
                draft.write_text(f"{secrets.token_hex(4)}\n")
        time.sleep(0.05)
    return found


def _read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    return text if re.fullmatch("[0-9a-f]{8}", text) else None
