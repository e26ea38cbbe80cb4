"""What tasks read and write: artifacts in a workspace, and the files that the user brings."""

from pathlib import Path

import luigi

from pipeline.store import artifacts, lastwords, lineage


class workspace(luigi.Config):  # the name of its section and flag: --workspace-root
    """Where artifacts live."""

    root = luigi.Parameter(default=".", description="folder that holds data/, models/ and submissions/")


def workspace_root() -> Path:
    return Path(workspace().root).expanduser()


class Artifact(luigi.Target):
    """The HDF5 file of a stage; it exists when its checksums are right."""

    def __init__(self, path: Path):
        self.path = path

    def __str__(self):
        return str(self.path)

    def exists(self) -> bool:
        try:
            artifacts.verify(self.path)
        except FileNotFoundError:
            return False
        except artifacts.Damaged as error:
            lastwords.warn_once(f"{error}. It is not used; its stage runs again and sets it aside.")
            return False
        return True

    def load(self, kind: type, *, group: str = "/"):
        """The artifact's group as the dataclass `kind`."""
        return artifacts.load(self.path, kind, group=group)

    def reading(self):
        """The open, verified `h5py.File`, as a context."""
        return artifacts.reading(self.path)


class ExternalFile(luigi.ExternalTask):
    """A file that the user brings; part of the keys by its content alone."""

    path = luigi.Parameter(description="the file")
    advice = luigi.Parameter(default="", significant=False, description="what to do when it is missing")

    def output(self):
        return luigi.LocalTarget(self.path)

    def digest(self) -> str:
        return lineage.file_digest(Path(self.path), workspace_root() / "data")


@ExternalFile.event_handler(luigi.Event.DEPENDENCY_MISSING)
def _missing(task):
    lastwords.missing(f"{task.path} does not exist. {task.advice}")
