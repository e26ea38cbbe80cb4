"""Labels that are written in another format and read again: keypoints are compared by name."""

import numpy as np
import pytest
from PIL import Image

from pipeline.data import conversion
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, LabelledImage, Labels

NAN = np.nan


def labels(*keypoints: list) -> Labels:
    """The labels of one image, with an instance for each list of keypoints."""
    instances = [Instance("a.png", str(number), np.array(own, float), np.zeros(3, bool)) for number, own in enumerate(keypoints, 1)]
    return Labels("coco", ("a.json",), ("tail", "nose", "ear"), (LabelledImage("a.png"),), tuple(instances))


@pytest.fixture
def folder(tmp_path) -> Folder:
    """A folder with an image of 40 x 30 pixels."""
    Image.new("L", (40, 30)).save(tmp_path / "a.png")
    return Folder(tmp_path)


@pytest.mark.parametrize(("to", "out"), [("labelme", "out"), ("dlib", "out.xml")])
def test_a_format_may_order_keypoints_in_its_own_way(folder, to, out):
    """LabelMe's files have none, and imglab's are in the order of the names."""
    given = labels([(NAN, NAN), (3.5, 4.5), (9.5, 9.5)], [(1.5, 2.5), (5.5, 6.5), (8.5, 9.5)])
    assert conversion.converted(given, folder, to, folder.root / out) == ["the order of the keypoints"]


@pytest.mark.parametrize(("to", "out"), [("labelme", "out"), ("dlib", "out.xml")])
def test_a_keypoint_that_is_never_labelled_is_named(folder, to, out):
    """Formats without a list of the keypoints lose it."""
    given = labels([(NAN, NAN), (3.5, 4.5), (9.5, 9.5)])
    assert conversion.converted(given, folder, to, folder.root / out) == ["keypoints without labels (tail)"]
