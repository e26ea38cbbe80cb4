"""The base of all tasks: a path that holds the key, one artifact, one writer, overrides handed down the chain.

A subclass writes `requires` and `run` as in any Luigi task. Around them this class sees to the rest: `requires` hands the overrides down;
`run` holds the artifact's lock, sets a damaged file aside and keeps the run log.
"""

import contextlib
import functools
import os
import resource
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import luigi
from luigi.rpc import RPCError
from luigi.task import flatten

from pipeline import units
from pipeline.errors import InputError, meant
from pipeline.store.cleanup import in_use, recovery
from pipeline.store.hdf5 import artifacts, contents
from pipeline.store.keys import adoptions, fingerprints, recipe
from pipeline.store.keys.adoptions import Adoption
from pipeline.store.run import checkpoints, closing, configuration, interrupts, parameters, snapshots
from pipeline.store.run.targets import Artifact, ExternalFile, images_limit, workspace_root
from pipeline.store.workspace import files, locks, partials, runlog
from pipeline.store.workspace.console import Progress, say


class Stage(luigi.Task):
    """One stage of the chain; see the module."""

    overrides = luigi.DictParameter(
        default={}, significant=False, description="parameters of this stage and its inputs for one variation: {STAGE: {name: value}}"
    )

    folder = "models"  # the workspace's folder that holds the artifact
    companion = False  # made along with the stage that requires it, but no part of that stage's key
    on_backend = False  # trains or predicts: the versions of Keras and its backend belong to the key

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        inherited = {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()}
        for name, parameter in inherited.items():
            if isinstance(parameter, parameters.Checked):
                setattr(cls, name, parameter.of(cls, name))
        # Also where they come from a base that is no stage.
        for name, wrapper in (("requires", _handing_down), ("run", _guarded)):
            method = getattr(cls, name)
            if method is not getattr(luigi.Task, name) and not hasattr(method, "of_stage"):
                setattr(cls, name, wrapper(method))

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        _check_configuration_once(type(self).__module__.split(".")[0])
        self._running = False
        self._unlisted: InputError | None = None
        self._figures: dict[str, Any] = {}
        self._apply_overrides()
        self.task_id = f"{self.stem}-{self.key}"

    def __hash__(self):
        return hash(self.task_id)

    # Names and keys

    @property
    def stem(self) -> str:
        """File name of the artifact without its key: the stage, and what distinguishes tasks of one stage."""
        return "-".join([self.task_family.lower(), *self.identity])

    @property
    def identity(self) -> tuple[str, ...]:
        """What distinguishes tasks of one stage, such as a specialist's group."""
        return ()

    @property
    def address(self) -> str:
        """STAGE[:group], as the `keypoints` command takes it."""
        return ":".join([self.task_family, *self.identity])

    @functools.cached_property
    def key(self) -> str:
        """Of the artifact: the recipe's, or that of the artifact that was adopted in its place."""
        return self.adoption.adopted if self.adoption else self.recipe_key

    @property
    def recipe_key(self) -> str:
        return recipe.key(self.recipe)

    @functools.cached_property
    def adoption(self) -> Adoption | None:
        return adoptions.followed(workspace_root(), self.folder, self.stem, self.recipe_key)

    @functools.cached_property
    def recipe(self) -> dict[str, Any]:
        return self._recipe_now()

    def inputs(self) -> dict[str, "Stage"]:
        """The stages that this one is made from, by address; companions are none of them."""
        return _numbered((task.address, task) for task in flatten(self.requires()) if isinstance(task, Stage) and not task.companion)

    def ancestors(self) -> list["Stage"]:
        """The stages that this one is made from, directly or not, each once, inputs first."""
        return [stage for stage in self.chain()[:-1] if not stage.companion]

    @functools.cached_property
    def adopted(self) -> dict[str, Adoption]:
        """The adoptions that this stage owes its key to, its own and those of what it is made from, by address; inputs first."""
        found = {name: adoption for task in self.inputs().values() for name, adoption in task.adopted.items()}
        return found | ({self.address: self.adoption} if self.adoption else {})

    def _recipe_now(self) -> dict[str, Any]:
        brought = [task for task in flatten(self.requires()) if isinstance(task, ExternalFile)]
        return {
            "schema": artifacts.SCHEMA,
            "stage": self.address,
            "parameters": {name: value for name, (value, _) in self.settings.items()},
            "inputs": {name: task.key for name, task in self.inputs().items()},
            "files": _numbered((Path(file.path).name, file.digest()) for file in brought),
            "code": fingerprints.fingerprint(type(self)),
            "backend": recipe.backend() if self.on_backend else {},
        }

    @property
    def settings(self) -> dict[str, tuple[Any, Any]]:
        """The values of the parameters that count, and their defaults, as JSON takes them."""
        counting = {name: parameter for name, parameter in self.get_params() if parameter.significant}
        return {name: (_plain(p, getattr(self, name)), _plain(p, p._default)) for name, p in counting.items()}

    @property
    def path(self) -> Path:
        return workspace_root() / f"{self.place}.h5"

    @property
    def place(self) -> str:
        """FOLDER/STEM-KEY: the artifact in its workspace, and all that belongs to it."""
        return f"{self.folder}/{self.stem}-{self.key}"

    def sibling(self, suffix: str) -> Path:
        """A file published with the artifact: same name, another suffix."""
        return self.path.with_suffix(suffix)

    @property
    def shown(self) -> Path:
        """What to look at when the stage is done: the artifact, or a file published with it."""
        return self.path

    def output(self) -> Artifact:
        return Artifact(self.path)

    def complete(self) -> bool:
        """Whether the artifact is there and whole, and so are its companions'."""
        return self.output().exists() and all(task.complete() for task in flatten(self.requires()) if getattr(task, "companion", False))

    def deps(self):
        # Asked by Luigi's worker alone, of a stage that is not complete, before it looks for the inputs; see also `_present`.
        closing.begin(self, workspace_root())
        tasks = super().deps()
        try:
            in_use.add(_log_folder(), {task.place for task in (self, *tasks) if isinstance(task, Stage)})
        except InputError as error:
            self._unlisted = error  # for `run`, whose errors Luigi prints as they are
        return tasks

    # Overrides

    def chain(self) -> list["Stage"]:
        """The stages that this one needs, and itself, each once, inputs first; under the flags of now, so nothing is remembered."""
        found: dict[str, Stage] = {}

        def visit(task):
            if isinstance(task, Stage) and task.task_id not in found:
                for needed in flatten(task.requires()):
                    visit(needed)
                found[task.task_id] = task

        visit(self)
        return list(found.values())

    def families(self) -> set[str]:
        """Names of this stage and of all that it is made from or along with."""
        return {self.task_family}.union(*(task.families() for task in flatten(self.requires()) if isinstance(task, Stage)))

    def _apply_overrides(self) -> None:
        if not self.overrides:
            return
        for family, values in self.overrides.items():
            if not isinstance(values, Mapping):
                raise InputError(f"overrides for {family}: must be {{parameter: value}}, not {values}.")
        families, parameters = self.families(), dict(self.get_params())
        if unknown := ", ".join(sorted({*self.overrides} - families)):
            raise InputError(f"overrides for {unknown}: {self.task_family} uses only {', '.join(sorted(families))}.")
        for name, value in self.overrides.get(self.task_family, {}).items():
            if name not in parameters or name == "overrides":
                hint = meant(name, sorted({*parameters} - {"overrides"}))
                raise InputError(f"override {self.task_family}-{name}: there is no such parameter; {hint}")
            setattr(self, name, parameters[name].normalize(value))

    def _with_overrides(self, overrides: Mapping[str, Any]) -> "Stage":
        """This task under the overrides that it or its inputs use; what it was made with itself goes first."""
        families = self.families()
        own = {family: {**values, **self.overrides.get(family, {})} for family, values in overrides.items() if family in families}
        return self.clone(overrides={**self.overrides, **own}) if own else self

    # What a `run` uses

    @contextlib.contextmanager
    def collecting(self):
        """Yields what makes a Collector, for images that may be more than belong into memory."""
        from pipeline.lazyrows import Collector

        with files.room_for(self.path):
            yield functools.partial(Collector, images_limit(), self.path.parent)

    @contextlib.contextmanager
    def publishing(self, *suffixes: str):
        """Temporary paths to write; afterwards the files lie beside the artifact, with its name and these suffixes."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(files.publishing(self.sibling(suffix), keeping=True)) for suffix in suffixes]
            self._must_be_current()

    def save(self, content, *, siblings: tuple[str, ...] = (), views: tuple[str, ...] = ()) -> None:
        """Publishes a dataclass of described arrays as this stage's artifact.

        siblings, views: suffixes of the files published with it, without and with dates in them.
        """
        with self.writing(siblings, views) as file:
            contents.put(file, content)

    @contextlib.contextmanager
    def writing(self, siblings: tuple[str, ...] = (), views: tuple[str, ...] = ()):
        """An open `h5py.File` that is published as this stage's artifact when the context ends well."""
        beside = [[self.sibling(suffix) for suffix in suffixes] for suffixes in (siblings, views)]
        with artifacts.writing(self.path, self._origin(), *beside) as file:
            yield file
            self._must_be_current()
        partials.drop(self.path)

    def checkpoint(self, content, number: int) -> None:
        """Publishes a dataclass of described arrays from which `latest_checkpoint` lets a run go on that was killed after this."""
        # Not while edited code lies there: see `_must_be_current`, which refuses the result unless the edit is taken back until then.
        if not recipe.differences(self._recipe_now(), self.recipe):
            checkpoints.save(self.path, number, content, self._origin())

    def latest_checkpoint(self, kind: type):
        """The dataclass `kind` from the latest sound checkpoint of this artifact, None if there is none."""
        return checkpoints.latest(self.path, kind)

    def set_down(self, content, number: int) -> None:
        """Keeps a dataclass of described arrays as snapshot `number` until `publish_snapshots`, also beyond the end of this process."""
        snapshots.save(self.path, number, content, self._origin())

    def publish_snapshots(self, kind: type, numbers: Iterable[int]) -> str:
        """Publishes the snapshots of these numbers, dataclasses `kind`, with the artifact; returns the suffix of their file."""
        snapshots.publish(self.path, kind, numbers, self._origin())
        return snapshots.SUFFIX

    def published_snapshots(self, kind: type):
        """The dataclass `kind` from the snapshots that lie beside the artifact; None where there are none."""
        return snapshots.published(self.path, kind)

    def lacks_snapshots(self, numbers: Iterable[int]) -> list[int]:
        """Which of these numbers were not set down, or are damaged now."""
        return snapshots.lacking(self.path, numbers)

    def _origin(self) -> dict[str, Any]:
        return {"stage": self.address, "key": self.key, "made_from": self.recipe, "versions": _versions()}

    def _must_be_current(self) -> None:
        """Code edited while a stage ran may have been imported in part before and in part after the edit: no key fits the result."""
        if changed := recipe.differences(self._recipe_now(), self.recipe):
            raise InputError(f"{'; '.join(changed)} while {self.address} ran. Its result was not kept; run the command again.")

    def progress(self, total: int, unit: str, *, scale: int = 1) -> Progress:
        """Shows how far the stage is, here and on a scheduler's page; see Progress."""
        return Progress(self.address, total, unit, self._tell_scheduler, scale=scale)

    def _tell_scheduler(self, share: float, text: str, link: str | None = None) -> None:
        """For luigid's page; where no worker runs the stage there is none, and a server that does not answer is not asked again."""
        if not self.set_progress_percentage:
            return
        try:
            self.set_progress_percentage(round(100 * share))
            self.set_status_message(text)
            if link:
                self.set_tracking_url(link)
        except RPCError as error:
            self.set_progress_percentage = None
            self.say(f"luigi's server does not answer ({error}); going on without telling it")

    def say(self, text: str) -> None:
        say(f"{self.address}: {text}")

    def conclude(self, **figures: Any) -> None:
        """Figures for the run log's line of this stage; `result` is also told at the end of a run that asked for this stage."""
        self._figures = figures

    def closing_words(self) -> dict[str, Any]:
        """What the last lines of a run that asked for this stage tell before its result, by title."""
        return {self.address: self.path}


@Stage.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def _present(stage):
    """A worker was asked for a stage that is complete."""
    closing.begin(stage, workspace_root())


def _handing_down(requires):
    """`requires`, its tasks under this task's overrides."""

    @functools.wraps(requires)
    def wrapped(self):
        return _mapped(requires(self), self.overrides)

    wrapped.of_stage = True
    return wrapped


def _mapped(tasks, overrides):
    if isinstance(tasks, dict):
        return {name: _mapped(task, overrides) for name, task in tasks.items()}
    if isinstance(tasks, list | tuple):
        return [_mapped(task, overrides) for task in tasks]
    return tasks._with_overrides(overrides) if overrides and isinstance(tasks, Stage) else tasks


def _guarded(run):
    """`run` as the only writer of its artifact, with a line in the run log."""

    @functools.wraps(run)
    def wrapped(self):
        if self._running:
            return run(self)  # by super().run()
        with interrupts.heeded(), locks.locked(self.path, lambda who: self.say(f"{who} is making the same artifact; waiting for it")):
            if not self.output().exists():
                _tidy(self)
                _logged(_refused if self.adoption else run, self)

    wrapped.of_stage = True
    return wrapped


def _tidy(stage: Stage) -> None:
    """Removes what killed writers left in the stage's folder, and sets aside what lies in the way."""
    files.sweep(stage.path.parent, stage.path.stem)
    recovery.clear(stage.path.parent)
    # Files without their artifact stay: an unfinished run left them, and this one makes them again.
    if os.path.lexists(stage.path):
        for aside in files.quarantine(stage.path, "damaged", but=partials.of(stage.path)):
            stage.say(f"damaged, kept as {aside}")


def _refused(stage: Stage) -> None:
    """In place of the `run` of a stage whose adopted artifact is gone: whatever else this run is to make would name that as its input."""
    raise InputError(
        f"{stage.path}, adopted {stage.adoption}, is damaged or gone."
        f" Run the command again: it makes {stage.address} with the code as it is now."
    )


def _logged(run, stage: Stage) -> None:
    stage.say("started")
    stage._running, started = True, time.monotonic()
    entry = {"event": "stage", "run": closing.run_id(), "stage": stage.address, "key": stage.key}
    if adopted := [f"{adoption.stage}@{adoption.adopted}" for adoption in stage.adopted.values()]:
        entry["adopted"] = adopted
    try:
        if stage._unlisted:
            raise stage._unlisted
        run(stage)
    except BaseException as error:
        ending = "interrupted" if interrupts.received() or isinstance(error, KeyboardInterrupt) else getattr(error, "ending", "failed")
        said = f"{error}" if isinstance(error, InputError) else repr(error)
        runlog.append(_log_folder(), {**entry, "status": ending, "error": said})
        raise
    finally:
        stage._running = False
    seconds = round(time.monotonic() - started, 2)
    runlog.append(_log_folder(), {**entry, "status": "done", "seconds": seconds, "peak_mb": _peak_memory(), **stage._figures})
    stage.say(f"done in {units.clock(seconds)}, {stage.path.name}")
    stage._tell_scheduler(1.0, stage._figures.get("result", f"done in {units.clock(seconds)}"), stage.shown.absolute().as_uri())


def _peak_memory() -> int:
    """MB that this process held at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _plain(parameter: luigi.Parameter, value: Any) -> Any:
    """A parameter's value as JSON takes it."""
    return value if value is None or isinstance(value, str | int | float) else parameter.serialize(value)


def _numbered(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Pairs as a dict, in which equal names get a number: two variations of a stage, two files of one name."""
    named: dict[str, Any] = {}
    for name, value in pairs:
        same = sum(1 for known in named if known.split(" #")[0] == name)
        named[f"{name} #{same + 1}" if same else name] = value
    return named


def _log_folder() -> Path:
    return workspace_root() / "models"


def _versions() -> dict[str, str]:
    packages = ("h5py", "keras", "numpy", "pandas", "scikit-image", "scikit-learn", "scipy", "tensorflow")
    return {package: recipe.version(package) for package in packages}


@functools.cache
def _check_configuration_once(package: str) -> None:
    configuration.check_configuration(package, __name__.split(".")[0])
