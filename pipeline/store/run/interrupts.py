"""Ctrl-C, SIGTERM, SIGHUP and the death of the parent process end a running stage within seconds; no child process survives to write."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.popen_fork import Popen
from types import CodeType, FrameType, TracebackType
from typing import Any

from luigi.worker import TaskProcess

from pipeline.store.hdf5.steady import Steady
from pipeline.store.workspace import locks
from pipeline.store.workspace.console import say

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds after a signal: children may take GRACE to end by themselves, and after PATIENCE this process ends whatever it is doing.
GRACE = 2.0
PATIENCE = 3.5

_received: list[int] = []
_in_stage = threading.Event()


def install(words: str) -> None:
    """Makes SIGNALS raise KeyboardInterrupt. Luigi treats any other exception as the failure of a stage and starts the next one.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored.

    words: the last line of output if the exception gets lost.
    """
    ours: list[int] = [number for number in SIGNALS if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)]
    for number in ours:
        signal.signal(number, functools.partial(_interrupted, os.getpid()))
    if ours:
        _watch(ours, words)
        # Where psutil is installed, Luigi's own method sends a child one signal and waits for its end, for ever if that signal gets lost.
        setattr(TaskProcess, "terminate", multiprocessing.Process.terminate)  # noqa: B010  # to mypy, a method is not assignable
    silence()


def silence() -> None:
    """Lets an interrupt end this process without a traceback, also before `install`: own sets are read to know their stages."""
    sys.excepthook = _without_traceback
    sys.unraisablehook = _without_traceback_of_the_lost


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """A context for the run of a stage. In it, a child process ends when its parent dies, and an interrupt leaves no traceback."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        start_thread(_die_with, parent.pid)
    _in_stage.set()
    try:
        yield
    finally:
        _in_stage.clear()
        # Not only after KeyboardInterrupt: a library may have turned it into another exception, or swallowed it.
        if _received and parent is not None:
            os._exit(128 + _received[0])
        if _received:
            raise KeyboardInterrupt


def received() -> bool:
    """Whether this process has received a signal to end."""
    return bool(_received)


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """A context for the summary of a run. The children of an interrupted run end first, and further signals are ignored.

    Luigi sends these children a single signal and does not wait for them. One is not enough: a signal that arrives just before a blocking
    system call is handled only when the call returns, or at the next signal.
    """
    heard = [number for number in SIGNALS if signal.signal(number, signal.SIG_IGN) is not signal.SIG_IGN]
    deadline = time.monotonic() + GRACE
    while _received and (children := multiprocessing.active_children()):
        for child in children:
            (child.terminate if time.monotonic() < deadline else child.kill)()
        children[0].join(0.2)
    yield
    for number in heard:
        signal.signal(number, signal.SIG_DFL)


def _interrupted(parent: int, number: int, frame: FrameType | None) -> None:
    """The handler of SIGNALS.

    parent: the process that installed it.
    """
    if _is_under(frame, _STEADY) or (os.getpid() == parent and _is_under(frame, _FORKING)):
        # Try again when these functions have returned.
        threading.Timer(0.02, os.kill, (os.getpid(), number)).start()
        return
    if os.getpid() != parent and not _in_stage.is_set():
        os._exit(128 + number)  # a child process, perhaps one that multiprocessing has not set up yet
    if _received:
        # Ctrl-C reaches children too and is followed by SIGTERM: a second exception would disturb the cleanup after the first.
        return
    _received.append(number)
    raise KeyboardInterrupt


def _watch(numbers: list[int], words: str) -> None:
    """Ends this process some seconds after one of these signals, if it is still alive.

    The exception may get lost in the import of a library or in a destructor, and handling it may take too long. It is not even raised until
    the main thread returns from a library that compiles. The wakeup descriptor reports the signal immediately.
    """
    reading_end, writing_end = os.pipe()
    os.set_blocking(writing_end, False)
    signal.set_wakeup_fd(writing_end, warn_on_full_buffer=False)
    # A child process must not report its signals to this one.
    os.register_at_fork(after_in_child=functools.partial(signal.set_wakeup_fd, -1))
    start_thread(_end_after_one_of, numbers, reading_end, words)


def start_thread(target: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Starts a thread that receives no signals: they would not wake the main thread, and only that can raise the exception."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # threads inherit it
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return thread


def _end_after_one_of(numbers: list[int], reading_end: int, words: str) -> None:
    """Waits for one of these signals, and ends this process and its children after PATIENCE seconds."""
    while (number := os.read(reading_end, 1)[0]) not in numbers:
        pass
    time.sleep(PATIENCE)
    for child in multiprocessing.active_children():
        child.kill()
    say(f"\nInterrupted. {words}")
    os._exit(128 + number)


# Functions that no exception may interrupt: below HDF5 (a `Steady` file) it would get lost, and in `locks` it would leave a lock file.
_STEADY = {
    function.__code__ for function in (*vars(Steady).values(), locks.taken, locks.describe, locks.release) if hasattr(function, "__code__")
}


# The function that starts a child: Python ignores exceptions in the code that it calls around a fork, so the signal would get lost.
_FORKING = {vars(Popen)["_launch"].__code__}


def _is_under(frame: FrameType | None, codes: set[CodeType]) -> bool:
    """Whether a frame was called, directly or not, by one of these functions."""
    while frame is not None and frame.f_code not in codes:
        frame = frame.f_back
    return frame is not None


def _die_with(parent: int) -> None:
    """Ends this process when its parent has died."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def _without_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An exception hook that is silent about KeyboardInterrupt."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


def _without_traceback_of_the_lost(lost: "sys.UnraisableHookArgs") -> None:
    """The same for exceptions that Python ignores, such as one that is raised while a module's lock is freed; see `_watch`."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
