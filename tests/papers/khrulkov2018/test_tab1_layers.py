"""Tables 1 to 3: the attack beats its nulls, splits do not leak, and the stored vectors give the stored numbers."""

import math

import pytest
import torch

from uapkit import evaluate, lab, models
from uapkit.lab.claims import evidence_table
from uapkit.papers.khrulkov2018 import tab1_layers

SMALL = {"models": ("lenet_digits",), "n_fit": 8, "max_iter": 8, "seed": 3}


@pytest.fixture(scope="module")
def layers_table():
    return tab1_layers.run(**SMALL, layers=["pool1", "pool2"], n_select=32, n_eval=150, n_random=2)


def test_tab1_layers(layers_table):
    table = layers_table
    attack = table[table["kind"] == "singular vector"]
    null = table[table["kind"] == "random signs"]
    assert attack["layer"].tolist() == ["pool1", "pool2"]
    assert attack["depth"].is_monotonic_increasing
    assert (table["n"] == 150).all()
    best = attack.loc[attack["held_in_rate"].idxmax()]
    assert best["low"] > null["fooling_rate"].max(), "the attack beats random signs of the same norm"
    assert (table["low"] <= table["fooling_rate"]).all()
    assert (table["fooling_rate"] <= table["high"]).all()
    untrained = table[table["kind"] == "untrained network"]
    assert untrained["layer"].tolist() == [best["layer"]]
    assert untrained["singular_value"].item() != best["singular_value"]


def test_numbers_are_those_of_the_stored_vectors(layers_table):
    """The rate is that of the stored vector, on images that were neither fitted nor chosen on."""
    row = layers_table[layers_table["layer"] == "pool2"].iloc[0]
    v = torch.from_numpy(layers_table.attrs["arrays"]["v/lenet_digits/pool2"])
    assert torch.equal(v.abs().unique(), torch.tensor([0.2]))
    bench = lab.Bench("digits", 8, 32, 150, 3)
    model, split = bench.network("lenet_digits"), bench.split("lenet_digits")
    assert (len(split.fit), len(split.held_in), len(split.scored)) == (8, 32, 150)
    assert float(evaluate.fooling_rate(model, split.scored, v)) == pytest.approx(row["fooling_rate"])
    assert float(evaluate.fooling_rate(model, split.held_in, v)) == pytest.approx(row["held_in_rate"])
    assert row["held_in_rate"] >= float(evaluate.fooling_rate(model, split.held_in, -v)), "the better sign is taken"
    flags = layers_table.attrs["arrays"]["fooled/lenet_digits/pool2"]
    assert flags.mean() == pytest.approx(row["fooling_rate"])
    pictures = {tuple(image.flatten().tolist()) for part in (split.fit.x, split.held_in.x) for image in part}
    assert not any(tuple(image.flatten().tolist()) in pictures for image in split.scored.x), "a fitted image is scored"


def test_claims(layers_table):
    evidence = evidence_table(list(tab1_layers.claims(lab.Run.of(layers_table)))).set_index("claim")
    attack = layers_table[layers_table["kind"] == "singular vector"].set_index("layer")
    best = attack["held_in_rate"].idxmax()
    assert evidence.loc["64_images_fool_40_percent", "estimate"] == attack.loc[best, "fooling_rate"]
    difference = attack.loc["pool1", "fooling_rate"] - attack.loc["pool2", "fooling_rate"]
    assert evidence.loc["early_layers_best", "estimate"] == pytest.approx(difference)
    assert math.isnan(evidence.loc["value_orders_networks", "estimate"]), "one network has no order"


def test_it_is_deterministic(layers_table):
    again = tab1_layers.run(**SMALL, layers=["pool1"], n_select=32, n_eval=150, n_random=1)
    first = layers_table[layers_table["layer"] == "pool1"].iloc[0]
    assert again.iloc[0]["singular_value"] == pytest.approx(first["singular_value"], rel=1e-6)
    assert again.iloc[0]["fooling_rate"] == first["fooling_rate"]


def test_a_users_own_module_has_an_untrained_copy():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 26 * 26, 10)
    )
    mine = models.wrap(net, input_size=(1, 28, 28), name="mine")
    table = tab1_layers.run(models=[mine], n_fit=4, n_select=8, n_eval=20, max_iter=2, n_random=1)
    assert set(table["kind"]) == {"singular vector", "random signs", "untrained network"}
    null = table[table["kind"] == "untrained network"].iloc[0]
    trained = table[(table["kind"] == "singular vector") & (table["layer"] == null["layer"])].iloc[0]
    assert null["singular_value"] != trained["singular_value"], "fresh weights, not the user's"


def test_too_few_images_to_score_is_refused():
    with pytest.raises(ValueError, match="leaves none to score"):
        tab1_layers.run(models=("linear_digits",), layers=["fc"], n_fit=400, n_select=100, n_eval=None)


def test_figure_draws_each_layer_and_both_nulls(layers_table):
    ax = tab1_layers.figure(lab.Run.of(layers_table)).axes[0]
    assert [t.get_text().split("\n")[0] for t in ax.get_xticklabels()] == ["pool1", "pool2"]
    labels = {t.get_label() for t in (*ax.patches, *ax.containers)}
    assert {"singular vector", "random signs", "untrained copy"} <= labels
