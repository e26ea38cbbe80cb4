"""Alternatives that take turns in one run, so that whatever else the machine does hits them alike: their median times, and ratios."""

import statistics
import time
from collections.abc import Callable


def medians(alternatives: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Seconds of each alternative, the median of so many rounds."""
    times = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, run in alternatives.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def compare(title: str, alternatives: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Prints the medians and how many times as fast as the first alternative each is; returns the seconds."""
    seconds = medians(alternatives, rounds)
    reference = next(iter(seconds.values()))
    print(f"\n{title}")
    for name, value in seconds.items():
        print(f"  {name:<58}{value:9.3f} s{reference / value:7.1f} x")
    return seconds


def goal(what: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
    """Prints a figure beside the bound that it should keep."""
    met = value >= at_least if at_most is None else value <= at_most
    bound = f"at least {at_least:g}" if at_most is None else f"at most {at_most:g}"
    print(f"  => {what}: {value:.2f}, goal {bound}: {'met' if met else 'missed'}", flush=True)
