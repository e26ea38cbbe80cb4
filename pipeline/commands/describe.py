"""`keypoints describe`: shows what was understood of a keypoint set of the user's, and what may be wrong with it."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import units
from pipeline.commands.support import sets
from pipeline.commands.support.sets import UnderstoodSet
from pipeline.data.definition import Asked
from pipeline.errors import InputError
from pipeline.keypoints.file import NAME, KeypointFile
from pipeline.store.workspace import files
from pipeline.store.workspace.console import Progress

if TYPE_CHECKING:
    from pipeline.results.set_summary import SetSummary


@dataclass(frozen=True)
class Described:
    """What the user asks for: a set, the HTML file for its page, and whether to write a keypoints.toml beside the data."""

    asked: Asked
    out: Path | None
    write: bool


def run(request: Described) -> int:
    """Prints what the set consists of and what may be wrong with it, and writes its page. Returns 0.

    Raises InputError if the labels cannot be read.
    """
    from pipeline.results import set_page, set_summary

    found = sets.understood(request.asked)
    target = found.folder.root / NAME
    if request.write and os.path.lexists(target):
        raise InputError(f"{units.printable(target)} exists already, and --write does not replace it. Rename it first.")
    summary = _summary(found)
    print(set_summary.text(summary))
    out = request.out or Path(f"describe-{found.folder.root.resolve().name or 'set'}.html")
    with Progress("drawing", set_page.SAMPLES, "image") as progress:
        page = set_page.page(summary, found.folder.glance, progress.add)
    with files.publishing(out) as draft:
        draft.write_text(page, encoding="utf-8")
    print(f"\nPage: {units.printable(out)}")
    if request.write:
        _write(found, summary, target)
    return 0


def _summary(found: UnderstoodSet) -> "SetSummary":
    from pipeline.data import likeness, overview
    from pipeline.results.set_summary import SetSummary

    names = {*(image.name for image in found.labels.images), *found.definition.test}
    with Progress("reading sizes", len(names), "image") as progress:
        seen = overview.overview(found.folder, found.definition, found.labels, found.convention, progress.add)
    with Progress("comparing images", min(len(seen.sizes), likeness.MOST), "image") as progress:
        alike = likeness.likeness(seen.sizes, found.folder.glance, progress.add)
    return SetSummary(seen, alike, found.mirror)


def _write(found: UnderstoodSet, summary: "SetSummary", target: Path) -> None:
    from pipeline.data.filenames import PATTERNS
    from pipeline.keypoints import draft
    from pipeline.results.set_summary import way

    keypointset = found.keypointset
    suggested = {way(grouping): PATTERNS[grouping.kind] for grouping in summary.groupings}
    predict = found.said.source_to_predict(keypointset.sources) if len(keypointset.sources) > 1 else ""
    text = draft.draft(keypointset, said=_with_full_paths(found.said), mirror=found.mirror, group_by=suggested, predict=predict)
    with files.publishing(target) as path:
        path.write_text(text, encoding="utf-8")
    print(f"Draft: {units.printable(target)}; edit what is wrong in it.")


def _with_full_paths(said: KeypointFile) -> KeypointFile:
    """The values of a keypoints.toml that may be in another folder, with the full paths of the files that it names."""

    def full(name: str) -> str:
        return str(said.beside(name).absolute()) if name else ""

    normalise = said.normalise and replace(said.normalise, file=full(said.normalise.file))
    group_by = full(said.group_by) if said.group_by.lower().endswith(".csv") else said.group_by
    return replace(said, normalise=normalise, boxes=full(said.boxes), group_by=group_by)
