"""Growth: time and memory of each stage over drawn faces, 1,000 to 100,000, each in a process of its own.

    python bench/scale.py [--sizes 1000 4000] [--limit-mb 2048] [--workspace DIR] [-- LUIGI FLAGS, such as --memory-images 256]

For each size N: N labelled faces and N to predict, with 64 MiB of an array of images in memory and 64 MiB on the device, the rest in
files. Prints seconds, seconds for 1,000 faces, the largest memory of the process, and the exponent of growth from the size before: 1 is
in proportion. Goals: no exponent above 1.15, no memory above the limit. With --workspace the results are kept and an interrupted run
goes on; the figures of a stage that is there already are those of the run that made it. 100,000 faces take hours.
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

# One augmented copy, one epoch; specialists, with small windows, only because Predict needs them.
SHORT = ["--Augment-copies", "1", "--TrainBase-epochs", "1", "--TrainSpecialist-epochs", "1", "--TrainSpecialist-zoom", "0.5"]
# So small that the larger sizes reach them.
LIMITS = ["--memory-images", "64", "--TrainBase-device-memory", "64", "--TrainSpecialist-device-memory", "64"]
DUPLICATES = "duplicate search"
MEASURED = ["Render", "Load", DUPLICATES, "Augment", "TrainBase", "Predict"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000, 10_000, 30_000, 100_000])
    parser.add_argument("--limit-mb", type=float, default=2048)
    parser.add_argument("--workspace", type=Path, help="default: one that is removed afterwards")
    parser.add_argument("--search", type=Path, metavar="OUT", help=argparse.SUPPRESS)  # what a child does
    options, flags = chain.arguments(parser)
    if options.search:
        search(options.search, flags)
        return
    with tempfile.TemporaryDirectory() as made:
        workspace = (options.workspace or Path(made)).resolve()
        print(f"{'stage':<20}{'faces':>10}{'seconds':>10}{'s/1,000':>10}{'MB':>8}{'growth':>9}", flush=True)
        before, steep, large = {}, set(), set()
        for size in sorted(options.sizes):
            drawn = ["--Render-training", str(size), "--Render-test", str(size), "--dataset-path", "rendered"]
            for stage in MEASURED:
                ran = measure(stage, [*drawn, "--workspace-root", str(workspace), *SHORT, *LIMITS, *flags])
                growth = log(ran.seconds / before[stage][1]) / log(size / before[stage][0]) if stage in before else float("nan")
                before[stage] = size, ran.seconds
                print(
                    f"{stage:<20}{size:10,}{ran.seconds:10.1f}{1000 * ran.seconds / size:10.2f}{ran.peak_mb:8.0f}{growth:9.2f}",
                    flush=True,
                )
                steep |= {stage} if growth > 1.15 else set()
                large |= {f"{stage} at {size:,}"} if ran.peak_mb > options.limit_mb else set()
    print(f"grew faster than the faces: {', '.join(sorted(steep)) or 'nothing'}")
    print(f"above {options.limit_mb:.0f} MB: {', '.join(sorted(large)) or 'nothing'}")


def measure(stage: str, flags: list[str]) -> chain.Ran:
    """The stage alone, what it needs made before, as the run log has it: seconds of its work, largest memory of its process."""
    if stage == DUPLICATES:
        return measure_search(flags)
    if stage == "Predict":
        for group in KAGGLE.groups:
            chain.run("TrainSpecialist", ["--group", group, *flags])
    chain.run(stage, flags)
    with chain.task(stage, flags) as task:
        return chain.logged_run(task)


def measure_search(flags: list[str]) -> chain.Ran:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = [sys.executable, __file__, "--search", str(out), "--", *flags]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(chain.ROOT)})
        return chain.Ran(**json.loads(out.read_text()))


def search(out: Path, flags: list[str]) -> None:
    """In a process of its own: the search for duplicates among the labelled faces, which lie where Load collects them."""
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
    out.write_text(json.dumps({"seconds": seconds, "peak_mb": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)}))


if __name__ == "__main__":
    main()
