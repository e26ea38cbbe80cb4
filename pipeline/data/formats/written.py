"""What label formats write in the same way, and what their readers say in the same way."""

from pathlib import Path

import numpy as np

from pipeline.data.labels import Instance
from pipeline.units import counted


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file with line ends as they are in the text, and the folders that it needs. Raises OSError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def plain(values: list[float] | np.ndarray) -> list[float]:
    """Numbers as a JSON or CSV file should show them: with up to nine decimals, and whole ones as integers."""
    rounded = [round(float(value), 9) for value in values]
    return [int(value) if value.is_integer() else value for value in rounded]


def box(instance: Instance) -> tuple[float, float, float, float]:
    """The box of an instance, or the smallest one that contains the pixels of its keypoints: x, y, width and height in pixels."""
    if instance.box is not None:
        return instance.box
    (left, top), (right, bottom) = np.nanmin(instance.keypoints, axis=0) - 0.5, np.nanmax(instance.keypoints, axis=0) + 0.5
    return left, top, right - left, bottom - top


def unlabelled(count: int) -> tuple[str, ...]:
    """The note about instances that are left out because none of their keypoints are labelled."""
    return (f"{counted(count, 'instance')} without a labelled keypoint left out.",) if count else ()
