"""Paper J's subspaces: bases that are what they say, accuracy and attack energy with their nulls."""

import numpy as np
import pytest
import torch

from uapkit.curvature import Curvatures
from uapkit.experiments import jetley2018 as paper
from uapkit.experiments.jetley2018_shared import Curved, Subspaces, class_subspaces, stacked
from uapkit.experiments.jetley2018_subspaces import attack_directions
from uapkit.figures import curvature as plots_curvature

SMALL = {
    "models": ("mlp_digits",),
    "dims": (1, 4),
    "n_train": 120,
    "n_fit": 4,
    "n_eval": 80,
    "k": 4,
    "max_products": 40,
}


def classes(d, whole, n=2):
    found = []
    for c in range(n):
        q = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(c)))[0]
        values = torch.linspace(1, -1, d)
        keep = torch.arange(d) if whole else torch.tensor([0, 1, d - 2, d - 1])
        found.append(Curvatures(values[keep], q[:, keep], values[keep], True, (), "dense", c, 0.1, 5, 0.0))
    return found


def test_subspaces_take_the_directions_they_are_named_after():
    found = classes(12, whole=True)
    spaces = Subspaces(found, torch.eye(12))
    assert spaces.flat_is == "smallest curvatures"
    for kind, columns in (("positive", [0, 1]), ("negative", [11, 10]), ("both", [0, 11]), ("flat", [5, 6])):
        basis = spaces.basis(kind, 1 if kind == "both" else 2)
        wanted = torch.cat([one.vectors[:, columns] for one in found], 1)
        assert basis.shape == (12, 4)
        torch.testing.assert_close(basis.T @ basis, torch.eye(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(basis @ basis.T @ wanted, wanted, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"d must lie in \[1, 12\]"):
        spaces.basis("positive", 13)
    with pytest.raises(ValueError, match="kind of subspace"):
        spaces.basis("upper", 1)


def test_flat_is_the_complement_where_only_the_ends_are_known():
    found = classes(16, whole=False)
    spaces = Subspaces(found, torch.eye(16))
    assert spaces.flat_is == "complement of the ends"
    assert (spaces.most("positive"), spaces.most("flat")) == (2, 12)
    flat = spaces.of_class(0, "flat", 12)
    torch.testing.assert_close(found[0].vectors.T @ flat, torch.zeros(4, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.T @ flat, torch.eye(12), atol=1e-5, rtol=0)
    torch.testing.assert_close(spaces.of_class(0, "flat", 3), flat[:, :3])  # nested as d grows


def test_stacked_is_an_orthonormal_basis_of_the_span():
    a = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    for vectors, rank in ((a, 6), (torch.cat([a, a @ torch.randn(6, 30)], 1), 6), (torch.randn(8, 30), 8)):
        basis = stacked(vectors)
        assert basis.shape[1] == rank
        torch.testing.assert_close(basis.T @ basis, torch.eye(rank), atol=1e-4, rtol=0)
        torch.testing.assert_close(basis @ (basis.T @ vectors), vectors, atol=1e-3, rtol=1e-3)


@pytest.fixture(scope="module")
def study():
    found = Curved("digits", 4, 0, 80, 0, n_train=120, k=4)
    found.specs(["mlp_digits"])
    return found


def test_projection_keeps_the_mean_and_the_whole_space(study):
    whole = study.right("mlp_digits", "test")
    assert torch.equal(study.right("mlp_digits", "test", torch.eye(784)), whole)
    components = study.components("mlp_digits")
    torch.testing.assert_close(components.T @ components, torch.eye(components.shape[1]), atol=1e-4, rtol=0)
    centred = (study.part("train", "mlp_digits").x - study.mean_image("mlp_digits")).flatten(1)
    energy = (centred @ components).square().sum(0)
    assert (energy[:50] >= energy[1:51] - 1e-2).all(), "components stand in the order of their variance"


def test_fig3_accuracy():
    table = paper.fig3_accuracy(**SMALL)
    test = table[table["split"] == "test"].set_index(["kind", "m"])["accuracy"]
    assert (table["low"] <= table["accuracy"]).all()
    assert test["positive", 40] > test["random", 40] + 0.3, "curved directions carry what random ones do not"
    assert test["flat", 40] < 0.3
    flags = table.attrs["arrays"]["right/mlp_digits/positive/40"]
    assert flags.mean() == pytest.approx(test["positive", 40])
    evidence = paper.EVIDENCE["fig3_accuracy"](table)
    row = evidence[(evidence["claim"] == "few_directions_carry_accuracy")].iloc[0]
    assert row["estimate"] == pytest.approx(test["positive", 40] / test["whole", 784])
    assert row["null_high"] < row["low"]
    for draw in (plots_curvature.accuracy, plots_curvature.spectra):
        assert draw(table).axes


def test_fig3_attack_energy():
    table = paper.fig3_attack_energy(**SMALL | {"n_eval": 30}, attacks=("deepfool", "uap"), n_uap=20)
    whole = table.set_index(["attack", "kind", "m"])["norm_share"]
    assert whole["deepfool", "positive", 40] > table.loc[table["m"] == 40, "chance"].iloc[0] + 0.2
    assert whole["random", "random", 40] == pytest.approx(np.sqrt(40 / 784), abs=0.05)
    assert table["norm_share"].between(0, 1 + 1e-5).all()
    assert (table.loc[table["attack"] == "uap", "n"] == 1).all()
    evidence = paper.EVIDENCE["fig3_attack_energy"](table)
    assert set(evidence["network"]) == {"mlp_digits (deepfool)", "mlp_digits (uap)"}
    assert plots_curvature.energy(table, "mlp_digits").axes


def test_attack_directions(study):
    made = attack_directions(study, "mlp_digits", ("fgsm", "saliency", "random"), 0.2, 5)
    assert made["fgsm"].abs().max() == 1
    assert made["random"].shape == (80, 784)
    with pytest.raises(ValueError, match="attack"):
        attack_directions(study, "mlp_digits", ("pgd",), 0.2, 5)


def test_bases_are_computed_once(monkeypatch):
    study = Curved("digits", 4, 0, 20, 0, n_train=120, k=2, max_products=20)
    study.specs(["mlp_digits"])
    first = class_subspaces(study, "mlp_digits")
    monkeypatch.setattr(Curved, "_compute", lambda *a: pytest.fail("computed again"))
    assert class_subspaces(study, "mlp_digits").classes[3] is first.classes[3]
