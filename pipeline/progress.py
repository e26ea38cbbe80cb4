"""Progress of long operations: they call a function with the number of bytes or images processed since the previous call."""

from collections.abc import Callable

# Takes the number of bytes or images processed since the previous call.
OnProgress = Callable[[int], None]


def ignored(count: int) -> None:
    """An `OnProgress` that does nothing."""
