"""Measures exported nets: size, milliseconds per sample on one thread, and the largest difference from the nets.

    python bench/export.py NETS [SAMPLES]

NETS: a file of `keypoints pack`, or an artifact of Predict. SAMPLES: an artifact of LoadTest; without it, synthetic images. All samples are
compared, and 16 of them are timed, one by one and together. Times are those of the processor, which other programs hardly change.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.commands.support import loading, reading
from pipeline.data.testset import UnlabelledSamples
from pipeline.inference.loaded import LoadedNets
from pipeline.nets import device

TIMED, ROUNDS = 16, 5


def main() -> None:
    """Prints a line for the nets themselves and one for each format."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    nets = loading.chosen([sys.argv[1]], []).nets
    print(device.prepare(seed=0, threads=1))
    from pipeline.export import check, formats

    samples = check.synthetic(nets, seed=0)
    if len(sys.argv) == 3:
        samples = reading.load(Path(sys.argv[2]), UnlabelledSamples).images[:]
    expected, searched = check.expected(nets, samples).keypoints, nets.predict(samples).keypoints
    print(f"{len(samples):,} samples; with the search for lost ones, the nets differ by up to {largest(expected, searched)}\n")
    print(f"{'':<12}{'size, MB':>10}{'ms, 1 by 1':>12}{f'ms, {TIMED} at once':>16}{'largest difference, px':>24}")
    row("nets", 0, lambda images: nets.predict(images).keypoints, samples, "")
    for name in formats.FORMATS:
        with tempfile.TemporaryDirectory() as place:
            run = exported(name, nets, Path(place))
            size = sum(path.stat().st_size for path in Path(place).iterdir())
            row(name, size, run, samples, largest(expected, check.predicted(run, samples)))


def exported(name: str, nets: LoadedNets, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Writes the nets in a format; returns what runs them."""
    from pipeline.export import formats, graph, metadata

    chosen = formats.format_of(name)
    values = metadata.metadata(nets, metadata.Facts("whole", ""), side=None if chosen.any_side else nets.frame.side)
    formats.module_of(chosen).write(folder, graph.built(nets), nets, values)
    return formats.module_of(chosen).load(folder)


def row(name: str, size: int, run: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, difference: str) -> None:
    """Prints one line of the table."""
    some = samples[:TIMED]
    single, together = timed(lambda: [run(some[i : i + 1]) for i in range(len(some))]), timed(lambda: run(some))
    print(f"{name:<12}{size / 1e6:>10.1f}{1000 * single / TIMED:>12.1f}{1000 * together / TIMED:>16.1f}{difference:>24}", flush=True)


def timed(run: Callable[[], object]) -> float:
    """The processor's seconds, the median over the rounds; the first run does not count."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return float(np.median(times[1:]))


def largest(one: np.ndarray, other: np.ndarray) -> str:
    """The largest difference in words."""
    from pipeline.export import check

    return f"{check.largest(one, other).pixels:.4f}"


if __name__ == "__main__":
    main()
