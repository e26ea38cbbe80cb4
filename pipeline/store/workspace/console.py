"""Output of a running stage: a progress bar on a terminal, lines of text elsewhere."""

import datetime
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

Item = TypeVar("Item")

# Minimum number of seconds between two lines where there is no terminal, and between two reports to a scheduler.
QUIET = 5.0
PATIENCE = 1.0


def say(text: str) -> None:
    """Writes one line to standard error, above the progress bar if there is one."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
    else:
        # A single write, so that concurrent processes do not mix their lines.
        sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _bar(title: str, total: int, unit: str) -> Any:
    """A tqdm bar; None without a terminal, and in a worker process, where several bars would overwrite each other."""
    if not sys.stderr.isatty() or multiprocessing.parent_process():
        return None
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)


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
