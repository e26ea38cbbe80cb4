"""The model card of a pack of nets, as text: what the nets predict, what they were trained on, how accurate they were, and their limits."""

from collections.abc import Mapping

import numpy as np

from pipeline.inference.loaded import FACE
from pipeline.inference.measured import Accuracy
from pipeline.inference.packs import Pack
from pipeline.units import counted, printable

NOT_GIVEN = "not given"
ONLY_DRAWN = "The nets have seen only drawn faces. They are for trying the program, not for photographs."


def text(pack: Pack, versions: Mapping[str, str]) -> str:
    """The model card. versions: of the packages with which the nets were made, by name."""
    lines = facts(pack) | {"versions": ", ".join(f"{printable(name)} {printable(version)}" for name, version in versions.items())}
    head = [f"{title:<14}{value}" for title, value in lines.items()]
    return "\n".join([*head, "", *_table(pack.accuracy), "", "limits", *(f"  {limit}" for limit in limits(pack))])


def facts(pack: Pack) -> dict[str, str]:
    """What the nets predict, what they are and what they were trained on, by title."""
    keypointset, chains = pack.keypointset.restored(), pack.chains
    sources = ", ".join(f"{printable(name)} {count:,}" for name, count in zip(keypointset.source_names, pack.data.samples, strict=True))
    total, by_source = int(pack.data.samples.sum()), f" ({sources})" if len(keypointset.source_names) > 1 else ""
    drawn = ", drawn by the program" if pack.data.drawn else ""
    specialists = (
        f"{counted(len(chains[0]) - 1, 'specialist')}{' each' if len(chains) > 1 else ''}" if len(chains[0]) > 1 else "no specialists"
    )
    convention = f"that of the source {printable(keypointset.source_names[int(pack.source)])}" if by_source else "that of the labels"
    colour = "colour" if chains[0][0].structure.channels == 3 else "grey"
    return {
        "keypoints": f"{printable(keypointset.name) or 'keypoint set'}: {len(keypointset.names)}",
        "nets": f"{counted(len(chains), 'base net')}, {specialists}; samples of {pack.chains[0][0].stored} px, {colour}",
        "finds": "faces, with a detector" if str(pack.detector) == FACE else "keypoints only; each image or box is one instance",
        "convention": convention,
        "data": f"{counted(total, 'sample')}{by_source}{drawn}; accuracy measured on {int(pack.data.held_out):,} held-out ones",
        "licence": printable(pack.licence) or NOT_GIVEN,
        "intended use": "; ".join(printable(use) for use in pack.intended_use.tolist()) or NOT_GIVEN,
    }


def limits(pack: Pack) -> list[str]:
    """What users of the nets should know, in sentences that follow from the record."""
    accuracy, found = pack.accuracy, []
    found.append("The accuracy holds for images like those of the training; it was not measured on any others.")
    if pack.data.drawn:
        found.append(ONLY_DRAWN)
    if all(len(chain) == 1 for chain in pack.chains) and str(pack.detector) == FACE:
        found.append("A base net without specialists cannot reject false detections of faces.")
    if unmeasured := [name for name, labels in zip(accuracy.rows.tolist(), accuracy.labels.tolist(), strict=True) if not labels]:
        found.append(f"Without labels of held-out samples, nothing is known about {', '.join(map(printable, unmeasured))}.")
    if pack.error_model is None:
        found.append("Expected errors of single predictions are not known.")
    return found


def table(accuracy: Accuracy) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The accuracy as texts: the columns, and the title and the values of each row."""
    columns, normalised = ["labels", "RMSE, px", "95 % interval"], accuracy.normalised
    values = [
        [f"{count:,}", _value(rmse), _interval(bounds)]
        for count, rmse, bounds in zip(accuracy.labels.tolist(), accuracy.rmse, accuracy.interval, strict=True)
    ]
    if normalised is not None:
        columns += [f"{normalised.name}, {normalised.unit}", "95 % interval"]
        others = zip(normalised.values, normalised.interval, strict=True)
        values = [[*row, _value(value), _interval(bounds)] for row, (value, bounds) in zip(values, others, strict=True)]
    return columns, list(zip([printable(name) for name in accuracy.rows], values, strict=True))


def _table(accuracy: Accuracy) -> list[str]:
    """One line for each row of the accuracy."""
    rows = [printable(name) if kind == "all" else f"  {printable(name)}" for name, kind in zip(accuracy.rows, accuracy.kinds, strict=True)]
    width, normalised = max(map(len, ["accuracy on held-out samples", *rows])) + 2, accuracy.normalised
    head = f"{'accuracy on held-out samples':<{width}}{'labels':>8}{'RMSE px':>10}{'95 % interval':>18}"
    lines = [head]
    if normalised is not None:
        lines[0] += f"{f'{normalised.name} {normalised.unit}':>14}{'95 % interval':>18}"
    for number, title in enumerate(rows):
        line = f"{title:<{width}}{accuracy.labels[number]:>8,}{_value(accuracy.rmse[number]):>10}{_interval(accuracy.interval[number]):>18}"
        if normalised is not None:
            line += f"{_value(normalised.values[number]):>14}{_interval(normalised.interval[number]):>18}"
        lines.append(line.rstrip())
    if normalised is not None and str(normalised.length):
        lines.append(f"{normalised.name} divides by {printable(normalised.length)}.")
    return lines


def _value(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _interval(bounds: np.ndarray) -> str:
    return "" if np.isnan(bounds).any() else f"{bounds[0]:.2f} to {bounds[1]:.2f}"
