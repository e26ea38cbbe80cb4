"""The file underneath an open `h5py.File`: it keeps write errors until HDF5 has closed the file."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py


class Steady:
    """A raw file for `h5py.File` whose writes never fail; the first error is kept in `failure`.

    After a failed write, HDF5 tries again when the process ends and no Python interpreter is left to call, which crashes (h5py 3.14).

    size: the number of bytes that the complete file needs.
    """

    def __init__(self, raw: io.FileIO):
        self.raw, self.size = raw, 0
        self.failure: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def create_hdf5(self, userblock_size: int) -> "h5py.File":
        """A new HDF5 file that is written to the raw file."""
        import h5py

        return h5py.File(self, "w", userblock_size=userblock_size)

    def close_hdf5(self, file: "h5py.File") -> None:
        """Closes the HDF5 file. No interrupt comes in between (see `store.run.interrupts`): HDF5 would write to a closed file later."""
        file.close()

    def write(self, block: bytes) -> int:
        """Writes a block; returns its length even if that failed."""
        self.size = max(self.size, self.raw.tell() + len(block))
        self._attempt(self._write_all, block)
        return len(block)

    def truncate(self, size: int) -> None:
        """Truncates or extends the file."""
        self._attempt(self.raw.truncate, size)

    def _write_all(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[self.raw.write(rest) :]

    def _attempt(self, action: Callable[[Any], Any], argument: Any) -> None:
        """Calls `action`; an exception, even KeyboardInterrupt, is kept for later."""
        try:
            action(argument)
        except BaseException as error:
            self.failure = self.failure or error
