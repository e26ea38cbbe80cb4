"""Exceptions whose messages are written for the user."""

import difflib
import errno
from collections.abc import Iterable
from typing import Any


class InputError(Exception):
    """The user provided something that cannot be used: a file, a parameter, an environment.

    The message says in one or two sentences what is wrong, where (file, row, column, parameter), and what to do. It is printed without a
    traceback; all other exceptions keep theirs.
    """


# What the user can do about an error of the operating system, which names a file.
_ADVICE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Change its permissions, or use another folder."),
    errno.EROFS: "Use a folder on another disk.",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "A folder is needed in this place; move the file."),
    errno.EISDIR: "A file is needed in this place; move the folder.",
    errno.ENAMETOOLONG: "Use a shorter name.",
    errno.ELOOP: "Its symbolic links refer to each other.",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "Raise the limit of open files (ulimit -n)."),
    errno.ESTALE: "The file server has replaced it; run the command again.",
}


def cause(error: BaseException | None) -> InputError | None:
    """The InputError that an exception is or was raised from; None if there is none.

    Luigi turns the InputError of a parameter of an inner task into a ValueError. An error of the operating system that the user can resolve
    becomes an InputError too.
    """
    while error is not None and not isinstance(error, InputError):
        if isinstance(error, OSError) and error.errno in _ADVICE and error.filename:
            return InputError(f"{error.filename}: {(error.strerror or str(error)).lower()}. {_ADVICE[error.errno]}")
        error = error.__cause__
    return error


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar to `name`, whatever the case; None if none is similar."""
    folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), folded, 1, 0.6)
    return folded[found[0]] if found else None


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: a known name that is similar or, if there is none, all known names in their order."""
    names = list(dict.fromkeys(known))
    guess = near(name, names)
    return f"did you mean {guess}?" if guess else f"the choices are {', '.join(names)}."


class Ended(InputError):
    """A training ended without a result. For an experiment that is an outcome, not a fault.

    history: the epochs of the training, a `pipeline.nets.trained.History`.
    """

    ending = "ended"  # the status in the run log

    def __init__(self, message: str, history: Any):
        super().__init__(message)
        self.history = history


class Diverged(Ended):
    """The validation RMSE became NaN or infinite."""

    ending = "diverged"


class Pruned(Ended):
    """A search stopped the training because others were better after the same number of epochs."""

    ending = "pruned"
