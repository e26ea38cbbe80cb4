"""`keypoints pack`: writes the nets of a finished run into one file that needs neither the workspace nor the data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import units
from pipeline.commands.support import ancestry, chains, packing, reading
from pipeline.commands.support.addresses import locate
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import provenance
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.store.workspace.called import called
from pipeline.tasks import packfiles
from pipeline.tasks.results import Predict


@dataclass(frozen=True)
class PackRequest:
    """What the user asks for: the file to write or None, the artifact whose nets are packed or None, and words for the model card."""

    out: Path | None
    nets: str | None
    licence: str
    intended_use: tuple[str, ...]


def run(request: PackRequest, stages: list[Stage], command: str, predicted: Path | None = None) -> int:
    """Writes the file and says what it holds; returns the exit code 0.

    `command` and `predicted` are those of `chains.of_run`. Raises InputError if there are no nets, or the file cannot be written.
    """
    if request.nets:
        if packfiles.is_pack_file(path := locate(request.nets, stages)):
            raise InputError(f"{units.printable(path)} is a file of nets already. Name an artifact of Predict or TrainBase.")
        found = chains.chosen(request.nets, stages)
    else:
        (predict,) = (stage for stage in stages if isinstance(stage, Predict))
        found = chains.of_run(predict, predicted, command)
    if not packing.measurable(found):
        raise InputError(f"The accuracy of these nets is not known, because nothing was predicted with them. Run {command} first.")
    if request.out:
        _check_free(request.out)
    pack = packing.packed(found, request.licence, request.intended_use)
    out = request.out or Path(f"{_slug(str(pack.keypointset.name))}-nets.h5")
    _check_free(out)
    try:
        with artifacts.writing(out, _attributes(packing.made_with(found))) as file:
            artifacts.put(file, pack)
    except OSError as error:
        raise InputError(f"{units.printable(out)} could not be written: {files.reason(error)}.") from None
    held = f"{units.counted(len(pack.chains), 'chain')} of {units.counted(len(pack.chains[0]), 'net')}"
    print(f"{units.printable(out)}: {held}, {units.size(out.stat().st_size)}")
    print(
        f"`{called('keypoints', 'annotate')} PHOTO --nets FILE` predicts with it; `{called('keypoints', 'inspect')} FILE` shows its card."
    )
    return 0


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "keypoints"


def _check_free(out: Path) -> None:
    """Raises InputError if the file exists and is no pack, which a new one may replace."""
    if out.is_dir():
        raise InputError(f"--out {units.printable(out)} is a folder. Name the file to write.")
    if out.exists() and not packfiles.is_pack_file(out):
        raise InputError(f"--out {units.printable(out)} exists and is not a file of nets. Name another file.")


# Provenance


def _attributes(made: Path) -> dict[str, Any]:
    """The attributes of the file: what its nets were made from, without anything that names a folder, a person or a machine."""
    own = reading.attributes(made)
    known = {f"{stage}@{key}": reading.attributes(path) for (stage, key), path in ancestry.ancestors(made).items() if path}
    every = {f"{own['stage']}@{own['key']}": own, **known}
    data = [attributes["made_from"].get("files", {}) for name, attributes in known.items() if name.startswith("Load@")]
    recipes = {name: _without_paths(attributes["made_from"].get("parameters", {})) for name, attributes in sorted(every.items())}
    made_from = {
        "stage": packfiles.STAGE,
        "inputs": {str(own["stage"]): own["key"]},
        "files": {Path(name).name: digest for found in data for name, digest in found.items()},
        "backend": own["made_from"].get("backend", {}),
    }
    return {
        "stage": packfiles.STAGE,
        "key": own["key"],
        "pack_format": str(packfiles.FORMAT),
        "made_from": made_from,
        "recipes": recipes,
        "versions": {"keypoints": provenance.version("keypoints"), **own.get("versions", {})},
    }


def _without_paths(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters; of the names of files, only the last part."""
    return {name: Path(value).name if isinstance(value, str) and "/" in value else value for name, value in parameters.items()}
