"""Tests the readers with harmful files for minutes: `python -m tests.fuzz --minutes 10 artifacts` (or `tables`, or `labels`).

`mutations.py` makes the files and checks the results; `test_fuzz.py` does the same for seconds. Here a child process reads, so that a
crash of a library, or a file that keeps it busy or fills the memory, is found and reported too. What was found lies in fuzz-failures/.
"""

import argparse
import contextlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

FAILURES = Path("fuzz-failures")
SECONDS = 60  # of one child
PATIENCE = 30  # seconds without a new file after which the reader counts as hung
MEMORY = 1 << 30  # bytes that a reader may use in addition to those at its start
BATCH = 500  # files from one seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["artifacts", "tables", "labels"])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts, end, seed = Counter(), time.monotonic() + 60 * options.minutes, options.seed
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            counts += _child(options.what, seed, min(SECONDS, end - time.monotonic()), Path(folder))
        seed += 1
        print(f"seed {seed}: {counts['read']} read, {counts['refused']} refused, {counts['failed']} failed", flush=True)
    return 1 if counts["failed"] else 0


def _child(what: str, seed: int, seconds: float, folder: Path) -> Counter:
    """The results for the files of one child process."""
    words, files = folder / "words", folder / "files"
    files.mkdir()
    with words.open("w") as out:
        command = [sys.executable, __file__, what, str(seed), str(seconds), str(files)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True)
        while child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)
            # Starting takes a while too; then there is no file yet.
            latest = max((file.stat().st_mtime for file in files.iterdir()), default=time.time())
            if time.time() - latest > PATIENCE:
                child.kill()
    with child.stdout:
        counts = Counter(json.loads(line) if (line := child.stdout.readline()) else {})
    if child.returncode:
        place = FAILURES / f"{what}-{seed}"
        shutil.copytree(folder, place, dirs_exist_ok=True)
        print(f"seed {seed} ended with {child.returncode}; the last file and what was said lie in {place}:\n{words.read_text()[-2000:]}")
        counts["failed"] += 1
    return counts


def _read_files(what: str, seed: int, seconds: float, folder: Path) -> None:
    """Reads files for this many seconds; the last file stays in the folder."""
    import hypothesis
    import mutations

    strategy, read = {"artifacts": mutations.artifacts_in, "tables": mutations.tables_in, "labels": mutations.labels_in}[what](folder)
    counts, end = Counter(), time.monotonic() + seconds
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
    options = hypothesis.settings(
        max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck), report_multiple_bugs=False
    )

    @options
    @hypothesis.given(strategy)
    def read_one(drawn):
        counts["read" if read(drawn) else "refused"] += 1

    for batch in range(10**9):
        if time.monotonic() > end:
            break
        hypothesis.seed(1000 * seed + batch)(read_one)()
    print(json.dumps(counts))


if __name__ == "__main__":
    # The child is this file run by its path, which puts the tests' folder on the import path.
    if len(sys.argv) == 5 and not sys.argv[2].startswith("-"):
        _read_files(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(main())
