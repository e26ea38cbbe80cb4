"""What else lies in the folder of a keypoint set: films, medical images and photographs that another program has to convert first."""

from pathlib import PurePosixPath

from pipeline.data.formats import photographs
from pipeline.data.formats.folder import Folder
from pipeline.units import printable

_MOST_OPENED = 100  # files without a suffix; a series of DICOM images often has no others
_DICOM_MARK, _DICOM_OFFSET = b"DICM", 128  # DICOM PS3.10, 7.1


def unreadable(folder: Folder) -> str:
    """A sentence for each kind of file in the folder that has to be converted, with the command; "" if there is none.

    It belongs at the end of the message that the folder has no images or no labels.
    """
    readable = photographs.suffixes()
    paths = [folder.path(name) for name in folder.files if PurePosixPath(name).suffix.lower() not in readable]
    return " ".join([*photographs.advice(paths), *_dicom(folder)])


def _dicom(folder: Folder) -> list[str]:
    """The sentence for DICOM images whose names do not show what they are."""
    bare = [name for name in folder.files if not PurePosixPath(name).suffix or PurePosixPath(name).name.replace(".", "").isdigit()]
    found = [name for name in bare[:_MOST_OPENED] if _is_dicom(folder, name)]
    if not found:
        return []
    path = folder.path(found[0])
    command = photographs.conversion(path, "DICOM image")
    return [f"{printable(path)} is a DICOM image, which is not read; convert it first, for example: {command}"]


def _is_dicom(folder: Folder, name: str) -> bool:
    try:
        with folder.path(name).open("rb") as file:
            return file.read(_DICOM_OFFSET + len(_DICOM_MARK))[_DICOM_OFFSET:] == _DICOM_MARK
    except OSError:
        return False
