"""`keypoints verify`: every artifact of the workspace, and the files published with it, against their checksums."""

from pipeline.store.hdf5 import artifacts
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names


def run() -> int:
    """Prints what is damaged; 0 if nothing is, else 1."""
    paths, damaged = names.all_artifacts(workspace_root(), ("artifact", *names.UNFINISHED)), 0
    for path in paths:
        try:
            artifacts.verify(path)
        except (artifacts.Damaged, OSError) as error:
            damaged += 1
            print(f"damaged: {error}")
    print(
        f"{len(paths)} artifacts in {workspace_root().resolve()}, {damaged} damaged."
        + (" The next run makes them again." if damaged else "")
    )
    return 1 if damaged else 0
