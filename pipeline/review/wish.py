"""What the page asks for. The server starts with this module; what reads labels is imported later."""

from dataclasses import dataclass

from pipeline.errors import InputError


class WrongRequestError(InputError):
    """The page asks for something that there is not."""


@dataclass(frozen=True)
class Wish:
    """The change that a reviewer asks for.

    sample, keypoint: their numbers, from 0. old: the value that the reviewer has seen, as text. new: the value as text, "missing",
    "occluded" or as in the file; None if point is given. point: x and y in pixels of the image. occluded: whether the keypoint is occluded
    there. why: a remark.
    """

    sample: int
    keypoint: int
    old: str
    new: str | None = None
    point: tuple[float, float] | None = None
    occluded: bool = False
    why: str = ""
