"""`keypoints export`: writes the whole prediction of trained nets as one file for other programs."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import units
from pipeline.commands.support import exporting
from pipeline.errors import InputError
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.store.workspace.console import Progress


@dataclass(frozen=True)
class ExportRequest:
    """What the user asks for.

    format: the name of the format. nets: the nets as for `loading.chosen`; [] for those of the selected run. part: "whole" or "base". out:
    the folder to write to. licence: of the nets; "" for what a file of nets says.
    """

    format: str
    nets: list[str]
    part: str
    out: Path
    licence: str = ""


def run(request: ExportRequest, stages: list[Stage], command: str, predicted: Path | None = None) -> int:
    """Writes the files after checking what they predict, and prints the largest differences; returns the exit code 0.

    `command` and `predicted` are those of `chains.of_run`. Raises InputError if there are no nets, if the format is not available, or if
    the files predict something else than the nets.
    """
    from pipeline.export import formats

    chosen_format = formats.format_of(request.format)
    _check_folder(request.out)
    chosen = exporting.meant(request.nets, stages, command, predicted)
    for line in chosen.said:
        print(line)
    nets = chosen.nets if request.part == "whole" else replace(chosen.nets, chains=tuple(chain[:1] for chain in chosen.nets.chains))
    samples = exporting.samples(stages, nets)
    facts = exporting.facts(chosen, exporting.packs_of(request.nets, stages), request.part, request.licence)
    with tempfile.TemporaryDirectory() as place, Progress("exporting", 2, "step") as progress:
        exporting.write(Path(place), chosen_format, nets, facts)
        progress.step("the files are checked")
        found = exporting.checked(formats.module_of(chosen_format).load(Path(place)), nets, samples)
        written = _published(Path(place), request.out)
        progress.step()
    sizes = ", ".join(f"{units.printable(path)} ({units.size(path.stat().st_size)})" for path in written)
    print(f"written: {sizes}")
    for line in found:
        print(f"difference from the nets on {line}")
    return 0


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {units.printable(folder)} is not a folder. Name a new or an existing folder.")


def _published(place: Path, out: Path) -> list[Path]:
    """The files in the folder `out`, complete."""
    written = []
    for file in sorted(place.iterdir()):
        try:
            with files.publishing(out / file.name) as draft:
                shutil.copyfile(file, draft)
        except OSError as error:
            raise InputError(f"{units.printable(out / file.name)} could not be written: {files.reason(error)}.") from None
        written.append(out / file.name)
    return written
