"""Copied, deleted, edited and new cells, files of other names: what is graded, and what student and teacher read."""

import copy

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from uapkit.classroom import alike, mend, notebooks

NAME = "a1_linear"
SOURCE = notebooks.read(NAME)
RELEASED = notebooks.student_version(SOURCE)
RIGHT = notebooks.answers(SOURCE)


def handed_in(**answers):
    return notebooks.with_answers(
        RELEASED, {key: text for key, text in RIGHT.items() if key not in ("proof", "meaning")} | answers
    )


def at(notebook, name):
    return next(k for k, cell in enumerate(notebook.cells) if mend.key(cell) == name)


def put(notebook, place, cell):
    notebook.cells.insert(place, copy.deepcopy(cell))
    return notebook


def text(notebook, name):
    return notebook.cells[at(notebook, name)].source


def names(notebook):
    return [mend.key(cell) for cell in notebook.cells if mend.key(cell)]


def test_a_notebook_as_it_should_be_is_left_alone():
    found, notes = mend.mended(handed_in(proof="Young, then sum."), RELEASED)
    assert notes == []
    assert found == handed_in(proof="Young, then sum.")


@pytest.mark.parametrize("name", ["setup", "test_norms", "test_fgsm"])
def test_the_second_copy_of_a_locked_cell_goes(name):
    found = put(handed_in(), len(RELEASED.cells), handed_in().cells[at(RELEASED, name)])
    result, notes = mend.mended(found, RELEASED)
    assert names(result) == names(RELEASED)
    assert notes == [f"the cell {name} was there twice; only the first one was run"]


def test_of_two_answers_the_stub_goes_and_what_differs_stays():
    stub = RELEASED.cells[at(RELEASED, "steepest")]
    result, _ = mend.mended(put(handed_in(), at(RELEASED, "steepest") + 1, stub), RELEASED)
    assert names(result) == names(RELEASED)
    assert text(result, "steepest") == RIGHT["steepest"], "a stub below the answer does not overwrite it"
    other = copy.deepcopy(stub)
    other.source = "def steepest(w, p):\n    return w / w.norm()"
    result, notes = mend.mended(put(handed_in(), at(RELEASED, "steepest") + 1, other), RELEASED)
    assert names(result) == names(RELEASED)
    assert text(result, "steepest") == other.source
    assert RIGHT["steepest"] in [cell.source for cell in result.cells]
    assert "the last one counts" in notes[0]


def test_two_proofs_are_put_into_one():
    found = handed_in(proof="First half.")
    other = copy.deepcopy(found.cells[at(found, "proof")])
    other.source = "Second half."
    result, notes = mend.mended(put(found, at(found, "proof") + 1, other), RELEASED)
    assert text(result, "proof") == "First half.\n\nSecond half."
    assert "put into one" in notes[0]


@pytest.mark.parametrize(
    ("cell", "offset"),
    [
        (new_markdown_cell("By Young's inequality ..."), 1),
        (new_markdown_cell("By Young's inequality ..."), 0),
        (new_code_cell("By Young's inequality ..."), 1),
        (new_code_cell("# By Young's inequality ..."), 1),
    ],
    ids=["below", "above", "in a code cell", "in comments"],
)
def test_a_proof_in_a_new_cell_is_shown_to_the_reader(cell, offset):
    result, notes = mend.mended(put(handed_in(), at(RELEASED, "proof") + offset, cell), RELEASED)
    assert text(result, "proof").startswith(text(RELEASED, "proof"))
    assert "By Young's inequality ..." in text(result, "proof")
    assert text(result, "meaning") == text(RELEASED, "meaning")
    assert len(result.cells) == len(RELEASED.cells)
    assert notes == ["the answer proof was written in another cell; it was put in its place for the reader"]


def test_a_proof_written_over_the_heading_is_found():
    found = handed_in()
    found.cells[at(found, "proof") - 1].source = "## In words\n\nBy Young's inequality ..."
    result, _ = mend.mended(found, RELEASED)
    assert "By Young's" in text(result, "proof")
    assert [cell.source for cell in result.cells].count("## In words") == 1


def test_notes_elsewhere_and_trials_stay_where_they_are():
    found = put(handed_in(proof="done", meaning="done"), at(RELEASED, "proof") + 1, new_markdown_cell("and a remark"))
    found = put(found, at(found, "steepest"), new_markdown_cell("my thoughts"))
    found = put(found, at(found, "meaning") + 1, new_code_cell("print(rates)"))
    assert mend.mended(found, RELEASED) == (found, [])


def test_deleted_cells_return_and_edited_ones_are_named():
    found = handed_in()
    found.cells[at(found, "test_steepest")].source = "assert True"
    found.cells = [cell for cell in found.cells if mend.key(cell) not in ("test_fgsm", "proof", "meaning")]
    result, notes = mend.mended(found, RELEASED)
    assert names(result) == names(RELEASED)
    assert text(result, "proof") == text(RELEASED, "proof")
    assert notes == [
        "the cell test_steepest was changed; the original was run",
        "the cell test_fgsm was missing and was put back",
        "the cell proof was missing and was put back",
        "the cell meaning was missing and was put back",
    ]


@pytest.mark.filterwarnings("ignore::nbformat.warnings.DuplicateCellId")
def test_a_renamed_file_is_taken_and_what_cannot_be_graded_is_named(tmp_path):
    folder, place = tmp_path / "submitted", tmp_path / "mended"
    folder.mkdir()
    (folder / "homework.docx").write_text("")
    assert "but homework.docx" in mend.prepare(folder, place, NAME, RELEASED)[0]
    (folder / "final.ipynb").write_text("{}")
    assert "final.ipynb is not a notebook" in mend.prepare(folder, place, NAME, RELEASED)[0]
    nbformat.write(nbformat.v4.new_notebook(cells=[new_code_cell("1")]), folder / "final.ipynb")
    assert "none of the test cells" in mend.prepare(folder, place, NAME, RELEASED)[0]
    twice = handed_in()
    twice.cells[5].id = twice.cells[4].id  # as some editors leave it
    nbformat.write(twice, folder / "final.ipynb")
    reason, notes = mend.prepare(folder, place, NAME, RELEASED)
    assert reason == ""
    assert notes == ["the notebook was handed in as final.ipynb; its name is a1_linear.ipynb"]
    written = nbformat.read(place / f"{NAME}.ipynb", as_version=4)
    assert "handed in as final.ipynb" in written.cells[0].source, "the student reads it on the feedback page"
    assert (place / "homework.docx").is_file()


def test_the_same_answers_are_found_and_short_or_different_ones_are_not():
    renamed = handed_in(norms=RIGHT["norms"].replace('"""', "'''") + "\n# mine")
    other = handed_in(
        boundary="def nearest_boundary(x, W, b, p):\n    best = None\n    for k in range(10):\n        ...\n    return best",
        fgsm="\n".join(f"step_{k} = {k} * x" for k in range(40)),
    )
    found = alike.same_answer_as(
        {"ann": handed_in(), "bob": renamed, "cid": other, "dee": RELEASED, "eve": RELEASED}, RELEASED
    )
    assert found == {"ann": "bob (100%)", "bob": "ann (100%)", "cid": "", "dee": "", "eve": ""}
