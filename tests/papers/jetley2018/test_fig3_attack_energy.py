"""Figure 3, bottom: shares of norms of known size, attacks by name, and one panel an attack."""

import numpy as np
import pytest

from uapkit import lab
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig3_attack_energy as item

SMALL = {
    "models": ("mlp_digits",),
    "dims": (1, 4),
    "n_train": 120,
    "n_fit": 4,
    "n_eval": 30,
    "k": 4,
    "max_products": 40,
}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**SMALL, attacks=("deepfool", "uap"), n_uap=20))


def test_fig3_attack_energy(run):
    table = run.table
    share = table.set_index(["attack", "kind", "m"])["norm_share"]
    assert share["deepfool", "positive", 40] > table.loc[table["m"] == 40, "chance"].iloc[0] + 0.2
    assert share["random", "random", 40] == pytest.approx(np.sqrt(40 / 784), abs=0.05)
    assert table["norm_share"].between(0, 1 + 1e-5).all()
    assert (table.loc[table["attack"] == "uap", "n"] == 1).all()
    assert table.loc[table["attack"] == "random", "is_null"].all(), "noise is a null in every subspace"
    evidence = evidence_table(list(item.claims(run)))
    assert set(evidence["network"]) == {"mlp_digits (deepfool)", "mlp_digits (uap)"}
    assert evidence["null"].nunique() == 1


def test_the_figure_has_a_panel_an_attack(run):
    titles = [ax.get_title() for ax in item.figure(run, "mlp_digits").axes]
    assert [title for title in titles if title] == [f"{attack}, mlp digits" for attack in ("deepfool", "uap", "random")]


def test_directions_of_attacks():
    bench = lab.Bench("digits", 120, 0, 80, 0, from_training=True)
    fgsm, random = (item.directions(bench, "mlp_digits", attack, 0.2, 5) for attack in ("fgsm", "random"))
    assert fgsm.abs().max() == 1
    assert random.shape == (80, 784)
    with pytest.raises(ValueError, match="attack"):
        item.directions(bench, "mlp_digits", "pgd", 0.2, 5)
