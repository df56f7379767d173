"""What a student's notebook needs before it is graded: copied, deleted, edited and new cells, and a file of another name.

The hand-in itself is left as it is; the grader works on a mended copy, and student and teacher read what was done.
"""

from __future__ import annotations

import ast
import copy
import os
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbformat.validator import normalize

MOVED = "**Written in a cell of its own:**"
Cells = list[NotebookNode]
LARGEST = 64 * 2**20  # bytes of a notebook; a plot has some ten thousand


def key(cell: NotebookNode) -> str:
    """The cell's name under nbgrader, "" for an ordinary cell."""
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def _about(cell: NotebookNode, what: str) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get(what))


def _plain(cell: NotebookNode) -> bool:
    """Is what the cell says of itself under nbgrader of the form that nbgrader writes?"""
    said = cell.metadata.get("nbgrader", {})
    return isinstance(said, dict) and isinstance(said.get("grade_id", ""), str)


def by_hand(cell: NotebookNode) -> bool:
    """Is this an answer in words, graded by a reader?"""
    return _about(cell, "grade") and _about(cell, "solution")


def the_notebook(folder: Path, name: str) -> tuple[Path | None, str]:
    """The file to grade in a student's folder, and a note on its name or the reason why there is none."""
    path = folder / f"{name}.ipynb"
    found = sorted(folder.glob("*.ipynb"))
    for one in found:
        if one.is_symlink() or not one.is_file():
            return None, f"{one.name} is a link or a special file; the notebook itself has to be handed in"
    if path in found:
        return path, ""
    if len(found) == 1:
        return found[0], f"the notebook was handed in as {found[0].name}; its name is {path.name}"
    there = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
    return None, f"no file named {path.name} was handed in, but {there}"


def unreadable(path: Path, name: str, released: NotebookNode) -> tuple[NotebookNode | None, str]:
    """(notebook, "") or (None, why this file cannot be graded)."""
    if path.stat().st_size > LARGEST:
        return (
            None,
            f"{path.name} has {path.stat().st_size / 2**20:.0f} MB, more than the {LARGEST / 2**20:.0f} MB allowed",
        )
    try:
        with warnings.catch_warnings(action="ignore"):
            _, found = normalize(nbformat.read(path, as_version=4))  # cells of the same id get new ones
            nbformat.validate(found)
    except Exception as error:  # nbformat raises half a dozen kinds, and json its own
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        return None, f"{path.name} is not a notebook ({reason})"
    if not all(map(_plain, found.cells)):
        return None, f"{path.name} is not a notebook (what it says of its cells under nbgrader is no text)"
    if not {key(cell) for cell in released.cells if _about(cell, "grade")} & {key(cell) for cell in found.cells}:
        return None, f"{path.name} has none of the test cells of {name}: is it another notebook, or a new one?"
    return found, ""


def mended(found: NotebookNode, released: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """A copy that nbgrader can grade, and what was done to it, one sentence each. Order and answers are the student's."""
    result = copy.deepcopy(found)
    given = {key(cell): cell for cell in released.cells if key(cell)}
    notes: list[str] = []
    result.cells, more = _without_copies(result.cells, given)
    notes += more
    for cell in result.cells:
        model = given.get(key(cell))
        if model is not None and _about(model, "locked") and cell.source.strip() != model.source.strip():
            notes.append(f"the cell {key(cell)} was changed; the original was run")
    notes += _put_back(result.cells, released.cells)
    notes += _bring_words_home(result, released, given)
    return result, notes


def _without_copies(cells: Cells, given: dict[str, NotebookNode]) -> tuple[Cells, list[str]]:
    """Every name once. Copies of a locked cell go; of answers those that say something stay."""
    notes, gone, seen = [], set(), []
    for cell in cells:
        if key(cell) in given and key(cell) not in seen:
            seen.append(key(cell))
    for name in seen:
        same = [cell for cell in cells if key(cell) == name]
        if len(same) == 1:
            continue
        model, times = given[name], {2: "twice", 3: "three times"}.get(len(same), f"{len(same)} times")
        if _about(model, "locked") or not _about(model, "solution"):
            gone |= {id(cell) for cell in same[1:]}
            notes.append(f"the cell {name} was there {times}; only the first one was run")
            continue
        blank = model.source.strip()
        texts = list(dict.fromkeys(cell.source.strip() for cell in same))
        kept = [next(c for c in reversed(same) if c.source.strip() == text) for text in texts if text != blank] or same[
            :1
        ]
        gone |= {id(cell) for cell in same} - {id(cell) for cell in kept}
        if by_hand(model):
            kept[0].source = "\n\n".join(cell.source for cell in kept)
            gone |= {id(cell) for cell in kept[1:]}
            notes.append(f"the answer {name} was there {times}; what they say was put into one")
        else:
            for cell in kept[:-1]:
                del cell.metadata["nbgrader"]
            notes.append(
                f"the cell {name} was there {times}; what differs was run in its order, so the last one counts"
            )
    return [cell for cell in cells if id(cell) not in gone], notes


def _put_back(cells: Cells, released: Iterable[NotebookNode]) -> list[str]:
    """Locked cells and answers in words that were deleted return behind the cell that they followed."""
    notes, place = [], 0
    for model in released:
        at = [
            k
            for k, cell in enumerate(cells)
            if cell.get("id") == model.get("id") or (key(model) and key(cell) == key(model))
        ]
        if at:
            place = at[-1] + 1
        elif key(model) and (_about(model, "locked") or by_hand(model)):
            cells.insert(place, copy.deepcopy(model))
            place += 1
            notes.append(f"the cell {key(model)} was missing and was put back")
    return notes


def _bring_words_home(result: NotebookNode, released: NotebookNode, given: dict[str, NotebookNode]) -> list[str]:
    """Text in new or ordinary cells beside an empty answer in words becomes that answer: otherwise nobody reads it."""
    known = {cell.source.strip() for cell in released.cells}
    notes, kept = [], []
    anchors = [(k, cell) for k, cell in enumerate(result.cells) if key(cell) in given]
    moved: dict[str, list[str]] = {}
    for k, cell in enumerate(result.cells):
        before = [c for at, c in anchors if at < k][-1:]
        after = [c for at, c in anchors if at > k][:1]
        home = next(
            (c for c in before + after if by_hand(c) and c.source.strip() == given[key(c)].source.strip()), None
        )
        text = cell.source.strip()
        if (
            key(cell) in given
            or not text
            or text in known
            or home is None
            or (cell.cell_type == "code" and _is_code(text))
        ):
            kept.append(cell)
        else:
            moved.setdefault(key(home), []).append(text)
            original = next((c for c in released.cells if c.get("id") == cell.get("id")), None)
            if original is not None:  # the heading itself was written over
                kept.append(copy.deepcopy(original))
    for cell in kept:
        if key(cell) in moved:
            cell.source = "\n\n".join([cell.source, MOVED, *moved[key(cell)]])
            notes.append(f"the answer {key(cell)} was written in another cell; it was put in its place for the reader")
    result.cells = kept
    return notes


def _is_code(text: str) -> bool:
    """Python that does something; prose, or nothing but comments and strings, is not."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return text.lstrip().startswith(("%", "!"))
    return any(not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant | ast.Name)) for line in body)


def _is_itself(path: Path) -> bool:
    """A plain file that can be read, or a folder; no link."""
    return not path.is_symlink() and (path.is_dir() or path.is_file()) and os.access(path, os.R_OK)


def prepare(submitted: Path, place: Path, name: str, released: NotebookNode) -> tuple[str, list[str]]:
    """Put the mended notebook, and what else was handed in, into ``place``: (reason why not or "", notes)."""
    path, note = the_notebook(submitted, name)
    if path is None:
        return note, []
    found, reason = unreadable(path, name, released)
    if found is None:
        return reason, [note] if note else []
    shutil.rmtree(place, ignore_errors=True)
    left_out: list[str] = []

    def unwanted(folder: str, names: list[str]) -> set[str]:
        """Links lead out of the hand-in, into the teacher's files; a pipe or a device has no end."""
        special = [n for n in names if not _is_itself(Path(folder, n))]
        left_out.extend(os.path.relpath(Path(folder, n), submitted) for n in special)
        return {*special, *shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints", "__pycache__")(folder, names)}

    shutil.copytree(submitted, place, ignore=unwanted)
    result, notes = mended(found, released)
    notes = [note, *notes] if note else notes
    notes += [f"{one} is a link or a special file and was left out" for one in sorted(left_out)]
    if notes:
        text = "\n".join(f"- {line[0].upper()}{line[1:]}." for line in notes)
        result.cells.insert(0, new_markdown_cell(f"**Notes of the grader**\n\n{text}"))
    nbformat.write(result, place / f"{name}.ipynb")
    return "", notes
