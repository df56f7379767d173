"""Theorem 1 is exact in sample for every kind of rows; the figure ends where nothing is left."""

import pandas as pd
import pytest
import torch

from uapkit.lab import Run
from uapkit.papers.equivariant2019 import thm1_alignment


def test_thm1_alignment(small, evidence):
    table = thm1_alignment.run(**small, attacks=("gradient", "fgsm"), n_fit=100)
    inside = table[table["sample"] == "in sample"]
    assert (inside["survival"] >= inside["bound"] - 1e-9).all(), "in sample the theorem is exact, for every kind"
    assert inside["lambda"].to_numpy() == pytest.approx(inside["mean_square"].to_numpy(), rel=1e-5)
    spoken = table[table["bound"] > 0].groupby(["model", "attack", "kind", "sample"]).size()
    assert (spoken >= 20).all()
    assert len(spoken) == len(table.groupby(["model", "attack", "kind", "sample"]))
    start = inside[inside["delta"] == 0]
    assert (start["survival"] == 1).all()
    assert start["bound"].to_numpy() == pytest.approx(start["lambda"].to_numpy())
    assert (table["same_sign"].dropna() >= 0.5).all()
    claims = evidence(thm1_alignment, table)
    assert (claims.loc[claims["claim"] == "bound_holds_in_sample", "low"] >= 0).all()
    assert (claims["n"] == 100).all()


def test_survival_ends_where_nothing_is_left():
    rows = [
        {
            "status": "run", "model": "n", "attack": "fgsm", "kind": "trained", "sample": sample, "delta": d,
            "survival": s, "bound": b,
        }
        for sample in ("held out", "in sample")
        for d, s, b in ((0.0, 1.0, 0.1), (0.3, 0.2, 0.0), (0.9, 0.0, 0.0))
    ]  # fmt: skip
    ax = thm1_alignment.figure(Run.of(pd.DataFrame(rows))).axes[0]
    assert ax.get_xlim() == pytest.approx((0, 0.4))
    bound = next(line for line in ax.lines if line.get_label() == "bound of Theorem 1")
    assert list(bound.get_ydata()) == [0.1, 0, 0]


def test_the_halves_vectors_get_one_sign(monkeypatch):
    """An eigenvector's sign is free: whichever way the second half's points, the held out cosines have one sign."""
    rows = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) * 0.2
    rows[:, 0] += 1
    rows = rows / rows.norm(dim=1, keepdim=True)
    leading = thm1_alignment.leading

    def turned(fit, k):
        values, v = leading(fit, k)
        return values, -v if torch.equal(fit, rows[20:]) else v

    plain = thm1_alignment.aligned(rows, 5)
    assert all(row["same_sign"] == 1 for row in plain)
    monkeypatch.setattr(thm1_alignment, "leading", turned)
    assert thm1_alignment.aligned(rows, 5) == plain
