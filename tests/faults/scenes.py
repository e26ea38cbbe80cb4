"""What is run: a command in a prepared folder, and what an undisturbed run of it does."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from workplace import Workplace

from pipeline.store.workspace.files import sha256

from .injected import FOLDERS
from .processes import Fresh, Nursery, Run

NUMBERS = "Total"
# A training is made small only by parameter values.
TINY = (
    "--dataset-path=rendered",
    "--Render-training=60",
    "--Render-test=6",
    "--Augment-copies=1",
    "--TrainBase-batch=16",
    "--TrainBase-epochs=3",
    "--TrainSpecialist-batch=16",
    "--TrainSpecialist-epochs=1",
    # Every epoch is saved, so that a rerun shows whether it resumes.
    "--checkpoint-seconds=0",
)
# Stages of the pipeline as scenes: the scene whose workspace each starts from, and what is left out of it.
TRAININGS = {
    "Augment": ("", ()),
    "TrainBase": ("Augment", ()),
    "TrainSpecialist": ("TrainBase", ()),
    "Predict": ("TrainSpecialist", ()),
    "Predict alone": ("Predict", ("learningcurves", "submission")),
}
LIBRARIES = ("luigi.cmdline", "h5py", "numpy", "pipeline.store.run.stage")
LIBRARIES_OF_TRAININGS = ("luigi.cmdline", "h5py", "pandas", "keras", "pipeline.tasks")


@dataclass(frozen=True)
class Scene:
    """A command, the workspace that it starts from, and what an undisturbed run does."""

    arguments: tuple[str, ...]
    start: Path | None  # a workspace to copy
    without: tuple[str, ...]  # beginnings of the names of files that are not copied
    hashes: dict[str, str]  # of all files that remain after the run
    operations: list[str]  # on files of the workspace: kind and file
    seconds: float

    def prepare(self, folder: Path) -> None:
        prepare(folder, self.start, self.without)


def prepare(folder: Path, start: Path | None, without: tuple[str, ...]) -> None:
    """Fills an empty folder with everything that a command needs, including artifacts of the workspace `start`."""
    place = Workplace(folder)
    # Old enough for its digest to be cached.
    os.utime(place.numbers, (1e9, 1e9))
    for name, path in published(start).items() if start else ():
        if not path.name.startswith(without):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(path, folder / name)


def published(root: Path) -> dict[str, Path]:
    """Artifacts and the files published with them, by path; without hidden, quarantined and partial files and those about runs."""
    found = (path for folder in FOLDERS for path in (root / folder).glob("[!.]*") if ".checkpoint-" not in path.name)
    return {str(path.relative_to(root)): path for path in found if path.suffix in (".h5", ".csv", ".png")}


def hashes(root: Path) -> dict[str, str]:
    return {name: sha256(path) if path.is_file() else "not a file" for name, path in published(root).items()}


class Scenes:
    """Prepares each scene when it is first needed, and provides folders and processes."""

    def __init__(self, folder: Path, *, fresh: bool):
        """fresh: every process is started from scratch, as for a user; slower."""
        self.folder, self.fresh, self.number = folder, fresh, 0
        self.processes: dict[bool, Fresh | Nursery] = {}
        self.known: dict[str, Scene] = {}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for processes in self.processes.values():
            processes.close()

    def __getitem__(self, name: str) -> Scene:
        """The scene of a stage: `Total` of the numbers, or one of STAGES."""
        if name not in self.known:
            self.known[name] = self._made(name)
        return self.known[name]

    def _made(self, name: str) -> Scene:
        arguments, start, without = ("--module", "chainlet", name), None, ()
        if name != NUMBERS:
            before, without = TRAININGS[name]
            start = self[before] and self.folder / before if before else None
            group = ("--group=mouth",) if name == "TrainSpecialist" else ()
            arguments = ("--module", "pipeline", name.split()[0], *group, *TINY)
        root, trace = self.folder / name, self.folder / f"{name}.operations"
        root.mkdir()
        prepare(root, start, without)
        run = self.run(arguments, root, fault={"trace": str(trace)})
        started = time.monotonic()
        if run.end() != 0:
            raise RuntimeError(f"the undisturbed run of {name} failed:\n{run.output}")
        return Scene(arguments, start, without, hashes(root), trace.read_text().splitlines(), time.monotonic() - started)

    def run(self, arguments: tuple[str, ...], folder: Path, *, output: str = "output", fresh: bool = False, **request) -> Run:
        """Starts a command in a folder."""
        trains = "pipeline" in arguments
        fresh = fresh or self.fresh
        if trains not in self.processes and not fresh:
            self.processes[trains] = Nursery(*(LIBRARIES_OF_TRAININGS if trains else LIBRARIES))
        processes = Fresh() if fresh else self.processes[trains]
        return Run(processes, {"arguments": list(arguments), "folder": str(folder), "output": str(folder / output), **request})

    def empty_folder(self) -> Path:
        self.number += 1
        folder = self.folder / f"{self.number}"
        folder.mkdir()
        return folder
