"""Measures exported nets: size, milliseconds per sample on one thread, and the largest difference from the nets.

    python bench/export.py NETS [SAMPLES]

NETS: a file of `keypoints pack`, or an artifact of Predict. SAMPLES: an artifact of LoadTest or Load; without it, synthetic images. 100
samples are compared, and 8 of them are timed, one by one and together. Times are those of the processor, and the formats take turns.
Images that are not steady are those in which rounding moves the predictions of the nets themselves; in the line of the nets stands how far,
in the median. See docs/export.md.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.commands.support import exporting, loading
from pipeline.inference.loaded import LoadedNets
from pipeline.nets import device

if TYPE_CHECKING:
    from pipeline.export.check_images import CheckImages

COMPARED, TIMED, ROUNDS = 100, 8, 3


class Measured(NamedTuple):
    """What predicts: its name, the size of its files in bytes, the function, and its differences from the nets in words."""

    name: str
    size: int
    run: Callable[[np.ndarray], np.ndarray]
    steady: str
    others: str


def main() -> None:
    """Prints a line for the nets themselves and one for each format."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    nets = loading.chosen([sys.argv[1]], []).nets
    print(device.prepare(seed=0, threads=1))
    from pipeline.export import check, check_images, formats

    samples = check_images.drawn(nets, seed=0, count=COMPARED)
    if len(sys.argv) == 3:
        samples = exporting.spread(exporting.stored_samples(Path(sys.argv[2])), COMPARED)
    given = check_images.tried(nets, samples)

    def keras(images: np.ndarray) -> np.ndarray:
        return nets.predict(images, keep=True).keypoints

    searched = np.abs(keras(samples) - given.keypoints).max()
    print(
        f"{given.steady.sum()} of {len(samples)} samples are steady; the search for lost ones moves predictions by up to {searched:.4f} px"
    )
    others = "" if given.steady.all() else f"{np.median(given.moved[~given.steady]):.4f}"
    with tempfile.TemporaryDirectory() as place:
        measured = [Measured("nets", 0, keras, "", others)]
        for name in formats.FORMATS:
            (folder := Path(place, name)).mkdir()
            run = exported(name, nets, folder)
            size = sum(path.stat().st_size for path in folder.iterdir())
            measured.append(Measured(name, size, run, *differences(given, check.predicted(run, samples))))
            print(f"{name} is written and compared", flush=True)
        table(measured, samples[:TIMED])


def exported(name: str, nets: LoadedNets, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Writes the nets in a format; returns what runs them."""
    from pipeline.export import formats, graph, metadata

    chosen = formats.format_of(name)
    values = metadata.metadata(nets, metadata.Facts("whole", ""), side=None if chosen.any_side else nets.frame.side)
    formats.module_of(chosen).write(folder, graph.built(nets), nets, values)
    return formats.module_of(chosen).load(folder)


def table(measured: list[Measured], samples: np.ndarray) -> None:
    """Prints one line for each, after rounds in which all take turns, so that other programs slow all of them down alike."""
    single, together = np.zeros((2, ROUNDS + 1, len(measured)))
    for turn in range(ROUNDS + 1):  # the first one does not count
        for column, each in enumerate(measured):
            single[turn, column] = seconds(lambda run=each.run: [run(samples[i : i + 1]) for i in range(len(samples))])
            together[turn, column] = seconds(lambda run=each.run: run(samples))
    heads = ("size, MB", "ms, 1 by 1", f"ms, {len(samples)} at once", "largest, steady, px", "median, others, px")
    print(f"\n{'':<10}" + "".join(f"{head:>20}" for head in heads))
    for each, *times in zip(measured, *(1000 * np.median(part[1:], axis=0) / len(samples) for part in (single, together)), strict=True):
        values = (f"{each.size / 1e6:.1f}", f"{times[0]:.1f}", f"{times[1]:.1f}", each.steady, each.others)
        print(f"{each.name:<10}" + "".join(f"{value:>20}" for value in values))


def seconds(run: Callable[[], object]) -> float:
    """The processor's seconds."""
    start = time.process_time()
    run()
    return time.process_time() - start


def differences(given: "CheckImages", found: np.ndarray) -> tuple[str, str]:
    """The largest difference of a value of a steady image, and the median of the largest ones of the other images, in words."""
    from pipeline.export import check

    apart = check.distances(given.keypoints, found).max(axis=1)
    chosen = (np.max, apart[given.steady]), (np.median, apart[~given.steady])
    steady, others = (f"{summary(values):.4f}" if len(values) else "" for summary, values in chosen)
    return steady, others


if __name__ == "__main__":
    main()
