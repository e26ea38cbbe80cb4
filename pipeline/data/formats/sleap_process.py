"""Reads SLEAP's files in another process, because damaged HDF5 files can crash the library or keep it busy for ever.

Of 14,000 damaged files, 11 ended the process that read them (h5py 3.14, HDF5 1.14.6), and 3 kept it busy. So another process, which is
started for the first file and stays, answers requests: a line of JSON with the path and the state of a file, and the name of a function of
`sleap_hdf5` with its arguments. The answer is a line of JSON that says what follows, and that many bytes.
"""

import atexit
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.formats import sleap_hdf5
from pipeline.errors import InputError
from pipeline.units import printable

SECONDS = 20  # for one request
MEMORY = 4 << 30  # bytes of address space
_CODE = "from pipeline.data.formats.sleap_process import serve; serve()"
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "metadata": sleap_hdf5.metadata,
    "texts": sleap_hdf5.texts,
    "table": sleap_hdf5.table,
    "frame_rows": sleap_hdf5.frame_rows,
    "image": sleap_hdf5.image,
}


class SleapReader:
    """A file of SLEAP's. Each method raises InputError if the file cannot be read, also if the library crashes or hangs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            state = path.stat()
        except OSError as error:
            raise InputError(f"{printable(path)} cannot be read: {(error.strerror or str(error)).lower()}. Check the file.") from None
        self._file = [os.fspath(path), state.st_ino, state.st_size, state.st_mtime_ns]

    def metadata(self) -> tuple[dict[str, Any], float]:
        """As `sleap_hdf5.metadata`."""
        content, number = self._parsed("metadata")
        return content, number

    def texts(self, name: str) -> list[Any]:
        """As `sleap_hdf5.texts`."""
        found: list[Any] = self._parsed("texts", name)
        return found

    def table(self, name: str, fields: tuple[str, ...]) -> dict[str, np.ndarray]:
        """As `sleap_hdf5.table`, by field."""
        columns = np.frombuffer(self._asked("table", name, fields), np.float64).reshape(len(fields), -1)
        return dict(zip(fields, columns, strict=True))

    def frame_rows(self, name: str) -> tuple[dict[int, int], tuple[int, int] | None]:
        """As `sleap_hdf5.frame_rows`."""
        rows, size = self._parsed("frame_rows", name)
        return {int(number): row for number, row in rows.items()}, (size[0], size[1]) if size else None

    def image(self, name: str, row: int) -> bytes:
        """As `sleap_hdf5.image`."""
        return self._asked("image", name, row)

    def _parsed(self, function: str, *arguments: Any) -> Any:
        try:
            return json.loads(self._asked(function, *arguments))
        except RecursionError:
            raise sleap_hdf5.damaged(self.path, "its JSON texts are nested too deeply") from None

    def _asked(self, function: str, *arguments: Any) -> bytes:
        """The bytes of an answer."""
        kind, content = _servant.answer([self._file, function, *arguments])
        if kind == "answer":
            return content
        if kind == "error":
            raise InputError(content.decode())
        raise sleap_hdf5.damaged(self.path, kind)


class _Servant:
    """The other process: started when it is needed, and again after it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._files: set[str] = set()

    def answer(self, request: list[Any]) -> tuple[str, bytes]:
        """The answer to a request and its bytes; or an error and its message; or else why there is none."""
        path = request[0][0]
        with self._lock:
            while True:
                process = self._process = self._process or self._started()
                self._files.add(path)
                if found := _exchanged(process, request):
                    return found
                # Files that were read before may have damaged the memory of the process.
                is_first = self._files == {path}
                if self._end() == -signal.SIGALRM:
                    return f"reading took more than {SECONDS} s", b""
                if is_first:
                    return "HDF5 crashed while it was read", b""

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def abandon(self) -> None:
        """Leaves the process to the one from which this one was forked."""
        self._process, self._lock, self._files = None, threading.Lock(), set()

    def _started(self) -> "subprocess.Popen[bytes]":
        # Without plugins of HDF5, and not in the foreground, where Ctrl-C would reach it.
        more = {"PYTHONPATH": os.pathsep.join(sys.path), "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-c", _CODE],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **more},
            start_new_session=True,
        )

    def _end(self) -> int:
        """Waits for the end of the process, which comes when there are no more requests; returns its code."""
        process, self._process, self._files = self._process, None, set()
        if process is None:
            return 0
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()
        return process.wait()


_servant = _Servant()
atexit.register(_servant.close)
os.register_at_fork(after_in_child=_servant.abandon)


def _exchanged(process: "subprocess.Popen[bytes]", request: list[Any]) -> tuple[str, bytes] | None:
    """The answer of a process; None if there is none, or if it is not complete."""
    assert process.stdin
    assert process.stdout
    # A process that ended gives an OSError here and an empty line there; one with a damaged memory may give anything.
    with contextlib.suppress(OSError, ValueError, TypeError):
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        kind, length = json.loads(process.stdout.readline())
        content = process.stdout.read(length)
        if kind in ("answer", "error") and len(content) == length:
            return kind, content
    return None


def serve() -> None:
    """Answers requests until there are no more. Runs in the other process, and ends it if a request takes too long."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    known: Any = None  # the state of the open file
    file: Any = None
    for line in sys.stdin.buffer:
        signal.alarm(SECONDS)
        state, function, *arguments = json.loads(line)
        try:
            path = Path(state[0])
            with sleap_hdf5.translated(path):
                if state != known:
                    # If a file was written anew in its place, HDF5 would continue with the old one while that is open.
                    if file:
                        file.close()
                    known, file = None, sleap_hdf5.opened(path)
                    known = state
                _send("answer", _FUNCTIONS[function](file, *arguments, path))
        except InputError as error:
            _send("error", str(error).encode())
        signal.alarm(0)


def _send(kind: str, found: Any) -> None:
    if isinstance(found, np.ndarray):
        found = np.ascontiguousarray(found).reshape(-1).view(np.uint8).data
    elif not isinstance(found, bytes):
        found = json.dumps(found).encode()
    sys.stdout.buffer.write(json.dumps([kind, len(found)]).encode() + b"\n")
    sys.stdout.buffer.write(found)
    sys.stdout.buffer.flush()
