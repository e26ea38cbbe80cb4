"""What Load and LoadTest depend on besides their parameters: the files and the definition of an own set, and the code of its format."""

import hashlib
import json
from typing import Any

import luigi

from pipeline.data.definition import READER, Definition
from pipeline.data.formats.catalogue import FORMATS, KAGGLE
from pipeline.store.run.parameters import Automatic, Checked
from pipeline.store.run.targets import ExternalFile, ExternalFiles
from pipeline.tasks.sections import dataset


def suited(number: Checked[Any], how: str) -> Automatic:
    """A parameter that suits the data of an own set unless a number is given. how: how the data choose it."""
    usual = f"{number.shown} for Kaggle's and drawn faces"
    return Automatic(number, f"for a keypoint set of your own {how}, {usual}", lambda: dataset().is_own)


def files(*, test: bool) -> dict[str, luigi.Task]:
    """The label files of an own set, and its labelled images or its test images."""
    found = dataset().definition()
    names, images = found.label_files(test=test), found.image_files(test=test)
    kind = "test images" if test else "labelled images"
    beside: dict[str, luigi.Task] = {
        name: ExternalFile(path=found.settings[name]) for name in ("boxes", "groups") if name in found.settings
    }
    return {
        "labels": ExternalFiles(path=found.root, names=list(names), called="label files"),
        "images": ExternalFiles(path=found.root, names=list(images), called=kind),
        **beside,
    }


def modules() -> tuple[str, ...]:
    """The modules that are imported by name, so that their code concerns only these sets: that of the label format, and of own sets."""
    name = dataset().definition().format
    return (*((f"pipeline.data.formats.{name}",) if name in (*FORMATS, KAGGLE) else ()), *((READER,) if dataset().is_own else ()))


def facts() -> dict[str, Any]:
    """What the samples of an own set depend on besides its files."""
    found = dataset().definition()
    if found.keypointset is None:
        return {"fault": found.fault}
    used = {name: value for name, value in found.settings.items() if name in ("upwards", "category", "predict", "group_by")}
    names, mirror, sources = found.keypointset.names, found.keypointset.mirror, found.keypointset.sources
    fixed = {"names": names, "mirror": mirror, "sources": sources, "order": found.order}
    return {**fixed, "parts": _parts(found), "around": found.around, **used}


def _parts(found: Definition) -> str:
    """The parts that are fixed: how many images are assigned, and a digest of which; "" if none are."""
    text = json.dumps(found.parts, sort_keys=True)
    return f"{len(found.parts)} images ({hashlib.sha256(text.encode()).hexdigest()[:10]})" if found.parts else ""
