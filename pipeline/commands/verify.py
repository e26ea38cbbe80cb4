"""`keypoints verify`: checks every artifact of the workspace, and the files published with it, against its checksums."""

from pipeline.store.hdf5 import artifacts
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names


def run() -> int:
    """Prints the damaged artifacts and returns the exit code: 0 if there are none, else 1."""
    paths, damaged = names.all_artifacts(workspace_root(), ("artifact", *names.UNFINISHED)), 0
    for path in paths:
        try:
            artifacts.verify(path)
        except (artifacts.Damaged, OSError) as error:
            damaged += 1
            print(f"damaged: {error}")
    hint = " The next run quarantines and recomputes those that it needs." if damaged else ""
    print(f"{len(paths)} artifacts in {workspace_root().resolve()}, {damaged} damaged.{hint}")
    return 1 if damaged else 0
