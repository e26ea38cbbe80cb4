"""Measures Annotate on many photographs: one worker compared with several that share the parts on one host.

    python bench/many_photographs.py FOLDER NETS [--photographs 1200] [--part 300] [--workers 2]

FOLDER: photographs, which are linked under as many names as are wanted. NETS: a file that `keypoints pack` has written. Each worker
computes on one thread. The time is that of the whole command, with the start of Keras in every worker. Goals: two workers are at least
1.7 times as fast as one, and the joined tables have the same bytes.
"""

import argparse
import hashlib
import itertools
import tempfile
from pathlib import Path

import chain
from timing import goal

from pipeline.data.formats import photolists


def main() -> None:
    """Annotates the photographs with one worker, and then again with several."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of photographs")
    parser.add_argument("nets", type=Path, help="file of nets")
    parser.add_argument("--photographs", type=int, default=1200, help="how many (default: %(default)s)")
    parser.add_argument("--part", type=int, default=300, help="photographs in a part, a multiple of 100 (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="how many workers are compared with one (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        photographs = Path(temporary, "photographs")
        link(options.folder.resolve(), photographs, options.photographs)
        flags = ["--photos", str(photographs), "--nets", str(options.nets.resolve()), "--part", str(options.part), "--device-threads", "1"]
        seconds, tables = {}, set()
        for workers in (1, options.workers):
            root = Path(temporary, f"workspace-{workers}")
            ran = chain.run("Annotate", [*flags, "--workspace-root", str(root), "--workers", str(workers)])
            seconds[workers] = ran.seconds
            tables.add(hashlib.sha256(next((root / "submissions").glob("annotate-*.csv")).read_bytes()).hexdigest())
            print(
                f"{workers} worker{'s' if workers > 1 else ''}: {ran.seconds:.0f} s, {options.photographs / ran.seconds:.1f} photographs/s",
                flush=True,
            )
        print(f"joined tables of the same bytes: {'yes' if len(tables) == 1 else 'NO'}")
        goal(f"{options.workers} workers, times as fast as one", seconds[1] / seconds[options.workers], at_least=0.85 * options.workers)


def link(folder: Path, photographs: Path, count: int) -> None:
    """Gives the photographs of a folder `count` names in a new folder."""
    root, names = photolists.named(folder)
    photographs.mkdir()
    for number, name in enumerate(itertools.islice(itertools.cycle(names), count)):
        (photographs / f"{number:06d}{Path(name).suffix}").symlink_to(root / name)


if __name__ == "__main__":
    main()
