"""The computations of the stages."""

import contextlib
import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.schema import array, record

from . import deep


@record
class Numbers:
    """Some numbers."""

    values: np.ndarray = array("float64", "number", "px", "the numbers")


@record
class Sum:
    """One number."""

    value: np.ndarray = array("float64", "", "px", "the sum")


def draw(path, *, size, seed):
    numbers = np.array(Path(path).read_text().split(), "float64")
    return Numbers(np.resize(numbers, size) + 0 * seed)


def scale(values, *, factor):
    return values * factor * deep.UNIT


def total(*numbers):
    return Sum(np.float64(sum(n.values.sum() for n in numbers)))


def hook(place):
    """Performs the action that the environment variable CHAINLET requests for this place, as PLACE:ACTION."""
    asked, _, action = os.environ.get("CHAINLET", "").partition(":")
    if asked == place:
        ACTIONS[action]()


def _sleep():
    Path(f"asleep-{os.getpid()}").touch()
    for _ in range(600):
        time.sleep(0.1)  # in steps, because a signal that arrives just before a system call is handled only after it
    Path("awake").touch()


def _ignore_signals():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _sleep()


def _swallow():
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            Path(f"asleep-{os.getpid()}").touch()
            while True:
                time.sleep(0.1)


def _compute():
    Path(f"asleep-{os.getpid()}").touch()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 28)  # minutes in C, in which Python runs no signal handler
    Path("awake").touch()


def _wait():
    Path("waiting").touch()
    while not Path("go").exists():
        time.sleep(0.05)


def _fail(error):
    raise error


ACTIONS = {
    "sleep": _sleep,
    "ignore": _ignore_signals,
    "swallow": _swallow,
    "compute": _compute,
    "wait": _wait,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "edit": lambda: Path(deep.__file__).write_text("UNIT = 1.0\nNEW = 1\n"),
    "input": lambda: _fail(InputError("numbers.txt, row 3: not a number; write one there.")),
    "crash": lambda: _fail(RuntimeError("something else")),
}
