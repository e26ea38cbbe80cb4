"""Ctrl-C, a signal to end and a dead parent: each ends a running stage within seconds, and no child lives on to write."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.popen_fork import Popen

from pipeline.store.hdf5.steady import Steady
from pipeline.store.workspace import locks
from pipeline.store.workspace.console import say

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds after a signal within which children end by themselves, and after which this process ends whatever it is busy with.
GRACE = 2.0
PATIENCE = 3.5

_received: list[int] = []
_in_stage = threading.Event()


def install(words: str) -> None:
    """From now on SIGINT and SIGTERM raise KeyboardInterrupt: Luigi counts any other exception as a stage's failure and starts the next.

    words: what to say last where the exception gets lost.
    """
    ours = [number for number in SIGNALS if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)]
    for number in ours:
        signal.signal(number, functools.partial(_interrupted, os.getpid()))
    if ours:
        _watch(ours, words)
    sys.excepthook = _without_traceback


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Around a stage. In a child process: it ends when its parent dies, and it is interrupted without a traceback."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        _start(_die_with, parent.pid)
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


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Around the last words: children of an interrupted run end first, and no further signal interrupts.

    Luigi sends these children one signal and doesn't wait for them. One is not enough: a signal in the instant before a system call that
    waits is seen only when the call returns, or by the next signal.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    deadline = time.monotonic() + GRACE
    while _received and (children := multiprocessing.active_children()):
        for child in children:
            (child.terminate if time.monotonic() < deadline else child.kill)()
        children[0].join(0.2)
    yield
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _interrupted(parent, number, frame):
    if _is_under(frame, _STEADY) or (os.getpid() == parent and _is_under(frame, _FORKING)):
        # Try again when it is out of there.
        threading.Timer(0.02, os.kill, (os.getpid(), number)).start()
        return
    if os.getpid() != parent and not _in_stage.is_set():
        os._exit(128 + number)  # a child, perhaps one that multiprocessing has not set up yet
    if _received:
        # Ctrl-C reaches children too, and then comes SIGTERM: a second exception would disturb the first one's tidying up.
        return
    _received.append(number)
    raise KeyboardInterrupt


def _watch(numbers: list[int], words: str) -> None:
    """Ends this process some seconds after one of these signals, if it is still there.

    The exception may be lost, in a library's import or a destructor, its way out may take too long, and it is not even raised before the
    main thread comes back from a library that compiles. The descriptor tells at once.
    """
    told, teller = os.pipe()
    os.set_blocking(teller, False)
    signal.set_wakeup_fd(teller, warn_on_full_buffer=False)
    # A child's signals are its own.
    os.register_at_fork(after_in_child=functools.partial(signal.set_wakeup_fd, -1))
    _start(_end_after_one_of, numbers, told, words)


def _start(target, *arguments) -> None:
    """A thread that takes no signals: one that it took would not wake the main thread, which alone can raise the exception."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # threads inherit it
    threading.Thread(target=target, args=arguments, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end_after_one_of(numbers: list[int], told: int, words: str) -> None:
    while (number := os.read(told, 1)[0]) not in numbers:
        pass
    time.sleep(PATIENCE)
    for child in multiprocessing.active_children():
        child.kill()
    say(f"\nInterrupted. {words}")
    os._exit(128 + number)


# What no exception may interrupt: under HDF5 (a `Steady` file) it would be lost, and here it would leave a lock file behind.
_STEADY = {
    function.__code__ for function in (*vars(Steady).values(), locks.taken, locks.describe, locks.release) if hasattr(function, "__code__")
}


# What starts a child: Python ignores exceptions in what it calls around a fork, and the signal would be lost.
_FORKING = {Popen._launch.__code__}


def _is_under(frame, codes: set) -> bool:
    """Whether the signal came while one of these functions ran."""
    while frame is not None and frame.f_code not in codes:
        frame = frame.f_back
    return frame is not None


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def _without_traceback(kind, error, trace) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
