"""`keypoints demo`: writes one page that runs trained nets in a browser, without access to a network."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import units
from pipeline.commands.support import exporting
from pipeline.errors import InputError
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.store.workspace.called import called
from pipeline.store.workspace.console import Progress

if TYPE_CHECKING:
    from pipeline.export.browser import Card
    from pipeline.export.metadata import Facts
    from pipeline.inference.loaded import LoadedNets
    from pipeline.inference.packs import Pack

ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class DemoRequest:
    """What the user asks for.

    nets: the nets as for `loading.chosen`; [] for those of the selected run. out: the page to write. runtime: the archive of
    onnxruntime-web, or a folder of its files; None if npm is to fetch it. part: "whole" or "base". licence: of the nets; "" for what a file
    of nets says.
    """

    nets: list[str]
    out: Path
    runtime: Path | None
    part: str = "whole"
    licence: str = ""


def run(request: DemoRequest, stages: list[Stage], command: str, predicted: Path | None = None) -> int:
    """Writes the page after checking what its nets predict; returns the exit code 0.

    `command` and `predicted` are those of `chains.of_run`. Raises InputError if there are no nets, if they have several chains, if a
    package or the runtime is missing, if the page would be too large, or if it would predict something else than the nets.
    """
    from pipeline.export import browser, formats, web_runtime

    _check_file(request.out)
    chosen_format = formats.available("onnx", "The page")
    chosen = exporting.meant(request.nets, stages, command, predicted)
    nets = _of_one_chain(chosen.nets, request.part)
    runtime = web_runtime.given(request.runtime) if request.runtime else web_runtime.fetched()
    detector, advice = _detector(nets)
    for line in (*chosen.said, *advice):
        print(line)
    samples = exporting.samples(stages, nets)
    pack = exporting.pack_of(request.nets, stages, command, predicted)
    facts = exporting.facts(chosen, [] if pack is None else [pack], request.part, request.licence)
    with tempfile.TemporaryDirectory() as place, Progress("exporting", 2, "step") as progress:
        exporting.write(Path(place), chosen_format, nets, facts)
        progress.step("the nets are checked")
        found = exporting.checked(formats.module_of(chosen_format).load(Path(place)), nets, samples)
        parts = browser.Embedded(formats.main_file("onnx", Path(place)).read_bytes(), runtime, detector)
        made = browser.page(nets, parts, _card(nets, pack, facts, drawn=chosen.only_drawn))
        progress.step()
    try:
        with files.publishing(request.out) as draft:
            draft.write_text(made, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{units.printable(request.out)} could not be written: {files.reason(error)}.") from None
    print(f"written: {units.printable(request.out)} ({units.size(request.out.stat().st_size)}); open it in a browser")
    for line in found:
        print(f"difference from the nets on {line}")
    return 0


def _check_file(out: Path) -> None:
    if out.is_dir() or out.suffix.lower() not in ENDINGS:
        raise InputError(f"--out {units.printable(out)}: name a file that ends with .html.")


def _of_one_chain(nets: LoadedNets, part: str) -> LoadedNets:
    """The nets, or only the base net. Raises InputError for several chains."""
    if len(nets.chains) > 1:
        raise InputError(
            f"These nets are {len(nets.chains)} chains, but a page holds one, because several would be too large and too slow for a"
            f" browser. Name the nets of one fold with --nets; `{called('keypoints', 'pack')}` writes those of a run."
        )
    return nets if part == "whole" else replace(nets, chains=(nets.chains[0][:1],))


def _detector(nets: LoadedNets) -> tuple[bytes | None, list[str]]:
    """YuNet for nets that detect faces, and what the user should know about it."""
    from pipeline.export import face_detector
    from pipeline.inference import detection
    from pipeline.inference.detectors import yunet
    from pipeline.inference.loaded import FACE

    if nets.detector != FACE:
        return None, ["Draw the boxes in the page: these nets have no detector."]
    if (path := yunet.model()) is None:
        return None, [f"The page finds no faces, and users draw the boxes, because YuNet is not installed: {detection.INSTALL}"]
    return face_detector.resizable(path), []


def _card(nets: LoadedNets, pack: Pack | None, facts: Facts, *, drawn: bool) -> Card:
    """What the page says about the nets: their model card, or the little that is known without one, and of only a base net."""
    from pipeline.export.browser import Card
    from pipeline.results import model_card

    licence = {"licence": units.printable(facts.licence) or model_card.NOT_GIVEN}
    if pack is not None and facts.part == "whole":
        name, known = _title(str(pack.keypointset.name)), model_card.facts(pack) | licence
        return Card(name, known, model_card.limits(pack), *model_card.table(pack.accuracy))
    name = _title(nets.keypointset.name if pack is None else str(pack.keypointset.name))
    count = "only the base net" if facts.part == "base" else units.counted(len(nets.chains[0]), "net")
    known = {"keypoints": f"{name}: {len(nets.keypointset.names)}", "nets": count, "data": units.printable(facts.data), **licence}
    limits = ["The accuracy of these nets is not known.", *([model_card.ONLY_DRAWN] if drawn else [])]
    return Card(name, known, limits, [], [])


def _title(name: str) -> str:
    return units.printable(exporting.set_name(name)) or "Keypoints"
