"""Median times of alternatives that take turns within one run, so that other load on the machine affects all of them alike."""

import statistics
import time
from collections.abc import Callable


def medians(alternatives: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The seconds that each alternative takes: the median over the rounds, in each of which every alternative runs once."""
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, run in alternatives.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def compare(title: str, alternatives: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Prints the median times and each alternative's speed relative to the first one; returns the seconds."""
    seconds = medians(alternatives, rounds)
    reference = next(iter(seconds.values()))
    print(f"\n{title}")
    for name, value in seconds.items():
        print(f"  {name:<58}{value:9.3f} s{reference / value:7.1f} x")
    return seconds


def goal(what: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
    """Prints a value, the bound that is its goal, and whether the goal is met."""
    for name, bound, sign in (("at least", at_least, 1), ("at most", at_most, -1)):
        if bound is not None:
            print(f"  => {what}: {value:.2f}, goal {name} {bound:g}: {'met' if sign * value >= sign * bound else 'missed'}", flush=True)
