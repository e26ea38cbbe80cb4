"""What an artifact is made from: its recipe, the key that names it, and why two recipes differ.

A recipe is a dict of plain values: stage, effective parameters, keys of the inputs, checksums of external files, fingerprints of the code,
versions of the backend. Its hash is the key in the artifact's file name, so a changed ingredient means another file.
"""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from pipeline.store import artifacts

KEY_LENGTH = 10
HASHES = ".file-hashes.json"


def key(recipe: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def differences(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """Why an artifact made from `then` is not what `now` asks for: one line each, the cause of a changed input not repeated."""
    lines = []
    for name, (new, old) in _changed(now, then, "parameters"):
        lines.append(f"{name} {old} -> {new}")
    for name, _ in _changed(now, then, "files"):
        lines.append(f"{name} changed")
    for name, (new, old) in _changed(now, then, "code"):
        lines.append(f"code of {name} " + ("changed" if new and old else "is new" if new else "is no longer used"))
    for name, (new, old) in _changed(now, then, "backend"):
        lines.append(f"{name} {old} -> {new}")
    for name, _ in _changed(now, then, "inputs"):
        lines.append(f"its input {name} changed")
    if now.get("schema") != then.get("schema"):
        lines.append("the file layout changed")
    return lines


def _changed(now: dict, then: dict, part: str):
    new, old = now.get(part, {}), then.get(part, {})
    return [(name, (new.get(name), old.get(name))) for name in sorted({*new, *old}) if new.get(name) != old.get(name)]


def backend() -> dict[str, str]:
    """Name and versions of what trains and predicts, without importing it."""
    name = os.environ.get("KERAS_BACKEND") or _configured_backend() or "tensorflow"
    return {"backend": name, "keras": version("keras"), name: version(name)}


def _configured_backend() -> str | None:
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return json.loads((home / "keras.json").read_text()).get("backend")
    except (OSError, ValueError):
        return None


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def file_digest(path: Path, cache_folder: Path) -> str:
    """SHA-256 of an external file's bytes, remembered by path, size, date and inode; "missing" or "not a file" where there is none."""
    if not path.is_file():
        return "not a file" if path.exists() else "missing"
    status = path.stat()
    name, state = str(path.resolve()), [status.st_size, status.st_mtime_ns, status.st_ino]
    known = _remembered(cache_folder)
    if known.get(name, [None])[0] != state:
        known[name] = [state, artifacts.sha256(path)]
        with artifacts.publishing(cache_folder / HASHES) as draft:
            draft.write_text(json.dumps(known))
    return known[name][1]


def _remembered(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / HASHES).read_text())
    except (OSError, ValueError):
        return {}


def fingerprint(stage: type) -> dict[str, str]:
    """Hashes of the code that makes a stage's artifact: its own methods, and every module of the package that they import, transitively.

    The store is left out (it has a schema number), and so is how tasks are wired (`requires`). Comments, docstrings and formatting do not count.
    """
    package = stage.__module__.split(".")[0]
    found, todo = {}, set()
    for cls in stage.__mro__:
        if cls.__module__.split(".")[0] == package and not _in_store(cls.__module__):
            code, imports = _class_code(cls.__module__, cls.__qualname__)
            if code:
                found[f"{cls.__module__.removeprefix(package + '.')}.{cls.__qualname__}"] = _short_hash(code)
            todo |= imports
    seen = set()
    while todo - seen:
        module = (todo - seen).pop()
        seen.add(module)
        path = _module_file(module)
        if path is None or _in_store(module) or module == package:
            continue
        code, imports = _module_code(path, _state(path), module)
        todo |= imports
        if code:
            found[path.relative_to(_package_folder(package)).as_posix()] = _short_hash(code)
    return found


def _in_store(module: str) -> bool:
    return module.split(".")[1:2] == ["store"]


@functools.cache
def _package_folder(package: str) -> Path:
    return Path(importlib.util.find_spec(package).origin).parent


def _module_file(module: str) -> Path | None:
    package, *rest = module.split(".")
    base = _package_folder(package).joinpath(*rest)
    for path in (base.with_suffix(".py") if rest else base / "__init__.py", base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _state(path: Path) -> tuple:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


@functools.lru_cache(maxsize=256)
def _parsed(path: Path, state: tuple) -> ast.Module:
    return _Bare().visit(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))


@functools.lru_cache(maxsize=256)
def _module_code(path: Path, state: tuple, module: str) -> tuple[str, frozenset[str]]:
    tree = _parsed(path, state)
    return ast.unparse(tree), frozenset(_imports(tree, module, path))


def _class_code(module: str, name: str) -> tuple[str, set[str]]:
    """The methods of a class but `requires`, with the module's own names that they use; and the package's modules that these import."""
    path = _module_file(module)
    if path is None:
        return "", set()
    tree = _parsed(path, _state(path))
    top = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    if not isinstance(top.get(name), ast.ClassDef):
        return "", set()
    wanted = [node for node in top[name].body if isinstance(node, ast.FunctionDef) and node.name not in ("requires", "companions")]
    constants = {t.id: node for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)}
    imported = {
        alias.asname or alias.name.split(".")[0]: node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    helpers = {n: node for n, node in {**top, **constants}.items() if not isinstance(node, ast.ClassDef)}
    code, imports, todo, seen = [], set(), list(wanted), set()
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports |= _imports(ast.Module([node], []), module, path)
            continue
        code.append(ast.unparse(node))
        imports |= _imports(node, module, path)
        for used in sorted({n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - seen):
            seen.add(used)
            todo += [found[used] for found in (helpers, imported) if used in found]
    return "\n".join(code), imports


def _imports(tree: ast.AST, module: str, path: Path) -> set[str]:
    """Modules of the same package that a syntax tree imports, anywhere in it."""
    package = module.split(".")[0]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, path)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner.split(".")[0] == package and _module_file(inner) else base)
    return {name for name in found if name.split(".")[0] == package}


def _absolute(node: ast.ImportFrom, module: str, path: Path) -> str:
    if not node.level:
        return node.module
    parts = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    parts = parts[: len(parts) - (node.level - 1)]
    return ".".join([*parts, *([node.module] if node.module else [])])


class _Bare(ast.NodeTransformer):
    """Takes the docstrings out."""

    def _strip(self, node):
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _strip


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
