"""`keypoints pack`: writes the nets of a finished run into one file that needs neither the workspace nor the data."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import units
from pipeline.commands.support import ancestry, chains, loading, packfiles, reading
from pipeline.commands.support.addresses import locate
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import provenance
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.store.workspace.called import called
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import dataset

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.dataset import Dataset
    from pipeline.data.tables import Origin
    from pipeline.inference.loaded import LoadedNets
    from pipeline.inference.measured import Accuracy, HeldOutPredictions, Normalised
    from pipeline.inference.packs import Pack
    from pipeline.keypoints.definition import KeypointSet
    from pipeline.results.predictions import Predictions

# Metrics that divide distances by a length of the keypoint set, or give them in its unit, in the order of preference.
NORMALISED = (("NME", "%"), ("distance", "mm"))


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
    if len(found.chains[0]) > 1 and found.predicted is None:
        raise InputError(f"The accuracy of these nets is not known, because nothing was predicted with them. Run {command} first.")
    made = found.predicted or found.chains[0][0]
    nets = loading.loaded(found)
    keypointset = _described(nets.keypointset)
    out = request.out or Path(f"{_slug(keypointset.name)}-nets.h5")
    _check_free(out)
    pack = _packed(request, found, made, replace(nets, keypointset=keypointset))
    try:
        with artifacts.writing(out, _attributes(made)) as file:
            artifacts.put(file, pack)
    except OSError as error:
        raise InputError(f"{units.printable(out)} could not be written: {files.reason(error)}.") from None
    held = f"{units.counted(len(pack.chains), 'chain')} of {units.counted(len(pack.chains[0]), 'net')}"
    print(f"{units.printable(out)}: {held}, {units.size(out.stat().st_size)}")
    print(
        f"`{called('keypoints', 'annotate')} PHOTO --nets FILE` predicts with it; `{called('keypoints', 'inspect')} FILE` shows its card."
    )
    return 0


def _described(keypointset: KeypointSet) -> KeypointSet:
    """The keypoint set of the nets with the name and the groups of the selected data set, which nets do not store."""
    chosen = dataset().definition().keypointset
    # Groups contain the partner of each keypoint in a mirrored image, so they belong to the mirror pairs.
    if chosen is None or (chosen.names, chosen.mirror) != (keypointset.names, keypointset.mirror):
        return keypointset
    return replace(keypointset, name=chosen.name, groups=chosen.groups)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "keypoints"


def _check_free(out: Path) -> None:
    """Raises InputError if the file exists and is no pack, which a new one may replace."""
    if out.is_dir():
        raise InputError(f"--out {units.printable(out)} is a folder. Name the file to write.")
    if out.exists() and not packfiles.is_pack_file(out):
        raise InputError(f"--out {units.printable(out)} exists and is not a file of nets. Name another file.")


def _packed(request: PackRequest, found: chains.Nets, made: Path, nets: LoadedNets) -> Pack:
    """The record to write."""
    import numpy as np

    from pipeline.data.dataset import Dataset
    from pipeline.inference import packs
    from pipeline.keypoints.stored import StoredSet

    sets = [reading.load(file, Dataset) for file in reading.made_from(made, "Load")]
    held_out, table = _measured(made, nets, sets)
    counts = np.bincount(sets[0].source, minlength=len(nets.keypointset.sources)).astype(np.int32)
    return packs.Pack(
        keypointset=StoredSet.of(nets.keypointset),
        nets=packs.packed_nets(nets, [[_role(path) for path in chain] for chain in found.chains]),
        base_share=np.float64(nets.base_share),
        source=np.int32(nets.source),
        detector=np.array(nets.detector or ""),
        error_model=nets.error_model,
        accuracy=table,
        data=packs.TrainingData(np.bool_(found.saw_only_drawn_faces), counts, np.int32(len(held_out.truth))),
        licence=np.array(request.licence),
        intended_use=np.array(request.intended_use, dtype=str),
    )


def _role(path: Path) -> str:
    """The group of a specialist, or "base"."""
    _, _, group = str(reading.attributes(path).get("stage", "")).partition(":")
    return group or "base"


# Accuracy


def _measured(made: Path, nets: LoadedNets, sets: list[Dataset]) -> tuple[HeldOutPredictions, Accuracy]:
    """The predictions for held-out samples, and their accuracy. made: the artifact of Predict, or of a base net."""
    from pipeline.inference import measured
    from pipeline.results.predictions import Predictions

    if _stage(made) != chains.FOLLOWED:
        held_out = _of_base(nets, sets[0])
        return held_out, measured.accuracy(held_out, nets.keypointset)
    content = reading.load(made, Predictions)
    group = {row: group for each in sets for row, group in zip(each.row.tolist(), each.duplicate_group.tolist(), strict=True)}
    held_out = _held_out(
        (content.validation, content.validation_truth),
        content.validation_origin,
        (content.validation_source, [group[row] for row in content.validation_face.tolist()]),
    )
    table = measured.accuracy(held_out, nets.keypointset)
    return held_out, replace(table, normalised=_normalised(content, table))


def _of_base(nets: LoadedNets, own: Dataset) -> HeldOutPredictions:
    """The predictions of a base net for its held-out samples."""
    net, rows = nets.chains[0][0], own.validation
    origin = own.origin.of(rows) if own.origin else None
    return _held_out((net.validation, own.keypoints[rows]), origin, (own.source[rows], own.duplicate_group[rows]))


def _held_out(keypoints: tuple[np.ndarray, np.ndarray], origin: Origin | None, parts: tuple[Any, Any]) -> HeldOutPredictions:
    """keypoints: predictions and labels, pixels of the samples. parts: annotation sources and duplicate groups."""
    import numpy as np

    from pipeline.geometry import affine
    from pipeline.inference.measured import HeldOutPredictions

    predicted, truth = (each if origin is None else affine.move(each.astype(np.float64), origin.to_original) for each in keypoints)
    return HeldOutPredictions(predicted, truth, *(np.asarray(part) for part in parts))


def _normalised(content: Predictions, table: Accuracy) -> Normalised | None:
    """The errors divided by the set's own length, as Predict has measured them; None for a set without one."""
    import numpy as np

    from pipeline.inference.measured import Normalised

    found = content.metrics
    columns = [] if found is None else list(zip(found.metrics.tolist(), found.units.tolist(), strict=True))
    wanted = [metric for metric in NORMALISED if metric in columns]
    if found is None or not wanted:
        return None
    column, known = columns.index(wanted[0]), list(zip(found.rows.tolist(), found.kinds.tolist(), strict=True))
    rows = [known.index(row) if row in known else -1 for row in zip(table.rows.tolist(), table.kinds.tolist(), strict=True)]
    values = np.array([found.values[0, row, column] if row >= 0 else np.nan for row in rows], np.float32)
    interval = np.array([found.interval[row, column] if row >= 0 else (np.nan, np.nan) for row in rows], np.float32)
    name, unit = wanted[0]
    return Normalised(np.array(name), np.array(unit), np.array(str(found.length)), values, interval)


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


def _stage(path: Path) -> str:
    return str(reading.attributes(path).get("stage", ""))
