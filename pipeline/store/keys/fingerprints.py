"""Hashes of the code that makes an artifact. Comments, docstrings and formatting do not count.

Read from the source files; nothing is imported, so that asking a finished chain costs no start of a library. Not seen are modules that are
imported by a name made at run time, and files that are no code.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import luigi

PROGRAM = __name__.split(".")[0]


def fingerprint(stage: type) -> dict[str, str]:
    """Where -> hash: what a stage's `run` reaches in its own classes and their modules, and every module that this imports, transitively.

    Only modules of the stage's package and of this program count. The store is left out (it has a schema number), and so is how tasks are
    wired (`requires`). Raises ValueError where the source of `run` can't be found.
    """
    reached = _reached(stage)
    found = {label: _hash("\n".join(sorted({ast.unparse(node) for _, node in places}))) for label, places in reached.items() if label}
    if not found:
        raise ValueError(f"{stage.__qualname__} must be a class at the top level of a module, with a method run")
    todo, seen = set().union(*(_imports(node, module) for places in reached.values() for module, node in places)), set()
    while todo - seen:
        module = (todo - seen).pop()
        seen.add(module)
        if _is_ours(module, stage) and (path := _module_file(module)):
            code, imports = _module_code(path.read_text(encoding="utf-8"), module)
            todo |= imports
            if code:
                found[_relative(path, stage)] = _hash(code)
    return found


def _reached(stage: type) -> dict[str, list[tuple[str, ast.AST]]]:
    """Label -> (module, statement): everything by which `run` is defined. Imports have the label "".

    By name: a member of the class counts where any code reached names such an attribute of anything.
    """
    classes = [cls for cls in stage.__mro__ if _is_ours(cls.__module__, stage)]
    found, todo, seen = {}, {("", "run")}, set()
    while todo - seen:
        module, name = (todo - seen).pop()
        seen.add((module, name))
        for label, place, node in _globals(module, name) if module else _members(classes, name):
            found.setdefault(label, []).append((place, node))
            todo |= {("", used.attr) for used in ast.walk(node) if isinstance(used, ast.Attribute)}
            todo |= {(place, used.id) for used in ast.walk(node) if isinstance(used, ast.Name)}
    return found


def _members(classes: list[type], name: str) -> Iterator[tuple[str, str, ast.AST]]:
    """(label, module, statement) of the classes' methods and attributes of a name, all because of `super`; parameters are no code."""
    if name == "requires" or isinstance(getattr(classes[0], name, None), luigi.Parameter):
        return
    for cls in classes:
        for statement in _tree(cls.__module__).body:
            if isinstance(statement, ast.ClassDef) and statement.name == cls.__qualname__:
                label = _label(cls.__module__, cls.__name__)
                yield from ((label, cls.__module__, node) for node in statement.body if name in _bound(node))


def _globals(module: str, name: str) -> Iterator[tuple[str, str, ast.AST]]:
    """(label, module, statement) that define a module's global name; tasks are left out."""
    value = getattr(sys.modules[module], name, None)
    if isinstance(value, type) and issubclass(value, luigi.Task):
        return
    for node in _tree(module).body:
        if {name, "*"} & _bound(node):
            yield "" if isinstance(node, ast.Import | ast.ImportFrom) else _label(module, name), module, node


@functools.cache
def _bound(statement: ast.AST) -> frozenset[str]:
    """The names that a statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset({statement.name})
    parts = list(ast.walk(statement))
    names = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    names |= {part.name for part in parts if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return frozenset(names | {part.asname or part.name.split(".")[0] for part in parts if isinstance(part, ast.alias)})


def _imports(tree: ast.AST, module: str) -> set[str]:
    """Modules of `module`'s package and of this program that a syntax tree of it imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(_absolute(node, module), f".{alias.name}") for alias in node.names}
    packages = (module.split(".")[0], PROGRAM)
    return {base + name if name and _module_file(base + name) else base for base, name in found if base.split(".")[0] in packages}


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module
    path = _module_file(module)
    parts = module.split(".") if path and path.name == "__init__.py" else module.split(".")[:-1]
    return ".".join([*parts[: len(parts) - (node.level - 1)], *([node.module] if node.module else [])])


def _module_file(module: str) -> Path | None:
    """The source of a module of an imported package, None if there is none."""
    package, *rest = module.split(".")
    top = getattr(sys.modules.get(package), "__file__", None)
    if top is None or not rest:
        return Path(top) if top else None
    base = Path(top).parent.joinpath(*rest)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _tree(module: str) -> ast.Module:
    path = _module_file(module)
    return _parsed(path.read_text(encoding="utf-8")) if path else ast.Module([], [])


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module:
    return _Bare().visit(ast.parse(text))


@functools.lru_cache(maxsize=256)
def _module_code(text: str, module: str) -> tuple[str, frozenset[str]]:
    tree = _parsed(text)
    return ast.unparse(tree), frozenset(_imports(tree, module))


class _Bare(ast.NodeTransformer):
    """Takes the docstrings out."""

    def _strip(self, node):
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _strip


def _package(stage: type) -> str:
    return stage.__module__.split(".")[0]


def _is_ours(module: str, stage: type) -> bool:
    package, *rest = module.split(".")
    return package in (_package(stage), PROGRAM) and rest[:1] != ["store"]


def _relative(path: Path, stage: type) -> str:
    """A module's file for people: faces/augmentation.py, with the package's name in front where it is not the stage's own."""
    home = _module_file(_package(stage)).parent
    return path.relative_to(home if path.is_relative_to(home) else _module_file(PROGRAM).parent.parent).as_posix()


def _label(module: str, name: str) -> str:
    return f"{module.split('.', 1)[-1]}.{name}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
