"""A course folder for nbgrader from the source notebooks, and the archive that students get."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from uapkit.classroom import networks, notebooks
from uapkit.files import write_whole

HIDDEN = "hidden_seed.txt"  # stays on the grader's machine
README = """# Universal adversarial perturbations: assignments

Python 3.11 to 3.13, no GPU, nothing is downloaded but the packages:

    python -m venv .venv
    .venv/bin/pip install -r requirements.txt        (Windows: .venv\\Scripts\\pip)
    .venv/bin/jupyter lab

On Linux the second line fetches several gigabytes for graphics cards that nothing here uses; to go without them run

    .venv/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu

before it.

Open the notebook in an assignment's folder, write your answers where it says so, choose Kernel > Restart and run all,
save, and hand in that one .ipynb file under its own name. Keep `kit.py` and `digits.npz` beside it. On Colab, upload the
three files to the same place.
"""


def course(out: Path, *, seed: int = 0, only: list[str] | None = None) -> dict[str, float]:
    """Make or renew the course folder ``out`` and ``out/students.zip``; the accuracy of the term's networks.

    seed: the term's; it splits the digits, trains the networks and chooses the tasks' parameters. The tests on the
    grader's side draw from a second, secret seed, made once per course. Submissions and grades in ``out`` are kept.
    only: some of the assignments. Raises ValueError if ``out`` is a course of another seed that has submissions.
    """
    chosen = only or notebooks.names()
    source, release = out / "source", out / "release"
    old = next(iter(sorted(source.glob("*/digits.npz"))), None)
    if old and any((out / "submitted").glob("*/*")) and int(np.load(old)["seed"]) != seed:
        raise ValueError(
            f"{out.name} holds submissions to tasks of seed {int(np.load(old)['seed'])}, got seed {seed}; "
            "give that seed or make a new folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "submitted").mkdir(exist_ok=True)
    secret = out / HIDDEN
    if not secret.is_file():
        write_whole(secret, f"{secrets.randbelow(2**31)}\n".encode())
    shutil.copy2(notebooks.folder() / "nbgrader_config.py", out)
    accuracy = networks.write(out / "digits.npz", seed)
    for name in chosen:
        place = source / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        own = notebooks.folder() / name
        notebooks.read(name)  # refuses a name that does not exist, or a file that is no notebook
        for path in (
            own / f"{name}.ipynb",
            notebooks.folder() / "kit.py",
            out / "digits.npz",
            secret,
            *own.glob("*.py"),
        ):
            shutil.copy2(path, place)
        shutil.rmtree(release / name, ignore_errors=True)
        done = api(out).generate_assignment(name, create=True, force=True)
        if not done["success"]:
            raise ValueError(f"nbgrader could not make the student's version of {name}: {done.get('log') or done}")
        (release / name / HIDDEN).unlink()
    (out / "digits.npz").unlink()
    _archive(out, [release / name for name in chosen])
    return accuracy


def site(folder: Path, seed: int = 0) -> None:
    """What the site offers for download: ``students.zip`` and every student's notebook, of one seed. About half a minute."""
    with tempfile.TemporaryDirectory(prefix="uap") as place:
        out = Path(place) / "course"
        course(out, seed=seed)
        folder.mkdir(parents=True, exist_ok=True)
        for path in (out / "students.zip", *(out / "release" / name / f"{name}.ipynb" for name in notebooks.names())):
            write_whole(folder / path.name, path.read_bytes())


def place_files(place: Path, seed: int) -> None:
    """``kit.py``, ``digits.npz`` of the seed, and every assignment's own modules, in one folder."""
    networks.write(place / "digits.npz", seed)
    for path in (notebooks.folder() / "kit.py", *notebooks.folder().glob("*/*.py")):
        shutil.copy2(path, place)


def _archive(out: Path, folders: list[Path]) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assignments/README.md", README)
        archive.write(notebooks.folder() / "requirements.txt", "assignments/requirements.txt")
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, f"assignments/{folder.name}/{path.relative_to(folder).as_posix()}")
    write_whole(out / "students.zip", data.getvalue())


def api(out: Path) -> Any:
    """The interface of nbgrader to the course folder. ValueError where there is none."""
    if not (out / "nbgrader_config.py").is_file():
        raise ValueError(f"no course folder at {out}; make one with: make classroom COURSE={out}")
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import PyFileConfigLoader

    # nbgrader starts alembic by its name; it lies beside this interpreter, whose folder need not be on the path
    here, path = str(Path(sys.executable).parent), os.environ.get("PATH", "")
    if here not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([here, path]) if path else here
    config = PyFileConfigLoader("nbgrader_config.py", str(out)).load_config()
    config.CourseDirectory.root = str(out.resolve())
    config.NbGrader.log_level = "ERROR"
    return NbGraderAPI(CourseDirectory(config=config), config=config)
