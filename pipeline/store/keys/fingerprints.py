"""Fingerprints: hashes of the code that makes an artifact. Comments, docstrings and formatting have no influence.

The code is read from the source files, and nothing is imported, so that checking a finished chain does not cost the start of a library.
Modules that are imported by a name computed at run time are covered if the stage names them. Files that are not code are not covered.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import luigi

PROGRAM = __name__.split(".")[0]

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def fingerprint(stage: type, modules: Iterable[str] = ()) -> dict[str, str]:
    """The hash of each piece of code that a stage's `run` depends on, keyed by the location of the code.

    These are the parts of the stage's own classes and their modules that `run` reaches, the `modules` that it imports by a computed name,
    and every module that these import, transitively. Only modules of the stage's package and of this program count. The store is left out,
    because it has a schema number, and so are the wiring of tasks (`requires`) and the calls of `Stage.amended`. Raises ValueError if the
    source of `run` cannot be found.
    """
    reached = _reached(stage)
    found = {label: _hash("\n".join(sorted({ast.unparse(node) for _, node in places}))) for label, places in reached.items() if label}
    if not found:
        raise ValueError(f"{stage.__qualname__} must be a class at the top level of a module, with a method run")
    todo = {name for places in reached.values() for module, node in places for name in _imports(node, module)}.union(modules)
    packages = (_package(stage), PROGRAM)
    return found | {_relative(path, stage): digest for path, digest in _with_imports(todo, packages)}


def module_fingerprint(modules: Iterable[str]) -> str:
    """One hash of the code of modules of this program and of what they import, transitively; the store is left out."""
    return _hash("\n".join(sorted(digest for _, digest in _with_imports(set(modules), (PROGRAM,)))))


def _with_imports(todo: set[str], packages: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """The file and the hash of each module among `todo`, and among what they import, transitively, that is in one of the packages."""
    waiting, known = list(todo), set(todo)
    while waiting:
        module = waiting.pop()
        if _counts(module, packages) and (path := _module_file(module)):
            code, imports = _module_code(path.read_text(encoding="utf-8"), module)
            waiting += imports - known
            known |= imports
            if code:
                yield path, _hash(code)


def _reached(stage: type) -> dict[str, list[tuple[str, ast.AST]]]:
    """The module and statement of everything by which `run` is defined, by label. Imports have the label "".

    Attributes are matched by name: a member of the class counts if any of the code reached uses an attribute of that name, of any object.
    """
    classes = [cls for cls in stage.__mro__ if _is_ours(cls.__module__, stage)]
    found: dict[str, list[tuple[str, ast.AST]]] = {}
    tree_of = functools.cache(_tree)  # reads each module once
    waiting, known = [("", "run")], {("", "run")}
    while waiting:
        module, name = waiting.pop()
        for label, place, node in _globals(module, name, tree_of) if module else _members(classes, name, tree_of):
            found.setdefault(label, []).append((place, node))
            parts = list(ast.walk(node))
            used = {("", part.attr) for part in parts if isinstance(part, ast.Attribute)}
            used |= {(place, part.id) for part in parts if isinstance(part, ast.Name)}
            waiting += used - known
            known |= used
    return found


def _members(classes: list[type], name: str, tree_of: Callable[[str], ast.Module]) -> Iterator[tuple[str, str, ast.AST]]:
    """Label, module and statement of each method and attribute with a name. All classes count because of `super`; parameters do not."""
    if name == "requires" or isinstance(getattr(classes[0], name, None), luigi.Parameter):
        return
    for cls in classes:
        for statement in tree_of(cls.__module__).body:
            if isinstance(statement, ast.ClassDef) and statement.name == cls.__qualname__:
                label = _label(cls.__module__, cls.__name__)
                yield from ((label, cls.__module__, node) for node in statement.body if name in _bound(node))


def _globals(module: str, name: str, tree_of: Callable[[str], ast.Module]) -> Iterator[tuple[str, str, ast.AST]]:
    """Label, module and statement of each definition of a global name of a module. Tasks are left out."""
    value = getattr(sys.modules[module], name, None)
    if isinstance(value, type) and issubclass(value, luigi.Task):
        return
    for node in tree_of(module).body:
        if {name, "*"} & _bound(node) and not _for_type_checkers(node):
            yield "" if isinstance(node, ast.Import | ast.ImportFrom) else _label(module, name), module, node


@functools.cache
def _bound(statement: ast.AST) -> frozenset[str]:
    """The names that a statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset({statement.name})
    parts = list(ast.walk(statement))
    names = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    names |= {part.name for part in parts if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return frozenset(names | {part.asname or part.name.split(".")[0] for part in parts if isinstance(part, ast.alias)})


def _imports(tree: ast.AST, module: str) -> set[str]:
    """The modules of this program and of `module`'s package that are imported anywhere in a syntax tree of `module`.

    Imports that only type checkers see do not count.
    """
    found = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(_absolute(node, module), f".{alias.name}") for alias in node.names}
    packages = (module.split(".")[0], PROGRAM)
    return {base + name if name and _module_file(base + name) else base for base, name in found if base.split(".")[0] in packages}


def _statements(tree: ast.AST, *, checked: bool = False) -> Iterator[ast.AST]:
    """A syntax tree and the statements in it, with what belongs to them and is no expression, because no expression has a statement in it.

    checked: also what only type checkers see.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        parts = node.orelse if isinstance(node, ast.If) and _for_type_checkers(node) and not checked else ast.iter_child_nodes(node)
        waiting += [part for part in parts if not isinstance(part, ast.expr)]


def _for_type_checkers(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING`, which never runs."""
    test = node.test if isinstance(node, ast.If) else None
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


def _absolute(node: ast.ImportFrom, module: str) -> str:
    """The absolute name of the module that an import statement in `module` imports from."""
    if not node.level:
        return node.module or ""
    path = _module_file(module)
    parts = module.split(".") if path and path.name == "__init__.py" else module.split(".")[:-1]
    return ".".join([*parts[: len(parts) - (node.level - 1)], *([node.module] if node.module else [])])


def _module_file(module: str) -> Path | None:
    """The source file of a module of an imported package; None if there is none."""
    package, *rest = module.split(".")
    top: str | None = getattr(sys.modules.get(package), "__file__", None)
    if top is None or not rest:
        return Path(top) if top else None
    base = Path(top).parent.joinpath(*rest)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _tree(module: str) -> ast.Module:
    """The syntax tree of a module without docstrings; empty if there is no source file."""
    path = _module_file(module)
    return _parsed(path.read_text(encoding="utf-8")) if path else ast.Module([], [])


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module:
    tree = ast.parse(text)
    if "amended" in text:
        tree = _WithoutAmendments().visit(tree)
    for node in _statements(tree, checked=True):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            # An empty module is a program, an empty function is not.
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return tree


@functools.lru_cache(maxsize=256)
def _module_code(text: str, module: str) -> tuple[str, frozenset[str]]:
    """The normalised code of a module, and the modules that it imports."""
    tree = _parsed(text)
    return ast.unparse(tree), frozenset(_imports(tree, module))


class _WithoutAmendments(ast.NodeTransformer):
    """Replaces self.amended(value) by the value."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return node.args[0] if ast.unparse(node.func) == "self.amended" else node


def _package(stage: type) -> str:
    return stage.__module__.split(".")[0]


def _is_ours(module: str, stage: type) -> bool:
    """Whether the code of a module counts."""
    return _counts(module, (_package(stage), PROGRAM))


def _counts(module: str, packages: tuple[str, ...]) -> bool:
    package, *rest = module.split(".")
    return package in packages and rest[:1] != ["store"]


def _relative(path: Path, stage: type) -> str:
    """The path of a module's file in messages: geometry/augmentation.py, preceded by the package if that is not the stage's own."""
    home = _home(_package(stage))
    return path.relative_to(home if path.is_relative_to(home) else _home(PROGRAM).parent).as_posix()


def _home(package: str) -> Path:
    """The folder of an imported package. Raises ValueError if it has no source file."""
    file = _module_file(package)
    if file is None:
        raise ValueError(f"the source of the package {package} cannot be found")
    return file.parent


def _label(module: str, name: str) -> str:
    return f"{module.split('.', 1)[-1]}.{name}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
