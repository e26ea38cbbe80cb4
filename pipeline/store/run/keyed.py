"""The identity of a stage: its names, its parameters including overrides, its provenance, and the key derived from them.

A key is computed once in each build. Luigi keeps its tasks as long as the process lives, but files, code and settings may change between
two builds of one process, in a notebook for example.
"""

import functools
import json
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task import flatten
from luigi.task_register import Register
from luigi.worker import Worker

from pipeline import environment
from pipeline.errors import InputError, meant
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import adoptions, fingerprints, provenance
from pipeline.store.keys.adoptions import Adoption
from pipeline.store.run import configuration, parameters, shared
from pipeline.store.run.targets import ExternalFile, check_workspace, workspace_root

if TYPE_CHECKING:
    from pipeline.store.run.stage import Stage

NO_OVERRIDES: dict[str, dict[str, Any]] = {}
Value = TypeVar("Value")


class Builds:
    """The builds of this process: how many have begun, and the generation of the values that `per_build` keeps."""

    begun = 0
    generation = 0

    @classmethod
    def begin(cls) -> None:
        """Called when a worker of Luigi begins. What was computed before is kept only by the command line, whose one build it is for."""
        if cls.begun or CmdlineParser.get_instance() is None:
            cls.generation += 1
        cls.begun += 1

    @classmethod
    def end(cls) -> None:
        """Called when a worker of Luigi has ended. A command still needs the keys for its summary."""
        if CmdlineParser.get_instance() is None:
            cls.generation += 1


class per_build(Generic[Value]):  # named like the property that it is
    """A property whose value is computed once in each build."""

    def __init__(self, compute: Callable[[Any], Value]):
        self.compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"{name} in a build"

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> "Self | Value":
        if instance is None:
            return self
        generation, value = vars(instance).get(self.name, (None, None))
        if generation != Builds.generation:
            value = self.compute(instance)
            vars(instance)[self.name] = Builds.generation, value
        return value


# The fingerprint of the code of each stage when this process first computed its key, by what it imports by computed names.
_first_code: weakref.WeakKeyDictionary[type, dict[tuple[str, ...], dict[str, str]]] = weakref.WeakKeyDictionary()


def _around(method: Callable[..., Any], call: Callable[[], None]) -> Callable[..., Any]:
    """A method that calls `call` first."""

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call()
        return method(*args, **kwargs)

    return wrapped


# Luigi has no event for the beginning and the end of a build, in which `luigi.build` and `luigi.run` enter and leave a worker.
_worker: Any = Worker
_worker.__enter__, _worker.__exit__ = _around(_worker.__enter__, Builds.begin), _around(_worker.__exit__, Builds.end)


class Keyed(luigi.Task):
    """A task whose artifact is named after a key: the hash of everything that the artifact is made from.

    `overrides` are values for parameters of this stage and of the stages that it requires. They are passed on to the tasks that `requires`
    returns, so a subclass writes `requires` as in any Luigi task.
    """

    _visible_in_registry = False  # not a task that the command line offers

    overrides = luigi.DictParameter(
        default=NO_OVERRIDES,
        significant=False,
        description="parameters of this stage and its inputs for one variation: {STAGE: {name: value}}",
    )

    folder = "models"  # the workspace's folder that contains the artifact
    companion = False  # made along with the stage that requires it, without being part of that stage's key
    _has_key = False
    on_backend = False  # trains or predicts, so that the versions of Keras and its backend are part of the key

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherited = {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()}
        for name, parameter in inherited.items():
            if isinstance(parameter, parameters.Checked):
                setattr(cls, name, parameter.of(cls, name))
        wrap_once(cls, "requires", _handing_down)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _check_once(type(self).__module__.split(".")[0])
        self._apply_overrides()
        self._has_key = True
        hash(self)  # raises now what is wrong with the files or the code

    @property
    def task_id(self) -> str:
        """STEM-KEY, Luigi's name of the task; "" as long as its parameters are not set.

        In a shared run the identity of the workspace follows: one server may serve several workspaces.
        """
        return "-".join(filter(None, (self._build_id, shared.workspace()))) if self._has_key else ""

    @task_id.setter
    def task_id(self, value: str) -> None:
        """Luigi's own name of the task is not used."""

    @per_build
    def _build_id(self) -> str:
        """The `task_id`. Luigi asks for it again when it has discarded the command line, and the stem may depend on a flag."""
        return f"{self.stem}-{self.key}"

    def __hash__(self) -> int:
        return hash(self._build_id if self._has_key else "")

    def to_str_params(self, only_significant: bool = False, only_public: bool = False) -> dict[str, str]:
        """The parameters as texts. In a shared run the key comes first, so that luigid's page shows it and finds the stage by it."""
        texts: dict[str, str] = super().to_str_params(only_significant, only_public)
        if not self._has_key or not shared.workspace():
            return texts
        return {"key": self.key, **{name: text for name, text in texts.items() if (name, text) != ("overrides", "{}")}}

    # Names

    @property
    def identity(self) -> tuple[str, ...]:
        """What distinguishes the tasks of one stage, such as the group of a specialist."""
        return ()

    @property
    def stem(self) -> str:
        """The file name of the artifact without its key: the stage and its `identity`."""
        return "-".join([self.task_family.lower(), *self.identity])

    @property
    def address(self) -> str:
        """STAGE[:group], as the `keypoints` command takes it."""
        return ":".join([self.task_family, *self.identity])

    @property
    def variation(self) -> str:
        """What distinguishes this task from others at the same address in one run, such as "fold 2 of 3"; empty without overrides."""
        words = [Register.get_task_cls(family).overridden(values) for family, values in self.overrides.items() if values]
        return ", ".join(word for word in words if word)

    @classmethod
    def overridden(cls, values: Mapping[str, Any]) -> str:
        """Overrides of this stage in words."""
        return ", ".join(
            f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
            for name, value in values.items()
        )

    @property
    def title(self) -> str:
        """The address and, in parentheses, the variation: how output names this task."""
        return f"{self.address} ({self.variation})" if self.variation else self.address

    @property
    def place(self) -> str:
        """FOLDER/STEM-KEY: the artifact in its workspace and everything that belongs to it."""
        return f"{self.folder}/{self.stem}-{self.key}"

    @property
    def path(self) -> Path:
        """The file of the artifact."""
        return workspace_root() / f"{self.place}.h5"

    def sibling(self, suffix: str) -> Path:
        """A file published with the artifact, which has the same name and another suffix, such as ".csv".

        A name such as "heldout.csv" gives a file with this name and the key of the artifact, heldout-KEY.csv.
        """
        if suffix.startswith("."):
            return self.path.with_suffix(suffix)
        name = Path(suffix)
        return self.path.with_name(f"{name.stem}-{self.key}{name.suffix}")

    # Key

    @per_build
    def key(self) -> str:
        """The key of the artifact: that of the provenance, or that of the artifact adopted in its place."""
        return self.adoption.adopted if self.adoption else self.provenance_key

    @property
    def provenance_key(self) -> str:
        """The key of the provenance."""
        return provenance.key(self.provenance)

    @per_build
    def provenance(self) -> dict[str, Any]:
        """What the artifact is made from, see `pipeline.store.keys.provenance`, when it was first requested in this build."""
        found = self.current_provenance()
        _first_code.setdefault(type(self), {}).setdefault(self.used_modules(), found["code"])
        return found

    def edits(self) -> list[str]:
        """What has changed in the code of the stage since this process first looked at it: what it has imported is still the old code."""
        first = _first_code[type(self)].get(self.used_modules(), self.provenance["code"])
        return provenance.differences({"code": self.provenance["code"]}, {"code": first})

    def current_provenance(self) -> dict[str, Any]:
        """The provenance according to the code and files as they are now."""
        external = [task for task in flatten(self.requires()) if isinstance(task, ExternalFile)]
        facts = {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in self.facts().items()}
        return {
            "schema": artifacts.SCHEMA,
            "stage": self.address,
            "parameters": {name: value for name, (value, _) in self.settings.items()},
            **({"facts": facts} if facts else {}),
            "inputs": {name: task.key for name, task in self.inputs().items()},
            "files": provenance.numbered((file.title, file.digest()) for file in external),
            "code": fingerprints.fingerprint(type(self), self.used_modules()),
            "backend": self.computed_by(),
        }

    def computed_by(self) -> dict[str, str]:
        """What trains or predicts, see `provenance.backend`; empty if this stage does neither."""
        return provenance.backend() if self.on_backend else {}

    def used_modules(self) -> tuple[str, ...]:
        """The modules of this program that `run` imports by a name computed at run time; their code becomes part of the key."""
        return ()

    def facts(self) -> dict[str, Any]:
        """What this stage knows about its data besides its parameters and inputs, by name: values that JSON takes, part of the key."""
        return {}

    @property
    def settings(self) -> dict[str, tuple[Any, Any]]:
        """The values and defaults of the significant parameters, in a form that JSON takes."""
        significant = {name: parameter for name, parameter in self.get_params() if parameter.significant}
        return {name: (_plain(p, getattr(self, name)), _plain(p, p._default)) for name, p in significant.items()}

    @per_build
    def adoption(self) -> Adoption | None:
        """The record by which another artifact replaces the one that the provenance describes."""
        return adoptions.followed(workspace_root(), self.folder, self.stem, self.provenance_key)

    @per_build
    def adopted(self) -> dict[str, Adoption]:
        """The adoptions that influence the key, those of the inputs and their inputs included, by address; inputs first."""
        found = {name: adoption for task in self.inputs().values() for name, adoption in task.adopted.items()}
        return found | ({self.address: self.adoption} if self.adoption else {})

    # Other stages

    def inputs(self) -> dict[str, "Stage"]:
        """The stages whose keys are part of this one's, by address. Companions are not among them."""
        stages = [task for task in flatten(self.requires()) if isinstance(task, Keyed) and not task.companion]
        return provenance.numbered((stage.address, stage) for stage in stages)

    def needed_stages(self) -> list["Stage"]:
        """This stage and all stages that it needs, each once, inputs first. It depends on the current flags, so it is not cached."""
        found: dict[str, Any] = {}

        def visit(task: Any) -> None:
            if isinstance(task, Keyed) and task.task_id not in found:
                for needed in flatten(task.requires()):
                    visit(needed)
                found[task.task_id] = task

        visit(self)
        return list(found.values())

    def ancestors(self) -> list["Stage"]:
        """The stages that this one is made from, directly or not, each once, inputs first."""
        return [stage for stage in self.needed_stages()[:-1] if not stage.companion]

    def families(self) -> set[str]:
        """The names of this stage and of all stages that it needs."""
        return {self.task_family}.union(*(task.families() for task in flatten(self.requires()) if isinstance(task, Keyed)))

    # Overrides

    def _apply_overrides(self) -> None:
        """Sets the parameters of this stage that are overridden. Raises InputError for stages and parameters that do not exist."""
        if not self.overrides:
            return
        for family, values in self.overrides.items():
            if not isinstance(values, Mapping):
                raise InputError(f"overrides for {family}: must be {{parameter: value}}, not {values}.")
        families, known = self.families(), dict(self.get_params())
        if unknown := ", ".join(sorted({*self.overrides} - families)):
            raise InputError(f"overrides for {unknown}: {self.task_family} uses only {', '.join(sorted(families))}.")
        for name, value in self.overrides.get(self.task_family, {}).items():
            if name not in known or name == "overrides":
                hint = meant(name, sorted({*known} - {"overrides"}))
                raise InputError(f"override {self.task_family}-{name}: there is no such parameter; {hint}")
            setattr(self, name, known[name].normalize(value))

    def _with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """This task with the overrides that it or its inputs use. Its own overrides take precedence."""
        families = self.families()
        own = {family: {**values, **self.overrides.get(family, {})} for family, values in overrides.items() if family in families}
        return self.clone(overrides={**self.overrides, **own}) if own else self


def wrap_once(cls: type, name: str, wrapper: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> None:
    """Replaces the method `name` of a task class by `wrapper(method)`, unless it is Luigi's own or has been wrapped before.

    This also covers methods that come from a base class that is not a stage.
    """
    method = getattr(cls, name)
    if method is not getattr(luigi.Task, name) and not hasattr(method, "of_stage"):
        wrapped = wrapper(method)
        vars(wrapped)["of_stage"] = True
        setattr(cls, name, wrapped)


def _handing_down(requires: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A `requires` that returns its tasks with the overrides of this task."""

    @functools.wraps(requires)
    def wrapped(self: Keyed) -> Any:
        return _mapped(requires(self), self.overrides)

    return wrapped


def _mapped(tasks: Any, overrides: Mapping[str, Any]) -> Any:
    """The same structure of tasks, each with the overrides that it uses."""
    if isinstance(tasks, dict):
        return {name: _mapped(task, overrides) for name, task in tasks.items()}
    if isinstance(tasks, list | tuple):
        return [_mapped(task, overrides) for task in tasks]
    return tasks._with_overrides(overrides) if overrides and isinstance(tasks, Keyed) else tasks


def _plain(parameter: "luigi.Parameter[Any]", value: Any) -> Any:
    """What the value of a parameter stands for, in a form that JSON takes."""
    value = parameter.effective(value) if isinstance(parameter, parameters.Checked) else value
    return value if value is None or isinstance(value, str | int | float) else parameter.serialize(value)


@functools.cache
def _check_once(package: str) -> None:
    """Raises InputError for mistakes that do not depend on a single task, before the first task of a package is created."""
    environment.check_folder()
    check_workspace()
    configuration.check_configuration(package, __name__.split(".")[0])
