"""Paper K's items on small runs: known answers, splits that do not leak, claims as inequalities."""

import math

import numpy as np
import pytest
import torch

from uapkit import evaluate, models
from uapkit.experiments import khrulkov2018 as paper
from uapkit.experiments.common import Bench, layers_of, rank_correlation
from uapkit.experiments.khrulkov2018_gallery import (
    activation_picture,
    example_pictures,
    neighbours,
    spectral_correlation,
)
from uapkit.experiments.khrulkov2018_shared import KERAS_VGG

SMALL = {"models": ("lenet_digits",), "n_fit": 8, "max_iter": 8, "seed": 3}


@pytest.fixture(scope="module")
def layers_table():
    return paper.tab1_layers(**SMALL, layers=["pool1", "pool2"], n_select=32, n_eval=150, n_random=2)


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


def test_tab1_layers_numbers_are_those_of_the_stored_vectors(layers_table):
    """The rate is that of the stored vector, on images that were neither fitted nor chosen on."""
    row = layers_table[layers_table["layer"] == "pool2"].iloc[0]
    v = torch.from_numpy(layers_table.attrs["arrays"]["v/lenet_digits/pool2"])
    assert torch.equal(v.abs().unique(), torch.tensor([0.2]))
    bench = Bench("digits", 8, 32, 150, 3)
    model = bench.model("lenet_digits")
    fit, held_in, scored = bench.images(model)
    assert (len(fit), len(held_in), len(scored)) == (8, 32, 150)
    assert float(evaluate.fooling_rate(model, scored, v)) == pytest.approx(row["fooling_rate"])
    assert float(evaluate.fooling_rate(model, held_in, v)) == pytest.approx(row["held_in_rate"])
    assert row["held_in_rate"] >= float(evaluate.fooling_rate(model, held_in, -v)), "the better sign is taken"
    flags = layers_table.attrs["arrays"]["fooled/lenet_digits/pool2"]
    assert flags.mean() == pytest.approx(row["fooling_rate"])
    pictures = {tuple(image.flatten().tolist()) for part in (fit.x, held_in.x) for image in part}
    assert not any(tuple(image.flatten().tolist()) in pictures for image in scored.x), "a fitted image is scored"


def test_tab1_layers_evidence(layers_table):
    evidence = paper.EVIDENCE["tab1_layers"](layers_table).set_index("claim")
    attack = layers_table[layers_table["kind"] == "singular vector"].set_index("layer")
    best = attack["held_in_rate"].idxmax()
    assert evidence.loc["64_images_fool_40_percent", "estimate"] == attack.loc[best, "fooling_rate"]
    difference = attack.loc["pool1", "fooling_rate"] - attack.loc["pool2", "fooling_rate"]
    assert evidence.loc["early_layers_best", "estimate"] == pytest.approx(difference)
    assert math.isnan(evidence.loc["value_orders_networks", "estimate"]), "one network has no order"


def test_tab1_layers_is_deterministic(layers_table):
    again = paper.tab1_layers(**SMALL, layers=["pool1"], n_select=32, n_eval=150, n_random=1)
    first = layers_table[layers_table["layer"] == "pool1"].iloc[0]
    assert again.iloc[0]["singular_value"] == pytest.approx(first["singular_value"], rel=1e-6)
    assert again.iloc[0]["fooling_rate"] == first["fooling_rate"]


def test_missing_weights_keep_the_papers_rows(monkeypatch):
    monkeypatch.setattr(models, "load", lambda name, **kw: (_ for _ in ()).throw(models.WeightsMissing("not here")))
    table = paper.tab1_layers(models=("vgg19", "my_net"), data="digits")
    assert table["status"].unique().tolist() == ["not run here"]
    assert table.loc[table["model"] == "vgg19", "layer"].tolist() == list(KERAS_VGG)
    assert (table["model"] == "my_net").sum() == 1


def test_a_users_own_module_goes_through():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 26 * 26, 10)
    )
    mine = models.wrap(net, input_size=(1, 28, 28), name="mine")
    table = paper.tab1_layers(models=[mine], n_fit=4, n_select=8, n_eval=20, max_iter=2, n_random=1)
    assert set(table["model"]) == {"mine"}
    assert set(table["kind"]) == {"singular vector", "random signs", "untrained network"}
    null = table[table["kind"] == "untrained network"].iloc[0]
    trained = table[(table["kind"] == "singular vector") & (table["layer"] == null["layer"])].iloc[0]
    assert null["singular_value"] != trained["singular_value"], "fresh weights, not the user's"


def test_fig1_gallery():
    table = paper.fig1_gallery(**SMALL, layers=["pool1", "pool2"], n_pictures=3)
    vectors = table[table["kind"] == "vector"]
    assert len(vectors) == 2
    for layer in vectors["layer"]:
        assert table.attrs["arrays"][f"v/lenet_digits/{layer}"].shape == (1, 28, 28)
    assert set(table["kind"]) == {"vector", "untrained network", "random signs", "activation maximum", "picture"}
    frequency, power = table.attrs["arrays"]["spectrum/lenet_digits/pool1"]
    assert (len(frequency), frequency[-1]) == (14, 0.5)
    assert power.mean() == pytest.approx(1)
    evidence = paper.EVIDENCE["fig1_gallery"](table)
    likeness = vectors["spectral_correlation"].dropna()
    assert evidence["estimate"].item() == pytest.approx(likeness.mean())
    pictures = table[table["kind"] == "picture"]
    best = vectors.loc[vectors["rate_on_fit"].idxmax(), "layer"]
    assert pictures["layer"].unique().tolist() == [best]
    assert len(pictures) == 3
    model = models.load("lenet_digits")
    shown = example_pictures("digits", 3, 3, None)
    v = torch.from_numpy(table.attrs["arrays"][f"v/lenet_digits/{best}"])
    expected = [model.classes[k] for k in evaluate.labels(model, shown, v).tolist()]
    assert pictures["perturbed_label"].tolist() == expected


def test_layers_are_spread_evenly_unless_named():
    model = models.load("lenet_digits")
    outputs = model.layers(kind=("activation", "pool"))
    assert layers_of(model, None, "lenet_digits", 2) == [outputs[0], outputs[-1]]
    assert layers_of(model, ["conv1"], "lenet_digits", 2) == ["conv1"]
    assert layers_of(model, {"lenet_digits": ["conv2"]}, "lenet_digits[default]", 2) == ["conv2"]


def test_too_few_images_to_score_is_refused():
    with pytest.raises(ValueError, match="leaves none to score"):
        paper.tab1_layers(models=("linear_digits",), layers=["fc"], n_fit=400, n_select=100, n_eval=None)


def test_rank_correlation_knows_its_sign():
    x = np.arange(12.0)
    assert rank_correlation(x, x**3)["estimate"] == pytest.approx(1)
    assert rank_correlation(x, -x)["high"] < 0


def test_activation_picture_is_what_the_channel_answers_to():
    """One convolution whose channel 0 has stripes as its kernel: the picture excites it more than noise, and is stripes."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, (1, 4), bias=False, padding="same", padding_mode="circular"), torch.nn.ReLU()
    )
    net[0].weight.data[0] = torch.tensor([1.0, 1.0, -1.0, -1.0]).view(1, 1, 4)
    model = models.wrap(net, input_size=(1, 16, 16))
    made = activation_picture(model, "1", 0, (1, 16, 16), n_steps=60, seed=0)
    noise = activation_picture(model, "1", 0, (1, 16, 16), n_steps=0, seed=0)
    answer = [float(model.until("1")(x[None])[0, 0].mean()) for x in (made, noise)]
    assert answer[0] > 5 * answer[1]
    rows = made[0].var(0).mean(), made[0].var(1).mean()
    assert rows[1] > rows[0], "it varies along the kernel, not across it"
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_spectral_correlation_tells_patterns_from_noise():
    draws = torch.Generator().manual_seed(0)
    noise = [torch.randn(1, 64, 64, generator=draws) for _ in range(3)]
    smooth = [torch.nn.functional.avg_pool2d(x[None], 7, 1, 3)[0] for x in noise]
    assert spectral_correlation(smooth[0], smooth[1]) > 0.9
    assert abs(spectral_correlation(smooth[0], noise[2])) < 0.6
    assert math.isnan(spectral_correlation(noise[0], torch.zeros(1, 64, 64)))


def test_fig_q_gallery():
    table = paper.fig_q_gallery(**SMALL, layer="relu", qs=(1.0, 4.0, 8.0, math.inf), n_select=16)
    own = table[table["kind"] == "vector"].set_index("q")
    assert own["singular_value"].is_monotonic_decreasing
    for q in own.index:
        v = torch.from_numpy(table.attrs["arrays"][f"v/lenet_digits/q = {q:g}"])
        assert torch.equal(v.abs().unique(), torch.tensor([0.2]))
        assert neighbours(v) == pytest.approx(own.loc[q, "neighbours"])
    noise = table.loc[table["kind"] == "random signs", "neighbours"].item()
    assert abs(noise) < 0.1 < own["neighbours"].min()
    evidence = paper.EVIDENCE["fig_q_gallery"](table).iloc[0]
    assert evidence["estimate"] == pytest.approx(rank_correlation(-1 / own.index, own["neighbours"])["estimate"])
    fresh = table[table["kind"] == "untrained network"]
    assert evidence["null"] == pytest.approx(rank_correlation(-1 / fresh["q"], fresh["neighbours"])["estimate"])
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(8, 2)[None]
    assert neighbours(stripes) == pytest.approx((1 + 1 / 7) / 2), "the same downwards, 4 of 7 pairs equal across"
