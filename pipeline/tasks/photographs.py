"""Photographs by the million: each part of them is a stage of its own, which any worker takes, and one more stage joins their tables."""

import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi
from luigi.task import flatten

from pipeline.errors import InputError
from pipeline.store.keys import provenance
from pipeline.store.run.keyed import per_build
from pipeline.store.run.parameters import choice, multiple, real
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, expanded, workspace_root
from pipeline.store.workspace import digests
from pipeline.store.workspace.console import say
from pipeline.tasks import packfiles
from pipeline.tasks.devices import OnDevices
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import dataset, device

if TYPE_CHECKING:
    from pipeline.inference.loaded import LoadedNets
    from pipeline.results.annotated_block import AnnotatedBlock

FACE = "face"  # the detector of keypoints.toml
MANY = 2_000  # photographs whose reading takes so long that it is announced
PHOTOGRAPHS = "photographs.csv"  # the table with a row for each photograph


class NetsFile(ExternalFile):
    """A file of nets that `keypoints pack` has written. Its name is not part of any key."""

    @property
    def title(self) -> str:
        return "nets"


class _Collection:
    """Photographs that the user names by their folder or a list."""

    def __init__(self, place: Path):
        self.place = place

    @per_build
    def listed(self) -> tuple[Path, list[str]]:
        """The folder to which the names are relative, and the names; the digests of all photographs are known from now on."""
        from pipeline.data.formats import photolists

        root, names = photolists.named(self.place)
        if len(names) >= MANY:
            say(f"reading {len(names):,} photographs, unless they have been read before: their contents are part of the keys")
        digests.file_digests([root.resolve() / name for name in names], workspace_root() / "data")
        return root, names


def _collection(place: str) -> _Collection:
    """The photographs at a place, which are looked at once in each build."""
    return _collection_at(str(expanded(place, "--photos").absolute()))


@functools.cache
def _collection_at(place: str) -> _Collection:
    return _Collection(Path(place))


@functools.lru_cache(maxsize=4)
def _detects(pack: str, digest: str) -> bool:
    """Whether the nets of a file with this digest are for faces that a detector finds."""
    return digest not in ("missing", "not a file") and str(packfiles.read(Path(pack)).detector) == FACE


class AnnotatePart(OnDevices, Stage):
    """Annotates one part of the photographs of Annotate."""

    folder = "submissions"
    photos = luigi.Parameter(significant=False, description="the photographs of all parts; Annotate gives it")
    nets = luigi.Parameter("", significant=False, description="the file of nets; Annotate gives it")
    size = luigi.IntParameter(significant=False, description="number of photographs in a part; Annotate gives it")
    number = luigi.IntParameter(significant=False, description="number of the part, from 0; Annotate gives it")
    doubt = real(
        1.6,
        "faces: the largest disagreement of the nets with which a detection is taken for a face, in percent of the side of what they see",
        0,
        100,
    )

    @property
    def variation(self) -> str:
        start = self.number * self.size
        return f"photographs {start + 1:,} to {start + len(self.names):,}"

    @property
    def priority(self) -> int:  # type: ignore[override]  # Luigi takes a property, too
        """Luigi begins with the part whose priority is the highest."""
        return -self.number

    @property
    def names(self) -> list[str]:
        """The names of the photographs of this part."""
        return _collection(self.photos).listed[1][self.number * self.size :][: self.size]

    @property
    def paths(self) -> list[Path]:
        """Their files."""
        root = _collection(self.photos).listed[0]
        return [root / name for name in self.names]

    def requires(self) -> dict[str, Any]:
        missing = [ExternalFile(path=str(path)) for path in self._missing]
        if self.nets:
            return {"pack": NetsFile(path=self.nets, advice="`keypoints pack` writes such files."), "missing": missing}
        predict = Predict()
        chains = [{"base": chain["base"], **chain["specialists"]} for chain in predict.requires()["chains"]]
        return {"chains": chains, "predictions": predict, "missing": missing}

    def inputs(self) -> dict[str, Stage]:
        """The nets, and the predictions that tell their errors."""
        stages = [task for name in ("chains", "predictions") for task in flatten(self.requires().get(name, []))]
        return provenance.numbered((stage.address, stage) for stage in stages)

    @per_build
    def _missing(self) -> list[Path]:
        """The photographs that do not exist."""
        return [path for path, digest in zip(self.paths, self._digests(), strict=True) if digest == "missing"]

    def _digests(self) -> list[str]:
        """The digests of the photographs as they are now."""
        root = _collection(self.photos).listed[0].resolve()
        return digests.file_digests([root / name for name in self.names], workspace_root() / "data")

    def facts(self) -> dict[str, Any]:
        """The photographs by their names and contents, and what finds faces in them."""
        content = json.dumps([self.names, self._digests()]).encode()
        return {"photographs": hashlib.sha256(content).hexdigest(), **self._detector()}

    def _detector(self) -> dict[str, str]:
        """What detects faces, and its version, if the nets are for faces."""
        settings = dataset().definition().settings
        detects = _detects(self.nets, NetsFile(path=self.nets).digest()) if self.nets else settings.get("detector") == FACE
        if not detects:
            return {} if self.nets else {"source": settings.get("predict", "")}
        from pipeline.inference.detectors import yunet

        packages = ("opencv-python-headless", "opencv-python", yunet.PACKAGE) if yunet.model() else ("scikit-image",)
        return {"detector": ", ".join(f"{name} {provenance.version(name)}" for name in packages)}

    def run(self) -> None:
        from pipeline.inference.detectors import yunet
        from pipeline.nets import device as devices

        self.say(f"predicts on {devices.prepare(seed=0, threads=device().threads)}")
        from pipeline.results import annotated_block, annotating

        annotator = annotating.Annotator(self._nets(), doubt=self.doubt / 100)
        if annotator.detects:
            yunet.use_threads(device().threads)
        with self.progress(len(self.names), "photo") as progress:
            found = annotating.in_blocks(annotator, list(zip(self.paths, self.names, strict=True)), progress.add)
            keypointset = annotator.nets.keypointset
            self.save(annotated_block.stored(list(found), keypointset.names, annotator.nets.noun))

    def _nets(self) -> "LoadedNets":
        """The nets, ready to predict."""
        from pipeline.nets.trained import Trained
        from pipeline.results.predictions import Predictions
        from pipeline.tasks import trainednets

        if self.nets:
            return packfiles.read(Path(self.nets)).loaded()
        inputs = self.input()
        chains = tuple(tuple(artifact.load(Trained) for artifact in chain.values()) for chain in inputs["chains"])
        return trainednets.ready(chains, self.requires()["predictions"].share, inputs["predictions"].load(Predictions))


class Annotate(Stage):
    """Annotates photographs of any number, part by part: the keypoints of all of them in one table."""

    folder = "submissions"
    photos = luigi.Parameter(
        significant=False,
        description="folder that directly contains the photographs, or text file that lists them, one in each line, in paths that are"
        " absolute or relative to the folder of the text file",
    )
    nets = luigi.Parameter(
        "", significant=False, description="file of nets that `keypoints pack` has written; empty: the nets of Predict, which are trained"
    )
    part = multiple(1000, "number of photographs that one stage annotates: a killed worker loses no more", 100)
    table = choice("csv", "format of the table of instances; parquet needs the package pyarrow", ("csv", "parquet"))

    def requires(self) -> dict[str, Any]:
        count = len(_collection(self.photos).listed[1])
        nets = str(expanded(self.nets, "--nets").absolute()) if self.nets else ""
        own = {"photos": self.photos, "nets": nets, "size": self.part}
        return {"parts": [AnnotatePart(number=number, **own) for number in range(-(-count // self.part))]}

    def inputs(self) -> dict[str, Stage]:
        """The parts, numbered as equal addresses are."""
        parts = self.requires()["parts"]
        return {f"AnnotatePart #{number}" if number > 1 else "AnnotatePart": part for number, part in enumerate(parts, start=1)}

    def check(self) -> None:
        """Raises InputError if the nets or the format of the table cannot be used."""
        from importlib.util import find_spec

        from pipeline.results import merged_annotations

        if self.nets and expanded(self.nets, "--nets").exists():
            packfiles.read(expanded(self.nets, "--nets"))
        if self.table == "parquet" and find_spec("pyarrow") is None:
            raise InputError(f"--table parquet needs the package pyarrow. Install it: {merged_annotations.PYARROW}")

    def run(self) -> None:
        from pipeline.results import merged_annotations

        found = merged_annotations.summary(self._blocks())
        with self.publishing(self._suffix, PHOTOGRAPHS) as (instances, photographs):
            merged_annotations.write_instances(instances, self._blocks, found)
            merged_annotations.write_photographs(photographs, self._blocks, found)
        self.save(found, siblings=(self._suffix, PHOTOGRAPHS))
        self.conclude(result=merged_annotations.text(found))

    def _blocks(self) -> "Iterator[AnnotatedBlock]":
        """The records of the parts, one at a time."""
        from pipeline.results.annotated_block import AnnotatedBlock

        return (part.load(AnnotatedBlock) for part in self.input()["parts"])

    @property
    def _suffix(self) -> str:
        return f".{self.table}"

    @property
    def shown(self) -> Path:
        return self.sibling(self._suffix)

    def closing_words(self) -> dict[str, Any]:
        return {"Keypoints": self.shown, "Photographs": self.sibling(PHOTOGRAPHS)}
