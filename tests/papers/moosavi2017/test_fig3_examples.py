"""Figure 3: confidences are those of the images that the perturbation fools."""

import math

import pytest
import torch

from uapkit import runner
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import fig3_examples as item
from uapkit.papers.moosavi2017.setting import bench_of


def test_fig3_examples():
    given = {"models": ["mlp_digits"], "n_fit": 24, "n_eval": 120, "seed": 3, "norms": [math.inf], "n_pictures": 2}
    table = runner.run("moosavi2017/fig3_examples", **given)
    rows = rows_of(table, kind="UAP", what="picture")
    assert rows["confidence"].between(0.1, 1).all()
    scored = rows_of(table, kind="UAP", what="scored images").iloc[0]
    bench = bench_of("digits", 24, 120, seed=3)
    v = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits/inf"])
    model, images = bench.network("mlp_digits"), bench.split("mlp_digits").scored
    hit = images.x[bench.fooled("mlp_digits", v)]
    with torch.no_grad():
        sure = float(model(hit + v).softmax(1).amax(1).mean())
    assert scored["perturbed_confidence"] == pytest.approx(sure, abs=1e-5)
    assert scored["fooling_rate"] == pytest.approx(len(hit) / 120)
    figures = list(item.figures(Run.of(table)))
    assert [figure.get_suptitle() for figure in figures] == ["MLP (digits), norm inf"]
    titles = [ax.get_title().split("\n")[0] for ax in figures[0].axes]
    assert titles == [str(label) for column in ("label", "perturbed_label") for label in rows[column]]


@pytest.mark.parametrize("norms", [[], [1.0], [2.0, 3.0], ["x"], [[2.0]], [0.0]])
def test_norms_that_algorithm_1_does_not_have_are_refused_before_anything_runs(norms, monkeypatch):
    monkeypatch.setattr(item, "bench_of", None)
    with pytest.raises(ValueError, match=r"norms must be a list of 2, inf or both, got \["):
        item.run(norms=norms)
