"""Measures exported nets: size, milliseconds per sample on one thread, and the largest difference from the nets.

    python bench/export.py NETS [SAMPLES]

NETS: a file of `keypoints pack`, or an artifact of Predict. SAMPLES: an artifact of LoadTest; without it, synthetic images. 100
samples are compared, and 8 of them are timed, one by one and together. Times are those of the processor, and the formats take turns.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.commands.support import loading, reading
from pipeline.data.testset import UnlabelledSamples
from pipeline.inference.loaded import LoadedNets
from pipeline.nets import device

COMPARED, TIMED, ROUNDS = 100, 8, 3


class Measured(NamedTuple):
    """What predicts: its name, the size of its files in bytes, the function, and its largest difference from the nets in words."""

    name: str
    size: int
    run: Callable[[np.ndarray], np.ndarray]
    difference: str


def main() -> None:
    """Prints a line for the nets themselves and one for each format."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    nets = loading.chosen([sys.argv[1]], []).nets
    print(device.prepare(seed=0, threads=1))
    from pipeline.export import check, check_images, formats

    samples = check_images.drawn(nets, seed=0, count=COMPARED)
    if len(sys.argv) == 3:
        every = reading.load(Path(sys.argv[2]), UnlabelledSamples).images
        samples = every[np.unique(np.linspace(0, len(every) - 1, COMPARED).astype(int))]
    with check_images.without_search():
        expected = nets.predict(samples, keep=True).keypoints

    def keras(images: np.ndarray) -> np.ndarray:
        return nets.predict(images, keep=True).keypoints

    print(f"{len(samples):,} samples; the search for lost ones moves predictions by up to {largest(expected, keras(samples))} px")
    with tempfile.TemporaryDirectory() as place:
        measured = [Measured("nets", 0, keras, "")]
        for name in formats.FORMATS:
            (folder := Path(place, name)).mkdir()
            run = exported(name, nets, folder)
            size = sum(path.stat().st_size for path in folder.iterdir())
            measured.append(Measured(name, size, run, largest(expected, check.predicted(run, samples))))
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
    print(f"\n{'':<12}{'size, MB':>10}{'ms, 1 by 1':>12}{f'ms, {len(samples)} at once':>16}{'largest difference, px':>24}")
    for each, *times in zip(measured, *(1000 * np.median(part[1:], axis=0) / len(samples) for part in (single, together)), strict=True):
        print(f"{each.name:<12}{each.size / 1e6:>10.1f}{times[0]:>12.1f}{times[1]:>16.1f}{each.difference:>24}")


def seconds(run: Callable[[], object]) -> float:
    """The processor's seconds."""
    start = time.process_time()
    run()
    return time.process_time() - start


def largest(one: np.ndarray, other: np.ndarray) -> str:
    """The largest difference in words."""
    from pipeline.export import check

    return f"{check.largest(one, other).pixels:.4f}"


if __name__ == "__main__":
    main()
