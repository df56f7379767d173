"""Paper M's graph of labels: graphs solvable by hand, the nulls, the picture."""

import re

import pandas as pd
import pytest
import torch

from uapkit import runner
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import fig7_label_graph as item
from uapkit.papers.moosavi2017 import graph
from uapkit.papers.moosavi2017.hubs import label_graph

SMALL = {"models": ("mlp_digits",), "n_fit": 40, "n_eval": 150, "max_passes": 1, "n_shuffles": 3, "n_noise": 60}


@pytest.fixture(scope="module")
def table():
    return item.run(**SMALL)


def evidence(table):
    return runner.evidence("moosavi2017/fig7_label_graph", Run.of(table))


def test_fig7_label_graph(table):
    own = table[table["kind"] == "universal"]
    fooled = round(own.loc[own["part"] == "rate", "fooling_rate"].item() * 150)
    edges = own[own["part"] == "edge"]
    assert edges["n"].sum() == fooled
    assert (edges["source"] != edges["target"]).all()
    assert (edges["count"] <= edges["n"]).all()
    whole = own[own["part"] == "graph"].iloc[0]
    assert whole["edges"] == len(edges)
    assert whole["labels"] == len({*edges["source"], *edges["target"]})
    degrees = edges["target"].value_counts()
    assert whole["in_degree"] == degrees.max()
    assert whole["targets"] == len(degrees)
    half = int(whole["half"])
    assert degrees.iloc[:half].sum() >= len(edges) / 2 > degrees.iloc[: half - 1].sum()
    shares = own[own["part"] == "targets"].set_index("top")["top_share"]
    assert shares[1] <= shares[3] <= shares[10] == 1
    assert table[table["part"] == "alone"]["target"].isin([str(k) for k in range(10)]).all()
    assert set(table.loc[table["part"] == "regions", "kind"]) == {item.PHOTOGRAPHS, item.NOISE, item.PHASES}


def test_fig7_label_graph_claims(table):
    found = evidence(table).set_index("claim")
    row = table[(table["kind"] == "universal") & (table["part"] == "targets") & (table["top"] == 3)].iloc[0]
    assert found.loc["dominant_labels", "network"] == "mlp_digits (top 3)"
    assert found.loc["dominant_labels", "estimate"] == row["crossed_top_share"]
    assert len(found.loc["dominant_labels_fill_space"]) == 2
    assert evidence(table.assign(status="not run here")).empty


def test_the_vector_at_full_length_is_judged_beside_noise_with_its_spectrum(table):
    full, noise = (rows_of(table, kind=kind, part="targets", top=3) for kind in (item.FULL, item.SPECTRUM))
    assert noise["draw"].tolist() == [0, 1, 2]
    row = evidence(table).set_index("claim").loc["dominant_labels_at_full_length"]
    assert row["estimate"] == full["crossed_top_share"].item()
    assert row["null"] == noise["crossed_top_share"].max()
    rates = rows_of(table, part="rate").set_index("kind")["fooling_rate"]
    assert rates[item.FULL] >= rates["universal"]


def test_noise_of_equal_spectrum_is_as_long_as_the_vector_at_full_length(monkeypatch):
    met = {}

    def labels(net, x, v=None):
        if v is not None:
            met[len(met)] = v
        return torch.arange(len(x)) % 3 + len(met) % 2

    monkeypatch.setattr(item.evaluate, "labels", labels)
    item.run(**SMALL)
    full, *noise = list(met.values())[-4:]
    for v in (full, *noise):
        assert v.abs().flatten().tolist() == pytest.approx([0.2] * v.numel())
    spectra = [torch.fft.fft2(v[0].double()).abs().flatten() for v in (full, *noise)]
    agree = [float(torch.corrcoef(torch.stack([spectra[0], other]))[0, 1]) for other in spectra[1:]]
    assert min(agree) > 0.3, "signs keep most of a spectrum, not all"
    assert not torch.equal(noise[0], noise[1])


def test_majority_and_components_by_hand():
    before = torch.tensor([0, 0, 0, 1, 2, 2, 5])
    after = torch.tensor([3, 3, 4, 3, 7, 6, 6])
    edges = graph.majority(before, after)
    assert edges == [(0, 3, 2, 3), (1, 3, 1, 1), (2, 6, 1, 2), (5, 6, 1, 1)], "of equals the first label"
    assert graph.components(edges) == [{0, 1, 3}, {2, 5, 6}]
    assert graph.components([(0, 1), (1, 2), (2, 0)]) == [{0, 1, 2}]


def test_crossed_shares_owe_nothing_to_few_images():
    """All labels different: the three most frequent hold 3 of 30 by choice, and none across the halves."""
    labels = torch.arange(30)
    assert int(torch.isin(labels, graph.most_frequent(labels, 3)).sum()) == 3
    assert not graph.crossed_hits(labels, 3).any()
    assert graph.crossed_hits(torch.tensor([4] * 9), 1).all()


def test_shuffled_labels_are_those_of_other_images():
    clean = torch.tensor([0, 0, 1, 2])
    draws = torch.Generator().manual_seed(0)
    other = graph.other_labels(clean, torch.tensor([0, 1, 1, 2] * 20), draws)
    own = torch.tensor([0, 1, 1, 2] * 20)
    assert (other != own).all()
    assert set(other[own == 0].tolist()) == {1, 2}


def test_random_phases_keep_mean_and_spectrum():
    x = 0.5 + 0.1 * torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    y = item.random_phases(x, 1)
    assert torch.allclose(y.mean((2, 3)), x.mean((2, 3)), atol=1e-4)
    moduli = [torch.fft.rfft2(z).abs() for z in (x, y)]
    inner = moduli[0][..., 1:8, 1:8], moduli[1][..., 1:8, 1:8]
    assert torch.allclose(*inner, atol=1e-3), "except where a real picture's phases must be its own mirror image"
    assert float((y - x).abs().mean()) > 0.01


def test_the_graph_of_cifar_may_be_drawn_from_more_images_than_are_scored():
    table = item.run(**SMALL | {"n_graph": 200, "n_shuffles": 1, "n_noise": 10})
    assert set(table.loc[table["part"] == "rate", "n"]) == {200}


def test_label_graph_is_whole_offline_and_reached_by_keyboard(table):
    page = label_graph(Run.of(table), "mlp_digits").data
    edges = table[(table["kind"] == "universal") & (table["part"] == "edge")]
    assert page.count('tabindex="0"') == edges["target"].nunique()
    assert page.count("<title>") == len(edges)
    assert "http" not in page
    assert "<script" not in page
    for said in re.findall('aria-label="([^"]*)"', page)[1:]:
        assert re.match(r"\d: from \d+ labels, \d+ images", said)


def test_label_graph_says_what_it_leaves_out():
    rows = [{"model": "m", "kind": "universal", "part": "edge", "source": f"<{k}>", "target": f"t{k % 20}", "count": 1, "n": 1}
            for k in range(60)]  # fmt: skip
    page = label_graph(Run.of(pd.DataFrame(rows)), "m", hubs=5).data
    assert "60 edges lead to 20 labels; shown are the 5 labels with the most edges, 15 edges" in page
    assert "<0>" not in page, "names are escaped"


def test_figure_draws_each_kind_once(table):
    run = Run.of(table)
    bars = item.figure(run).axes[0].containers
    assert [bar.get_label() for bar in bars] == list(dict.fromkeys(rows_of(table, part="targets")["kind"]))
    shares = rows_of(table, kind="universal", part="targets").sort_values("top")["top_share"]
    assert bars[0].lines[0].get_ydata().tolist() == pytest.approx(shares.tolist())
    assert len({(bar.lines[0].get_color(), bar.lines[0].get_marker()) for bar in bars}) == len(bars)
    regions = item.figure(run, "regions", "share of images").axes[0].containers
    assert [bar.get_label() for bar in regions] == [item.PHOTOGRAPHS, item.NOISE, item.PHASES]
    means = item.means(run, "targets", ["top", "top_share"])
    drawn = rows_of(table, kind=item.SHUFFLED, part="targets", top=3)["top_share"]
    assert rows_of(means, kind=item.SHUFFLED, top=3)["top_share"].item() == pytest.approx(drawn.mean())
    nothing = pd.DataFrame([{"model": "vgg16", "status": "not run here"}])
    assert item.figure(Run.of(nothing)).axes[0].texts[0].get_text() == "not run here"
