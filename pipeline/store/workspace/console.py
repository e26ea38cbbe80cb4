"""What a running stage shows: a bar on a terminal, lines elsewhere."""

import datetime
import math
import multiprocessing
import sys
import time

# Seconds between two lines where there is no terminal, and between two words to a scheduler.
QUIET = 5.0
PATIENCE = 1.0


def say(text: str) -> None:
    """One line for the person who watches, above a bar if there is one."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
    else:
        # One write, so that processes do not mix their lines.
        sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _bar(title: str, total: int, unit: str):
    """A bar where there is a terminal for it; two workers would write over each other's."""
    if not sys.stderr.isatty() or multiprocessing.parent_process():
        return None
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)


class Progress:
    """Counts the steps of a stage: what, how far, the figures given, the time left.

    scale: steps in a unit, such as bytes in an MB. on_step: told (share done, text) of the first and the last step and once a second, for
    a scheduler's page.
    """

    def __init__(self, title: str, total: int, unit: str, on_step=None, *, scale: int = 1):
        self.title, self.total, self.unit, self.on_step, self.scale = title, total, unit, on_step, scale
        self.done, self.skipped, self.started = 0, 0, time.monotonic()
        self.shown = self.told = -math.inf
        self.bar = _bar(title, total // scale, unit)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.bar is not None:
            self.bar.close()

    def over(self, items):
        """The items one by one; each counts as a step once it was dealt with."""
        for item in items:
            yield item
            self.step()

    def skip(self, steps: int) -> None:
        """So many steps were done by an earlier run, in a time of its own."""
        self.done = self.skipped = steps
        if self.bar is not None:
            self.bar.initial = self.bar.n = steps

    def add(self, steps: int) -> None:
        """So many more steps are done: a report for work that counts them."""
        self.step(by=steps)

    def step(self, figures: str = "", *, by: int = 1) -> None:
        """One more step is done, or so many; `figures` is what to show beside it."""
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
    if text not in _warned:
        _warned.add(text)
        say(f"warning: {text}")
