"""The faults, and how often each occurs; drawn from a seed, so that a number always means the same fault."""

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass

from .scenes import NUMBERS, Scene

KILLS = ("kill", "kill all", "kill parent", "torn", "power cut")
SIGNALS = ("SIGTERM", "Ctrl-C")
# Faults of a disk; for "input/output error" the program need not have a message.
SHORTAGES = ("full", "full once", "file size limit", "small disk")
KINDS_OF_OPERATIONS = ("write", "fsync", "rename")
PAGE = 4096


@dataclass(frozen=True)
class Point:
    """What goes wrong in one run, and when."""

    action: str  # one of KILLS, SIGNALS, SHORTAGES, or "input/output error"
    kind: str = ""  # its line in the table
    scene: str = NUMBERS
    at: int = 0  # after this operation on the files of the workspace, from 1 (an error: instead of it)
    moment: float = 0.0  # or after this fraction of the duration of an undisturbed run
    said: str = ""  # counted from when it has said this
    size: int = 0  # limit for the size of a file or disk, in bytes
    workers: int = 1
    damage: bool = False  # whether an existing file is damaged before the command is run again
    beside: bool = False  # whether a second command runs the same stages at the same time, through another path to the workspace

    def __str__(self) -> str:
        when = f"operation {self.at}" if self.at else f"{self.size} bytes" if self.size else f"{self.moment:.1%} of the time"
        when += f" after {self.said!r}" if self.said else ""
        return f"{self.kind} ({self.scene}, {self.action}, {when}, workers {self.workers})"


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its share of a thousand points, its scenes, and how one is drawn."""

    share: int
    draw: Callable[[random.Random, Scene], Point]
    scenes: tuple[str, ...] = (NUMBERS,)


def after(action: str, *operations: str, **more):
    """After an operation of one of these kinds (errors: instead of it); without kinds, of any kind without an entry of its own."""

    def draw(rng: random.Random, scene: Scene) -> Point:
        kinds = [line.split()[0] for line in scene.operations]
        fits = [i for i, kind in enumerate(kinds, 1) if (kind in operations if operations else kind not in KINDS_OF_OPERATIONS)]
        return Point(action, at=rng.choice(fits), **more)

    return draw


def anywhere(*actions: str, workers: int = 1, **more):
    """At any operation; each of two workers performs some of them."""
    return lambda rng, scene: Point(
        rng.choice(actions), at=rng.randint(1, len(scene.operations) // (2 * workers - 1)), workers=workers, **more
    )


def anytime(*actions: str, **more):
    """At a random time, including the start of Python."""
    return lambda rng, scene: Point(rng.choice(actions), moment=rng.uniform(0.0, 1.05), **more)


def when(said: str, *actions: str, within: float = 0.1, **more):
    """Shortly after the run has printed something."""
    return lambda rng, scene: Point(rng.choice(actions), moment=rng.uniform(0.0, within), said=said, **more)


def either(*draws):
    return lambda rng, scene: rng.choice(draws)(rng, scene)


def up_to(action: str, largest: int, smallest: int = 1):
    """Sizes of all magnitudes, with a preference for small ones."""
    return lambda rng, scene: Point(action, size=int(smallest * (largest / smallest) ** rng.random()))


KINDS = {
    "kill after a write": Kind(90, after("kill", "write")),
    "kill after an fsync": Kind(80, after("kill", "fsync")),
    "kill after a rename": Kind(60, after("kill", "rename")),
    "kill after another operation": Kind(70, after("kill")),
    "kill within a write": Kind(60, after("torn", "write")),
    "power cut": Kind(120, anywhere("power cut")),
    "kill at a random time": Kind(70, anytime("kill")),
    "kill, 2 workers": Kind(80, either(anytime("kill", "kill all", workers=2), anywhere("kill", "kill all", "kill parent", workers=2))),
    "SIGTERM": Kind(40, either(anytime("SIGTERM"), anywhere("SIGTERM"))),
    "SIGTERM, 2 workers": Kind(40, either(anytime("SIGTERM", workers=2), anywhere("SIGTERM", workers=2))),
    "Ctrl-C": Kind(40, either(anytime("Ctrl-C"), anywhere("Ctrl-C"))),
    "Ctrl-C, 2 workers": Kind(40, either(anytime("Ctrl-C", workers=2), anywhere("Ctrl-C", workers=2))),
    "disk full from an operation on": Kind(70, anywhere("full")),
    "disk full, 2 workers": Kind(20, anywhere("full", workers=2)),
    "disk full for a moment": Kind(20, anywhere("full once")),
    "file size limit": Kind(40, up_to("file size limit", 10_000, 100)),
    "small disk": Kind(30, up_to("small disk", 30 * PAGE, PAGE)),
    "input/output error": Kind(30, anywhere("input/output error")),
    "kill, then damage": Kind(50, anywhere("kill", damage=True)),
    "two at once, one killed": Kind(40, either(anywhere("kill", beside=True), anytime("kill", beside=True))),
    "two at once, one interrupted": Kind(10, anywhere("SIGTERM", beside=True)),
}
# Output of a training: before its libraries are imported, before it is compiled, and in the middle.
IMPORT, COMPILING, TRAINING = "TrainBase: started", "TrainBase: trains on", "TrainBase: epoch 1/"
BASE, BOTH = ("TrainBase",), ("TrainBase", "TrainSpecialist")
TRAININGS = {
    "training: kill after an operation": Kind(180, anywhere("kill"), BOTH),
    "training: kill at a random time": Kind(160, anytime("kill"), BOTH),
    "training: kill between epochs": Kind(80, when(TRAINING, "kill"), BASE),
    "training: kill, 2 workers": Kind(80, when(TRAINING, "kill", "kill all", workers=2), BASE),
    "training: power cut": Kind(60, anywhere("power cut"), BOTH),
    "training: SIGTERM": Kind(80, when(TRAINING, "SIGTERM"), BASE),
    "training: SIGTERM while compiling": Kind(40, when(COMPILING, "SIGTERM", within=0.4), BASE),
    "training: SIGTERM in the import": Kind(80, when(IMPORT, "SIGTERM", within=0.3), BASE),
    "training: SIGTERM, 2 workers": Kind(80, either(when(IMPORT, "SIGTERM", workers=2), when(TRAINING, "SIGTERM", workers=2)), BASE),
    "training: Ctrl-C": Kind(80, either(when(IMPORT, "Ctrl-C", within=0.3), when(TRAINING, "Ctrl-C")), BASE),
    "training: Ctrl-C, 2 workers": Kind(80, either(when(IMPORT, "Ctrl-C", workers=2), when(TRAINING, "Ctrl-C", workers=2)), BASE),
    "training: disk full": Kind(40, anywhere("full"), BASE),
    "training: file size limit": Kind(40, up_to("file size limit", 2_000_000, 1000), BASE),
    "prediction: kill after an operation": Kind(60, anywhere("kill"), ("Predict alone",)),
    "prediction: disk full": Kind(40, anywhere("full"), ("Predict alone",)),
}


def draw(kinds: dict[str, Kind], name: str, number: int, *, seed: int, scenes) -> Point:
    """Point `number`, of the kind `name`."""
    kind = kinds[name]
    scene = kind.scenes[number % len(kind.scenes)]
    point = kind.draw(random.Random(f"{seed} {name} {number}"), scenes[scene])
    return dataclasses.replace(point, kind=name, scene=scene)


def shared_out(kinds: dict[str, Kind], count: int) -> list[str]:
    """The names of the kinds in proportion to their shares, with at least one of each if possible."""
    given = dict.fromkeys(kinds, 0)
    for _ in range(count):
        due = max(kinds, key=lambda name: kinds[name].share / given[name] if given[name] else float("inf"))
        given[due] += 1
    return [name for name, times in given.items() for _ in range(times)]
