"""Random vectors of the subspace of normals: their length, their place, and the paper's claim on a small network."""

import pandas as pd
import pytest
import torch

from uapkit import evaluate, models, runner
from uapkit.lab import Run
from uapkit.papers.moosavi2017 import sec_subspace as item
from uapkit.papers.moosavi2017.normals import minimal
from uapkit.papers.moosavi2017.setting import bench_of, rephased

SMALL = {"models": ("mlp_digits",), "n_fit": 60, "n_groups": 3, "seed": 1}


def test_sec_subspace():
    table = item.run(**SMALL, n_eval=100, ks=(5, 20), n_random=4)
    rates = table.groupby(["kind", "k"])["fooling_rate"].mean()
    assert len(table) == 4 * 7
    assert rates[item.IN_NORMALS, 5] > rates[item.ANYWHERE, 0], "the paper's claim on a small network"
    assert (table["n"] == 100).all()
    assert table["l2_norm"].nunique() == 1
    found = runner.evidence("moosavi2017/sec_subspace", Run.of(table)).set_index("claim")
    gain = rates[item.IN_NORMALS, 20] - rates[item.ANYWHERE, 0]
    assert found.loc["subspace_beats_random", "estimate"] == pytest.approx(gain)
    other = rates[item.IN_NORMALS, 20] - rates[item.IN_IMAGES, 20]
    assert found.loc["subspace_beats_the_images_own", "estimate"] == pytest.approx(other)
    noise = rates[item.IN_NORMALS, 20] - rates[item.PHASES, 20]
    assert found.loc["subspace_beats_its_spectrum", "estimate"] == pytest.approx(noise)
    assert set(Run.of(table).measured["kind"]) == {item.IN_NORMALS}
    spread = item.spread(Run.of(table)).set_index(["kind", "k"])
    assert spread.loc[(item.IN_NORMALS, 5), "mean"] == pytest.approx(rates[item.IN_NORMALS, 5])
    assert (spread["draws"] == 4).all()


def test_random_vectors_have_the_radius_and_stay_in_the_subspace(monkeypatch):
    seen = []
    real = evaluate.fooled
    monkeypatch.setattr(evaluate, "fooled", lambda m, x, v, *a, **k: seen.append(v) or real(m, x, v, *a, **k))
    table = item.run(**SMALL, n_eval=20, ks=(5, 12), n_random=2)
    assert [float(v.norm()) * 255 for v in seen] == pytest.approx([table["l2_norm"].iloc[0]] * 14, rel=1e-4)
    inside = torch.stack([v.flatten() for v in seen[2:4]])
    fit = bench_of("digits", 60, 20, seed=1).split("mlp_digits").fit
    basis = minimal(models.load("mlp_digits"), fit, k=5, n_groups=3).vectors
    assert torch.allclose(inside @ basis.T @ basis, inside, atol=1e-4)
    for own, noise in zip(seen[2:6], seen[10:], strict=True):  # draw for draw, both k
        assert torch.allclose(torch.fft.fft2(own).abs(), torch.fft.fft2(noise).abs(), atol=1e-3 * float(own.norm()))
        assert abs(torch.cosine_similarity(own.flatten(), noise.flatten(), dim=0)) < 0.7, "the phases are new"
    assert not torch.allclose(seen[10], seen[11]), "each draw has phases of its own"


def test_new_phases_keep_spectrum_colours_and_length():
    v = torch.randn(3, 9, 8, generator=torch.Generator().manual_seed(0))
    v[2] = -v[0]  # opposite colours stay opposite
    noise = rephased(v, 5)
    assert noise.dtype == v.dtype
    assert noise.shape == v.shape
    assert float(noise.norm()) == pytest.approx(float(v.norm()), rel=1e-5)
    assert torch.allclose(torch.fft.fft2(noise).abs(), torch.fft.fft2(v).abs(), atol=1e-4)
    assert torch.allclose(noise[2], -noise[0], atol=1e-5)
    for one, other in ((v, rephased(v, 6)), (v, noise), (noise, rephased(v, 6))):
        assert abs(float(torch.cosine_similarity(one.flatten(), other.flatten(), dim=0))) < 0.4
    assert torch.equal(noise, rephased(v, 5))


def test_figure_has_a_dot_a_draw_and_a_bar_a_kind():
    rows = [
        {"model": "net", "status": "run", "kind": kind, "k": k, "draw": d, "fooling_rate": 0.1 * d}
        for kind, k in (("random direction", 0), ("subspace of normals", 10), ("subspace of normals", 100))
        for d in range(4)
    ]
    ax = item.figure(Run.of(pd.DataFrame(rows))).axes[0]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.15] * 3)
    assert [len(line.get_xdata()) for line in ax.lines] == [4, 4, 4]
    assert ax.get_yticklabels()[2].get_text() == "normals, 100"
    nothing = pd.DataFrame([{"model": "vgg16", "status": "not run here"}])
    assert item.figure(Run.of(nothing)).axes[0].texts[0].get_text() == "not run here"
