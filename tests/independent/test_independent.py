"""The independent recomputation shares no code with the package, and its table is that of the runs stored now."""

import ast
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.independent import __main__ as program
from tests.independent import base, e, nets

HERE = Path(__file__).parent
TABLE = base.ROOT / "results" / "trust" / "independent.csv"
WANTED = ("numpy", "torch", "torchvision", "PIL", "scipy", "safetensors", "pandas", "pytest", "tests")


def stored():
    if not TABLE.is_file():
        pytest.skip("results/trust/independent.csv is not stored")
    return pd.read_csv(TABLE)


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def test_nothing_of_the_package_is_imported():
    files = sorted(HERE.glob("*.py"))
    assert {"k.py", "m.py", "e.py", "j.py"} <= {path.name for path in files}
    for path in files:
        for name in imported(path):
            first = name.split(".")[0]
            assert first != "uapkit", f"{path.name} imports {name}"
            assert first != "tests" or name.startswith("tests.independent"), f"{path.name} imports {name}"
            assert first in WANTED or first in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_no_number_stands_twice_and_every_one_is_in_the_stored_runs():
    assert len(program.CHAPTERS) == 5
    keys = [(one.chapter, one.item, one.what) for one in base.NUMBERS]
    assert len(set(keys)) == len(keys)
    for one in base.NUMBERS:
        assert np.isfinite(one.stored()), one.what


def test_at_least_ten_numbers_a_chapter_most_of_them_from_weights_and_data():
    by_chapter = {c: [one for one in base.NUMBERS if one.chapter == c] for c in "KMEJ"}
    for chapter, numbers in by_chapter.items():
        assert len(numbers) >= 10, chapter
        assert len({one.item for one in numbers}) >= 4, chapter
        assert sum(one.source.startswith(base.WEIGHTS) for one in numbers) * 2 >= len(numbers), chapter


def test_the_stored_table_has_every_number_as_the_runs_hold_it_now():
    table = stored()
    rows = table.to_dict("records")
    assert {(r["chapter"], r["item"], r["what"]) for r in rows} == {(o.chapter, o.item, o.what) for o in base.NUMBERS}
    assert table.groupby("chapter").size().min() >= 10
    for row in rows:
        now = base.stored_value(row)
        again = f"{row['item']} holds {now:.6g} now: python -m tests.independent --save"
        assert row["stored"] == pytest.approx(now, rel=1e-3, abs=1e-6), again  # another processor rounds otherwise


def test_the_verdicts_follow_from_the_numbers_of_their_rows():
    table = stored()
    done = table[table["agrees"] != base.NOT_AT_HAND]
    inside = (done["stored"] - done["recomputed"]).abs() <= done["tolerance"] * (1 + 1e-6)
    assert (inside == (done["agrees"] == "yes")).all()
    about = json.loads(TABLE.with_suffix(".json").read_text(encoding="utf-8"))
    assert re.fullmatch("[0-9a-f]{40}", about["commit"])
    assert about["dirty"] is False
    assert about["rows"] == len(table)
    assert about["agree"] == (table["agrees"] == "yes").sum()


def test_missing_data_are_named_and_do_not_count(monkeypatch):
    def missing(stored):
        raise base.NotHere("MNIST is not in UAPKIT_DATA")

    row = base.Number("E", "x", "y", base.WEIGHTS, lambda: 1.0, missing).row()
    assert (row["agrees"], row["how"]) == (base.NOT_AT_HAND, "MNIST is not in UAPKIT_DATA")
    monkeypatch.setenv("UAPKIT_DATA", "/nowhere")
    with pytest.raises(base.NotHere, match="weights/x"):
        base.folder("weights", "x")


@pytest.mark.parametrize("chapter", "KMEJ")
def test_what_needs_the_stored_arrays_alone_is_found_again(chapter):
    kinds = {"K": base.ARRAYS, "M": base.ARRAYS, "J": base.ARRAYS, "E": "random numbers"}
    numbers = [one for one in base.NUMBERS if one.chapter == chapter and one.source == kinds[chapter]]
    assert numbers
    for one in numbers:
        assert one.row()["agrees"] == "yes", one.what


def test_scores_of_lenet_along_a_stored_direction():
    found = next(one for one in base.NUMBERS if one.item == "jetley2018/fig1_scores").row()
    assert found["agrees"] == "yes"
    assert float(found["how"].rsplit(" ", 1)[1]) < 0.1


def test_accuracy_of_stdcnn_on_upright_digits():
    row = next(one for one in base.NUMBERS if one.what == f"{e.ADAMW}: accuracy on upright test digits").row()
    if row["agrees"] == base.NOT_AT_HAND:
        pytest.skip(row["how"])
    assert row["agrees"] == "yes"


def test_our_own_tools_do_what_they_say():
    """DeepFool is exact on a linear classifier; J v is a matrix product; a quarter turn is a quarter turn."""
    w = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    x = torch.tensor([[3.0, 1.0]])
    r = nets.deepfool(lambda z: z @ w.T, x, classes=2)
    assert torch.allclose(r, -1.02 * x @ w.T[:, :1] * w[:1] / 5, atol=1e-5)
    picture = torch.rand(1, 1, 28, 28)
    assert torch.allclose(nets.turned(picture, torch.tensor([90.0])), torch.rot90(picture, -1, (2, 3)), atol=1e-4) or (
        torch.allclose(nets.turned(picture, torch.tensor([90.0])), torch.rot90(picture, 1, (2, 3)), atol=1e-4)
    )
    rows = torch.eye(8, dtype=torch.float64)
    assert torch.allclose(e.squares(rows), torch.full((8,), 1 / 8, dtype=torch.float64))
