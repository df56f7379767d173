"""Figure 5: inner products of the perturbations of several shuffles, and when being unlike says nothing."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import runner
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import fig5_diversity as item


@pytest.fixture(scope="module")
def table():
    return item.run(models=("mlp_digits",), n_fit=24, n_eval=120, seed=3, seeds=(0, 1, 2))


def evidence(table):
    return runner.evidence("moosavi2017/fig5_diversity", Run.of(table))


def test_fig5_diversity(table):
    grams = table.attrs["arrays"]["gram/mlp_digits"]
    assert np.allclose(np.diag(grams), 1)
    assert np.allclose(grams, grams.T)
    pairs = rows_of(table, kind="pair")
    assert len(pairs) == 3
    assert sorted(pairs["cosine"]) == pytest.approx(sorted([grams[0, 1], grams[0, 2], grams[1, 2]]))
    first, second = (torch.from_numpy(table.attrs["arrays"][f"v/mlp_digits/{k}"]).flatten() for k in (0, 1))
    assert grams[0, 1] == pytest.approx(float(torch.cosine_similarity(first, second, 0)), abs=1e-5)
    assert not rows_of(table, kind="sum")["fooling_rate"].isna().any()


def test_fig5_diversity_claims(table):
    found = evidence(table).iloc[0]
    assert found["estimate"] == pytest.approx(rows_of(table, kind="pair")["cosine"].abs().max())
    assert found["low"] == found["estimate"] == found["high"], "smallest to largest is no interval"
    assert evidence(table.assign(status="not run here")).empty


def test_diversity_of_vectors_that_fool_nobody_is_chance():
    rates = {"n": 100, "fooling_rate": 0.02, "low": 0.0, "high": 0.07}
    rows = [
        {"kind": "UAP", **rates},
        {"kind": "random signs", **rates},
        {"kind": "pair", "cosine": 0.01},
        {"kind": "random signs", "cosine": 0.0},
    ]
    table = pd.DataFrame([{"model": "m", "status": "run", **row} for row in rows])
    assert evidence(table)["null_high"].item() == 0, "the null passes too"
    table.loc[0, ["low", "fooling_rate", "high"]] = 0.5, 0.6, 0.7
    assert math.isnan(evidence(table)["null_high"].item())


def test_figures_show_every_shuffle(table):
    run = Run.of(table)
    assert len(item.figure(run).axes[0].texts) == 9, "every inner product as a number"
    assert [ax.get_title() for ax in item.gallery(run).axes] == [f"MLP (digits)\nshuffle {k}" for k in range(3)]
