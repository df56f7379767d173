"""Paper M's normals: what a linear network must give, the split, and spectra that are known."""

import math

import pytest
import torch

from uapkit import models
from uapkit.attacks import deepfool
from uapkit.experiments import moosavi2017 as paper
from uapkit.experiments import moosavi2017_subspace as module
from uapkit.experiments.moosavi2017_minimal import all_values, minimal
from uapkit.experiments.moosavi2017_shared import Study

SMALL = {"models": ("mlp_digits",), "n_fit": 60, "n_groups": 3, "seed": 1}


@pytest.fixture(scope="module")
def spectrum():
    return paper.fig9_spectrum(**SMALL)


def test_fig9_spectrum(spectrum):
    whole = spectrum[spectrum["group"].isna()]
    values = spectrum.attrs["arrays"]
    assert set(whole["kind"]) == {module.NORMALS, module.SPHERE, module.INSIDE}
    for kind in set(whole["kind"]):
        squares = float((torch.from_numpy(values[f"values/mlp_digits/{kind}"]).double() ** 2).sum())
        assert squares == pytest.approx(60, rel=1e-4), "unit rows"
    half = whole.drop_duplicates("kind").set_index("kind")["half"]
    assert half[module.NORMALS] < half[module.SPHERE], "the paper's claim on a small network"
    assert spectrum[spectrum["group"].notna()].groupby("kind").size().eq(3).all()


def test_fig9_spectrum_evidence(spectrum):
    claims = paper.EVIDENCE["fig9_spectrum"](spectrum)
    assert claims["claim"].tolist() == ["fast_decay"], "60 images in 784 dimensions: their subspace is not known"
    energy = spectrum[spectrum["group"].notna()].groupby("kind")["energy"].mean()
    assert claims["estimate"].item() == pytest.approx(energy[module.NORMALS] - energy[module.SPHERE])
    enough = spectrum.assign(d=spectrum["n"].min())
    assert paper.EVIDENCE["fig9_spectrum"](enough)["claim"].tolist() == [
        "fast_decay",
        "faster_than_in_the_images_subspace",
    ]


def test_normals_of_a_linear_network_span_its_classes():
    """Each normal is a difference of two rows of the weights: rank at most classes - 1, whatever the images."""
    study = Study("digits", 80, n_eval=1, seed=0)
    images, _ = study.x("linear_digits")
    found = minimal(models.load("linear_digits"), images, k=20, n_groups=4)
    share = found["values"][:9].square().sum() / found["values"].square().sum()
    assert float(share) == pytest.approx(1, abs=1e-5)
    w = models.load("linear_digits").net.fc.weight
    basis = torch.linalg.qr((w[1:] - w[:1]).T)[0]
    first = found["vectors"][0]
    assert float((basis @ (basis.T @ first) - first).norm()) < 1e-3


def test_minimal_keeps_deepfools_own_perturbations():
    study = Study("digits", 12, n_eval=1, seed=0)
    images, _ = study.x("mlp_digits")
    net = models.load("mlp_digits")
    found, r = minimal(net, images, k=3, n_groups=2), deepfool(net, images.x)
    assert bool(r.success.all())
    assert torch.allclose(found["single"], r.r.flatten(1)[:10], atol=1e-6)
    assert torch.allclose(found["total"], r.r.sum(0).flatten(), atol=1e-5)
    assert torch.allclose(found["lengths"], r.r.flatten(1).norm(dim=1), rtol=1e-5)
    with pytest.raises(ValueError, match="too few for n_groups = 13"):
        minimal(net, images, k=3, n_groups=13)


def test_all_values_are_singular_values():
    for shape in ((5, 9), (9, 5)):
        a = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(all_values(a), torch.linalg.svdvals(a.double()), atol=1e-8)


def test_sec_subspace():
    table = paper.sec_subspace(**SMALL, n_eval=100, ks=(5, 20), n_random=4)
    rates = table.groupby(["kind", "k"])["fooling_rate"].mean()
    assert len(table) == 4 * 5
    assert rates[module.IN_NORMALS, 5] > rates[module.ANYWHERE, 0], "the paper's claim on a small network"
    assert (table["n"] == 100).all()
    assert table["l2_norm"].nunique() == 1
    claims = paper.EVIDENCE["sec_subspace"](table).set_index("claim")
    gain = rates[module.IN_NORMALS, 20] - rates[module.ANYWHERE, 0]
    assert claims.loc["subspace_beats_random", "estimate"] == pytest.approx(gain)
    other = rates[module.IN_NORMALS, 20] - rates[module.IN_IMAGES, 20]
    assert claims.loc["subspace_beats_the_images_own", "estimate"] == pytest.approx(other)


def test_random_vectors_have_the_radius_and_stay_in_the_subspace(monkeypatch):
    seen = []
    real = module.evaluate.fooled
    monkeypatch.setattr(module.evaluate, "fooled", lambda m, x, v, *a, **k: seen.append(v) or real(m, x, v, *a, **k))
    table = paper.sec_subspace(**SMALL, n_eval=20, ks=(5,), n_random=2)
    assert [float(v.norm()) * 255 for v in seen] == pytest.approx([table["l2_norm"].iloc[0]] * 6, rel=1e-4)
    inside = torch.stack([v.flatten() for v in seen[2:4]])
    study = Study("digits", 60, n_eval=20, seed=1)
    basis = minimal(models.load("mlp_digits"), study.x("mlp_digits")[0], k=5, n_groups=3)["vectors"]
    assert torch.allclose(inside @ basis.T @ basis, inside, atol=1e-4)


def test_networks_that_are_not_here_keep_their_row():
    table = paper.fig9_spectrum(**SMALL | {"models": ("vgg16",)})
    assert table["status"].tolist() == ["not run here"]
    assert paper.EVIDENCE["fig9_spectrum"](table.assign(group=math.nan)).empty
