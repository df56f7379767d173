"""Figure 3, top: curved directions carry what random ones do not; the claims take the test images' accuracy."""

import pytest

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig3_accuracy as item

SMALL = {
    "models": ("mlp_digits",),
    "dims": (1, 4),
    "n_train": 120,
    "n_fit": 4,
    "n_eval": 80,
    "k": 4,
    "max_products": 40,
}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**SMALL))


def test_fig3_accuracy(run):
    table = run.table
    test = table[table["split"] == "test"].set_index(["kind", "m"])["accuracy"]
    assert (table["low"] <= table["accuracy"]).all()
    assert test["positive", 40] > test["random", 40] + 0.3, "curved directions carry what random ones do not"
    assert test["flat", 40] < 0.3
    assert run.flags("right", "mlp_digits", "positive", 40).mean() == pytest.approx(test["positive", 40])
    assert set(table.loc[table["is_null"], "kind"]) == {"random", "data"}


def test_claims_are_about_the_test_images(run):
    test = run.where(split="test").set_index(["kind", "m"])["accuracy"]
    evidence = evidence_table(list(item.claims(run)))
    row = evidence[(evidence["claim"] == "few_directions_carry_accuracy")].iloc[0]
    assert row["estimate"] == pytest.approx(test["positive", 40] / test["whole", 784])
    assert row["null"] == pytest.approx(test["random", 40] / test["whole", 784])
    assert row["null_high"] < row["low"]
    flat = evidence[evidence["claim"] == "flat_is_useless"].iloc[0]
    assert flat["estimate"] == pytest.approx(test["flat", 40] - test["random", 40])


def test_figures_have_a_line_a_subspace(run):
    labels = {text.get_text() for text in item.figure(run).legends[0].get_texts()}
    assert {"S positive", "S flat", "random subspace"} <= labels
    assert len(item.spectra(run).axes[0].lines) == 10 + 1, "a line a class, and zero"
