"""Measures how time and memory of each stage grow with the number of drawn faces, from 1,000 to 100,000.

    python bench/scale.py [--sizes 1000 4000] [--limit-mb 2048] [--workspace DIR] [-- LUIGI FLAGS, such as --memory-images 256]

For each size N, there are N labelled faces and N faces to predict. At most 64 MiB of an image array are in memory and 64 MiB on the device,
the rest is in files. Each stage runs in a process of its own. Prints the seconds, the seconds per 1,000 faces, the peak memory of the
process and the exponent of growth relative to the previous size (1 means linear growth). Goals: no exponent above 1.15, and no memory above
the limit. With --workspace the results are kept, and an interrupted run resumes; the figures for a stage that has a result already are
those of the run that computed it. 100,000 faces take hours.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from math import log
from pathlib import Path

import chain

from pipeline.keypoints.kaggle import KAGGLE

# One augmented version, one epoch, small windows: the specialists are there only because Predict requires them.
SHORT = ["--Augment-copies", "1", "--TrainBase-epochs", "1", "--TrainSpecialist-epochs", "1", "--TrainSpecialist-zoom", "0.5"]
# Small enough for the larger sizes to exceed them.
LIMITS = ["--memory-images", "64", "--TrainBase-device-memory", "64", "--TrainSpecialist-device-memory", "64"]
DUPLICATES = "duplicate search"
MEASURED = ["Render", "Load", DUPLICATES, "Augment", "TrainBase", "Predict"]
STEEPEST = 1.15


def main() -> None:
    """Measures everything, or as a child process only the duplicate search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000, 10_000, 30_000, 100_000], help="numbers of faces")
    parser.add_argument("--limit-mb", type=float, default=2048, help="goal for the peak memory of every process (default: %(default)g)")
    parser.add_argument("--workspace", type=Path, help="folder in which the results are kept (default: a temporary one)")
    parser.add_argument("--search", type=Path, metavar="OUT", help=argparse.SUPPRESS)  # for the child process
    options, flags = chain.arguments(parser)
    if options.search:
        search(options.search, flags)
        return
    with tempfile.TemporaryDirectory() as made:
        print_growth(options.sizes, (options.workspace or Path(made)).resolve(), flags, options.limit_mb)


def print_growth(sizes: list[int], workspace: Path, flags: list[str], limit_mb: float) -> None:
    """Prints a row for each size and stage, and which of them missed the goals."""
    print(f"{'stage':<20}{'faces':>10}{'seconds':>10}{'s/1,000':>10}{'MB':>8}{'growth':>9}", flush=True)
    before: dict[str, tuple[int, float]] = {}
    steep, large = set(), set()
    for size in sorted(sizes):
        drawn = ["--Render-training", str(size), "--Render-test", str(size), "--dataset-path", "rendered"]
        for stage in MEASURED:
            ran = measure(stage, [*drawn, "--workspace-root", str(workspace), *SHORT, *LIMITS, *flags])
            growth = log(ran.seconds / before[stage][1]) / log(size / before[stage][0]) if stage in before else float("nan")
            before[stage] = size, ran.seconds
            per_thousand = 1000 * ran.seconds / size
            print(f"{stage:<20}{size:10,}{ran.seconds:10.1f}{per_thousand:10.2f}{ran.peak_mb:8.0f}{growth:9.2f}", flush=True)
            steep |= {stage} if growth > STEEPEST else set()
            large |= {f"{stage} at {size:,}"} if ran.peak_mb > limit_mb else set()
    print(f"exponent above {STEEPEST}: {', '.join(sorted(steep)) or 'none'}")
    print(f"above {limit_mb:.0f} MB: {', '.join(sorted(large)) or 'none'}")


def measure(stage: str, flags: list[str]) -> chain.Ran:
    """The seconds that a stage itself took and the peak memory of its process, from the run log; the stages before it run first."""
    if stage == DUPLICATES:
        return measure_search(flags)
    if stage == "Predict":
        for group in KAGGLE.groups:
            chain.run("TrainSpecialist", ["--group", group, *flags])
    chain.run(stage, flags)
    with chain.task(stage, flags) as task:
        return chain.logged_run(task)


def measure_search(flags: list[str]) -> chain.Ran:
    """The seconds and the peak memory of the duplicate search, in a child process that runs this program with --search."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = [sys.executable, __file__, "--search", str(out), "--", *flags]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(chain.ROOT)})
        return chain.Ran(**json.loads(out.read_text()))


def search(out: Path, flags: list[str]) -> None:
    """Searches the labelled faces for duplicates, held in memory or in a file as in Load, and writes the figures to `out`."""
    import resource
    import time

    from pipeline.data import duplicates
    from pipeline.data.dataset import Dataset
    from pipeline.lazyrows import in_blocks

    with chain.task("Load", flags) as load, load.collecting() as collector:
        collected = collector()
        for _, block in in_blocks(load.output().load(Dataset).images):
            collected.add(block)
        start = time.perf_counter()
        duplicates.groups(collected.rows(), correlation=load.twin_correlation)
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out.write_text(json.dumps({"seconds": seconds, "peak_mb": chain.peak_mb(peak)}))


if __name__ == "__main__":
    main()
