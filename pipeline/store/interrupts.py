"""Ctrl-C, a signal to end and a dead parent: each ends a running stage within seconds, and no child lives on to write."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from pipeline.store.artifacts import Steady

_received: list[int] = []
_in_stage = threading.Event()


def install() -> None:
    """From now on SIGINT and SIGTERM raise KeyboardInterrupt: Luigi counts any other exception as a stage's failure and starts the next."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _interrupted)
    sys.excepthook = _without_traceback


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Around a stage. In a child process: it ends when its parent dies, and it is interrupted without a traceback."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A signal that this thread took would not wake the main thread, which alone can raise the exception: threads inherit the mask.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        threading.Thread(target=_die_with, args=(parent.pid,), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _in_stage.set()
    try:
        yield
    finally:
        _in_stage.clear()
        # Not only after KeyboardInterrupt: on its way through a library it may have become another exception, or none.
        if _received and parent is not None:
            os._exit(128 + _received[0])
        if _received:
            raise KeyboardInterrupt


def received() -> bool:
    """Whether this process was asked to end."""
    return bool(_received)


def _interrupted(number, frame):
    if frame is not None and frame.f_code in _STEADY:
        # Under HDF5 an exception would be lost: try again when it is out of there.
        threading.Timer(0.02, os.kill, (os.getpid(), number)).start()
        return
    if multiprocessing.parent_process() is not None:
        if not _in_stage.is_set():
            os._exit(128 + number)
        if _received:
            # Ctrl-C reaches the children too, and then comes SIGTERM: a second exception would disturb the first one's tidying up.
            return
    _received.append(number)
    raise KeyboardInterrupt


# The frames in which a signal handler may find a `Steady` file.
_STEADY = {function.__code__ for function in vars(Steady).values() if hasattr(function, "__code__")}


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def _without_traceback(kind, error, trace) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
