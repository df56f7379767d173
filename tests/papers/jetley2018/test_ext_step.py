"""Ways to take the Hessian: the exact one is zero, the paper's step agrees with itself."""

import pytest
import torch

from uapkit import curvature, data, models
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import ext_step as item

SMALL = {"n_fit": 8, "n_train": 60, "n_eval": 30, "max_products": 20, "k": 2}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(factors=(3.0, 10.0), betas=(5.0,), noises=(), **SMALL))


def test_ext_step(run):
    rows = run.table.set_index(["how", "size"])
    assert rows.loc[("exact", 0.0), "largest"] == 0
    assert rows.loc[("finite step", 10.0), "overlap"] == pytest.approx(1, abs=1e-4)
    assert rows.loc[("finite step", 3.0), "overlap"] < 0.999, "another step has other directions"
    assert rows.loc[("softplus", 5.0), "overlap"] > 10 * rows.loc[("softplus", 5.0), "chance"]
    evidence = evidence_table(list(item.claims(run))).set_index("claim")
    assert evidence.loc["exact_hessian_vanishes", "estimate"] == 0
    assert evidence.loc["smooth_copy_agrees", "null_high"] == rows.loc[("softplus", 5.0), "chance"]
    papers = rows.loc[("finite step", 10.0)]
    assert 0 < papers["overlap_halves"] < 0.999, "other images, other directions"
    assert 0.2 < papers["overlap_starts"] <= 1 + 1e-5
    assert papers["elsewhere"] < papers["own"], "the largest value of few points is inflated"
    assert papers["elsewhere_mean"] < papers["own_mean"] < papers["own"], "and so are those of the directions behind it"
    assert papers["elsewhere_mean_low"] < papers["elsewhere_mean"] < papers["elsewhere_mean_high"]
    assert (evidence.loc["halves_agree", "estimate"], evidence.loc["halves_agree", "bound"]) == (
        papers["overlap_halves"],
        0.25,
    )
    table = run.table.copy()
    at_papers = table["how"].eq("finite step") & table["size"].eq(10.0)
    for overlap, decides in ((0.24, False), (0.26, True)):
        table.loc[at_papers, "overlap_halves"] = overlap
        found = evidence_table(list(item.claims(Run.of(table)))).set_index("claim")
        assert ("curved_on_other_images" in found.index) == decides, (
            "a direction that other images do not give decides nothing"
        )
    assert found.loc["curved_on_other_images", "bound"] == papers["own"] / 2
    assert rows["overlap_halves"].notna().sum() == 1, "at the paper's step alone"


def test_curvature_along_is_that_of_the_mean_hessian():
    net, images = models.load("mlp_digits"), data.load("digits", n=12)
    v = torch.nn.functional.normalize(torch.randn(784, generator=torch.Generator().manual_seed(0)), dim=0)
    found = item.curvature_along(net, images, 3, v)
    points, rivals = curvature.boundary_points(net, images, 3)
    whole = curvature.MeanHessian(net, points, rivals, 3, step=curvature.paper_step(images.shape), chunk=None)
    assert len(found) == len(points)
    assert float(found.mean()) == pytest.approx(float(v @ whole.matvec(v)), abs=1e-4)


def test_ways_may_differ_by_network():
    ways = item.ways_of("net", {"net": [1.0], "other": []}, [5.0], {"other": [0.1]})
    assert ways == [("exact", 0.0), ("finite step", 1.0), ("softplus", 5.0), ("Gaussian noise", 0.1)]
    assert len(item.ways_of("another", {"net": [1.0], "other": []}, [], [])) == 1


def test_the_reference_is_the_papers_step_whether_it_is_a_row_or_not(run):
    alone = item.run(factors=(3.0,), betas=(), noises=(), **SMALL).set_index("how")
    rows = run.table.set_index(["how", "size"])
    assert alone.loc["finite step", "overlap"] == pytest.approx(rows.loc[("finite step", 3.0), "overlap"], rel=1e-6)


def test_the_figure_names_each_way_once(run):
    names = [text.get_text() for text in item.figure(run).axes[0].get_yticklabels()]
    assert names == ["exact", "finite step 3", "finite step 10", "softplus 5"]
