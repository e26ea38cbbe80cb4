"""A remote store: whole files behind the workspaces of hosts that share no disk.

A key means the same bytes on every host, so a file in the store never changes. The store has the layout of a workspace, except that the
partial results of an unfinished stage are in a folder of their own, FOLDER/STEM-KEY.partial. An artifact is uploaded after the files that
were published with it, so that it is there only if they are. What arrives is verified with the digests in the artifact before it gets its
name in the workspace.

fsspec connects to the store. It is imported only if there is one.
"""

import contextlib
import errno
import functools
import hashlib
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import units
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.workspace import files, locks, partials
from pipeline.store.workspace.console import say, warn_once

# An object appears there whole or not at all. In other stores a file is uploaded under another name and renamed.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "memory"}
# The packages that connect to stores for which the extra `cluster` has none.
PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "adl": "adlfs"}
# Seconds without uploads of partial results after one has failed, or ten times as long as that took, so that a store that is away hardly
# holds up a training.
PAUSE = 60.0
# By protocol: a server that cannot be reached is given up soon. fsspec's own configuration takes precedence.
OPTIONS: dict[str, dict[str, Any]] = {"s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}}}


class StoreError(Exception):
    """The store cannot be used at the moment; the message is a part of a sentence that says why."""


@functools.cache
def opened(url: str, root: Path) -> "RemoteStore":
    """The store at an address, behind the workspace in the folder `root`.

    Raises InputError if the address cannot be used.
    """
    address = urllib.parse.urlsplit(url)
    if "://" not in url:
        raise InputError(f"--workspace-remote {url} is not an address. Write it like s3://BUCKET/FOLDER or file:///FOLDER.")
    if address.password:
        raise InputError("--workspace-remote contains a password, which logs would show. Use a key, or a file of settings for fsspec.")
    try:
        import fsspec

        fsspec.get_filesystem_class(address.scheme)
    except ValueError:
        raise InputError(f"--workspace-remote {url}: {address.scheme} is not known; use s3, gs, az, sftp or file.") from None
    except ImportError as error:
        package = PACKAGES.get(address.scheme, "'keypoints[cluster]'")
        raise InputError(f"--workspace-remote {url}: a package is missing ({_line(error)}). Run pip install {package}.") from None
    return RemoteStore(url.rstrip("/"), root)


@dataclass
class RemoteStore:
    """A store and what this process knows of it.

    root: the folder of the workspace.
    known: the artifacts that are in the store, as paths in the workspace.
    reached: whether the store has ever answered.
    refusal: why it cannot be used, if it did not answer the first time.
    pause_until: when partial results are uploaded again, on the monotonic clock.
    """

    url: str
    root: Path
    known: set[Path] = field(default_factory=set)
    reached: bool = False
    refusal: str = ""
    pause_until: float = 0.0

    @property
    def identity(self) -> str:
        """Eight hexadecimal digits, the same for all workspaces with this store."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:8]

    # Finished artifacts

    def fetch(self, path: Path) -> bool:
        """Fetches an artifact that the workspace lacks, with the files published with it; returns whether it is there now.

        Nothing is fetched while another process of this host holds the lock of the artifact. A file that is damaged in the store is renamed
        there.
        Raises InputError if the store has never answered, and if the file cannot be written.
        """
        try:
            if not self._has(path):
                return False
            with _alone(path) as is_free:
                arrived = is_free and self._received(path, self._place(path))
        except StoreError as error:
            self._refuse_at_first(error)
            warn_once(f"{self.url} cannot be asked for {path.name}: {error}.")
            return False
        if not arrived:
            self.known.discard(path)
        return arrived

    def has(self, path: Path) -> bool:
        """Whether an artifact is in the store. Raises InputError if the store cannot be used."""
        try:
            return path in self.known or self._has(path)
        except StoreError as error:
            self._refuse_at_first(error)
            raise InputError(
                f"{self.url} cannot be asked for {path.name}: {error}. Try again later, or leave out --workspace-remote."
            ) from error

    def send(self, path: Path) -> None:
        """Uploads an artifact and the files published with it. If that fails, a warning says so, and `settle` tries again."""
        try:
            self._send(path)
        except StoreError as error:
            say(f"warning: {path.name} could not be uploaded to {self.url}: {error}. It is kept in the workspace.")

    def settle(self, paths: Iterable[Path]) -> None:
        """Uploads those artifacts of the workspace that the store lacks, and asks for each that is not known to be there once.

        Raises InputError if the store cannot be asked or refuses one.
        """
        left = [path for path in dict.fromkeys(paths) if path not in self.known and path.exists()]
        for number, path in enumerate(left):
            try:
                if not self._has(path) and artifacts.is_sound(path):
                    self._send(path)
            except StoreError as error:
                raise InputError(
                    f"{units.counted(len(left) - number, 'result')} may be missing in {self.url}: {error}. They are kept in"
                    f" {self.root.resolve()}; once the store can be used, the same command uploads what is missing."
                ) from None

    def set_aside(self, path: Path, why: str) -> str:
        """Renames an artifact in the store, so that no host fetches it, and removes its partial results there.

        why: becomes part of the new name.

        Returns the new address, or "" if the store does not have it. Raises InputError if the store refuses that.
        """
        try:
            renamed = self._rename(self._place(path), why) if self._has(path) else ""
            self._drop(path)
        except StoreError as error:
            raise InputError(f"{path.name} cannot be renamed in {self.url}: {error}. Nothing was quarantined in the workspace.") from None
        self.known.discard(path)
        return f"{self.url}/{path.parent.name}/{renamed}" if renamed else ""

    # Partial results

    def send_partial(self, path: Path, artifact: Path, superseded: Iterable[Path] = ()) -> None:
        """Uploads a checkpoint or snapshot of an artifact, and then removes those that it supersedes from the store."""
        if (began := time.monotonic()) < self.pause_until:
            return
        try:
            self._upload(path, self._partial(artifact, path.name))
            for old in superseded:
                self._do(lambda fs, place: fs.rm_file(place), self._partial(artifact, old.name))
        except StoreError as error:
            self.pause_until = time.monotonic() + max(PAUSE, 10 * (time.monotonic() - began))
            warn_once(f"{path.name} could not be uploaded to {self.url}: {error}. The stage goes on.")

    def fetch_partials(self, artifact: Path) -> None:
        """Fetches the checkpoints and snapshots of an artifact that the workspace lacks. The caller holds the lock of the artifact."""
        try:
            found = self._do(lambda fs, place: fs.find(place), self._partial(artifact, "")) or []
            listed = {Path(each).name for each in found}
            for path in partials.named(artifact, listed):
                if not path.exists():
                    self._received(path, self._partial(artifact, path.name))
        except StoreError as error:
            warn_once(f"{self.url} cannot be asked for checkpoints of {artifact.name}: {error}.")

    # What they are made of

    def _has(self, path: Path) -> bool:
        """Whether an artifact is in the store."""
        has = self._do(lambda fs, place: fs.info(place), self._place(path)) is not None
        if has:
            self.known.add(path)
        elif not self.reached:
            self._check_base()
        self.reached = True
        return has

    def _check_base(self) -> None:
        """Raises StoreError if the bucket does not exist; a folder is created."""
        if self._is_object_store():
            if self._do(lambda fs, place: fs.info(place.split("/")[0]), "") is None:
                raise StoreError("there is no such bucket")
        else:
            self._do(lambda fs, place: fs.makedirs(place, exist_ok=True), "")

    def _send(self, path: Path) -> None:
        for name in (*artifacts.published(path), path.name):  # the artifact is the last
            self._upload(path.with_name(name), self._place(path.with_name(name)))
        self.known.add(path)
        with contextlib.suppress(StoreError):  # they do no harm
            self._drop(path)

    def _drop(self, artifact: Path) -> None:
        """Removes the partial results of an artifact from the store."""
        self._do(lambda fs, place: fs.find(place) and fs.rm(place, recursive=True), self._partial(artifact, ""))

    def _received(self, path: Path, place: str) -> bool:
        """Whether a file has arrived undamaged. What is damaged a second time is so in the store, and is set aside there."""
        for attempt in range(2):
            try:
                self._receive(path, place)
            except FileNotFoundError:
                return False
            except StoreError:  # some clients compare checksums themselves
                if attempt:
                    raise
            except artifacts.Damaged as damage:
                what = f"{self.url}/{place} is damaged"
                say(f"warning: {what} ({damage}).")
            else:
                say(f"{path.name}: fetched from {self.url}")
                return True
        say(f"{what} and was kept there as {self._rename(place, 'damaged')}. It is not used.")
        return False

    def _receive(self, path: Path, place: str) -> None:
        """Downloads an artifact, a checkpoint or a snapshot, and the files that were published with it.

        Raises FileNotFoundError, or Damaged with a reason.
        """
        with files.publishing(path, keeping=True) as draft:
            self._download(place, draft)
            try:
                published, _ = artifacts.verify_itself(draft)
            except artifacts.Damaged:
                raise artifacts.Damaged("its content does not agree with its checksum") from None
            for name, digest in published.items():
                with files.publishing(path.with_name(name), keeping=digest != artifacts.ANY) as beside:
                    try:
                        self._download(self._place(path.with_name(name)), beside)
                    except FileNotFoundError:
                        raise artifacts.Damaged(f"{name} is missing") from None
                    if digest not in (artifacts.ANY, files.sha256(beside)):
                        raise artifacts.Damaged(f"the content of {name} does not agree with its checksum")

    def _download(self, place: str, draft: Path) -> None:
        if self._do(lambda fs, there: fs.get_file(there, str(draft)) or True, place) is None:
            raise FileNotFoundError(errno.ENOENT, "not in the store", place)

    def _upload(self, path: Path, place: str) -> None:
        def put(fs: Any, there: str) -> bool:
            if self._is_object_store():
                fs.put_file(str(path), there)
                return True
            folder, _, name = there.rpartition("/")
            draft = f"{folder}/.{name}.part"
            fs.makedirs(folder, exist_ok=True)
            try:
                fs.put_file(str(path), draft)
                fs.mv(draft, there)
            except BaseException:
                with contextlib.suppress(Exception):
                    fs.rm_file(draft)
                raise
            return True

        if self._do(put, place) is None:
            raise StoreError("there is no such bucket or folder" if path.exists() else f"{path} is missing")

    def _rename(self, place: str, why: str) -> str:
        """Renames a file in the store to NAME.WHY-N and returns its new name."""
        number = 1
        while self._do(lambda fs, there: fs.info(there), f"{place}.{why}-{number}") is not None:
            number += 1
        self._do(lambda fs, there: fs.mv(there, f"{there}.{why}-{number}"), place)
        return f"{Path(place).name}.{why}-{number}"

    def _do(self, action: Callable[[Any, str], Any], place: str) -> Any:
        """The result of `action(file system, path)`; None if there is no such file. Raises StoreError if the store cannot be used.

        Clients raise exceptions of many kinds, which have no common class.
        """
        if self.refusal:
            raise StoreError(self.refusal)
        try:
            from fsspec.core import url_to_fs

            fs, base = url_to_fs(self.url, **_options(self.url))
            fs.invalidate_cache()
            return action(fs, f"{base}/{place}".rstrip("/"))
        except FileNotFoundError:
            return None
        except Exception as error:
            if isinstance(error, OSError) and error.filename and Path(str(error.filename)).is_relative_to(self.root.absolute()):
                raise  # of the workspace
            raise StoreError(_reason(error)) from error

    def _refuse_at_first(self, error: StoreError) -> None:
        """Raises InputError if the store has never answered: its address or the credentials are probably wrong."""
        if not self.reached:
            self.refusal = str(error)
            raise InputError(f"--workspace-remote {self.url} cannot be used: {error}. Check the address and the credentials.") from error

    def _is_object_store(self) -> bool:
        return self.url.partition("://")[0] in OBJECT_STORES

    def _place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _partial(self, artifact: Path, name: str) -> str:
        return f"{self._place(artifact).removesuffix('.h5')}.partial/{name}"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Yields whether this process holds the lock of an artifact, which it takes if no other process has it."""
    if locks.is_ours(locks.name_of(path)):
        yield True
    else:
        with locks.free(path) as is_free:
            yield is_free


def _options(url: str) -> dict[str, Any]:
    """What a client is created with, besides what the user's own configuration of fsspec says."""
    from fsspec.config import conf

    protocol = url.partition("://")[0]
    return {name: value for name, value in OPTIONS.get(protocol, {}).items() if name not in conf.get(protocol, {})}


def _reason(error: Exception) -> str:
    """Why a client failed, as the end of a sentence."""
    if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
        return f"access is denied ({_line(error)})"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "it has no space left"
    return _line(error)


def _line(error: Exception) -> str:
    """An error in one line, without a full stop."""
    text = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")
    return text or type(error).__name__
