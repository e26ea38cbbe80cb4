"""What commands that export nets share: the nets that are meant, the facts about them, the files, and their check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import units
from pipeline.commands.support import chains, loading, packing, reading
from pipeline.commands.support.addresses import locate
from pipeline.errors import InputError
from pipeline.store.run.stage import Stage
from pipeline.tasks import packfiles
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import device

if TYPE_CHECKING:
    import numpy as np

    from pipeline.commands.support.loading import Chosen
    from pipeline.export.formats import Format, Run
    from pipeline.export.metadata import Facts
    from pipeline.inference.loaded import LoadedNets
    from pipeline.inference.packs import Pack
    from pipeline.lazyrows import Images

MOST_SAMPLES = 200  # of a workspace, with which a file is checked


def meant(given: list[str], stages: list[Stage], command: str, predicted: Path | None) -> Chosen:
    """The nets that the user names, as for `loading.chosen`, or without names those of the selected run.

    `command` and `predicted` are those of `chains.of_run`. Raises InputError if there are none, or if one cannot be used.
    """
    if given:
        return loading.chosen(given, stages)
    return loading.of_files(chains.of_run(_predict(stages), predicted, command))


def _predict(stages: list[Stage]) -> Predict:
    (predict,) = (stage for stage in stages if isinstance(stage, Predict))
    return predict


def pack_of(given: list[str], stages: list[Stage], command: str, predicted: Path | None) -> Pack | None:
    """What is known about the nets of `meant`: their training data and accuracy; None for nets of several files or of unknown accuracy."""
    if packs := packs_of(given, stages):
        return packs[0] if len(given) == 1 else None
    if len(given) > 1:
        return None
    found = chains.chosen(given[0], stages) if given else chains.of_run(_predict(stages), predicted, command)
    if not packing.measurable(found):
        return None
    try:
        return packing.packed(found)
    except InputError:  # the samples that they were trained on have been removed
        return None


def packs_of(given: list[str], stages: list[Stage]) -> list[Pack]:
    """The files of `keypoints pack` among the nets that the user names."""
    paths = [locate(what, stages) for what in given]
    return [packfiles.read(path) for path in paths if packfiles.is_pack(reading.attributes(path))]


def facts(chosen: Chosen, packs: list[Pack], part: str, licence: str) -> Facts:
    """What a file says about nets, given the files of nets that they are from, if there are any.

    licence: "" for that of the files of nets.
    """
    _start_keras()
    from pipeline.export.metadata import Facts

    licences = [text for pack in packs if (text := str(pack.licence))]
    located = chosen.nets.chains[0][0].located
    count = int(packs[0].data.samples.sum()) if packs else 0 if located is None else len(located)
    drawn = " that the program drew" if chosen.only_drawn else ""
    name = set_name(chosen.nets.keypointset.name)
    data = f"{units.counted(count, 'labelled sample')}{drawn}{f', keypoint set {name}' if name else ''}"
    return Facts(part, data, licence or "; ".join(dict.fromkeys(licences)))


def set_name(stored: str) -> str:
    """The name of a keypoint set that a net stores; "" if it has none, as the nets of own sets, whose name may change without training."""
    return "" if stored == "own set" else stored


def _start_keras() -> None:
    """Must come before any import of Keras, so that its backend starts without messages and with the right number of threads."""
    from pipeline.nets import device as devices

    devices.prepare(seed=0, threads=device().threads)


def write(folder: Path, chosen: Format, nets: LoadedNets, facts: Facts) -> None:
    """Writes the files into a folder, the metadata as a file of their own among them. Raises InputError for another backend of Keras."""
    _start_keras()
    import keras

    from pipeline.export import formats, graph, metadata

    if (backend := keras.backend.backend()) != "tensorflow":
        raise InputError(f"Nets are exported with TensorFlow, but Keras' backend is {backend}. Leave KERAS_BACKEND unset.")
    values = metadata.metadata(nets, facts, side=None if chosen.any_side else nets.frame.side)
    formats.module_of(chosen).write(folder, graph.built(nets), nets, values)
    (folder / f"{formats.STEM}.json").write_text(metadata.as_json(values), encoding="utf-8")


def samples(stages: list[Stage], nets: LoadedNets) -> np.ndarray | None:
    """At most MOST_SAMPLES samples of the selected run, uint8 (n, side, side[, 3]): those to predict, or else labelled ones.

    None if the run has no samples of the size and the channels that the nets were trained on.
    """
    side = nets.frame.side
    shape = (side, side, 3) if nets.frame.colour else (side, side)
    for name in ("LoadTest", "Load"):
        for path in (stage.path for stage in stages if stage.task_family == name and stage.complete()):
            with reading.refusing(path):
                images = stored_samples(path)
                if len(images) and images.shape[1:] == shape:
                    return spread(images, MOST_SAMPLES)
    return None


def spread(images: Images, most: int) -> np.ndarray:
    """At most so many of the images, evenly spread."""
    import numpy as np

    return images[np.unique(np.linspace(0, len(images) - 1, most).astype(int))]


def stored_samples(path: Path) -> Images:
    """The samples of an artifact of LoadTest or Load. Raises InputError if it cannot be read."""
    from pipeline.data.dataset import Dataset
    from pipeline.data.testset import UnlabelledSamples

    return reading.load(path, {"LoadTest": UnlabelledSamples, "Load": Dataset}[reading.attributes(path)["stage"]]).images


def checked(run_file: Run, nets: LoadedNets, samples: np.ndarray | None) -> list[str]:
    """The largest differences from the nets, in words. Raises InputError if they are too large."""
    from pipeline.export import check, check_images

    kinds = {"synthetic image": check_images.synthetic(nets, seed=0)} | (
        {} if samples is None else {"sample": check_images.tried(nets, samples)}
    )
    return [check.checked(given, check.predicted(run_file, given.images), nets.keypointset.names, what) for what, given in kinds.items()]
