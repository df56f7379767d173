"""From items to a rendered book: stage each notebook, then build Jupyter Book from the staging tree alone.

Sources keep no outputs. Papermill writes executed copies into ``build/staging`` with the same relative paths; an item
that fails gets a page with a failure box there (:mod:`uapkit.book.stage`), and the book is built all the same. ``make``
then returns a non-zero status.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from uapkit import checks
from uapkit.book import depends, vendor, work
from uapkit.book import whole as print_of
from uapkit.book.networks import digit_names, digit_network, digit_networks  # noqa: F401 - steps, called by name
from uapkit.book.stage import ENVIRONMENT, build_folder, stage_item, statuses
from uapkit.book.work import Profile, Step
from uapkit.files import alone, write_whole
from uapkit.runner.catalogue import item, items, project_root

__all__ = ["build_html", "built", "make", "pages", "problems", "stage_item", "statuses"]


def stage_sources() -> None:
    """Copy configuration and prose into the staging tree and write the computed fragments."""
    from uapkit.book import captions, chapters, checked, opening, prose, readable, scoreboard, story, tested, what_holds
    from uapkit.book import html as scoreboard_html

    root, staging = project_root(), build_folder("staging")
    staging.mkdir(parents=True, exist_ok=True)
    for name in ("_config.yml", "_toc.yml", "LICENSE", "CITATION.cff"):
        shutil.copy2(root / name, staging / name)
    shutil.rmtree(staging / "book", ignore_errors=True)
    shutil.copytree(root / "book", staging / "book", ignore=shutil.ignore_patterns("__pycache__", "release", "source"))
    generated, assets = staging / "book" / "_generated", staging / "book" / "assets"
    for sheet in assets.glob("*.css"):
        write_whole(sheet, lean(sheet.read_text(encoding="utf-8")).encode())
    own = {"summary.md": opening.summary(), "counts.md": opening.counted() + "\n", "readable.md": readable.fragment()}
    own |= {"tested.md": tested.fragment(), "tested_folds.md": tested.folds()} | what_holds.fragments()
    for name, text in (scoreboard_html.fragments() | story.fragments() | own).items():
        write_whole(generated / name, text.encode())
    for name, data in chapters.fragments().items():
        write_whole(generated / name, data)
    runs = {r["item"]: r["commit"][:10] + prose.REDO * bool(r["stale"]) for r in scoreboard.records() if r["commit"]}
    last = {r["item"]: checked.sentences(r["verified"]) for r in scoreboard.records() if r["commit"]}
    for name, what in (("provenance", runs), ("captions", captions.findings()), ("verified", last)):
        write_whole(generated / f"{name}.json", json.dumps(what).encode())
    for page in (staging / "book").rglob("*.md"):  # numbers of ours inside sentences
        up = "../" * len(page.relative_to(staging).parents[:-1])
        page.write_text(prose.draw(page.read_text(encoding="utf-8"), up), encoding="utf-8")
    write_whole(assets / "scoreboard.json", scoreboard.as_json().encode())
    write_whole(assets / "scoreboard.csv", scoreboard.table().to_csv(index=False).encode())
    write_whole(assets / "claims.csv", scoreboard.claims().to_csv(index=False).encode())


def lean(sheet: str) -> str:
    """A style sheet without comments and indents, which every page would load."""
    return re.sub(r"/\*.*?\*/|^\s+", "", sheet, flags=re.S | re.M)


def build_html() -> int:
    """Stage all that is no item, then build the HTML book, warnings as errors; the exit status of jupyter-book."""
    prepare()
    return sphinx()


def prepare() -> None:
    """Stage prose, fragments and scripts."""
    import matplotlib

    matplotlib.use("agg")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in _chapters()}
    stage_sources()
    from uapkit.book import home, laboratory

    vendor.install()
    home.stage(build_folder("staging"))
    laboratory.stage(build_folder("staging"), project_root() / "node_modules")
    for path, (data, date) in before.items():  # what says the same keeps its date, by which Sphinx goes
        if path.is_file() and path.read_bytes() == data:
            os.utime(path, ns=(date, date))


def sphinx(*, whole: bool = True) -> int:
    """Build the HTML from the staging tree, from an empty cache or only what has changed; jupyter-book's exit status."""
    staging = build_folder("staging")
    print_of.withdraw(built())
    from uapkit.book import times  # which loads the scoreboard, and that torch

    times.write(build_folder())  # only now all pages are made
    if whole:
        shutil.rmtree(staging / "_build", ignore_errors=True)
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(staging), "-W", "-n", "--keep-going"]
    return subprocess.run([*command, "--quiet", *["--all"] * whole], check=False, cwd=staging).returncode


def built() -> Path:
    """The folder of the built HTML."""
    return build_folder("staging", "_build", "html")


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


def make(*, cores: int | None = None, executor: str | None = None, profile: bool = False, quiet: bool = False) -> int:
    """Bring the whole book up to date and name what failed; 0 only if nothing did.

    cores: items at a time, None for all cores. executor: one of Snakemake's, for clusters. profile: say what each
    stage took (it is always written to ``build/profile.json``). quiet: no bar and no lines of progress. ValueError for
    less than one core.
    """
    if cores is not None:
        checks.count(cores, "--cores")
    with alone(build_folder(), "builds the book"):
        done = _on_cluster(executor, cores) if executor else _here(cores, say=profile, quiet=quiet)
    failed = [s for s in statuses() if not s["ok"]]
    for status in failed:
        print(f"failed: {status['item']}: {status['reason']} (log: build/logs/{status['item']}.log)", file=sys.stderr)
    if (page := built() / "index.html").is_file():
        print(f"the book: {page}")
    return done or (1 if failed else 0)


def _on_cluster(executor: str, cores: int | None) -> int:
    for status in statuses():
        if not status["ok"]:  # a failed page is out of date by definition
            build_folder("staging", "notebooks", f"{status['item']}.ipynb").unlink(missing_ok=True)
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores or "all"), "--keep-going", "--rerun-incomplete"]
    command += ["--executor", executor, "--jobs", str(cores or 32)]
    return subprocess.run(command, check=False, cwd=project_root()).returncode


def _here(cores: int | None, *, say: bool, quiet: bool) -> int:
    """What is stale, made by as many processes as cores; the first status that is not 0."""
    from uapkit.book import warm

    about = Profile(warm=warm.possible(), jobs=work.jobs_for(cores))
    status, made = 0, _made()
    with about.stage("what is stale"):
        codes = {name: depends.checksum(depends.of_item(name)) for name in depends.names()}
        now = {"weights": depends.checksum(depends.of_weights()), "sources": _sources(codes)}
        weights = made.get("weights") != now["weights"] or not (project_root() / depends.WEIGHTS).is_file()
        stale = {} if weights else _stale(codes)
        sources = made.get("sources") != now["sources"] or not (built() / "index.html").is_file()
    if weights or stale or sources:
        os.environ.update(ENVIRONMENT)
        if about.warm:
            with about.stage("imports"):
                warm.warm_up()
    if weights:
        with about.stage("digit networks"):
            each = [_step(f"network {name}", "digit_network", network=name) for name in digit_names()]
            work.run(each, about, quiet=quiet)
            status = _one("digit networks", "digit_networks", about, quiet)
        if status:
            return status
        made = _made(weights=now["weights"])
        stale = _stale(codes)
    steps = work.item_steps(stale)
    before = _step("chapters and scoreboard", "prepare")
    with about.stage("items, chapters, scoreboard"):
        work.run([before] * sources + steps, about, quiet=quiet)
    if before.code:
        return _explain(before)
    now |= {"pages": _pages(), "words": _words()}
    if any(made.get(key) != now[key] for key in ("pages", "words")) or not (built() / "index.html").is_file():
        whole = made.get("words") != now["words"] or not (built() / "index.html").is_file()
        _made(pages="", words="")
        with about.stage("Sphinx, all pages" if whole else "Sphinx, changed pages"):
            status = _one("Sphinx", "sphinx", about, quiet, whole=whole)
        if not status:
            _made(**now)
    elif sources:
        _made(**now)
    gc.unfreeze()  # what the warm process froze for its forks can go
    about.store()
    if say:
        print(about.words())
    return status


def _stale(codes: dict[str, str]) -> dict[str, str]:
    """{item: checksum} of what must be made: never made, failed, or made from something else than stands there now."""
    made = {s["item"]: s for s in statuses()}
    weights = depends.checksum([depends.WEIGHTS], ())
    now = {name: hashlib.sha256(f"{code} {weights}".encode()).hexdigest() for name, code in codes.items()}

    def fresh(name: str) -> bool:
        status = made.get(name, {})
        there = build_folder("staging", "notebooks", f"{name}.ipynb").is_file()
        return there and bool(status.get("ok")) and status.get("made_from") == now[name]

    return {name: checksum for name, checksum in now.items() if not fresh(name)}


def _made(**more: str) -> dict[str, str]:
    """Checksums of what the other parts were last made from; with ``more`` written down."""
    path = build_folder("made.json")
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if more:
        known |= more
        write_whole(path, json.dumps(known, indent=1).encode())
    return known


def _sources(codes: dict[str, str]) -> str:
    """Checksum of what chapters and scoreboard are made from: the items' claims are among it."""
    return hashlib.sha256(f"{depends.checksum(depends.of_html())} {sorted(codes.items())}".encode()).hexdigest()


def _chapters() -> list[Path]:
    staging = build_folder("staging")
    found = [p for p in staging.glob("*") if p.is_file()] + [p for p in (staging / "book").rglob("*") if p.is_file()]
    return sorted(p for p in found if "__pycache__" not in p.parts)  # which Python writes beside Sphinx's extensions


def _late(path: Path) -> bool:
    """Is it written after the staging: the page of times, which changes with every page, and what Sphinx makes?"""
    folder = path.parent.relative_to(build_folder("staging")).as_posix()
    return path.name == "times.md" or folder in ("book/_generated/api", "book/_generated/classroom")


def _staged() -> list[Path]:
    return [build_folder("staging", "notebooks", f"{name}.ipynb") for name in depends.names()]


def _pages() -> str:
    """Checksum of the executed notebooks."""
    return depends.checksum([p.relative_to(project_root()).as_posix() for p in _staged()], depends.HTML_LIBRARIES)


def _words() -> str:
    """Checksum of all by which one page can change another: staged chapters, and the notebooks' prose with its labels."""
    root = project_root()
    chapters = [p.relative_to(root).as_posix() for p in _chapters() if not _late(p)]
    digest = hashlib.sha256(depends.checksum([*chapters, *depends.of_sphinx()], depends.HTML_LIBRARIES).encode())
    for path in _staged():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        prose = [c["source"] for c in cells if c["cell_type"] == "markdown"]
        digest.update(json.dumps([path.name, prose, [c["metadata"].get("tags") for c in cells]]).encode())
    return digest.hexdigest()


def _step(name: str, function: str, **settings: Any) -> Step:
    """The step that calls a function of this module."""
    log = build_folder("logs", f"{name.replace(' ', '_')}.log")
    call = f"import sys; from uapkit.book import build; sys.exit(build.{function}(**{settings!r}))"
    return Step(name, lambda: globals()[function](**settings), ("-c", call), log)


def _one(name: str, function: str, about: Profile, quiet: bool, **settings: Any) -> int:
    """Run one step alone; its status, with the end of its log where that is not 0."""
    step = _step(name, function, **settings)
    work.run([step], about, quiet=quiet)
    return _explain(step)


def _explain(step: Step) -> int:
    if step.code:
        lines = step.log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join([f"{step.name} failed (log: {step.log}):", *lines[-40:]]), file=sys.stderr)
    return abs(step.code or 0)
