"""How work that takes long tells how far it is: it calls a function with the number of bytes or faces that it has dealt with since."""

from collections.abc import Callable

OnProgress = Callable[[int], None]


def ignored(count: int) -> None:
    """For work that nobody watches."""
