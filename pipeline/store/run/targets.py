"""What tasks read and write: artifacts in a workspace, and the files that the user brings."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import luigi

from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.run import closing
from pipeline.store.run.parameters import whole
from pipeline.store.workspace import digests, files


class workspace(luigi.Config):  # the name of its section and flag: --workspace-root
    """Where artifacts live."""

    root = luigi.Parameter(default=".", description="folder that holds data/, models/ and submissions/")


def workspace_root() -> Path:
    return expanded(workspace().root, "--workspace-root")


def expanded(path: str, flag: str) -> Path:
    """The path, ~ and ~USER resolved; InputError, naming the flag, where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{flag} {path}: there is no user {path.split('/')[0][1:]}.") from None


class memory(luigi.Config):
    """What a stage holds at once."""

    images = whole(256, "MiB of an array of images in memory; a larger array stays in its file and is read block by block", 0)


def images_limit() -> int:
    """Bytes of an array of images that may be in memory."""
    return memory().images << 20


class Artifact(luigi.Target):
    """The HDF5 file of a stage; it exists when its checksums are right."""

    def __init__(self, path: Path):
        self.path = path

    def __str__(self):
        return str(self.path)

    def exists(self) -> bool:
        return artifacts.is_sound(self.path)

    def load(self, kind: type):
        """The artifact as the dataclass `kind`; its larger `Images` stay in the file, see `memory`."""
        with self._refusing():
            return artifacts.load(self.path, kind, limit=images_limit(), opened=functools.partial(self.reading, kind))

    @contextlib.contextmanager
    def reading(self, kind: type) -> Iterator:
        """The open, verified `h5py.File`, which has the arrays of the dataclass `kind`."""
        with self._refusing(), artifacts.reading(self.path, kind) as file:
            yield file

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Sets an artifact aside that turns out to be damaged or another's only when it is read: its stage must run again."""
        try:
            yield
        except artifacts.Damaged as error:
            with contextlib.suppress(FileNotFoundError):  # another process does the same
                files.quarantine(self.path, "damaged")
            raise InputError(f"{error}. It was set aside; the same command makes it again.") from error


class ExternalFile(luigi.ExternalTask):
    """A file that the user brings; part of the keys by its content alone."""

    path = luigi.Parameter(description="the file")
    advice = luigi.Parameter(default="", significant=False, description="what to do when it is missing")

    def output(self):
        return luigi.LocalTarget(self.path)

    def digest(self) -> str:
        return digests.file_digest(Path(self.path), workspace_root() / "data")


@ExternalFile.event_handler(luigi.Event.DEPENDENCY_MISSING)
def _missing(task):
    closing.missing(f"{task.path} does not exist. {task.advice}")
