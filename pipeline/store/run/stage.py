"""The base class of all stages: a task with one artifact and one writer.

A subclass defines `requires` and `run` as in any Luigi task. This class takes care of everything around them: `requires` passes the
overrides on (`keyed`), and `run` holds the lock of the artifact, quarantines a damaged file and writes the run log (`guard`).
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi
from luigi.task import flatten

from pipeline import environment
from pipeline.errors import InputError, cause
from pipeline.store.cleanup import in_use
from pipeline.store.hdf5 import artifacts, contents
from pipeline.store.keys import provenance
from pipeline.store.run import closing, guard, shared
from pipeline.store.run.keyed import Keyed, wrap_once
from pipeline.store.run.partial_results import PartialResults
from pipeline.store.run.targets import Artifact, images_limit, log_folder, remote_store, workspace_root
from pipeline.store.workspace import files, partials
from pipeline.store.workspace.console import Progress, say

if TYPE_CHECKING:
    import h5py

    from pipeline.lazyrows import Collector


class Stage(Keyed):
    """One stage; see the module."""

    _visible_in_registry = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        wrap_once(cls, "run", guard.guarded)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.run_state = guard.RunState()
        # Luigi's worker sets these while it runs the stage. They are annotated here, because type checkers take the annotated attributes of
        # a task class for its parameters.
        self.set_progress_percentage: Callable[[int], None] | None = None
        self.set_status_message: Callable[[str], None] | None = None

    # What Luigi asks

    def output(self) -> Artifact:
        """The artifact as Luigi's target."""
        return Artifact(self.path)

    def complete(self) -> bool:
        """Whether the artifact exists and is undamaged, and likewise those of the companions.

        An error that the user can resolve, such as a file that may not be read, is raised by `run`, because Luigi prints errors of `run`
        best.
        """
        self.run_state.refusal = None
        try:
            return self.is_there() and all(task.complete() for task in flatten(self.requires()) if getattr(task, "companion", False))
        except (InputError, OSError) as error:
            if (refusal := cause(error)) is None:
                raise
            self.run_state.refusal = refusal
            return False

    def is_there(self) -> bool:
        """Whether the artifact exists and is undamaged, after fetching it from a remote store if the workspace lacks it.

        Raises InputError if the store cannot be used.
        """
        store = remote_store()
        return self.output().exists() or (store is not None and store.fetch(self.path))

    def deps(self) -> list[luigi.Task]:
        """The required tasks. Only Luigi's worker asks for them, if the stage is not complete, before it looks for the inputs.

        Therefore this marks the beginning of a run, and the stage and its inputs count as in use from now on. For complete stages see
        `_present`.
        """
        if closing.run_id() is None:
            self.run_state.unfit = self._unfit()
        closing.begin(self, workspace_root())
        if self.run_state.unfit:
            return []  # so this stage comes first, and its run raises the error: nothing is computed in vain
        tasks: list[luigi.Task] = super().deps()
        try:
            in_use.add(log_folder(), {task.place for task in (self, *tasks) if isinstance(task, Stage)})
        except (InputError, OSError) as error:
            if (refusal := cause(error)) is None:
                raise
            self.run_state.refusal = self.run_state.refusal or refusal
        return tasks

    @property
    def retry_count(self) -> int | None:
        """How often this stage may fail before luigid gives it up."""
        return shared.retries()

    def on_failure(self, exception: BaseException) -> Any:
        """What luigid's page says of a failure: a sentence where there is one, otherwise the traceback."""
        return str(error) if (error := cause(exception)) else super().on_failure(exception)

    def check(self) -> None:
        """Raises InputError if the parameters of this stage and its inputs do not fit. Called before anything runs."""

    def _unfit(self) -> InputError | None:
        """The error of the first `check` that fails, among those of the stages that this one needs and its own; or of the backend."""
        try:
            for stage in self.needed_stages():
                if stage.on_backend:
                    environment.check_backend()
                stage.check()
        except InputError as error:
            return error
        return None

    def set_up(self) -> None:
        """Called before `run`, in the process that runs the stage. What it does has no influence on the key."""

    @property
    def gpus(self) -> int:
        """The number of GPUs that the process of this stage is given, if `--workers` shares them out."""
        return 1

    # What a `run` uses

    def amended(self, value: Any) -> Any:
        """The value that `run` has read, with what the user has decided about it: a stage may override this method.

        Fingerprints ignore the call, so that a stage without decisions keeps its key. A stage that overrides it lets `facts` have the
        decisions, and `used_modules` the modules that apply them, if there are any.
        """
        return value

    @contextlib.contextmanager
    def collecting(self) -> Iterator[Callable[[], "Collector"]]:
        """Yields a function that creates a Collector, for images that may not fit in memory."""
        from pipeline.lazyrows import Collector

        with files.room_for(self.path):
            yield functools.partial(Collector, images_limit(), self.path.parent)

    @contextlib.contextmanager
    def publishing(self, *suffixes: str) -> Iterator[list[Path]]:
        """Yields temporary paths to write to; afterwards these files have the artifact's name and the given suffixes."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(files.publishing(self.sibling(suffix), keeping=True)) for suffix in suffixes]
            self._check_unchanged()

    def save(self, content: Any, *, siblings: tuple[str, ...] = (), views: tuple[str, ...] = ()) -> None:
        """Publishes a dataclass of described arrays as the artifact of this stage.

        siblings: suffixes of the files that were published with it.
        views: likewise, but of files that contain dates.
        """
        with self.writing(siblings, views) as file:
            contents.put(file, content)

    @contextlib.contextmanager
    def writing(self, siblings: tuple[str, ...] = (), views: tuple[str, ...] = ()) -> Iterator["h5py.File"]:
        """Yields an open `h5py.File`, which becomes the artifact of this stage if the context ends without an exception; see `save`."""
        beside = [[self.sibling(suffix) for suffix in suffixes] for suffixes in (siblings, views)]
        with artifacts.writing(self.path, self._provenance_attributes(), *beside) as file:
            yield file
            self._check_unchanged()
        partials.drop(self.path)
        if store := remote_store():
            store.send(self.path)

    @property
    def partials(self) -> PartialResults:
        """The checkpoints and snapshots of this stage."""
        return PartialResults(self.path, self._provenance_attributes(), lambda: not self._changes())

    def progress(self, total: int, unit: str, *, scale: int = 1) -> Progress:
        """Shows how far the stage is, on the console and on a scheduler's page; see `Progress`."""
        return Progress(self.title, total, unit, self.tell_scheduler, scale=scale)

    def tell_scheduler(self, share: float, text: str) -> None:
        """Reports to the page of luigid, if a worker runs this stage. It does not wait for the server.

        A stage that another one runs, such as a training of a Trial, shows its text with that one.

        share: the fraction of the work that is done.
        """
        if self.set_progress_percentage:
            self.set_progress_percentage(round(100 * share))
        for stage in (self, *guard.running):
            if stage.set_status_message:
                stage.set_status_message(text)
                break

    def say(self, text: str) -> None:
        """Writes a line to the console, preceded by the title of this stage."""
        say(f"{self.title}: {text}")

    def conclude(self, **figures: Any) -> None:
        """Sets entries for the run log. The entry `result` is also shown at the end of a run of this stage."""
        self.run_state.figures = figures

    # What is shown of it

    @property
    def shown(self) -> Path:
        """The file to look at when the stage is done: the artifact or a file published with it."""
        return self.path

    def closing_words(self) -> dict[str, Any]:
        """Lines that the summary of a run of this stage contains before the result, by title."""
        return {self.address: self.path}

    def _provenance_attributes(self) -> dict[str, Any]:
        """The attributes of the artifact."""
        return {"stage": self.address, "key": self.key, "made_from": self.provenance, "versions": _versions()}

    def _changes(self) -> list[str]:
        """What has changed in the code and the inputs since this stage began."""
        return provenance.differences(self.current_provenance(), self.provenance)

    def _check_unchanged(self) -> None:
        """Raises InputError if code or inputs have changed.

        Code that is edited while a stage runs may be imported in part before and in part after the edit, so that no key fits the result.
        """
        if changes := self._changes():
            raise InputError(f"{'; '.join(changes)} while {self.address} ran. Its result was not kept; run the command again.")


@Stage.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def _present(stage: Stage) -> None:
    """A worker was asked to run a stage that is complete."""
    closing.begin(stage, workspace_root())


def _versions() -> dict[str, str]:
    """The versions of the libraries that may influence a result."""
    packages = ("h5py", "keras", "numpy", "pandas", "scikit-image", "scikit-learn", "scipy", "tensorflow")
    return {package: provenance.version(package) for package in packages}
