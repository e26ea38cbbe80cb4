"""What a page calls the samples of a data set: faces, where they are Kaggle's or drawn by the program, and samples otherwise."""

from dataclasses import dataclass

from pipeline.data.dataset import Dataset
from pipeline.units import printable


@dataclass(frozen=True)
class Wording:
    """The words for a set.

    title: what the page is about. one, many: a sample and samples. mean: the mean of the labels, with which predictions are compared.
    images: the images whose pixels are the unit of the results.
    """

    title: str
    one: str
    many: str
    mean: str
    images: str


FACES = Wording("Facial keypoints", "face", "faces", "mean face", "the image")


def wording(dataset: Dataset, title: str = "Keypoints") -> Wording:
    """The words for a data set. title: the name of an own set."""
    if dataset.origin is None:
        return FACES
    return Wording(printable(title), "sample", "samples", "mean shape", "the original images")
