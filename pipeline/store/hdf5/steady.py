"""The file under an open `h5py.File`, whose write errors are kept for later."""


class Steady:
    """The file under an open `h5py.File`. Its writes never fail, the first failure is kept.

    After a failed write HDF5 tries again when the process ends, without a Python to call, and crashes (h5py 3.14).
    """

    def __init__(self, raw):
        self.raw, self.failure, self.size = raw, None, 0

    def __getattr__(self, name):
        return getattr(self.raw, name)

    def write(self, block) -> int:
        self.size = max(self.size, self.raw.tell() + len(block))
        self._attempt(self._write_all, block)
        return len(block)

    def truncate(self, size: int) -> None:
        self._attempt(self.raw.truncate, size)

    def _write_all(self, block) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[self.raw.write(rest) :]

    def _attempt(self, action, argument) -> None:
        try:
            action(argument)
        except BaseException as error:
            self.failure = self.failure or error
