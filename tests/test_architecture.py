"""The rules of docs/architecture.md, checked against the syntax trees of the package; each failure lists every offender with its line."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# Every room may import these modules, which belong to no room. They import only each other.
SINGLE = {"environment", "errors", "lazyrows", "progress", "scatter", "schema", "units"}

# Room -> the other rooms that it may import. "" is pipeline/__init__.py, the list of all tasks.
LOW = {"geometry", "metrics", "keypoints"}
MAY_IMPORT = {
    "keypoints": set(),
    "geometry": {"keypoints"},
    "metrics": {"keypoints"},
    "data": LOW,
    "nets": LOW,
    "inference": {"nets", "data", *LOW},
    "export": {"inference", "nets", "data", *LOW},
    "experiments": {"nets", *LOW},
    "results": {"inference", "nets", "data", *LOW},
    "quality": {"inference", "nets", "data", *LOW},
    "review": {"data", *LOW},
    "store": set(),
    "tasks": {"store", "results", "quality", "experiments", "inference", "nets", "data", *LOW},
    "": {"tasks", "store"},
    "__main__": {"commands"},
    "commands": {"", "tasks", "store", "review", "quality", "results", "export", "experiments", "inference", "nets", "data", *LOW},
    "api": {"commands", "tasks", "store", "results", "inference", "nets", "data", *LOW},
}
# The one import that leads upwards: pipeline/__init__.py hands on the functions of this room when one of them is first used.
HANDED_ON = "api"
# What pipeline/tasks may import at module level, so that `import pipeline` stays cheap; the rest is imported by the methods that use it.
TASKS_AT_IMPORT = (
    *("pipeline.tasks", "pipeline.store", "pipeline.keypoints"),
    *("pipeline.data.definition", "pipeline.data.formats.catalogue", "pipeline.nets.options", "pipeline.experiments.plans"),
)
# The packages of the store: each may import only those after it.
STORE = ("run", "cleanup", "remote", "hdf5", "keys", "workspace")

# Library -> the rooms that may import it.
LIBRARIES = {"luigi": {"tasks", "commands", "store"}, "h5py": {"store"}}
# These read other programs' HDF5 files with h5py: keras.applications' ImageNet weights, and SLEAP's labels, which one of them writes too.
WRITES_SLEAP = "pipeline/data/formats/sleap_writing.py"
READS_HDF5 = {"pipeline/nets/pretrained.py", "pipeline/data/formats/sleap_hdf5.py", WRITES_SLEAP}
# Functions of pandas and Keras that write HDF5 files.
WRITE_HDF5 = ("to_hdf", "HDFStore", "save_weights", "save_model")

MOST_PARAMETERS = 8
MOST_LINES = 50
MOST_LINES_OF_A_TASK = 14

# Methods of Luigi's tasks and of Keras' layers, optimizers and callbacks, which the libraries call and document.
INHERITED = {
    *("run", "requires", "output", "complete", "deps"),
    *("build", "call", "compute_output_shape", "update_step"),
    *("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin"),
}


class Import(NamedTuple):
    """One imported module, in full; `when` is "import" (at module level), "call" (inside a function) or "typing" (for annotations only)."""

    module: str
    line: int
    when: str


@dataclass(frozen=True)
class Module:
    """A module of the package, read from its source."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        """Its dotted name."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def at(self, line: int) -> str:
        """file:line, as editors open it."""
        return f"{self.path.relative_to(ROOT)}:{line}"


MODULES = {
    module.name: module for module in (Module(path, ast.parse(path.read_text())) for path in sorted((ROOT / "pipeline").rglob("*.py")))
}


def room(name: str) -> str:
    """The room of a module of the package, by its dotted name."""
    return name.split(".")[1] if "." in name else ""


def is_ours(module: str) -> bool:
    """Whether a module belongs to the package."""
    return module.split(".")[0] == "pipeline"


def is_standard(module: str) -> bool:
    """Whether a module belongs to the standard library."""
    return module.split(".")[0] in sys.stdlib_module_names


def imports(module: Module) -> list[Import]:
    """All imports of a module, wherever they are."""
    found = []

    def visit(node: ast.AST, when: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend(Import(alias.name, child.lineno, when) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert not child.level, f"{module.at(child.lineno)}: relative imports are not used here"
                names = [f"{child.module}.{alias.name}" for alias in child.names]
                found.extend(Import(name if name in MODULES else child.module, child.lineno, when) for name in names)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                visit(child, "typing")
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                visit(child, "call" if inside else when)

    visit(module.tree, "import")
    return found


IMPORTS = [(module, imported) for module in MODULES.values() for imported in imports(module)]


def is_public(within: tuple[ast.ClassDef | ast.FunctionDef, ...], node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Whether users of the module may use a definition: no part of its name is private, and it is not inside a function."""
    names = [outer.name for outer in (*within, node)]
    return all(isinstance(outer, ast.ClassDef) for outer in within) and not any(name.startswith("_") for name in names)


class Function(NamedTuple):
    """A function or method and what it is in: the names of classes and functions, from the outermost."""

    module: Module
    within: tuple[ast.ClassDef | ast.FunctionDef, ...]
    node: ast.FunctionDef

    def __str__(self) -> str:
        names = ".".join([*(outer.name for outer in self.within), self.node.name])
        return f"{self.module.at(self.node.lineno)} {names}"

    @property
    def is_public(self) -> bool:
        """Whether users of the module may call it."""
        return is_public(self.within, self.node)

    @property
    def parameters(self) -> list[ast.arg]:
        """Its parameters besides self and cls, *args and **kwargs among them."""
        given = self.node.args
        own = [*given.posonlyargs, *given.args, *given.kwonlyargs, *(each for each in (given.vararg, given.kwarg) if each)]
        return own[1:] if own and own[0].arg in ("self", "cls") else own


def definitions(kind: type[ast.AST]) -> Iterator[tuple[Module, tuple, ast.AST]]:
    """Yields each definition of a kind with its module and the definitions around it."""

    def visit(module: Module, node: ast.AST, within: tuple) -> Iterator[tuple]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, kind):
                yield module, within, child
            outer = (*within, child) if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else within
            yield from visit(module, child, outer)

    for module in MODULES.values():
        yield from visit(module, module.tree, ())


FUNCTIONS = [Function(*found) for found in definitions(ast.FunctionDef | ast.AsyncFunctionDef)]
CLASSES = [(module, within, node) for module, within, node in definitions(ast.ClassDef)]


def none(offenders: list[str]) -> None:
    """Fails with all offenders, one on each line."""
    assert not offenders, "\n" + "\n".join(sorted(set(offenders)))


# Who may import whom


def test_every_room_is_in_the_table():
    """A new package or module has a place in the table before anything imports it."""
    places = {room(name) for name in MODULES}
    assert places == MAY_IMPORT.keys() | SINGLE


def test_every_room_is_described():
    """docs/architecture.md has a row for each room and for each package of the store, and names each single module."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = {f"| `{name}` |" for name in MAY_IMPORT if name} | {f"| `store/{name}` |" for name in STORE}
    assert [row for row in rows if row not in text] + [name for name in SINGLE if f"`pipeline/{name}.py`" not in text] == []


def test_imports_go_from_a_room_to_the_rooms_below_it():
    """Also inside functions and for annotations: no import leads upwards or sideways."""
    offenders = []
    for module, imported in IMPORTS:
        if is_ours(imported.module):
            here, there = room(module.name), room(imported.module)
            if (here, there) == ("", HANDED_ON) and imported.when != "import":
                continue
            if there != here and there not in SINGLE and there not in MAY_IMPORT.get(here, set()):
                offenders.append(f"{module.at(imported.line)} {here or 'pipeline/__init__.py'} may not import {imported.module}")
    none(offenders)


def test_the_table_has_no_circle():
    """The rooms of the table can be put in an order in which each imports only earlier ones."""
    left = dict(MAY_IMPORT)
    while ready := [name for name, below in left.items() if not below & left.keys()]:
        for name in ready:
            del left[name]
    assert not left


def test_tasks_import_at_module_level_only_what_they_need_to_be_declared():
    """`import pipeline` and a finished chain stay fast: libraries other than Luigi and most rooms are imported when a stage runs."""
    offenders = []
    for module, imported in IMPORTS:
        if room(module.name) == "tasks" and imported.when == "import":
            own = is_ours(imported.module)
            allowed = any(f"{imported.module}.".startswith(f"{name}.") for name in TASKS_AT_IMPORT) or room(imported.module) in SINGLE
            if (own and not allowed) or (not own and not is_standard(imported.module) and imported.module.split(".")[0] != "luigi"):
                offenders.append(f"{module.at(imported.line)} imports {imported.module} at module level")
    none(offenders)


def test_the_packages_of_the_store_form_a_line():
    """run, cleanup, remote, hdf5, keys, workspace: each imports only those after it, and no room."""
    offenders = []
    for module, imported in IMPORTS:
        if room(module.name) == room(imported.module) == "store":
            here, there = (name.split(".")[2] for name in (module.name, imported.module))
            if STORE.index(there) < STORE.index(here):
                offenders.append(f"{module.at(imported.line)} store/{here} may not import {imported.module}")
    none(offenders)


def test_subcommands_do_not_import_each_other():
    """What several subcommands need is in commands/support, which imports no subcommand."""
    offenders = []
    for module, imported in IMPORTS:
        inside = module.name.startswith("pipeline.commands.") and room(imported.module) == "commands"
        if inside and not imported.module.startswith("pipeline.commands.support"):
            offenders.append(f"{module.at(imported.line)} imports {imported.module}")
    none(offenders)


def test_only_the_wiring_names_a_keypoint_set():
    """The code knows one keypoint set, Kaggle's. All other rooms take the set from the data."""
    wiring = {"pipeline.tasks.sections", "pipeline.tasks.data", "pipeline.tasks.labelfiles"}
    found = [(module, imported) for module, imported in IMPORTS if imported.module == "pipeline.keypoints.kaggle"]
    none([f"{module.at(imported.line)} imports {imported.module}" for module, imported in found if module.name not in wiring])
    assert {module.name for module, _ in found} == wiring


def test_no_modules_import_each_other_in_a_circle():
    """Neither directly nor through others, while they are imported: then the order of imports would matter."""
    graph = defaultdict(set)
    for module, imported in IMPORTS:
        if imported.when == "import" and imported.module in MODULES:
            graph[module.name].add(imported.module)

    def reachable(start: str) -> set[str]:
        found, todo = set(), [start]
        while todo:
            new = graph[todo.pop()] - found
            found |= new
            todo += new
        return found

    none([f"{MODULES[name].at(1)} is imported by what it imports" for name in list(MODULES) if name in reachable(name)])


@pytest.mark.parametrize("library", LIBRARIES)
def test_only_some_rooms_import_a_library(library):
    """Luigi is known to tasks, commands and store; h5py only to the store, apart from the modules for other programs' files."""
    none(
        [
            f"{module.at(imported.line)} imports {library}"
            for module, imported in IMPORTS
            if imported.module.split(".")[0] == library and room(module.name) not in LIBRARIES[library]
            if library != "h5py" or str(module.path.relative_to(ROOT)) not in READS_HDF5
        ]
    )


def test_nothing_but_the_store_writes_hdf5():
    """Other modules open HDF5 files for reading, but for the one that writes labels for SLEAP; no library writes one by itself."""
    offenders = []
    for module, _, call in definitions(ast.Call):
        name, where = call.func.attr if isinstance(call.func, ast.Attribute) else "", str(module.path.relative_to(ROOT))
        if name in WRITE_HDF5:
            offenders.append(f"{module.at(call.lineno)} {name} may write HDF5")
        if name == "File" and ast.unparse(call.func) == "h5py.File" and room(module.name) != "store" and where != WRITES_SLEAP:
            modes = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
            if [ast.unparse(mode) for mode in modes] not in ([], ["'r'"]):
                offenders.append(f"{module.at(call.lineno)} opens an HDF5 file for writing")
    none(offenders)


# Size and names


def test_no_two_classes_share_a_name():
    """So that a class is meant by its name alone."""
    places = defaultdict(list)
    for module, _, node in CLASSES:
        places[node.name].append(module.at(node.lineno))
    none([f"{where} class {name}, of which there are {len(found)}" for name, found in places.items() if len(found) > 1 for where in found])


def test_no_function_has_many_parameters():
    """What is read from **kwargs by name counts too."""
    offenders = []
    for function in FUNCTIONS:
        count = len(function.parameters)
        if function.node.args.kwarg and (read := _read_from(function.node.args.kwarg.arg, function.node)):
            count += len(read) - 1
        if count > MOST_PARAMETERS:
            offenders.append(f"{function} has {count} parameters")
    none(offenders)


def _read_from(kwargs: str, function: ast.AST) -> set[str]:
    """The names that a function reads from its **kwargs: kwargs["name"], kwargs.get("name") or kwargs.pop("name")."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == kwargs:
            found.add(ast.unparse(node.slice))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (f"{kwargs}.get", f"{kwargs}.pop") and node.args:
            found.add(ast.unparse(node.args[0]))
    return found


def test_no_function_is_long():
    """From its `def` to its end, docstring included."""
    lengths = {function: function.node.end_lineno - function.node.lineno + 1 for function in FUNCTIONS}
    none([f"{function} has {length} lines" for function, length in lengths.items() if length > MOST_LINES])


def test_tasks_are_wiring():
    """The `run` of a task loads its inputs, calls a function, and saves the result."""
    offenders = []
    for function in FUNCTIONS:
        if room(function.module.name) == "tasks" and function.node.name == "run":
            body = function.node.body[1:] if ast.get_docstring(function.node) else function.node.body
            lines = function.module.path.read_text().splitlines()[body[0].lineno - 1 : function.node.end_lineno]
            code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
            if len(code) > MOST_LINES_OF_A_TASK:
                offenders.append(f"{function} has {len(code)} lines of code")
    none(offenders)


# Docstrings and annotations


def documented_by_a_base(function: Function) -> bool:
    """Whether the method overrides one of this package that has a docstring: that describes both."""
    bases = {node.name: node for _, _, node in CLASSES}
    todo, seen = [*function.within[-1:]], set()
    while todo:
        here = todo.pop()
        if here.name not in seen and isinstance(here, ast.ClassDef):
            seen.add(here.name)
            if any(getattr(each, "name", "") == function.node.name and ast.get_docstring(each) for each in here.body):
                return True
            todo += [bases[name] for base in here.bases if (name := ast.unparse(base).split(".")[-1]) in bases]
    return False


def test_every_public_definition_has_a_docstring():
    """Modules, classes, functions and methods; but for methods that a library or a base class documents."""
    offenders = [module.at(1) for module in MODULES.values() if not ast.get_docstring(module.tree)]
    for module, within, node in CLASSES:
        if is_public(within, node) and not ast.get_docstring(node):
            offenders.append(f"{module.at(node.lineno)} class {node.name}")
    for function in FUNCTIONS:
        inherited = function.within and (function.node.name in INHERITED or documented_by_a_base(function))
        if function.is_public and not ast.get_docstring(function.node) and not inherited:
            offenders.append(str(function))
    none(offenders)


def test_every_public_function_is_annotated():
    """Each parameter and the result; but for methods that a library calls."""
    offenders = []
    for function in FUNCTIONS:
        if function.is_public and not (function.within and function.node.name in INHERITED):
            lacking = [parameter.arg for parameter in function.parameters if parameter.annotation is None]
            lacking += ["the result"] if function.node.returns is None else []
            if lacking:
                offenders.append(f"{function}: {', '.join(lacking)}")
    none(offenders)


def test_luigis_parameters_are_subscripted_only_in_quotes():
    """`luigi.Parameter[...]` is a TypeError in the oldest version of Luigi that pyproject.toml allows."""
    subscripts = [(module, node) for module in MODULES.values() for node in ast.walk(module.tree) if isinstance(node, ast.Subscript)]
    none([module.at(node.lineno) for module, node in subscripts if ast.unparse(node.value) == "luigi.Parameter"])
