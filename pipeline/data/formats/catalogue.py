"""The label formats by name. Modules are imported by name when they are needed, so that an edited format makes only its own sets stale.

A format is a module of this package with

- `CONVENTION`, a `pipeline.data.labels.Convention`;
- `find(folder) -> tuple[str, ...]`: the label files of this format in a `Folder`, recognised by content; reads little of each file;
- `read(folder, files, reading) -> Labels`: the content of these files; raises InputError for any fault, with file, image and keypoint;
- `write(labels, folder, out) -> None`: writes labels to the path `out`, a new file or folder. `folder` has the images of the labels.
"""

import importlib
from types import ModuleType

from pipeline.errors import InputError, meant

# In the order of preference: if the labels of the same images are there in several formats, the first is read.
FORMATS = (
    "sleap",
    "coco",
    "cvat",
    "label_studio",
    "labelme",
    "yolo",
    "image_json",
    "dlib",
    "tps",
    "deeplabcut",
    "pts",
    "wide_csv",
)


KAGGLE = "kaggle"  # whose tables contain the images; the module has functions of its own


def format_module(name: str) -> ModuleType:
    """The module of a format, or that of Kaggle's tables. Raises InputError for an unknown name."""
    if name not in (*FORMATS, KAGGLE):
        raise InputError(f"There is no label format {name!r}; {meant(name, FORMATS)}")
    return importlib.import_module(f"{__name__.rsplit('.', 1)[0]}.{name}")
