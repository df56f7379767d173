"""From the archive of a learning platform to ``submitted/``, by ``nbgrader zip_collect``; who handed in what is kept."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from uapkit import checks
from uapkit.classroom import layouts, notebooks
from uapkit.classroom.build import api
from uapkit.files import LARGEST, write_whole

COLUMNS = ("student", "platform", "id", "name", "file", "notes")


def roster(out: Path, name: str) -> pd.DataFrame:
    """``collected_<name>.csv``: who handed in what, all columns text; empty before anything was collected."""
    path = out / f"collected_{name}.csv"
    return (
        pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else pd.DataFrame(columns=list(COLUMNS))
    )


def harmless(path: Path) -> None:
    """ValueError for an archive that would write outside its folder, make links or devices, or unpack to gigabytes.

    So for one that is damaged or encrypted. Zips inside a zip count: a platform packs what students have packed.
    """
    try:
        _harmless(path)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{path.name} is damaged or encrypted ({error}); download it again") from None


def _harmless(path: Path) -> None:
    left = LARGEST
    for name, size, plain in _members(path):
        left -= size
        if left < 0:
            raise ValueError(f"{path.name} unpacks to more than the {LARGEST / 2**30:g} GiB allowed, at {name!r}")
        if not plain or name.startswith(("/", "\\")) or re.match(r"\w:", name) or ".." in re.split(r"[/\\]", name):
            raise ValueError(f"{path.name} holds {name!r}, which leads out of its folder; no platform makes that")


def _members(file: Path | io.BytesIO, depth: int = 3) -> Iterator[tuple[str, int, bool]]:
    """(name, bytes, is it a plain file or folder?) of all that an archive holds; nothing is unpacked to disk."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                yield member.filename, member.file_size, stat.S_IFMT(member.external_attr >> 16) != stat.S_IFLNK
                if member.filename.lower().endswith(".zip") and depth:  # after its size was accepted
                    yield from _members(io.BytesIO(archive.read(member)), depth - 1)
    elif isinstance(file, Path) and tarfile.is_tarfile(file):
        with tarfile.open(file) as tar:
            for one in tar:  # read as far as it is accepted
                yield one.name, one.size, one.isfile() or one.isdir()


def collect(out: Path, name: str, archives: Sequence[Path] = ()) -> tuple[pd.DataFrame, dict[str, str]]:
    """Unpack archives (or take single files) to ``submitted/``; one row a student, and the skipped files with reasons.

    archives: ``.zip``, ``.tar.gz`` or files as they came; none means what lies in ``downloaded/<name>/archive``. A student's
    earlier hand-in is replaced; those of others stay. Raises ValueError for a broken archive or where no student is found.
    """
    from uapkit.classroom.collector import plan_of

    checks.one_of(name, notebooks.names(), "assignment")
    api(out)
    place = out / "downloaded" / name
    for path in archives:
        if not path.is_file():
            raise ValueError(f"no file {path}; give the archive as it was downloaded")
        if path.suffix == ".zip" and not zipfile.is_zipfile(path):
            raise ValueError(f"{path.name} is not a zip archive, or was not downloaded completely; download it again")
        if path.suffix == ".gz" and not tarfile.is_tarfile(path):
            raise ValueError(f"{path.name} is not a tar archive, or was not downloaded completely; download it again")
        harmless(path)
    if archives:
        kept = {path.resolve() for path in archives}
        for old in (place / "archive").glob("*"):
            if old.resolve() not in kept:
                old.unlink() if old.is_file() else shutil.rmtree(old)
        (place / "archive").mkdir(parents=True, exist_ok=True)
        for path in archives:
            if path.resolve().parent != (place / "archive").resolve():
                shutil.copy2(path, place / "archive")
    if not any((place / "archive").glob("*")):
        raise ValueError(f"nothing to collect; give an archive, or put it into {out.name}/downloaded/{name}/archive")
    command = [sys.executable, "-m", "nbgrader", "zip_collect", name, "--force"]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    }
    done = subprocess.run(command, cwd=out, env=env, capture_output=True, text=True, check=False)
    write_whole(out / "logs" / name / "zip_collect.log", (done.stdout + done.stderr).encode())
    if done.returncode:
        raise ValueError(f"nbgrader could not collect {name}: see {out.name}/logs/{name}/zip_collect.log")
    plan = plan_of(place / "extracted", place / "archive", name)
    if not plan.target:
        reasons = "; ".join(sorted(set(plan.skipped.values()))) or "the archive is empty"
        raise ValueError(
            f"no student's file found ({reasons}); the layouts that are understood are in the teacher's guide"
        )
    new = _rows(plan)
    absent = [s for s in new["student"] if not any((out / "submitted" / s / name).glob("*"))]
    if absent:
        raise ValueError(f"nbgrader left out {', '.join(absent)}: see {out.name}/logs/{name}/zip_collect.log")
    old = roster(out, name)
    table = pd.concat([old[~old["student"].isin(new["student"])], new]).sort_values("student")
    write_whole(out / f"collected_{name}.csv", table.to_csv(index=False).encode())
    return new, plan.skipped


def _rows(plan: layouts.Plan) -> pd.DataFrame:
    rows: dict[str, tuple[str, ...]] = {}
    for one in plan.files:
        if one.path in plan.target:
            notes = "; ".join(plan.notes[one.student])
            rows.setdefault(one.student, (one.student, one.platform, one.id, one.name, one.path, notes))
    return pd.DataFrame(list(rows.values()), columns=list(COLUMNS))
