"""Who handed in which file: the layouts of the archives that Moodle and Canvas make, and plain ones.

Moodle (Assignment > Download all submissions): a folder ``<full name>_<participant>_assignsubmission_file`` a student, with
an underscore at the end in older versions, or files that begin with it; underscores in names are blanks there, and the full
name is ``Participant`` where marking is blind. Canvas (Download Submissions): files
``<name>[_LATE]_<user>_<file>_<file name>``, and ``[LATE_]anon_<code>_<file>_<file name>`` for anonymous grading; a second
upload of one name ends in ``-1``. Plain: ``<student>_<assignment>.ipynb`` or a folder a student.

Sources: mod/assign/classes/downloader.php of Moodle 4.5 and lib/content_zipper.rb of Canvas, read in 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|(?P<typed>onlinetext))(?:_(?P<file>.*))?")
CANVAS = re.compile(r"(?P<name>.+?)(?P<late>_LATE)?_(?P<id>\d+)_(?:\d+_(?P<file>.+)|(?P<typed>text|link)\.html)")
CANVAS_ANONYMOUS = re.compile(
    r"(?P<late>LATE_)?anon_(?P<id>[0-9A-Za-z]+)_(?:\d+_(?P<file>.+)|(?P<typed>text|link)\.html)"
)
NOT_HANDED_IN = {"__MACOSX", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class HandedIn:
    """One file of a student. ``id``: the platform's number of the student, "" where the layout has none."""

    path: str  # within the archive
    student: str
    file: str  # the student's own name of it
    platform: str = "plain"
    id: str = ""
    name: str = ""
    late: bool = False


@dataclass
class Plan:
    """What is taken from an archive: ``target`` maps a path to its name in ``submitted/<student>/<assignment>/``."""

    files: list[HandedIn] = field(default_factory=list)
    target: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)  # by student
    skipped: dict[str, str] = field(default_factory=dict)  # by path, why


def clean(student: str) -> str:
    """A student's name as nbgrader and file systems bear it: no slashes and none of ``*?[]+`` and their like."""
    return re.sub(r"[^\w .,@'-]", "-", student).strip(" .") or "unnamed"


def own_name(file: str, assignment: str) -> int | None:
    """How often the browser or platform has numbered ``<assignment>.ipynb``, 0 for never; None for another name.

    ``-1``, ``(1)``, ``_1`` and "Copy1" are what Canvas, browsers and JupyterLab append.
    """
    tail = re.fullmatch(rf"{re.escape(assignment)}(?P<tail>.*)\.ipynb", file, re.I)
    if not tail:
        return None
    number = re.fullmatch(r"(?:[ _-]*(?:\(\d+\)|copy ?\d*|\d+))*", tail["tail"], re.I)
    return sum(map(int, re.findall(r"\d+", tail["tail"]))) if number else None


def who(path: str, assignment: str, archives: Iterable[str] = ()) -> HandedIn | str:
    """The student of one file, or why there is none. path: within ``extracted/``; archives: names without ``.zip``."""
    parts = PurePosixPath(path).parts
    if NOT_HANDED_IN & set(parts) or parts[-1].startswith("."):
        return "made by a file system or an editor"
    for part in parts:  # a folder of Moodle, or a student's own archive unpacked to a folder of its name
        for platform, pattern in (("moodle", MOODLE), ("canvas", CANVAS_ANONYMOUS), ("canvas", CANVAS)):
            if found := pattern.fullmatch(part):
                return _from_platform(path, platform, found.groupdict(), folder=part != parts[-1])
    return _plain(path, assignment, set(archives))


def _from_platform(path: str, platform: str, found: dict[str, str | None], *, folder: bool) -> HandedIn | str:
    if found["typed"]:
        return "typed into the platform, no file"
    file = PurePosixPath(path).name if folder else found["file"] or ""
    name, number = found.get("name") or "", found["id"] or ""
    if platform == "moodle":
        return HandedIn(path, clean(name), file, platform, number, name)
    student = clean(f"{name or 'anon'}_{number}")
    return HandedIn(path, student, file, platform, number, name, bool(found["late"]))


def _plain(path: str, assignment: str, archives: set[str]) -> HandedIn | str:
    *folders, file = PurePosixPath(path).parts
    named = re.fullmatch(rf"(?P<student>.+?)[_ ](?P<file>{re.escape(assignment)}.*)", file, re.I)
    if named:
        return HandedIn(path, clean(named["student"]), named["file"], name=named["student"])
    own = [part for part in folders if part not in archives and part.lower() != assignment.lower()]
    if own:
        return HandedIn(path, clean(own[-1]), file, name=own[-1])
    if own_name(file, assignment) is None and "_" in file:
        student, rest = file.split("_", 1)
        return HandedIn(path, clean(student), rest, name=student)
    for part in reversed(folders):  # an archive of one student: alice_a1_linear.zip
        if found := re.fullmatch(rf"(?P<student>.+?)[_ ]{re.escape(assignment)}", part, re.I):
            return HandedIn(path, clean(found["student"]), file, name=found["student"])
    return "no student's name in the path"


def plan(paths: Iterable[str], assignment: str, archives: Iterable[str] = ()) -> Plan:
    """What to take of these files of ``extracted/``, one notebook a student, under the assignment's name."""
    result, archives = Plan(), list(archives)
    for path in sorted(paths):
        found = who(path, assignment, archives)
        if isinstance(found, str):
            result.skipped[path] = found
        else:
            result.files.append(found)
    result.files = _told_apart(result.files)
    for student in sorted({one.student for one in result.files}):
        _choose(student, [one for one in result.files if one.student == student], assignment, result)
    return result


def _told_apart(files: list[HandedIn]) -> list[HandedIn]:
    """Moodle's number is added where the name alone is not a student: blind marking, or one name twice."""
    ids: dict[str, set[str]] = {}
    for one in files:
        ids.setdefault(one.student, set()).add(one.id)
    return [
        replace(one, student=f"{one.student} {one.id}")
        if len(ids[one.student]) > 1 or one.name == "Participant"
        else one
        for one in files
    ]


def _choose(student: str, files: list[HandedIn], assignment: str, result: Plan) -> None:
    notes = result.notes.setdefault(student, [])
    if any(one.late for one in files):
        notes.append("late")
    found = [one for one in files if one.file.lower().endswith(".ipynb")]
    named = sorted(
        (one for one in found if own_name(one.file, assignment) is not None),
        key=lambda one: (own_name(one.file, assignment), one.path),
    )
    taken = named[-1] if named else found[0] if len(found) == 1 else None
    for one in files:
        if taken is None:  # nothing to grade: what there is, the grader names it
            result.target[one.path] = clean(one.file)
        elif one is taken:
            result.target[one.path] = f"{assignment}.ipynb"
            if one.file != f"{assignment}.ipynb":
                notes.append(f"handed in as {one.file}")
        else:
            result.skipped[one.path] = f"{taken.file} of the same student is taken"
            if one.file.lower().endswith(".ipynb"):
                notes.append(f"{one.file} left out, {taken.file} taken")
