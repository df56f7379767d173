"""Everything that is published of a release, made in ``build/release``: ``make release``. Nothing is uploaded.

The wheel; the book as a zip; the sources as git has them; the stored results as an RO-Crate; the bill of materials; metadata
for a DOI, from CITATION.cff, as Zenodo takes them; and the checksums of all of it. Refused where git has changed files, unless
``--dirty`` is given for a trial.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

from release.audit import bill, javascript_packages, python_packages
from uapkit.runner import crate

ROOT = Path(__file__).resolve().parents[1]
EPOCH = (2020, 1, 1, 0, 0, 0)  # dates inside archives, so that the same content gives the same bytes


def citation() -> dict[str, Any]:
    """CITATION.cff as read."""
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def zenodo() -> dict[str, Any]:
    """Metadata of a deposit from CITATION.cff; Zenodo's own names."""
    about = citation()
    return {
        "title": about["title"],
        "upload_type": "software",
        "version": str(about["version"]),
        "publication_date": str(about["date-released"]),
        "creators": [{"name": one.get("name") or f"{one['family-names']}, {one['given-names']}"} for one in about["authors"]],
        "license": "MIT",
        "description": f"{about['title']}. {about['message']} Code: MIT. Prose and figures: CC BY 4.0.",
        "keywords": ["adversarial examples", "universal perturbations", "reproducibility"],
        "references": [f"{', '.join(_name(a) for a in r['authors'])} ({r['year']}). {r['title']}." for r in about["references"]],
    }  # fmt: skip


def _name(author: dict[str, str]) -> str:
    return author.get("name") or f"{author['given-names']} {author['family-names']}"


def wheel(place: Path) -> Path:
    """The wheel, built from what git has; no network and no address is needed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        subprocess.run(f"git archive HEAD | tar -x -C '{source}'", shell=True, cwd=ROOT, check=True)
        code = f"from setuptools import build_meta; build_meta.build_wheel({str(place)!r})"
        subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True, env=_plain())
    return next(place.glob("*.whl"))


def _plain() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "UAPKIT_ROOT")} | {
        "SOURCE_DATE_EPOCH": "1577836800"
    }


def zipped(folder: Path, target: Path) -> Path:
    """A folder as a zip whose bytes depend on its files only."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Make all files and print their names and sizes; 1 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m release.files", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--dirty", action="store_true", help="a trial: git may have changed files")
    given = parser.parse_args(arguments)
    version = str(citation()["version"])
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    if changed and not given.dirty:
        print("release: git has changed or new files; commit them first (--dirty for a trial)", file=sys.stderr)
        return 1
    place = given.to.resolve()
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    missing = []
    wheel(place)
    book = ROOT / "build" / "staging" / "_build" / "html"
    if (book / "index.html").is_file():
        zipped(book, place / f"uapkit-{version}-book.zip")
    else:
        missing.append("the book (run `make book` first)")
    subprocess.run(
        ["git", "archive", f"--prefix=uapkit-{version}/", "-o", str(place / f"uapkit-{version}-source.zip"), "HEAD"],
        cwd=ROOT,
        check=True,
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(ROOT):
        crate.write(Path(folder))
        zipped(Path(folder), place / f"uapkit-{version}-results.crate.zip")
    packages = [*python_packages(), *javascript_packages()]
    (place / "sbom.json").write_text(json.dumps(bill(packages), indent=1) + "\n", encoding="utf-8")
    (place / ".zenodo.json").write_text(json.dumps(zenodo(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (place / "CITATION.cff").write_bytes((ROOT / "CITATION.cff").read_bytes())
    made = sorted(p for p in place.iterdir() if p.name != "SHA256SUMS")
    sums = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in made)
    (place / "SHA256SUMS").write_text(sums, encoding="utf-8")
    print(*(f"{p.name}  {p.stat().st_size / 1e6:.2f} MB" for p in made), sep="\n")
    print(f"missing: {', '.join(missing)}" if missing else "whole; nothing was published")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
