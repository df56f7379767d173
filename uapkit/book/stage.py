"""One item's page: its notebook executed into the staging tree, or its failure told there.

An item that fails gets a page with a failure box; its log and partly executed notebook stay in ``build/logs``, and the
book is built all the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from uapkit.files import write_whole
from uapkit.runner.catalogue import item, items, project_root, without_paths

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "UAPKIT_STATIC": "1",
}


def build_folder(*parts: str) -> Path:
    """A place under ``build``."""
    return project_root().joinpath("build", *parts)


def partial_of(name: str) -> Path:
    """Where an item's notebook is executed."""
    return build_folder("logs", f"{name}.ipynb")


def log_of(name: str) -> Path:
    """What papermill and the kernel print."""
    return build_folder("logs", f"{name}.log")


def stage_item(name: str) -> int:
    """Execute an item's notebook into the staging tree, in new processes; 0 also when it failed, for its page then says so.

    Writes ``build/staging/notebooks/<item>.ipynb``, ``build/logs/<item>.log`` and ``build/status/<item>.json``.
    """
    source, log = item(name).path("notebook"), log_of(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.time()
    partial_of(name).unlink(missing_ok=True)
    command = [sys.executable, "-m", "papermill", str(source), str(partial_of(name)), "--no-progress-bar"]
    with open(log, "wb") as stream:
        done = subprocess.run(
            [*command, "--cwd", str(project_root())],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
            check=False,
        )
    finish(name, whole=done.returncode == 0, started=started)
    return 0


def finish(name: str, *, whole: bool, started: float, why: str = "") -> None:
    """Write an item's page and status from what was executed.

    whole: was the notebook executed to its end? started: time.time() before. why: the reason of a failure, else taken
    from the notebook or the log.
    """
    executed, partial = time.time(), partial_of(name)
    reason, seconds = "", {}
    if whole:
        notebook = json.loads(partial.read_text(encoding="utf-8"))
        seconds = _seconds(notebook, started)
    else:
        notebook = json.loads(item(name).path("notebook").read_text(encoding="utf-8"))
        reason = without_paths(why or _reason(partial, log_of(name)))
        notebook["cells"] = _failure_cells(notebook, name, reason)
    shown = with_thumbnail(_clean(notebook))
    write_whole(build_folder("staging", "notebooks", f"{name}.ipynb"), json.dumps(shown).encode())
    now = time.time()
    status = {"item": name, "ok": not reason, "reason": reason, "seconds": round(now - started, 1)}
    status |= {"stages": seconds | {"writing": round(now - executed, 2)}}
    write_whole(build_folder("status", f"{name}.json"), json.dumps(status).encode())
    print(f"{'done' if not reason else 'FAILED'} {name} in {status['seconds']} s {reason}")


def note(name: str, **more: Any) -> None:
    """Add to an item's status."""
    path = build_folder("status", f"{name}.json")
    write_whole(path, json.dumps(json.loads(path.read_text(encoding="utf-8")) | more).encode())


def _seconds(notebook: dict[str, Any], started: float) -> dict[str, float]:
    """How long it took until the kernel ran the first cell (start), the cells took, and papermill after them (end)."""
    about = [c["metadata"].get("papermill") or {} for c in notebook["cells"] if c["cell_type"] == "code"]
    times = [datetime.fromisoformat(a[k]).timestamp() for a in about for k in ("start_time", "end_time") if a.get(k)]
    if not times:
        return {}
    found = {"start": min(times) - started, "cells": sum(float(a.get("duration") or 0) for a in about)}
    found["quick run"] = sum(
        float((c["metadata"].get("papermill") or {}).get("duration") or 0)
        for c in notebook["cells"]
        if "page.run(" in "".join(c["source"])
    )
    found["end"] = time.time() - max(times)
    return {name: round(value, 2) for name, value in found.items()}


def statuses() -> list[dict[str, Any]]:
    """Status of every staged item."""
    files = [build_folder("status", f"{name}.json") for name in items()]
    return [json.loads(path.read_text(encoding="utf-8")) for path in files if path.is_file()]


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
    """Without papermill's record of file names and times, bars and warnings on stderr: a page holds no machine's paths."""
    notebook["metadata"].pop("papermill", None)
    for cell in notebook["cells"]:
        for key in ("papermill", "execution"):
            cell["metadata"].pop(key, None)
        if "outputs" in cell:
            cell["outputs"] = [o for o in cell["outputs"] if o.get("name") != "stderr" and not _is_bar(o)]
    if WIDGET not in json.dumps([c.get("outputs") for c in notebook["cells"]]):
        notebook["metadata"].pop("widgets", None)  # the state of bars alone
    return notebook


def with_thumbnail(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook whose answer has the page's first picture beside it: the same file, so that it weighs nothing."""
    cells = notebook["cells"]
    box = next((c for c in cells if "answer" in c["metadata"].get("tags", [])), None)
    drawn = next((c for c in cells if any(_pictures(o) for o in c.get("outputs", []))), None)
    if box is None or drawn is None or not box.get("outputs"):
        return notebook
    first = next(found for o in drawn["outputs"] if (found := _pictures(o)))
    box["outputs"].append({"output_type": "display_data", "data": first, "metadata": {}})
    box["metadata"]["mystnb"] = {"image": {"alt": THUMBNAIL}}
    return notebook


THUMBNAIL = "Small picture of the figure below."  # which says what is seen; nobody should have to hear it twice


def _pictures(output: dict[str, Any]) -> dict[str, Any]:
    return {kind: data for kind, data in output.get("data", {}).items() if kind.startswith("image/")}


WIDGET = "application/vnd.jupyter.widget-view+json"


def _is_bar(output: dict[str, Any]) -> bool:
    """Is it a progress bar?"""
    data = output.get("data", {})
    return WIDGET in data and re.search(r"\d+%\|", "".join(data.get("text/plain", ""))) is not None
