"""The store under faults: about thirty points of the long run `python -m tests.faults`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults import points
from faults.scenes import Scenes
from faults.trials import Trial, can_mount

# One point of each kind, two or three of the more frequent kinds.
SAMPLE = list(enumerate(points.shared_out(points.KINDS, 26)))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    with Scenes(tmp_path_factory.mktemp("scenes"), fresh=False) as made:
        yield made


@pytest.mark.parametrize(("number", "kind"), SAMPLE, ids=[f"{kind}-{number}" for number, kind in SAMPLE])
def test_a_fault_costs_no_finished_stage(scenes, number, kind):
    """However a run ends, the next one gives the bytes of an undisturbed run, repeats no finished stage and leaves nothing behind."""
    point = points.draw(points.KINDS, kind, number, seed=1, scenes=scenes)
    if point.action == "small disk" and not can_mount(scenes.empty_folder()):
        pytest.skip("to mount a small disk needs root")
    assert Trial(scenes, point).run().wrong == []


@pytest.mark.keras
@pytest.mark.slow
def test_a_training_that_is_disturbed_again_and_again(scenes):
    """Killed while writing, interrupted while compiling, killed after an epoch, out of disk space: the result has the same bytes."""
    operations = scenes["TrainBase"].operations
    kept = [number for number, line in enumerate(operations, 1) if line.startswith("rename") and ".checkpoint-" in line]
    # Each of the three epochs is saved, so at most one is lost if the next run resumes from the latest.
    assert len(kept) == 3
    faults = (
        points.Point("kill", scene="TrainBase", at=kept[0] - 10),
        points.Point("SIGTERM", scene="TrainBase", said="TrainBase: trains on", moment=0.1),
        points.Point("kill", scene="TrainBase", said="TrainBase: epoch 1/"),
        # Less than the size of a checkpoint, or of the artifact.
        points.Point("file size limit", scene="TrainBase", size=2_000_000),
    )
    trial = Trial(scenes, *faults).run()
    assert trial.wrong == []
    assert trial.reached


# For each limit, a process writes an artifact and ends normally, so that HDF5's own exit handlers run.
SWEEP = """
import os, resource, sys
from pathlib import Path
import test_artifacts
from pipeline.errors import InputError
path, content = Path("a.h5"), test_artifacts.content()
size = test_artifacts.write(path, content).stat().st_size
path.unlink()
for limit in range(0, size, size // 25):
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            test_artifacts.write(path, content)
        except InputError as error:
            sys.exit(" are needed; the limit for a file is " not in str(error))
        sys.exit("no error")
    print(limit, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), *os.listdir())
print(size)
"""


def test_a_disk_that_is_full_at_any_offset(tmp_path):
    """Wherever the writing of an artifact stops, there is an error, no crash when the process ends, and nothing remains."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])}
    done = subprocess.run([sys.executable, "-c", SWEEP], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    *results, size = done.stdout.splitlines()
    assert results == [f"{limit} 0" for limit in range(0, int(size), int(size) // 25)]
