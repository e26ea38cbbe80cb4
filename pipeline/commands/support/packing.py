"""The record of nets, their training data and their accuracy that a file of nets holds and a page shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.support import chains, loading, reading
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


def measurable(found: chains.Nets) -> bool:
    """Whether the accuracy of nets is known: that of a base net, or of nets with which something was predicted."""
    return len(found.chains[0]) == 1 or found.predicted is not None


def made_with(found: chains.Nets) -> Path:
    """The artifact that says how accurate nets are: that of Predict, or their first base net."""
    return found.predicted or found.chains[0][0]


def described(keypointset: KeypointSet) -> KeypointSet:
    """The keypoint set of the nets with the name and the groups of the selected data set, which nets do not store."""
    chosen = dataset().definition().keypointset
    # Groups contain the partner of each keypoint in a mirrored image, so they belong to the mirror pairs.
    if chosen is None or (chosen.names, chosen.mirror) != (keypointset.names, keypointset.mirror):
        return keypointset
    return replace(keypointset, name=chosen.name, groups=chosen.groups)


def packed(found: chains.Nets, licence: str = "", intended_use: tuple[str, ...] = ()) -> Pack:
    """The record of nets; licence and intended_use: see `Pack`.

    Raises InputError if an artifact that they were made from cannot be read.
    """
    import numpy as np

    from pipeline.data.dataset import Dataset
    from pipeline.inference import packs
    from pipeline.keypoints.stored import StoredSet

    made, nets = made_with(found), loading.loaded(found)
    nets = replace(nets, keypointset=described(nets.keypointset))
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
        licence=np.array(licence),
        intended_use=np.array(intended_use, dtype=str),
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


def _stage(path: Path) -> str:
    return str(reading.attributes(path).get("stage", ""))
