"""Paper K's sweeps: what a linear network must give, the split, the paper's claims as inequalities on a small run."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import evaluate
from uapkit.lab import sweep as points
from uapkit.experiments import khrulkov2018 as paper
from uapkit.experiments import khrulkov2018_shared as shared
from uapkit.experiments.common import Bench

SMALL = {"models": ("mlp_digits",), "n_fit": 8, "n_select": 32, "n_eval": 120, "max_iter": 6, "n_random": 2, "seed": 3}
LINEAR = {**SMALL, "models": ("linear_digits",), "layer": "fc"}


@pytest.fixture(scope="module")
def q_table():
    return paper.fig_q_sweep(**SMALL, qs=(1.0, 3.0, math.inf))


def test_fig_q_sweep(q_table):
    attack = q_table[q_table["kind"] == "singular vector"]
    assert attack["q"].tolist() == [1, 3, math.inf]
    assert attack["layer"].nunique() == 1
    assert attack["singular_value"].is_monotonic_decreasing, "a q-norm falls with q"
    null = q_table[q_table["kind"].isin(["random signs", "untrained network"])]
    assert len(null) == 3
    assert attack["fooling_rate"].max() > null["high"].max(), "the attack beats both nulls"
    assert (q_table["n"] == 120).all()


def test_fig_q_sweep_evidence(q_table):
    evidence = paper.EVIDENCE["fig_q_sweep"](q_table).set_index("claim")
    attack = q_table[q_table["kind"] == "singular vector"].set_index("q")
    best = attack.loc[[3, math.inf], "held_in_rate"].idxmax()
    assert evidence.loc["rises_with_q", "network"] == f"mlp_digits (q = {best:g})"
    gain = attack.loc[best, "fooling_rate"] - attack.loc[1, "fooling_rate"]
    assert evidence.loc["rises_with_q", "estimate"] == pytest.approx(gain)
    inner = attack.loc[3, "fooling_rate"] - attack.loc[math.inf, "fooling_rate"]
    assert evidence.loc["maximum_at_inner_q", "estimate"] == pytest.approx(inner)


def test_all_q_share_one_linearisation(monkeypatch):
    made = []

    class Counted(shared.JacobianOperator):
        def __init__(self, *args, **kwargs):
            made.append(args[0].layer)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(shared, "JacobianOperator", Counted)
    paper.fig_q_sweep(**SMALL, layer="relu1", qs=(1.0, 2.0, 3.0, 5.0))
    assert made == ["relu1", "relu1"], "one for the network, one for its untrained copy"


def test_a_further_q_does_not_compute_the_others_again(tmp_path, monkeypatch):
    """The same points in a larger sweep are read back, and only the new one is computed."""
    computed = []
    real = shared.pq_singular
    monkeypatch.setattr(shared, "pq_singular", lambda op, **kw: computed.append(kw["q"]) or real(op, **kw))
    params = {"layer": "relu1", **{k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}}
    for qs in ([2.0, 4.0], [2.0, 3.0, 4.0]):
        with points.resuming(tmp_path, {"params": params | {"qs": qs}}):
            table = paper.fig_q_sweep(**SMALL, layer="relu1", qs=qs)
    assert computed == [2.0, 4.0, 10.0, 3.0]  # 10: the untrained null, kept as well
    assert sorted(table["q"].dropna()) == [2.0, 3.0, 4.0]


def test_the_layer_is_the_best_on_held_in_images():
    bench = Bench("digits", 8, 32, 60, 3)
    study = shared.Study(bench, eps=0.2, max_iter=6, seed=3)
    chosen = study.choose("mlp_digits", ())
    model = bench.model("mlp_digits")
    rates = {}
    for layer in ("relu1", "relu2"):
        v = study.scaled("mlp_digits", study.pair(study.operator("mlp_digits", layer)).v)
        held_in = bench.images(model)[1]
        rates[layer] = max(float(evaluate.fooling_rate(model, held_in, s * v)) for s in (1, -1))
    assert chosen == max(rates, key=rates.get)
    assert shared.Study(bench, layer="fc1").choose("mlp_digits", ()) == "fc1"
    assert shared.Study(bench, layer={"mlp_digits": "fc2"}).choose("mlp_digits[default]", ()) == "fc2"


def test_ext_p_sweep():
    table = paper.ext_p_sweep(**SMALL, layer="relu2", ps=(2.0, math.inf))
    attack = table[table["kind"] == "singular vector"].set_index(["p", "norm"])
    assert attack.loc[(2, math.inf), "peak"] == pytest.approx(0.2), "equal largest pixel"
    v = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits/p = 2"])
    assert float(v.norm()) == pytest.approx(0.2 * 28, rel=1e-5), "equal length"
    assert attack.loc[(2, 2), "peak"] > 0.2
    same = attack.loc[(math.inf, math.inf)], attack.loc[(math.inf, 2)]
    assert same[0]["fooling_rate"] == same[1]["fooling_rate"], "signs have both sizes at once"
    evidence = paper.EVIDENCE["ext_p_sweep"](table)
    rates = [attack.loc[(p, math.inf), "fooling_rate"] for p in (math.inf, 2)]
    assert evidence["estimate"].item() == pytest.approx(rates[0] - rates[1])


def test_fig_batch_size():
    table = paper.fig_batch_size(**SMALL | {"n_fit": 16}, layer="relu2", batch_sizes=(2, 16), n_draws=2)
    fixed, redrawn = (table[table["kind"] == k] for k in ("fixed batch", "redrawn each iteration"))
    assert len(fixed) == 4
    assert len(redrawn) == 2
    assert (
        fixed.loc[fixed["batch_size"] == 16, "singular_value"].iloc[0]
        > fixed.loc[fixed["batch_size"] == 2, "singular_value"].max()
    ), "values of stacked Jacobians grow with the number of images"
    flags = table.attrs["arrays"]
    mean = np.mean([flags[f"fooled/mlp_digits/16/fixed/{k}"] for k in (0, 1)])
    evidence = paper.EVIDENCE["fig_batch_size"](table)
    assert "flat_in_batch_size" not in set(evidence["claim"]), (
        "16 is the smallest batch of the claim, and the largest here"
    )
    change = flags["fooled/mlp_digits/16/redrawn/0"].mean() - mean
    assert (
        evidence.loc[evidence["claim"] == "redrawing_hardly_matters", "estimate"].tolist()
        == [pytest.approx(change)] * 2
    )


def test_a_linear_network_does_not_care_which_images():
    """Every image has the same Jacobian: with one start, all batches lead to one vector, redrawn or not."""
    table = paper.fig_batch_size(**LINEAR, batch_sizes=(2, 8), n_draws=2, q=4.0)
    values = table[table["kind"] == "fixed batch"].groupby("batch_size")["singular_value"].mean()
    assert values[8] == pytest.approx(values[2] * 4 ** (1 / 4), rel=1e-4), (
        "four times the rows, 4^(1/q) times the value"
    )
    assert table.loc[table["kind"] == "fixed batch", "fooling_rate"].nunique() == 1


def test_batches_on_each_networks_own_images():
    own = {"data": {"default": "digits", "linear_digits": "digits"}, "n_fit": {"default": 16, "linear_digits": 8}}
    table = paper.fig_batch_size(
        **SMALL
        | LINEAR
        | own
        | {"models": ["mlp_digits", "linear_digits"], "n_eval": {"default": 40, "linear_digits": 30}}
        | {"layer": {"mlp_digits": "relu2", "linear_digits": "fc"}},
        batch_sizes=(4, 16),
        n_draws=1,
    )
    sizes = table[table["kind"] == "fixed batch"].groupby("model")["batch_size"].apply(list)
    assert sizes.to_dict() == {"mlp_digits": [4, 16], "linear_digits": [4]}, (
        "no batch is larger than its network's n_fit"
    )
    assert table[table["kind"] == "random signs"].groupby("model")["n"].first().to_dict() == {
        "mlp_digits": 40,
        "linear_digits": 30,
    }
    assert {name.split("/")[1] for name in table.attrs["arrays"]} == {"mlp_digits", "linear_digits"}
    with pytest.raises(ValueError, match='"default"'):
        paper.fig_batch_size(**LINEAR | {"data": {"other_net": "digits"}})


def test_too_large_batches_are_refused():
    with pytest.raises(ValueError, match="batch_sizes must hold a size in \\[1, 8\\]"):
        paper.fig_batch_size(**LINEAR, batch_sizes=(9,))


def test_claims_about_nothing_are_no_claims(q_table):
    empty = q_table.assign(status="not run here")
    assert paper.EVIDENCE["fig_q_sweep"](empty).empty
    assert isinstance(paper.EVIDENCE["ext_p_sweep"](empty), pd.DataFrame)
