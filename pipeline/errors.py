"""The exceptions whose message is written for the person at the keyboard."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """What the user gave cannot be used: a file, a parameter, an environment.

    The message is one sentence or two that name the place (file, row, column, parameter) and what to do.
    It is printed as it is, without a traceback; anything else that goes wrong keeps its traceback.
    """


def cause(error: BaseException | None) -> InputError | None:
    """The InputError that an exception is or was raised from: Luigi makes a ValueError of what a parameter of an inner task says."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__
    return error


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the known one that it is nearly, or all of them in their order."""
    folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), folded, 1, 0.5)
    return f"did you mean {folded[near[0]]}?" if near else f"there are {', '.join(folded.values())}."


class Ended(InputError):
    """A training that ended without a result; `history` holds its epochs. For an experiment that is an outcome, not a fault."""

    ending = "ended"  # in the run log

    def __init__(self, message: str, history):
        super().__init__(message)
        self.history = history


class Diverged(Ended):
    """The validation RMSE is no number."""

    ending = "diverged"


class Pruned(Ended):
    """A search gave it up: others were better at this epoch."""

    ending = "pruned"
