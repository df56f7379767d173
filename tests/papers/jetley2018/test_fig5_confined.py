"""Confined attacks: the span of all attacks confines nothing on a linear network; claims go image by image."""

import math

import numpy as np
import pandas as pd

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig5_confined as item

NINE = 9 / 784


def test_fig5_confined():
    run = Run.of(item.run(models=("linear_digits",), n_fit=60, n_eval=12, shares=(NINE, 0.1), seed=3))
    arrays, table = run.arrays, run.table
    free = 1 / arrays["reciprocal/linear_digits/unconfined/1/0"]
    inside = 1 / arrays[f"reciprocal/linear_digits/S_hi/{NINE:g}/0"]
    assert np.allclose(inside, free, rtol=1e-3), "the span of all attacks confines nothing"
    random = arrays["reciprocal/linear_digits/random/0.1/0"]
    assert (random <= (1 + 1e-5) / free).all(), "on a linear network confined is never shorter"
    assert (arrays["image/linear_digits/S_lo/0.1/0"] <= arrays["image/linear_digits/unconfined/1/0"]).all()
    shortest, unconfined = table["norm"].min(), run.where(kind="unconfined")["norm"].item()
    assert math.isclose(shortest, unconfined, rel_tol=1e-3)
    assert len([ax for ax in item.gallery(run).axes if ax.images]) == 4, "one picture a span"


def test_claims_compare_spans_image_by_image():
    run = Run.of(item.run(models=("mlp_digits",), n_fit=60, n_eval=12, shares=(0.1,), seed=3))
    evidence = evidence_table(list(item.claims(run))).set_index("network")
    a = run.arrays
    assert all(np.isfinite(v).all() for v in a.values()), "infinite values could not be stored"

    def agree(first, second):
        shorter, more = (
            a[f"{what}/mlp_digits/{first}"] > a[f"{what}/mlp_digits/{second}"] for what in ("reciprocal", "image")
        )
        return (shorter == more).mean()

    assert evidence.loc["mlp_digits, S_hi against S_lo", "estimate"] == agree("S_hi/0.1/0", "S_lo/0.1/0")
    assert (evidence["null"] == agree("random/0.1/0", "random/0.1/1")).all()
    assert evidence.loc["mlp_digits, S_hi against principal components", "claim"] == "inverse_to_principal_components"


def test_the_figure_draws_infinite_norms_as_gaps():
    kinds = ["S_hi", "S_lo", "random", "random", "principal components"]
    columns = {"kind": kinds * 2, "d": [8] * 5 + [80] * 5, "draw": [0, 0, 0, 1, 0] * 2}
    columns |= {"norm": [1.0, math.inf, 3.0, 3.0, 2.0] * 2, "norm_low": 0.5, "norm_high": 4.0, "image_norm": [5.0] * 10}
    whole = {"kind": "unconfined", "d": 784, "draw": 0, "norm": 1.0, "image_norm": 9.0}
    table = pd.concat([pd.DataFrame(columns), pd.DataFrame([whole])], ignore_index=True)
    figure = item.figure(Run.of(table.assign(model="net", status="run")))
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines["S_lo"] == []
    assert lines["S_hi"] == [1.0, 1.0]
    assert figure.axes[0].get_yscale() == "log"
