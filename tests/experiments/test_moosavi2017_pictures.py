"""Paper M across networks and in pictures: the diagonal is the own attack, means leave it out, labels are the network's."""

import math

import numpy as np
import pytest
import torch

from uapkit import runner
from uapkit.experiments import moosavi2017 as paper
from uapkit.experiments import moosavi2017_pictures as pictures
from uapkit.experiments import moosavi2017_shared as shared
from uapkit.experiments.tidy import rows_of
from uapkit.figures import universal as plots_universal

TWO = {"models": ("mlp_digits", "linear_digits"), "n_fit": 24, "n_eval": 120, "seed": 3}


@pytest.fixture(scope="module")
def matrix():
    return paper.tab2_transfer(**TWO, n_random=2)


def cells(matrix):
    """Rates by (source, network attacked), without the means."""
    return matrix[~matrix["kind"].str.endswith("mean")].groupby(["source", "model"])["fooling_rate"].mean()


@pytest.fixture(scope="module")
def gallery():
    return paper.fig4_gallery(**TWO)


def test_tab2_transfer(matrix):
    rate = cells(matrix)
    own = paper.tab1_fooling_rates(**TWO, norms=(math.inf,), blocked=(), n_random=1)
    held = rows_of(rows_of(own, kind="UAP"), scored_on="held out").set_index("model")["fooling_rate"]
    for name in TWO["models"]:
        assert rate[name, name] == pytest.approx(held[name]), "the diagonal is the own attack"
    v = torch.from_numpy(matrix.attrs["arrays"]["v/mlp_digits"])
    study = shared.Study("digits", 24, None, 120, seed=3)
    assert rate["mlp_digits", "linear_digits"] == pytest.approx(float(study.fooled("linear_digits", v).float().mean()))
    assert rate["mlp_digits", "linear_digits"] > rate["random signs", "linear_digits"], "perturbations transfer"
    means = matrix.set_index(["kind", "model"])["fooling_rate"]
    assert means["row mean", "mlp_digits"] == pytest.approx(rate["mlp_digits", "linear_digits"])
    assert means["column mean", "mlp_digits"] == pytest.approx(rate["linear_digits", "mlp_digits"])


def test_tab2_transfer_evidence(matrix):
    evidence = paper.EVIDENCE["tab2_transfer"](matrix).set_index("network")
    rate = cells(matrix)
    gain = rate["mlp_digits", "linear_digits"] - rate["random signs", "linear_digits"]
    assert evidence.loc["linear_digits, over random", "estimate"] == pytest.approx(gain)
    assert (evidence["null_low"] <= 0).all(), "one random draw is not better than another"


def test_networks_on_other_images_are_not_attacked():
    table = paper.tab2_transfer(**TWO | {"n_eval": {"default": 120, "linear_digits": 60}}, n_random=2)
    assert set(table["kind"]) == {"own", "null"}
    assert paper.EVIDENCE["tab2_transfer"](table).empty


def test_fig4_gallery(gallery):
    own = gallery[gallery["kind"] == "UAP"].set_index("model")
    assert own["linf_norm"].tolist() == pytest.approx([51, 51], rel=1e-4)
    assert (own["l2_norm"] < 51 * 28).all()
    assert (gallery.loc[gallery["kind"] == "random signs", "fraction_entries_abs_ge_9"] == 1).all()
    a, b = (torch.from_numpy(gallery.attrs["arrays"][f"v/{name}/"]).flatten() for name in TWO["models"])
    pair = gallery[gallery["kind"] == "pair"].iloc[0]
    assert pair["cosine_similarity"] == pytest.approx(float(torch.cosine_similarity(a, b, 0)), abs=1e-5)
    assert float((a.abs() >= 0.18).float().mean()) == pytest.approx(own.loc["mlp_digits", "fraction_entries_abs_ge_9"])
    evidence = paper.EVIDENCE["fig4_gallery"](gallery)
    assert evidence["estimate"].tolist() == pytest.approx([abs(pair["cosine_similarity"])] * 2)
    assert evidence["null_high"].isna().all(), "both fool more than random signs"
    weak = gallery.assign(low=0.0, high=1.0)
    assert (paper.EVIDENCE["fig4_gallery"](weak)["null_high"] == 0).all(), "what fools nobody is orthogonal by chance"


def test_fig1_teaser():
    table = paper.fig1_teaser(**TWO | {"models": ("mlp_digits",)}, n_pictures=4)
    study = shared.Study("digits", 24, None, 120, seed=3)
    model = study.bench("mlp_digits").model("mlp_digits")
    shown = pictures.example_pictures("digits", 4, 3, 28)
    v = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits"])
    rows = rows_of(rows_of(table, kind="UAP"), what="picture")
    for column, x in (("label", shown.x), ("perturbed_label", shown.x + v)):
        with torch.no_grad():
            assert [str(k) for k in model(x).argmax(1).tolist()] == [str(k) for k in rows[column]]
    scored = rows_of(table, what="scored images").set_index("kind")
    assert scored.loc["UAP", "low"] > scored.loc["random signs", "high"]
    assert len(plots_universal.teaser(shown.x.numpy(), v.numpy(), rows).axes) == 12


def test_fig3_examples():
    table = paper.fig3_examples(**TWO | {"models": ("mlp_digits",)}, norms=(math.inf,), n_pictures=2)
    rows = rows_of(rows_of(table, kind="UAP"), what="picture")
    assert rows["confidence"].between(0.1, 1).all()
    scored = rows_of(rows_of(table, kind="UAP"), what="scored images").iloc[0]
    study = shared.Study("digits", 24, None, 120, seed=3)
    v = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits/inf"])
    model, images = study.bench("mlp_digits").model("mlp_digits"), study.x("mlp_digits")[1]
    hit = images.x[study.fooled("mlp_digits", v)]
    with torch.no_grad():
        sure = float(model(hit + v).softmax(1).amax(1).mean())
    assert scored["perturbed_confidence"] == pytest.approx(sure, abs=1e-5)
    assert scored["fooling_rate"] == pytest.approx(len(hit) / 120)


def test_figures_show_what_the_tables_say(matrix, gallery):
    grid = plots_universal.transfer(matrix).axes[0]
    rate = cells(matrix)
    words = {text.get_text() for text in grid.texts}
    assert f"{rate['mlp_digits', 'linear_digits']:.2f}" in words
    assert [t.get_text() for t in grid.get_yticklabels()][-2:] == ["all others", "random signs"]
    pair = gallery.loc[gallery["kind"] == "pair", "cosine_similarity"].item()
    assert f"{pair:.3f}" in {t.get_text() for t in plots_universal.cosines(gallery).axes[0].texts}
    rates = paper.tab1_fooling_rates(
        **TWO | {"models": ("linear_digits",)}, norms=(2.0, math.inf), blocked=(), n_random=1
    )
    figure = plots_universal.rates(rates)
    assert [ax.get_title() for ax in figure.axes] == ["norm 2", "norm inf"]
    sizes = paper.fig6_set_size(**TWO | {"models": ("linear_digits",)}, sizes=(4, 24), n_random=1)
    line = plots_universal.sizes(sizes, {"linear_digits": 0.7}).axes[0]
    assert any(np.allclose(one.get_xdata(), 10_000) for one in line.lines)
    assert any(line.get_linestyle() == "--" for line in plots_universal.passes(sizes.attrs["arrays"]).axes[0].lines)
    shuffles = paper.fig5_diversity(**TWO | {"models": ("linear_digits",)}, seeds=(0, 1))
    assert len(plots_universal.shuffles(shuffles, shuffles.attrs["arrays"]).axes) == 1
    assert len(plots_universal.five(shuffles.attrs["arrays"], shuffles).axes) == 2


def test_published_tables_are_read():
    found = plots_universal.published_rates(runner.reported(runner.item("moosavi2017/tab1_fooling_rates")))
    assert found["bvlc_googlenet", math.inf] == 0.789
    assert found["bvlc_googlenet", 2.0] == 0.82
    printed = plots_universal.published_table(runner.reported(runner.item("moosavi2017/tab1_fooling_rates")))
    assert printed.set_index(["norm", "scored on"]).loc[("2", "X"), "caffenet"] == 0.854
    assert len(printed) == 4
    matrix = plots_universal.published_matrix(runner.reported(runner.item("moosavi2017/tab2_transfer")))
    matrix = matrix.set_index("computed for")
    assert matrix.loc["vgg_f", "caffenet"] == 0.718, "rows are sources"
    assert matrix.shape == (6, 6)
