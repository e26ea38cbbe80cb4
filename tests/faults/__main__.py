"""The long run: `python -m tests.faults --points 200`. It prints a table and exits with 1 if any condition was violated."""

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # as pytest does

from . import points
from .scenes import Scenes
from .trials import Trial, can_mount


def main() -> int:
    options, trials = parsed(), defaultdict(list)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        with Scenes(folder, fresh=not options.forked) as scenes:
            for number, (kinds, name) in enumerate(numbered(options), 1):
                if options.only in (0, number):
                    point = points.draw(kinds, name, number, seed=options.seed, scenes=scenes)
                    trials[name] += tried(number, point, options, scenes)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(trials))
    return 1 if any(trial.wrong for trial in itertools.chain(*trials.values())) else 0


def numbered(options: argparse.Namespace):
    """The kind of each point, and the group of kinds that it belongs to."""
    for kinds, count in ((points.KINDS, options.points - options.training_points), (points.TRAININGS, options.training_points)):
        for name in points.shared_out(kinds, count):
            yield kinds, name


def tried(number: int, point: points.Point, options: argparse.Namespace, scenes: Scenes) -> list[Trial]:
    """The trial of a point, if it is possible on this machine; prints its outcome."""
    if point.action == "small disk" and not can_mount(scenes.folder):
        print(f"{number} {point}: skipped, because mounting a small disk requires root", flush=True)
        return []
    started = time.monotonic()
    trial = Trial(scenes, point).run()
    if trial.seconds and trial.seconds > options.within:
        trial.wrong.append(f"ended {trial.seconds:.1f} s after the signal")
    how = "; ".join(trial.wrong) or ("ok" if trial.reached else "not reached")
    print(f"{number} {point}: {how} [{time.monotonic() - started:.1f} s]", flush=True)
    if trial.wrong:
        more = f"--points {options.points} --training-points {options.training_points} --seed {options.seed} --only {number}"
        print(f"    python -m tests.faults {more}", flush=True)
    elif not options.keep:
        shutil.rmtree(trial.folder)
    return [trial]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--points", type=int, default=200, help="faults in all (default 200)")
    parser.add_argument("--training-points", type=int, default=24, help="of which in real trainings (default 24)")
    parser.add_argument("--seed", type=int, default=0, help="other faults (default 0)")
    parser.add_argument("--within", type=float, default=5.0, metavar="SECONDS", help="a signal ends all processes so soon (default 5)")
    parser.add_argument("--only", type=int, default=0, metavar="NUMBER", help="this one alone")
    parser.add_argument("--forked", action="store_true", help="fork runs off a process that has imported the libraries: faster")
    parser.add_argument("--keep", action="store_true", help="keep the workspaces")
    return parser.parse_args()


def table(trials: dict[str, list[Trial]]) -> str:
    lines = [f"{'kind of point':<36}{'points':>8}{'failures':>10}{'not reached':>13}{'longest end':>13}"]
    for kind, some in [*trials.items(), ("all", list(itertools.chain(*trials.values())))]:
        ends = [trial.seconds for trial in some if trial.seconds is not None]
        longest = f"{max(ends):.1f} s" if ends else ""
        wrong, missed = (sum(map(bool, of)) for of in ([trial.wrong for trial in some], [not trial.reached for trial in some]))
        lines.append(f"{kind:<36}{len(some):>8}{wrong:>10}{missed or '':>13}{longest:>13}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
