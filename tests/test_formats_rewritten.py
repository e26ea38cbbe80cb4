"""Labels of each format, written in others and read again."""

from dataclasses import replace

import labelsets
import numpy as np
import pytest

# The images of the set in SLEAP's format are in its label file; .pts files are found beside their images only, and
# imglab's coordinates are integers.
NAMES = [name for name in labelsets.SETS if name != "sleap"]
TARGETS = [name for name in NAMES if name not in ("pts", "dlib")]
FILES = {"cvat": "new.xml", "tps": "new.tps"}  # what is written is one file; others write folders


def _by_place(labels):
    """Image -> the coordinates of its instances in a fixed order; what keypoints are called and which instance is first may change."""
    found = {}
    for one in labels.instances:
        found.setdefault(one.image, []).append(np.nan_to_num(one.keypoints, nan=-1).ravel())
    return {image: np.array(sorted(points, key=tuple)) for image, points in found.items()}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_same_coordinates(tmp_path, name, target):
    """Whatever the format of the labels was, they have the same coordinates after they have been written in another."""
    labelsets.SETS[name](tmp_path)
    labels = labelsets.read(name, tmp_path)
    first = labels.instances[0].source
    labels = replace(labels, instances=tuple(one for one in labels.instances if one.source == first))
    again = labelsets.rewritten(labels, target, tmp_path, FILES.get(target, "new"))
    before, after = _by_place(labels), _by_place(again)
    assert set(before) == set(after)
    for image, points in before.items():
        np.testing.assert_allclose(after[image], points, atol=1e-6)
