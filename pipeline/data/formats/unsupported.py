"""What else lies in the folder of a set: files that another program has to convert first, and labels that lack their description."""

import re
from pathlib import PurePosixPath

from pipeline.data.formats import documents, photographs
from pipeline.data.formats.folder import Folder
from pipeline.units import printable

_MOST_OPENED = 100  # files without a suffix; a series of DICOM images often has no others
_FEWEST_NUMBERS = 7  # of an object of YOLO-pose: class, box and a keypoint
_NUMBER = re.compile(r"\d*\.?\d+(e-?\d+)?")
_DICOM_MARK, _DICOM_OFFSET = b"DICM", 128  # DICOM PS3.10, 7.1


def unreadable(folder: Folder) -> str:
    """A sentence for each kind of file in the folder that has to be converted, with the command; "" if there is none.

    It belongs at the end of the message that the folder has no images or no labels.
    """
    readable = photographs.suffixes()
    paths = [folder.path(name) for name in folder.files if PurePosixPath(name).suffix.lower() not in readable]
    return " ".join([*photographs.advice(paths), *_dicom(folder), *_undescribed(folder)])


def _dicom(folder: Folder) -> list[str]:
    """The sentence for DICOM images whose names do not show what they are."""
    bare = [name for name in folder.files if not PurePosixPath(name).suffix or PurePosixPath(name).name.replace(".", "").isdigit()]
    found = [name for name in bare[:_MOST_OPENED] if _is_dicom(folder, name)]
    if not found:
        return []
    path = folder.path(found[0])
    command = photographs.conversion(path, "DICOM image")
    return [f"{printable(path)} is a DICOM image, which is not read; convert it first, for example: {command}"]


def _undescribed(folder: Folder) -> list[str]:
    """The sentence for label files of YOLO-pose that nothing describes."""
    texts = [name for name in folder.files if name.endswith(".txt") and "labels" in name.split("/")[:-1]]
    if any(name.endswith((".yaml", ".yml")) for name in folder.files) or not any(_is_of_numbers(folder, name) for name in texts[:10]):
        return []
    what = f"{printable(folder.path(texts[0]))} seems to be a label file of YOLO-pose, which needs a data.yaml"
    return [f"{what} with train, val and kpt_shape. Add that file."]


def _is_of_numbers(folder: Folder, name: str) -> bool:
    words = documents.beginning(folder.path(name)).partition("\n")[0].split()
    return len(words) >= _FEWEST_NUMBERS and all(_NUMBER.fullmatch(word) for word in words)


def _is_dicom(folder: Folder, name: str) -> bool:
    try:
        with folder.path(name).open("rb") as file:
            return file.read(_DICOM_OFFSET + len(_DICOM_MARK))[_DICOM_OFFSET:] == _DICOM_MARK
    except OSError:
        return False
