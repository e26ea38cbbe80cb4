"""The one exception whose message is written for the person at the keyboard."""


class InputError(Exception):
    """What the user gave cannot be used: a file, a parameter, an environment.

    The message is one sentence or two that name the place (file, row, column, parameter) and what to do.
    It is printed as it is, without a traceback; anything else that goes wrong keeps its traceback.
    """
