"""Energy of universal perturbations: complementary spans hold all of it, random signs what chance gives."""

import pytest

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import sec_uap_energy as item


@pytest.fixture(scope="module")
def run():
    small = {"n_fit": 60, "n_uap": 20, "n_eval": 60, "n_draws": 2, "shares": (0.1, 0.9), "n_curvature": 0, "seed": 3}
    return Run.of(item.run(models=("mlp_digits",), **small))


def test_sec_uap_energy(run):
    uap, null = (run.where(attack=attack) for attack in ("uap", "random signs"))
    assert null["is_null"].all()
    hi = uap[(uap["kind"] == "S_hi") & (uap["share"] == 0.1)]
    assert (hi["norm_share"] > 1.5 * hi["chance"]).all()
    assert (null["norm_share"] - null["chance"]).abs().max() < 0.12
    parts = uap[uap["draw"] == 0].set_index(["kind", "share"])["norm_share"]
    whole = parts["S_hi", 0.1] ** 2 + parts["S_lo", 0.9] ** 2
    assert whole == pytest.approx(1, abs=1e-4), "78 and 706 dimensions are complementary"
    evidence = evidence_table(list(item.claims(run))).iloc[0]
    assert evidence["estimate"] == pytest.approx(hi["norm_share"].mean(), rel=1e-5)
    assert evidence["null_high"] < evidence["low"]


def test_all_images_cannot_be_used_up_for_the_perturbation():
    with pytest.raises(ValueError, match="n_uap must be below the 5 images"):
        item.run(models=("mlp_digits",), n_fit=10, n_uap=5, n_eval=0, shares=(0.1,), n_curvature=0)


def test_the_figure_draws_only_the_spans_that_are_there(run):
    labels = {text.get_text() for text in item.figure(run).legends[0].get_texts()}
    assert {"uap in S_hi", "random signs in S_hi"} <= labels
    assert not any("curvature" in label for label in labels)
    assert len([ax for ax in item.gallery(run).axes if ax.images]) == 2, "the first perturbation and the first null"
