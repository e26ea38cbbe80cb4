"""`keypoints export`: writes the whole prediction of trained nets as one file for other programs."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import units
from pipeline.commands.support import chains, loading, packfiles, reading
from pipeline.commands.support.addresses import locate
from pipeline.errors import InputError
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.store.workspace.console import Progress
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import device

if TYPE_CHECKING:
    import numpy as np

    from pipeline.commands.support.loading import Chosen
    from pipeline.export.formats import Format, Run
    from pipeline.export.metadata import Facts
    from pipeline.inference.loaded import LoadedNets

MOST_SAMPLES = 200  # of a workspace, with which a file is checked


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
    if request.nets:
        chosen = loading.chosen(request.nets, stages)
    else:
        (predict,) = (stage for stage in stages if isinstance(stage, Predict))
        chosen = loading.of_files(chains.of_run(predict, predicted, command))
    for line in chosen.said:
        print(line)
    nets = chosen.nets if request.part == "whole" else replace(chosen.nets, chains=tuple(chain[:1] for chain in chosen.nets.chains))
    samples = None if request.nets else _samples(stages, nets)
    with tempfile.TemporaryDirectory() as place, Progress("exporting", 2, "step") as progress:
        _write(Path(place), chosen_format, nets, _facts(request, chosen, stages))
        progress.step("the files are checked")
        found = _checked(formats.module_of(chosen_format).load(Path(place)), nets, samples)
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


def _facts(request: ExportRequest, chosen: Chosen, stages: list[Stage]) -> Facts:
    from pipeline.export.metadata import Facts

    given = [locate(what, stages) for what in request.nets]
    packs = [packfiles.read(path) for path in given if packfiles.is_pack(reading.attributes(path))]
    licences = [text for pack in packs if (text := str(pack.licence))]
    located = chosen.nets.chains[0][0].located
    count = int(packs[0].data.samples.sum()) if packs else 0 if located is None else len(located)
    drawn = " that the program drew" if chosen.only_drawn else ""
    data = f"{units.counted(count, 'labelled sample')}{drawn}, keypoint set {chosen.nets.keypointset.name}"
    return Facts(request.part, data, request.licence or "; ".join(dict.fromkeys(licences)))


def _write(folder: Path, chosen: Format, nets: LoadedNets, facts: Facts) -> None:
    """Writes the files into a folder, the metadata as a file of their own among them. Raises InputError for another backend of Keras."""
    from pipeline.nets import device as devices

    devices.prepare(seed=0, threads=device().threads)
    import keras

    from pipeline.export import formats, graph, metadata

    if (backend := keras.backend.backend()) != "tensorflow":
        raise InputError(f"Nets are exported with TensorFlow, but Keras' backend is {backend}. Leave KERAS_BACKEND unset.")
    values = metadata.metadata(nets, facts, side=None if chosen.any_side else nets.frame.side)
    formats.module_of(chosen).write(folder, graph.built(nets), nets, values)
    (folder / f"{formats.STEM}.json").write_text(metadata.as_json(values), encoding="utf-8")


def _samples(stages: list[Stage], nets: LoadedNets) -> np.ndarray | None:
    """At most MOST_SAMPLES of the samples to predict of the selected run, uint8 (n, side, side[, 3]); None if there are none."""
    import numpy as np

    from pipeline.data.testset import UnlabelledSamples

    made = [stage.path for stage in stages if stage.task_family == "LoadTest" and stage.complete()]
    if not made:
        return None
    with reading.refusing(made[0]):
        images = reading.load(made[0], UnlabelledSamples).images
        if not len(images) or images.shape[1] != nets.frame.side:
            return None
        return images[np.unique(np.linspace(0, len(images) - 1, MOST_SAMPLES).astype(int))]


def _checked(run_file: Run, nets: LoadedNets, samples: np.ndarray | None) -> list[str]:
    """The largest differences from the nets, in words. Raises InputError if they are too large."""
    from pipeline.export import check, graph

    kinds = {"synthetic image": check.synthetic(nets, seed=0)} | ({} if samples is None else {"sample": samples})
    chains, found = graph.built(nets), []
    for what, images in kinds.items():
        own = check.expected(nets, images)
        certain = check.certain(own, check.apart(chains, images), nets.frame.side)
        found.append(check.checked(own.keypoints, check.predicted(run_file, images), certain, nets.keypointset.names, what))
    return found


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
