"""Output of a running stage: a progress bar on a terminal, lines of text elsewhere.

Nobody may be listening: the connection was lost, the reader of a pipe has ended, the disk with the log is full, or the stream is closed.
That never ends a stage or a command. What cannot be written is lost.
"""

import contextlib
import datetime
import io
import math
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TextIO, TypeVar

Item = TypeVar("Item")

# Minimum number of seconds between two lines where there is no terminal, and between two reports to a scheduler.
QUIET = 5.0
PATIENCE = 1.0


# What a terminal would obey instead of showing it: control characters other than line feed and tab, and changes of the writing direction;
# and the bytes of a file name that are not UTF-8, as Python represents them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    """The text with escapes such as \\x1b in place of what a terminal would not show as it is."""
    return _UNPRINTABLE.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Unfailing:
    """A text stream whose `write` and `flush` never fail. Characters that its encoding lacks are escaped.

    stream: the stream to write to; None, as Python has it for a closed standard stream, takes nothing.
    escaping: whether unprintable characters are escaped too. A progress bar needs some of them.
    """

    def __init__(self, stream: "TextIO | Unfailing | None", *, escaping: bool = False):
        self.stream: TextIO | None = stream.stream if isinstance(stream, Unfailing) else stream
        self.escaping = escaping

    def write(self, text: str) -> int:
        """Writes the text if possible, and returns its length."""
        if self.stream is not None:
            encoding = getattr(self.stream, "encoding", None) or "utf-8"
            shown = escaped(text) if self.escaping else text
            with contextlib.suppress(OSError, ValueError):
                self.stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flushes the stream if possible."""
        if self.stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self.stream.flush()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        try:
            return self.stream is not None and self.stream.isatty()
        except ValueError:  # closed
            return False

    def fileno(self) -> int:
        """The descriptor of the stream. Raises OSError if it has none."""
        if self.stream is None:
            raise io.UnsupportedOperation("fileno")
        return self.stream.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    # tqdm asks whether a bar and a line are written to the same stream.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unfailing) and self.stream is other.stream

    def __hash__(self) -> int:
        return hash(id(self.stream))


def make_unfailing() -> None:
    """Lets everything that this process prints from now on, libraries included, never fail."""
    sys.stdout, sys.stderr = Unfailing(sys.stdout), Unfailing(sys.stderr)


@contextlib.contextmanager
def unfailing_prints() -> Iterator[None]:
    """A context in which `print` never fails and escapes what a terminal would not show."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (Unfailing(stream, escaping=True) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        settle()


def settle() -> None:
    """Flushes the standard streams at the end of a process. Python would change its exit code if that failed."""
    for stream in (sys.stdout, sys.stderr):
        real: Any = stream.stream if isinstance(stream, Unfailing) else stream
        try:
            if real is not None:
                real.flush()
        except ValueError:
            pass  # closed
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, real.fileno())
                os.close(nowhere)
                real.flush()


def say(text: str) -> None:
    """Writes one line to standard error, above the progress bar if there is one. It never fails."""
    stream = Unfailing(sys.stderr)
    if stream.isatty():
        from tqdm import tqdm

        tqdm.write(escaped(text), file=stream)
    else:
        # A single write, so that concurrent processes do not mix their lines.
        stream.write(escaped(text) + "\n")
    stream.flush()


def _bar(title: str, total: int, unit: str) -> Any:
    """A tqdm bar; None without a terminal, and in a worker process, where several bars would overwrite each other."""
    stream = Unfailing(sys.stderr)
    if not stream.isatty() or multiprocessing.parent_process():
        return None
    from tqdm import tqdm

    return tqdm(total=total, desc=escaped(title), unit=unit, file=stream, leave=False, dynamic_ncols=True)


class Progress:
    """Counts the steps of a stage and shows how many are done, current figures, and an estimate of the time left.

    title: the name of the stage.
    total: the number of steps.
    unit: the name of what is counted, in the singular.
    on_step: called with the fraction done and a line of text at the first and the last step and at most once a second in between; it
        serves a scheduler's page.
    scale: the number of steps per displayed unit, such as 10**6 for bytes displayed in MB.
    """

    def __init__(self, title: str, total: int, unit: str, on_step: Callable[[float, str], None] | None = None, *, scale: int = 1):
        self.title, self.total, self.unit, self.on_step, self.scale = title, total, unit, on_step, scale
        self.done, self.skipped, self.started = 0, 0, time.monotonic()
        self.shown = self.told = -math.inf
        self.bar = _bar(title, total // scale, unit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yields the items; each counts as a step once the caller has finished with it."""
        for item in items:
            yield item
            self.step()

    def skip(self, steps: int) -> None:
        """Counts steps that an earlier run has done. They do not enter the estimate of the time left."""
        self.done = self.skipped = steps
        if self.bar is not None:
            self.bar.initial = self.bar.n = steps

    def add(self, steps: int) -> None:
        """Counts further steps; an `OnProgress` callback."""
        self.step(by=steps)

    def step(self, figures: str = "", *, by: int = 1) -> None:
        """Counts one step, or `by` steps; `figures` is shown with the progress."""
        self.done += by
        now, last = time.monotonic(), self.done >= self.total
        left = datetime.timedelta(seconds=round((now - self.started) / (self.done - self.skipped) * max(0, self.total - self.done)))
        done = f"{self.unit} {self.done // self.scale}/{self.total // self.scale}"
        text = ", ".join([f"{self.title}: {done}", *([figures] if figures else []), f"{left} left"])
        if self.on_step and (last or now - self.told >= PATIENCE):
            self.told = now
            self.on_step(min(1.0, self.done / self.total), text)
        if self.bar is not None:
            self.bar.set_postfix_str(figures, refresh=False)
            self.bar.update(self.done // self.scale - self.bar.n)
        elif last or now - self.shown >= QUIET:
            self.shown = now
            say(text)


_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Writes a warning, unless this process has written the same one before."""
    if text not in _warned:
        _warned.add(text)
        say(f"warning: {text}")
