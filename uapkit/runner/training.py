"""The command that trains a paper's network and stores it: the one writer of weights, curves and their provenance."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from uapkit import sources
from uapkit.files import write_whole
from uapkit.lab.training import Trained
from uapkit.runner.catalogue import PACKAGE, project_root
from uapkit.runner.results import commit, table_bytes, versions


def main(paper: str, arguments: Sequence[str] | None = None, *, options: Mapping[str, str] | None = None) -> None:
    """Train one network and store weights, curve (CSV) and provenance (JSON), each written whole.

    paper: its module ``recipes`` has ``RECIPES`` (by the name of the network, dataclasses with a ``name``) and
    ``train(name, *, checkpoint, on_epoch, **options) -> Trained``. options: fields of the recipe that the command line
    may set, with their help.
    """
    module = f"uapkit.papers.{paper}.recipes"
    recipes = importlib.import_module(module)  # not __main__: code is known by its module's name
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=(main.__doc__ or "").partition("\n")[0])
    parser.add_argument("net", choices=list(recipes.RECIPES))
    for option, words in (options or {}).items():
        default = getattr(recipes.Recipe, option)
        parser.add_argument(f"--{option}", type=type(default), default=default, help=words)
    results = project_root() / "results" / paper / "training"
    parser.add_argument("--checkpoints", type=Path, default=Path("build/checkpoints"), help="where a run resumes from")
    parser.add_argument("--weights", type=Path, default=PACKAGE / "models" / "weights", help="folder of the weights")
    parser.add_argument("--results", type=Path, default=results, help="folder of curve and provenance")
    given = parser.parse_args(arguments)

    chosen = {option: getattr(given, option) for option in options or {}}
    name = replace(recipes.RECIPES[given.net], **chosen).name
    about = {"name": name, **provenance(module)}
    done: Trained = recipes.train(
        given.net,
        **chosen,
        checkpoint=given.checkpoints / f"{name}.state",
        on_epoch=lambda row: print(name, {k: round(v, 4) for k, v in row.items()}, flush=True),
    )
    weights, curve = done.weights_bytes(), table_bytes(done.curve)
    about |= done.record
    about |= {"weights_sha256": hashlib.sha256(weights).hexdigest(), "curve_sha256": hashlib.sha256(curve).hexdigest()}
    write_whole(given.weights / f"{name}.safetensors", weights)
    write_whole(given.results / f"{name}.csv", curve)
    write_whole(given.results / f"{name}.json", (json.dumps(about, indent=1, sort_keys=True) + "\n").encode())
    print(name, "test accuracy", done.record["test_accuracy"], flush=True)


def provenance(module: str) -> dict[str, object]:
    """commit, dirty, code_sha256 and versions of a training by ``module``; dirty looks only at the files it depends on."""
    train = importlib.import_module(module).train
    files = map(str, sources.files(module))
    status = ["git", "-C", str(PACKAGE), "status", "--porcelain", "--", *files]
    dirty = bool(subprocess.run(status, capture_output=True, text=True, check=False).stdout.strip())
    return {"commit": commit()[0], "dirty": dirty, "code_sha256": sources.code(train), "versions": versions()}
