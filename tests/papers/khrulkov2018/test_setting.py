"""What paper K's items share: the layer that is best on held-in images, one recording for many layers and q, one memo."""

import sys

import numpy as np
import pytest
import torch

from uapkit import evaluate, lab, models
from uapkit.attacks import singular_uap
from uapkit.lab.bench import layers_of
from uapkit.operators import jacobian
from uapkit.papers.khrulkov2018 import fig_q_sweep, fig_singular_values, setting, tab1_layers
from uapkit.papers.khrulkov2018.setting import KERAS_VGG, Setting, response, top_image

SMALL = {"models": ("mlp_digits",), "n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}


def test_the_layer_is_the_best_on_held_in_images():
    bench = lab.Bench("digits", 8, 32, 60, 3)
    chosen = Setting(bench, eps=0.2, max_iter=6, seed=3).choose("mlp_digits")
    model, split = bench.network("mlp_digits"), bench.split("mlp_digits")
    rates = {}
    for layer in ("relu1", "relu2"):
        v = singular_uap(model, split.fit.x, layer=layer, eps=0.2, max_iter=6, seed=3).v
        rates[layer] = max(float(evaluate.fooling_rate(model, split.held_in, s * v)) for s in (1, -1))
    assert chosen == max(rates, key=rates.get)
    assert Setting(bench, layer="fc1").choose("mlp_digits") == "fc1"
    assert Setting(bench, layer={"mlp_digits": "fc2"}).choose("mlp_digits[default]") == "fc2"


@pytest.fixture
def recorded(monkeypatch):
    """The layers of each forward pass that is recorded; no layer may be recorded by itself."""
    made = []
    forward = jacobian.Forward

    def counted(fn, *rest):
        made.append(list(fn.layers))
        return forward(fn, *rest)

    monkeypatch.setattr(jacobian, "Forward", counted)
    monkeypatch.setattr(jacobian, "_replay", None)
    return made


def test_all_layers_come_from_one_forward_pass(recorded):
    """A sweep over layers records its network once, and the untrained copy once, not once a layer."""
    table = fig_singular_values.run(models=["vgg_digits", "lenet_digits"], n_fit=4, max_iter=2)
    layers = table.groupby("model", sort=False)["layer"].apply(list)
    assert recorded == [layers["vgg_digits"]] * 2 + [layers["lenet_digits"]] * 2
    recorded.clear()
    tab1_layers.run(models=["lenet_digits"], n_fit=4, n_select=8, n_eval=20, max_iter=2)
    assert len(recorded) == 2


def test_all_q_share_one_linearisation(recorded):
    fig_q_sweep.run(**SMALL, layer="relu1", qs=(1.0, 2.0, 3.0, 5.0))
    assert recorded == [["relu1"], ["relu1"]], "one for the network, one for its untrained copy"


def test_a_further_q_does_not_compute_the_others_again(tmp_path, monkeypatch):
    """The same points in a larger sweep are read back, and only the new one is computed."""
    computed = []
    module = sys.modules[singular_uap.__module__]  # the name uapkit.attacks.singular_uap is the function
    solve = module.pq_singular
    monkeypatch.setattr(module, "pq_singular", lambda op, **kw: computed.append(kw["q"]) or solve(op, **kw))
    for qs in ([2.0, 4.0], [2.0, 3.0, 4.0]):
        with lab.keeping(tmp_path):
            table = fig_q_sweep.run(**SMALL, layer="relu1", qs=qs)
    assert computed == [2.0, 4.0, 10.0, 3.0]  # 10: the untrained null, kept as well
    assert sorted(table["q"].dropna()) == [2.0, 3.0, 4.0]


def test_items_share_a_singular_vector_and_the_labels_it_changes(tmp_path, monkeypatch, recorded):
    def fresh(**other):
        return Setting(lab.Bench("digits", 8, 8, 16), eps=0.3, max_iter=3, **other)

    with lab.keeping(tmp_path) as memo:
        first = fresh().vector("linear_digits", "logits", q=5.0)
        flags = fresh().bench.fooled("linear_digits", first.v)
        computed = memo.computed
        assert len(recorded) == 1
        again = fresh().vector("linear_digits", "logits", q=5.0)
        assert torch.equal(fresh().bench.fooled("linear_digits", again.v), flags)
        assert memo.computed == computed
        assert len(recorded) == 1, "what is kept needs no forward pass"
        assert torch.equal(first.v, again.v)
        assert (first.made_by, first.history) == (again.made_by, again.history)
        assert not torch.equal(first.v, fresh().vector("linear_digits", "logits", q=3.0).v)


def test_a_network_that_was_loaded_again_is_recorded_again():
    both = Setting(lab.Bench("digits", 4, 4, 8), max_iter=2)
    first = both.vector("linear_digits", "logits")
    both.bench.network("mlp_digits")  # only one network is held at a time
    assert torch.equal(both.vector("linear_digits", "logits").v, first.v)


def test_missing_weights_keep_the_papers_rows(monkeypatch):
    monkeypatch.setattr(models, "load", lambda name, **kw: (_ for _ in ()).throw(models.WeightsMissing("not here")))
    table = tab1_layers.run(models=("vgg19", "my_net"), data="digits")
    assert table["status"].unique().tolist() == ["not run here"]
    assert table.loc[table["model"] == "vgg19", "layer"].tolist() == list(KERAS_VGG)
    assert (table["model"] == "my_net").sum() == 1


def test_layers_are_spread_evenly_unless_named():
    model = models.load("lenet_digits")
    outputs = model.layers(kind=("activation", "pool"))
    assert layers_of(model, None, "lenet_digits", 2) == [outputs[0], outputs[-1]]
    assert layers_of(model, ["conv1"], "lenet_digits", 2) == ["conv1"]
    assert layers_of(model, {"lenet_digits": ["conv2"]}, "lenet_digits[default]", 2) == ["conv2"]


def test_a_batch_is_drawn_without_replacement_and_the_same_draw_is_shared():
    x = torch.arange(10.0).view(10, 1, 1, 1)
    drawn = setting.batch(x, 6, 0, "batch 0").flatten().tolist()
    assert len(set(drawn)) == 6
    assert setting.batch(x, 3, 0, "batch 0").flatten().tolist() == drawn[:3]
    assert setting.batch(x, 6, 0, "batch 1").flatten().tolist() != drawn


@pytest.mark.parametrize("q", [1.0, 2.0, 10.0])
def test_one_steep_image_holds_the_norm(q):
    changes = torch.tensor([[0.0, -3.0], [1.0, 1.0], [2.0, 0.0]])  # one row an image
    expected = 3**q / (3**q + 2 + 2**q)
    assert top_image(changes.flatten() * 1e30, 3, q) == pytest.approx(expected)


@pytest.mark.parametrize("p", [2.0, np.inf])
def test_the_response_of_a_linear_network_is_known_on_paper(p):
    """f(x) = 3 x: ||J v||_2 of n images is 3 sqrt(n) ||v||_2, whatever the size of v."""
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Flatten())
    net[0].weight.data.fill_(3.0)
    model, v = models.wrap(net, input_size=(1, 4, 4)), torch.full((1, 4, 4), 0.2)
    value, top = response(model, torch.rand(5, 1, 4, 4), v, layer="1", p=p, q=2.0)
    assert value == pytest.approx(3 * 5**0.5 * (4 if p == np.inf else 1))
    assert top == pytest.approx(1 / 5)
