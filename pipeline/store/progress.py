"""What a running stage shows: a bar on a terminal, lines elsewhere."""

import datetime
import sys
import time

# Seconds between two lines where there is no terminal.
QUIET = 5.0


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
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)


class Progress:
    """Counts the steps of a stage: what, how far, the figures given, the time left.

    on_step: told (share done, text) at each step, for a scheduler's page.
    """

    def __init__(self, title: str, total: int, unit: str, on_step=None):
        self.title, self.total, self.unit, self.on_step = title, total, unit, on_step
        self.done, self.skipped, self.started, self.shown = 0, 0, time.monotonic(), 0.0
        self.bar = _bar(title, total, unit) if sys.stderr.isatty() else None

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

    def step(self, figures: str = "") -> None:
        """One more step is done; `figures` is what to show beside it."""
        self.done += 1
        elapsed = time.monotonic() - self.started
        left = datetime.timedelta(seconds=round(elapsed / (self.done - self.skipped) * (self.total - self.done)))
        text = f"{self.title}: {self.unit} {self.done}/{self.total}{', ' if figures else ''}{figures}, {left} left"
        if self.on_step:
            self.on_step(self.done / self.total, text)
        if self.bar is not None:
            self.bar.set_postfix_str(figures, refresh=False)
            self.bar.update()
        elif elapsed - self.shown >= QUIET or self.done in (self.skipped + 1, self.total):
            self.shown = elapsed
            say(text)
