"""What code a piece of code depends on: found from its imports, listed by nobody.

The *closure* of a function is what it reaches in its own module and, whole, every module that those parts import, and
what they import. Modules of this package and of the user count; installed libraries count by their version elsewhere.
Comments, docstrings and layout do not count. What cannot be told for certain raises :class:`Unidentified`.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from uapkit import edited

PACKAGE = Path(__file__).resolve().parent
_LIBRARIES = tuple(str(Path(sysconfig.get_path(k)).resolve()) for k in ("stdlib", "platstdlib", "purelib", "platlib"))


class Unidentified(Exception):
    """What something depends on cannot be told for certain; its results must be computed anew, never looked up."""


def code(thing: Any) -> str:
    """sha256 of the code that a module-level function or class, or a module, depends on.

    Raises Unidentified for lambdas, things defined inside functions or typed into a notebook, and for a file that was
    edited after this process had started, since what runs here may be its older text.
    """
    if isinstance(thing, ModuleType):
        return _digest(thing.__name__, None)
    name = getattr(thing, "__qualname__", "")
    if not name or "<" in name:
        raise Unidentified(f"{name or thing!r} is not defined at the top of a module")
    return _digest(thing.__module__, name.partition(".")[0])


def code_of(module: str, name: str) -> str:
    """:func:`code` of what a module defines under a name, told from the text: nothing is imported for it."""
    return _digest(module, name)


def defines(module: str, name: str) -> bool:
    """Does the module's text give the name a meaning, at its top?"""
    return any(name in _bound(node) for node in _tree(module).body)


def files(module: str) -> list[Path]:
    """Every file that a module depends on, itself included, read from the text without importing anything.

    Modules that a table names, such as the networks in ``models/catalogue.yml``, count: they are imported by their name.
    """
    found = {path for name in _followed([(module, None)]) for path in _with_data(_path(name))}
    tables = [path.read_text(encoding="utf-8") for path in found if path.suffix == ".yml"]
    named = {name for text in tables for name in re.findall(rf"\b({PACKAGE.name}(?:\.\w+)+):\w", text)}
    return sorted(
        found | {path for name in _followed((name, None) for name in named) for path in _with_data(_path(name))}
    )


@cache
def _digest(module: str, name: str | None) -> str:
    own = _tree(module)
    parts, wanted = (own.body, own.body) if name is None else _reached(own, module, name)
    digest = hashlib.sha256(f"{module}:{name}".encode())
    for part in parts:
        digest.update(ast.dump(part).encode())
    closure = _followed(_imports(wanted, module), skip=module)
    for other in sorted(closure):
        digest.update(b"\0" + other.encode() + _file_digest(other).encode())
    return digest.hexdigest()


@cache
def _file_digest(module: str) -> str:
    digest = hashlib.sha256()
    for part in _tree(module).body:
        digest.update(ast.dump(part).encode())
    for path in _with_data(_path(module))[1:]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _with_data(path: Path) -> list[Path]:
    """The file, and what a module of ours reads: .yml files beside it, and files that have its own name."""
    if path.name == "__init__.py" or not path.is_relative_to(PACKAGE):
        return [path]
    own = {p for p in path.parent.glob(f"{path.stem}.*") if p.is_file() and p.suffix != ".py"}
    return [path, *sorted(own | set(path.parent.glob("*.yml")))]


@functools.cache
def _path(module: str) -> Path:
    """The file of a module of ours or the user's. Raises Unidentified where there is none."""
    if module.partition(".")[0] == PACKAGE.name:
        base = PACKAGE.joinpath(*module.split(".")[1:])
        found = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    else:
        loaded = sys.modules.get(module)
        file = getattr(loaded, "__file__", None)
        if file is None and loaded is None:
            file = _unloaded(module)
        if file is None:
            raise Unidentified(f"{module} has no file")
        found = Path(file)
    if not found.is_file():
        raise Unidentified(f"{module} has no file")
    return found.resolve()


@cache
def _tree(module: str) -> ast.Module:
    path, loaded = _path(module), sys.modules.get(module)
    text = getattr(loaded, "__source__", None)  # set by whoever ran the text itself: then it is what runs
    if text is None:
        if loaded is not None and edited.since_start(path):
            raise Unidentified(f"{path.name} was edited after this process had started")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise Unidentified(f"{path.name} is no Python text") from None
    try:
        return _without_docstrings(ast.parse(text))
    except (SyntaxError, ValueError):
        raise Unidentified(f"{path.name} is no Python text") from None


def forget(module: str) -> None:
    """Read the module's text again next time: it has just been run anew."""
    for known in (_path, _tree, _file_digest, _digest, _exported, _imported, is_ours):
        known.cache_clear()
    sys.modules.pop(module, None)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return tree


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def _bound(node: ast.stmt) -> list[str]:
    """Names that a statement at the top of a module gives a meaning."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [n.id for t in targets if t is not None for n in ast.walk(t) if isinstance(n, ast.Name)]


def _reached(tree: ast.Module, module: str, name: str) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """(definitions, imports) of the module that ``name`` reaches; what is no definition runs always, so it counts."""
    makers: dict[str, list[ast.stmt]] = {}
    always = []
    for node in tree.body:
        names = _bound(node)
        for one in names:
            makers.setdefault(one, []).append(node)
        if not names and not _for_types(node):
            always.append(node)
    if name not in makers:
        raise Unidentified(f"{module} defines no {name}")
    open_names, seen = {name} | _names(always), set()
    found: list[ast.stmt] = list(always)
    while open_names:
        one = open_names.pop()
        seen.add(one)
        for node in makers.get(one, []):
            if node not in found:
                found.append(node)
                open_names |= _names([node]) - seen
    found.sort(key=lambda node: node.lineno)
    wanted: list[ast.stmt] = []
    for node in found:
        if isinstance(node, (ast.Import, ast.ImportFrom)):  # of an import only the names that are reached
            kept = [a for a in node.names if (a.asname or a.name.partition(".")[0]) in seen]
            again = ast.Import(kept) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, kept, node.level)
            wanted.append(again)
        else:
            wanted.append(node)
    return [n for n in found if not isinstance(n, (ast.Import, ast.ImportFrom))], wanted


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and _names([node.test]) == {"TYPE_CHECKING"}


def _imports(nodes: Iterable[ast.AST], module: str) -> Iterator[tuple[str, str | None]]:
    """(module, name or None) of everything imported in the nodes, inside functions too."""
    for node in nodes:
        if _for_types(node):
            continue
        for one in ast.walk(node):
            if isinstance(one, ast.Import):
                yield from ((alias.name, None) for alias in one.names)
            elif isinstance(one, ast.ImportFrom):
                base = one.module or ""
                if one.level:
                    package = module.split(".") if _path(module).name == "__init__.py" else module.split(".")[:-1]
                    stem = package[: len(package) - one.level + 1]
                    base = ".".join([*stem, base] if base else stem)
                yield from ((base, alias.name) for alias in one.names)


@functools.cache
def _imported(module: str) -> tuple[tuple[str, str | None], ...]:
    """(module, name or None) of everything that the module imports anywhere."""
    return tuple(_imports(_tree(module).body, module))


def _followed(start: Iterable[tuple[str, str | None]], skip: str = "") -> set[str]:
    """All modules of ours and the user's that are reached from (module, name) imports."""
    seen: set[str] = set()
    todo = list(start)
    done: set[tuple[str, str | None]] = set()
    while todo:
        module, name = todo.pop()
        if (module, name) in done:
            continue
        done.add((module, name))
        if name is not None and _is_module(f"{module}.{name}"):
            todo.append((f"{module}.{name}", None))
            continue
        if not is_ours(module):
            continue
        if (
            name is not None
            and name != "*"
            and _path(module).name == "__init__.py"
            and (origin := _exported(module).get(name))
        ):
            todo.append(origin)  # a package that only hands the name on
            continue
        if module not in seen and module != skip:
            seen.add(module)
            todo += _imported(module)
    return seen


@cache
def _exported(package: str) -> dict[str, tuple[str, str | None]]:
    """Names that a package's ``__init__`` imports from elsewhere: {name there: (module, name)}."""
    found: dict[str, tuple[str, str | None]] = {}
    for node in _tree(package).body:
        if isinstance(node, ast.ImportFrom):
            for alias, origin in zip(node.names, _imports([node], package), strict=True):
                found[alias.asname or alias.name] = origin
    return found


@cache
def is_ours(module: str) -> bool:
    """Is it a module of this package or of the user, not of Python or an installed library?"""
    top = module.partition(".")[0]
    if top == PACKAGE.name:
        return module != PACKAGE.name  # the package's own __init__ holds its version and names, no code
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return False
    try:
        return not str(_path(module)).startswith(_LIBRARIES)
    except (Unidentified, ImportError, ValueError):
        return False


def _is_module(name: str) -> bool:
    if name.partition(".")[0] == PACKAGE.name:
        base = PACKAGE.joinpath(*name.split(".")[1:])
        return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()
    return name in sys.modules


def _unloaded(module: str) -> str | None:
    """Where a module would be read from, found without importing its packages, or None."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)  # of a name with dots it would import what stands before the last
    if spec is None or not rest:
        return None if spec is None else spec.origin
    bases = [Path(folder, *rest) for folder in spec.submodule_search_locations or ()]
    files = [file for base in bases for file in (base / "__init__.py", base.with_suffix(".py"))]
    return next((str(file) for file in files if file.is_file()), None)
