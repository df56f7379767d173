"""Convergence: values rise, five iterations are those of the public attack, and the published trace is drawn."""

import pandas as pd
import pytest
import torch

from uapkit import attacks, lab, models
from uapkit.lab import Run
from uapkit.operators import LayerJacobians
from uapkit.papers.khrulkov2018 import fig_convergence


def test_fig_convergence():
    given = {"models": ("lenet_digits",), "layers": ["relu"], "n_fit": 4, "n_select": 16, "n_eval": 60}
    table = fig_convergence.run(**given, max_iter=8, seed=1, n_seeds=2, q=5.0)
    own = table[table["kind"] == "trained"]
    for _, trace in own.groupby("start"):
        assert trace["singular_value"].is_monotonic_increasing
        assert trace["share"].iloc[-1] == 1
        assert trace["iteration"].tolist() == list(range(len(trace)))
    assert own["start"].nunique() == 2
    first = own[own["start"] == 0].iloc[-1]
    assert first["cosine"] == pytest.approx(1, abs=1e-5)
    assert own["fooling_rate"].notna().sum() in (2, 3, 4)
    run = Run.of(table)
    claim, *rate = fig_convergence.claims(run)
    ends = [{when for when in ("few", "last") if f"fooled/lenet_digits/relu/{k}/{when}" in run.arrays} for k in (0, 1)]
    both = [k for k in (0, 1) if ends[k] == {"few", "last"}]
    assert both, "at least one start is not done after five iterations"
    flags = {w: [run.flags("fooled", "lenet_digits", "relu", k, w).mean() for k in both] for w in ("few", "last")}
    (gained,) = rate
    assert gained.found.value == pytest.approx(sum(flags["last"]) / len(both) - sum(flags["few"]) / len(both))
    assert (gained.sense, gained.bound) == ("<", 0.02)
    assert claim.null.value < claim.found.value <= 1, "five iterations do more than none"


def test_a_network_may_have_more_iterations_than_the_released_example():
    """It is then scored after 5, 15 and all; claims take the last, the table's other networks keep theirs."""
    given = {"models": ("mlp_digits", "lenet_digits"), "layers": {"mlp_digits": ["relu1"], "lenet_digits": ["relu"]}}
    more = {"n_fit": 4, "n_select": 16, "n_eval": 60, "n_seeds": 1, "p": 2.0, "seed": 1}
    run = Run.of(fig_convergence.run(**given, **more, max_iter={"mlp_digits": 16, "default": 6}))
    own = run.where(kind="trained")
    assert own.groupby("model")["iteration"].max().to_dict() == {"mlp_digits": 16, "lenet_digits": 6}
    scored = own[own["fooling_rate"].notna()].groupby("model")["iteration"].apply(list).to_dict()
    assert scored == {"mlp_digits": [5, 15, 16], "lenet_digits": [5, 6]}
    ends = {name.rpartition("/")[2] for name in run.arrays if name.startswith("fooled/mlp_digits")}
    assert ends == {"few", "usual", "last"}
    null = run.where(kind="untrained network").groupby("model")["iteration"].max()
    assert null["lenet_digits"] == 6
    assert null["mlp_digits"] <= 16, "it may stand still before"
    rate = {c.network: c.found.value for c in fig_convergence.claims(run) if c.name == "rate_is_there_after_few"}
    last, few = (run.flags("fooled/mlp_digits/relu1/0", when).mean() for when in ("last", "few"))
    assert rate["mlp_digits"] == pytest.approx(last - few)


@pytest.mark.parametrize("few", [2, 50])
def test_the_early_vector_is_the_attacks_own_with_fewer_iterations(few):
    model, x = models.load("mlp_digits"), lab.Bench("digits", 4, 0, 1).split("mlp_digits").fit.x
    given = {"layer": "relu1", "p": 2.0, "q": 5.0, "eps": 0.3, "seed": 7}
    recorded = LayerJacobians(model, ["relu1"], x)
    early, half, last = fig_convergence.stages(model, x, at=(few, 3), max_iter=6, recorded=recorded, **given)
    for made, iterations in ((early, min(few, 6)), (half, 3), (last, 6)):
        known = attacks.singular_uap(model, x, max_iter=iterations, **given)
        assert torch.allclose(made.v, known.v, rtol=1e-5)
        assert made.made_by == known.made_by | {"converged": made.made_by["converged"]}
        assert made.history == known.history


def test_figure_shows_the_published_trace():
    about = {"model": "net", "layer": "l", "status": "run", "kind": "trained", "start": 0}
    run = Run.of(pd.DataFrame({**about, "iteration": [0, 1], "share": [0.5, 1]}))
    lines = fig_convergence.figure(run, [1.0, 3.0, 4.0]).axes[0].lines
    assert lines[1].get_ydata() == pytest.approx([0.25, 0.75, 1])
    assert len(fig_convergence.figure(run).axes[0].lines) == 1
