"""The one exception whose message is written for the person at the keyboard."""


class InputError(Exception):
    """What the user gave cannot be used: a file, a parameter, an environment.

    The message is one sentence or two that name the place (file, row, column, parameter) and what to do.
    It is printed as it is, without a traceback; anything else that goes wrong keeps its traceback.
    """


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
