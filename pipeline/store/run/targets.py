"""What tasks read and write: artifacts in a workspace, and files that the user provides."""

import contextlib
import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.parameter import ParameterVisibility

from pipeline.errors import InputError
from pipeline.store import remote
from pipeline.store.hdf5 import artifacts
from pipeline.store.run import closing
from pipeline.store.run.parameters import whole
from pipeline.store.workspace import digests, files, names

if TYPE_CHECKING:
    import h5py

Content = TypeVar("Content")


class workspace(luigi.Config):  # named after its section and flag: --workspace-root
    """Where artifacts are stored."""

    root = luigi.Parameter(default=".", description="folder that contains data/, models/ and submissions/")
    remote = luigi.Parameter(
        default="", description="address of a store that hosts without a shared disk use together, such as s3://BUCKET/FOLDER"
    )


def workspace_root() -> Path:
    """The folder of the workspace. Raises InputError if an address is named instead."""
    root = workspace().root
    refuse_empty(root, "--workspace-root")
    if "://" in root:
        raise InputError(f"--workspace-root {root} is an address. Name a folder there, and give the address to --workspace-remote.")
    return expanded(root, "--workspace-root")


def remote_store() -> "remote.RemoteStore | None":
    """The store behind the workspace; None if there is none. Raises InputError if its address cannot be used."""
    url = workspace().remote
    return remote.opened(url, workspace_root()) if url else None


def refuse_empty(value: str, flag: str) -> None:
    """Raises InputError if a value is empty: it comes from a variable of a shell that is not set. Luigi ignores empty flags."""
    parser = CmdlineParser.get_instance()
    given = getattr(parser.known_args, flag.strip("-").replace("-", "_"), None) if parser else None
    if not value.strip() or (given is not None and not given.strip()):
        raise InputError(f"{flag} is empty; give a folder, or leave the flag out.")


def check_workspace() -> None:
    """Raises InputError if something else is in the place of a folder of the workspace, or if a store behind it cannot be used."""
    root = workspace_root()
    remote_store()
    for folder in (*reversed(root.parents), root, *(root / name for name in names.FOLDERS)):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is not a folder. Move it, or let --workspace-root name another folder.")


def log_folder() -> Path:
    """The folder of the run log, and of the lists of artifacts that running processes use."""
    return workspace_root() / "models"


def expanded(path: str, flag: str) -> Path:
    """The path with ~ and ~USER expanded. Raises InputError, which names the flag, if there is no such user or no home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = path.split("/")[0][1:]
        reason = f"there is no user {user}" if user else "no home folder is known. Write the path in full"
        raise InputError(f"{flag} {path}: {reason}.") from None


class memory(luigi.Config):
    """Limits for what a stage keeps in memory."""

    images = whole(1024, "MiB of an array of images in memory; a larger array stays in its file and is read block by block", 0)


def images_limit() -> int:
    """The number of bytes up to which an array of images is kept in memory."""
    return memory().images << 20


class Artifact(luigi.Target):
    """The HDF5 file of a stage. It exists if its digests are correct."""

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """Whether the artifact exists and is undamaged; a warning says what is wrong with a damaged one."""
        return artifacts.is_sound(self.path)

    def load(self, kind: type[Content]) -> Content:
        """The artifact as the dataclass `kind`. Larger arrays of images stay in the file, see `memory`.

        Raises InputError, after quarantining the file, if it is damaged or not of this kind.
        """
        with self._refusing():
            return artifacts.load(self.path, kind, limit=images_limit(), opened=functools.partial(self.reading, kind))

    @contextlib.contextmanager
    def reading(self, kind: type) -> Iterator["h5py.File"]:
        """Yields the verified artifact as an open `h5py.File` with the arrays of the dataclass `kind`. Raises InputError like `load`."""
        with self._refusing(), artifacts.reading(self.path, kind) as file:
            yield file

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Quarantines an artifact that turns out to be unusable only when it is read: its stage must run again."""
        try:
            yield
        except artifacts.Damaged as error:
            with contextlib.suppress(FileNotFoundError):  # another process does the same
                files.quarantine(self.path, "damaged")
            raise InputError(f"{error}. It was quarantined; the same command recomputes it.") from error


class ExternalFile(luigi.ExternalTask):
    """A file that the user provides. Only its content enters the keys."""

    path = luigi.Parameter(description="the file")
    advice = luigi.Parameter(default="", significant=False, description="what to do if it is missing")
    subject = luigi.Parameter(
        default="", significant=False, description="what to name if it is missing, such as its folder; empty: the file"
    )

    def output(self) -> luigi.LocalTarget:
        """The file as Luigi's target."""
        return luigi.LocalTarget(self.path)

    @property
    def title(self) -> str:
        """What the provenance calls the file."""
        return Path(self.path).name

    def digest(self) -> str:
        """The SHA-256 digest of the file, "missing" or "not a file"."""
        return digests.file_digest(Path(self.path), workspace_root() / "data")

    def lacking(self) -> str:
        """The path that does not exist; "" if everything is there."""
        return "" if self.complete() else self.path


class ExternalFiles(ExternalFile):
    """Many files that the user provides in one folder, `path`. Only their names and contents enter the keys, as one digest.

    A single task for them keeps Luigi fast, and so does a single entry in the provenance.
    """

    path = luigi.Parameter(description="the folder")
    names = luigi.ListParameter(
        visibility=ParameterVisibility.PRIVATE, description="the files, relative to the folder"
    )  # private, so that thousands of names are not sent to a scheduler
    called = luigi.Parameter(default="files", description="what the files are, such as images")

    def __repr__(self) -> str:
        return f"{self.task_family}({self.called} in {self.path})"

    @property
    def title(self) -> str:
        return self.called

    def complete(self) -> bool:
        """Whether all files exist."""
        return not self.lacking()

    def digest(self) -> str:
        """The SHA-256 digest of the names and contents of the files."""
        return digests.folder_digest(Path(self.path), self.names, workspace_root() / "data")

    def lacking(self) -> str:
        folder = Path(self.path)
        return next((str(path) for name in self.names if not (path := folder / name).exists()), "")


# Luigi's own warning about a missing file, which comes right after `_missing`.
logging.getLogger("luigi-interface").addFilter(lambda record: "does not exist (yet?)" not in str(record.msg))


@ExternalFile.event_handler(luigi.Event.DEPENDENCY_MISSING)
def _missing(task: ExternalFile) -> None:
    closing.missing(f"{task.subject or task.lacking() or task.path} does not exist. {task.advice}")
