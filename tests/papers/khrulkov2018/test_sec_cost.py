"""Cost: what is divided by what, and which law has which slope."""

import pytest

from uapkit import lab
from uapkit.papers.khrulkov2018 import sec_cost


def test_sec_cost(tmp_path):
    given = {"models": ("linear_digits",), "layer": "fc", "n_fit": 32, "batch_sizes": (8, 16, 32), "n_repeat": 1}
    with lab.keeping(tmp_path):
        table, again = (sec_cost.run(**given, iterations=(2, 4, 8)) for _ in range(2))
    assert (table[["seconds", "record_seconds", "forward_seconds"]] > 0).all().all()
    assert table.equals(again), "seconds that were kept are those that were measured"
    per = table["seconds"] / (table["iterations"] * table["batch_size"])
    assert per.to_numpy() == pytest.approx(table["per_iteration_and_image"].to_numpy())
    linear = lab.Run.of(table.assign(seconds=0.01 * table["iterations"] * table["batch_size"]))
    assert [one.found.value for one in sec_cost.claims(linear)] == pytest.approx([1] * 4), "a linear law has slope one"
    square = lab.Run.of(table.assign(seconds=table["iterations"] ** 2.0 * table["batch_size"] ** 2))
    found = [one for one in sec_cost.claims(square) if one.sense == "<"]
    assert [one.found.low > 1.25 for one in found] == [True, True], "and a square one is refused"
    left, right = sec_cost.figure(linear).axes
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.64, 1.28, 2.56])
    assert list(left.lines[1].get_ydata()) == pytest.approx([0.64, 1.28, 2.56]), "the line of slope one"
    assert [t.get_text() for t in right.get_xticklabels()] == ["2", "4", "8"]


def test_too_few_images_are_one_sentence():
    with pytest.raises(ValueError, match=r"batch_sizes must hold a size of at most n_fit = 2, got \[4\]; raise n_fit"):
        sec_cost.run(models=["linear_digits"], layer="logits", n_fit=2, batch_sizes=[4])
