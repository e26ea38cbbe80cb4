"""A `luigi` process in which something goes wrong at a chosen operation on the files of its workspace.

`python injected.py REQUEST` runs one; `python injected.py nursery MODULES...` imports the modules once and forks a process for each line
of input. As in SQLite's crash tests, a power cut may lose everything that has not been flushed to the disk by then.
"""

import builtins
import errno
import fcntl
import functools
import importlib
import io
import json
import os
import random
import resource
import signal
import stat
import sys
import time
from pathlib import Path

FOLDERS = ("data", "models", "submissions")
# Operations that need disk space.
TAKES_SPACE = {"create", "write", "pwrite", "mkdir"}


class Boundary:
    """Counts the operations on files in `folders`, from 1, and performs `action` at number `at`."""

    def __init__(self, folders: list[str], *, action: str | None = None, at: int = 0, trace: str | None = None):
        self.folders = tuple(folder + os.sep for folder in folders)
        self.action, self.at, self.trace, self.count = action, at, trace, 0
        self.opened: dict[int, str] = {}
        # What a power cut can undo: inode -> (path, first byte) of changes, and (from, to) of renames.
        self.unsynced: dict[int, tuple[str, int]] = {}
        self.renames: list[tuple[str, str]] = []

    def install(self) -> None:
        for name in ("mkdir", "replace", "rename", "unlink", "fsync", "write", "pwrite", "ftruncate"):
            setattr(os, name, self._counted("rename" if name == "replace" else name, getattr(os, name)))
        fcntl.flock = self._counted("flock", fcntl.flock)
        os.open, os.close = self._opening(os.open), self._closing(os.close)
        builtins.open = io.open = self._opening_files(io.open)

    # Operations

    def _counted(self, kind, operation):
        @functools.wraps(operation)
        def wrapped(where, *arguments, **options):
            if not self._is_inside(where):
                return operation(where, *arguments, **options)
            return self.step(kind, operation, where, *arguments, **options)

        return wrapped

    def _opening(self, operation):
        def wrapped(path, flags, *arguments, **options):
            if not self._is_inside(path):
                return operation(path, flags, *arguments, **options)
            new = flags & os.O_CREAT and not Path(path).exists()
            run = functools.partial(self.step, "create", operation) if new else operation
            descriptor = run(path, flags, *arguments, **options)
            self.opened[descriptor] = _absolute(path)
            return descriptor

        return wrapped

    def _closing(self, operation):
        def wrapped(descriptor):
            self.opened.pop(descriptor, None)
            return operation(descriptor)

        return wrapped

    def _opening_files(self, operation):
        boundary = self

        class File(io.FileIO):
            def write(self, block):
                return boundary.step("write", lambda _, rest: super(File, self).write(rest), self.fileno(), block)

            def truncate(self, size=None):
                return boundary.step("ftruncate", lambda _, to: super(File, self).truncate(to), self.fileno(), size)

            def close(self):
                if not self.closed:
                    boundary.opened.pop(self.fileno(), None)
                super().close()

        def wrapped(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **options):
            if isinstance(file, int) or not set(mode) & set("wax+") or not self._is_inside(file):
                return operation(file, mode, buffering, encoding, errors, newline, **options)
            path, bare = _absolute(file), mode.replace("b", "").replace("t", "")
            raw = File(path, bare, **options) if Path(path).exists() else self.step("create", File, path, bare, **options)
            self.opened[raw.fileno()] = path
            if buffering == 0:
                return raw
            buffer = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
            return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)

        return wrapped

    def _is_inside(self, where) -> bool:
        return where in self.opened if isinstance(where, int) else (_absolute(where) + os.sep).startswith(self.folders)

    def step(self, kind, operation, where, *arguments, **options):
        self.count += 1
        due = self.count == self.at
        if self.trace:
            self._note(kind, where)
        self._fail(kind, due)
        # The order of operations can differ from that of the recorded run, so the one that is due need not be a write.
        if self.action == "torn" and self.count >= self.at and kind == "write":
            operation(where, memoryview(arguments[0])[: len(arguments[0]) // 2])
            self._fire("kill")
        existed = kind == "rename" and Path(arguments[0]).exists()
        try:
            result = self._remembered(kind, operation, where, *arguments, **options)
            if kind == "rename" and not existed:
                self.renames.append((_absolute(where), _absolute(arguments[0])))
            return result
        finally:
            if due and self.action:
                self._fire(self.action)

    def _fail(self, kind, due: bool) -> None:
        """Raises the error that the operating system would raise."""
        full = self.count >= self.at if self.action == "full" else due and self.action == "full once"
        number = errno.ENOSPC if full and kind in TAKES_SPACE else errno.EIO if due and self.action == "input/output error" else None
        if number:
            _note_time()
            raise OSError(number, os.strerror(number))

    def _note(self, kind, where) -> None:
        path = self.opened.get(where, "") if isinstance(where, int) else _absolute(where)
        with Path(self.trace).open("a") as trace:
            trace.write(f"{kind} {path}\n")

    # What a power cut can lose

    def _remembered(self, kind, operation, where, *arguments, **options):
        """Performs an operation and records which of its effects are not on the disk yet."""
        if kind in ("write", "pwrite", "ftruncate"):
            inode, first = os.fstat(where).st_ino, _first_byte(kind, where, arguments)
            path, before = self.unsynced.get(inode, (self.opened.get(where), first))
            self.unsynced[inode] = (path, min(before, first))
        result = operation(where, *arguments, **options)
        if kind == "rename":
            inode = Path(arguments[0]).stat().st_ino
            if inode in self.unsynced:
                self.unsynced[inode] = (_absolute(arguments[0]), self.unsynced[inode][1])
        elif kind == "fsync" and stat.S_ISDIR(os.fstat(where).st_mode):
            self.renames = [(old, new) for old, new in self.renames if str(Path(new).parent) != self.opened[where]]
        elif kind == "fsync":
            self.unsynced.pop(os.fstat(where).st_ino, None)
        return result

    def _lose(self) -> None:
        """Loses some of what was not flushed: bytes become zero, and renames are undone."""
        rng = random.Random(self.at)
        for path, first in self.unsynced.values():
            if Path(path).exists() and rng.random() < 0.7:
                size = Path(path).stat().st_size
                os.truncate(path, first)
                os.truncate(path, size)
        for old, new in reversed(self.renames):
            if Path(new).exists() and rng.random() < 0.5:
                Path(new).rename(old)

    def _fire(self, action: str) -> None:
        self.action = None
        _note_time()
        if action == "power cut":
            self._lose()
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if action in ("kill all", "power cut"):
            os.killpg(0, signal.SIGKILL)
        if action == "kill parent":
            os.kill(os.getpgrp(), signal.SIGKILL)
        if action == "SIGTERM":
            os.kill(os.getpgrp(), signal.SIGTERM)
        if action == "Ctrl-C":
            os.killpg(0, signal.SIGINT)


def _note_time() -> None:
    """Notes the time of the fault, to measure how long the run takes to end."""
    Path("fired").write_text(str(time.time()))


def _absolute(path) -> str:
    return str(Path(path).absolute())


def _first_byte(kind: str, descriptor: int, arguments: tuple) -> int:
    """The position at which an operation begins to change a file."""
    size = os.fstat(descriptor).st_size
    if kind == "pwrite":
        return arguments[1]
    if kind == "ftruncate":
        return min(size, arguments[0] or 0)
    return size if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND else os.lseek(descriptor, 0, os.SEEK_CUR)


def perform(request: dict) -> None:
    """Runs luigi as requested, as the leader of a process group, and ends the process."""
    os.chdir(request["folder"])
    output = os.open(request["output"], os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    sys.path.insert(0, str(Path.cwd()))
    sys.dont_write_bytecode = True
    if request.get("limit"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], request["limit"]))
    Boundary([f"{request['folder']}/{folder}" for folder in FOLDERS], **request.get("fault", {})).install()
    sys.argv = ["luigi", *request["arguments"]]

    from luigi.cmdline import luigi_run

    luigi_run(request["arguments"])


def nursery(modules: list[str]) -> None:
    """Forks a process for each request on standard input; prints its id, then its exit code."""
    for name in modules:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            return perform(json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "nursery":
        nursery(sys.argv[2:])
    else:
        perform(json.loads(sys.argv[1]))
