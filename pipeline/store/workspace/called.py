"""How the user's shell finds the programs of this installation, so that the commands in messages can be copied as they are."""

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

# Each program, and the module that does the same with `python -m`.
PROGRAMS = {"keypoints": "pipeline", "luigi": "luigi"}


def called(program: str, *arguments: str) -> str:
    """The command that starts `program` (keypoints or luigi) with these arguments, as it can be typed in the current folder.

    It is the bare name if the shell finds the program of this installation, which it does in an activated environment. Otherwise it is the
    path of the program, such as .venv/bin/luigi, or python -m if this process was started that way.
    """
    return " ".join([_program(program), *arguments])


def _program(program: str) -> str:
    if Path(sys.argv[0] if sys.argv else "").parts[-2:] == (PROGRAMS[program], "__main__.py"):
        return f"{_found(Path(sys.executable))} -m {PROGRAMS[program]}"
    script = Path(sysconfig.get_path("scripts"), program)
    return _found(script) if script.exists() else f"{_found(Path(sys.executable))} -m {PROGRAMS[program]}"


def _found(file: Path) -> str:
    """The bare name of a program if the shell finds it, otherwise its path, relative if it is inside the current folder."""
    found = shutil.which(file.name)
    if found and Path(found).absolute() == file.absolute():
        return file.name
    try:
        below = file.absolute().relative_to(Path.cwd())
        return shlex.quote(f"{below}" if len(below.parts) > 1 else f"./{below}")
    except (ValueError, FileNotFoundError):
        return shlex.quote(os.fspath(file.absolute()))
