"""Curvature subspaces: bases that are what they say, and nulls of the same dimension."""

import math

import pandas as pd
import pytest
import torch

from uapkit import lab
from uapkit.curvature import Curvatures
from uapkit.lab import Run, keeping
from uapkit.papers.jetley2018.subspaces import (
    FOREMOST,
    Curved,
    Subspaces,
    curved_at,
    deciding,
    overlap_of,
    principal_components,
    stacked,
)


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


def test_no_flat_subspace_where_only_the_ends_are_known():
    """What is orthogonal to both ends is a random subspace, and comparing it with one says nothing."""
    spaces = Subspaces(classes(16, whole=False), torch.eye(16))
    assert (spaces.most("positive"), spaces.most("flat")) == (2, 0)
    assert {kind for kind, *_ in spaces.with_nulls((1, 2))} == {"positive", "negative", "both", "random", "data"}
    with pytest.raises(ValueError, match="whole eigenbasis"):
        spaces.basis("flat", 1)


def test_overlap_is_that_of_the_worse_end():
    one, other = classes(12, whole=True)
    assert overlap_of(one, one, 2) == pytest.approx(1, abs=1e-5)
    cosines = one.vectors.T @ other.vectors
    ends = [float(cosines[at, at].square().sum()) / 2 for at in (slice(0, 2), slice(10, 12))]
    assert overlap_of(one, other, 2) == pytest.approx(min(ends), rel=1e-5)


def test_halves_are_disjoint_and_vouch_for_the_whole():
    curved = Curved(lab.Bench("digits", 120, 0, 10, 0, from_training=True), 40, k=5, max_products=40)
    found, halves = curved.vouched("mlp_digits", 3), curved.halves("mlp_digits", 3)
    assert found == {"converged": False, "overlap_halves": overlap_of(*halves)}
    assert sum(half.n for half in halves) == curved.curvatures("mlp_digits", 3).n
    assert found["overlap_halves"] > 5 * FOREMOST / 784, "far above chance"
    few = Curved(curved.bench, 1, k=5, max_products=10).vouched("mlp_digits", 3)
    assert math.isnan(few["overlap_halves"])


@pytest.mark.parametrize(
    ("columns", "decide"),
    [
        ({"converged": True, "overlap_halves": 0.3}, True),
        ({"converged": True, "overlap_halves": 0.1}, False),
        ({"converged": False, "overlap_halves": 0.9}, False),
        ({"converged": True, "overlap_halves": math.nan}, False),
    ],
)
def test_only_directions_that_are_vouched_for_decide(columns, decide):
    rows = pd.DataFrame([{"model": "net", **columns}])
    assert len(deciding(Run(rows), "net", rows)) == decide


def test_of_older_tables_only_whole_bases_decide():
    rows = pd.DataFrame([{"model": "net"}])
    for k, decide in ((None, True), (25, False), ({"net": None, "other": 25}, True), ({"other": 25}, False)):
        assert len(deciding(Run(rows, provenance={"params": {"k": k}}), "net", rows)) == decide


def test_every_subspace_has_nulls_of_its_dimension():
    spaces = Subspaces(classes(12, whole=True), torch.eye(12)[:, :3])
    found = spaces.with_nulls((1, 2, 99))
    sizes = {kind: sorted(basis.shape[1] for k, _, basis in found if k == kind) for kind, *_ in found}
    assert sizes.pop("both") == [4, 8]
    assert sizes.pop("random") == [2, 4, 8]
    assert sizes.pop("data") == [2], "there are three components"
    assert sizes == {kind: [2, 4] for kind in ("positive", "negative", "flat")}


def test_stacked_is_an_orthonormal_basis_of_the_span():
    a = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    for vectors, rank in ((a, 6), (torch.cat([a, a @ torch.randn(6, 30)], 1), 6), (torch.randn(8, 30), 8)):
        basis = stacked(vectors)
        assert basis.shape[1] == rank
        torch.testing.assert_close(basis.T @ basis, torch.eye(rank), atol=1e-4, rtol=0)
        torch.testing.assert_close(basis @ (basis.T @ vectors), vectors, atol=1e-3, rtol=1e-3)


def test_components_stand_in_the_order_of_their_variance():
    images = lab.Bench("digits", 120, 0, 10, from_training=True).split("mlp_digits").fit
    centred = (images.x - images.x.mean(0)).flatten(1)
    components = principal_components(centred)
    torch.testing.assert_close(components.T @ components, torch.eye(components.shape[1]), atol=1e-4, rtol=0)
    energy = (centred @ components).square().sum(0)
    assert (energy[:50] >= energy[1:51] - 1e-2).all()


def test_bases_are_computed_once_and_each_class_has_its_own(tmp_path):
    bench = lab.Bench("digits", 120, 0, 20, from_training=True)
    curved = Curved(bench, 4, k=2, max_products=20)
    with keeping(tmp_path) as memo:
        first = curved.subspaces("mlp_digits")
        assert memo.computed == 10 + 1, "a basis a class, and the components"
    with keeping(tmp_path) as memo:
        again = Curved(bench, 4, k=2, max_products=20).subspaces("mlp_digits")
        assert (memo.reused, memo.computed) == (11, 0)
        assert torch.equal(again.classes[3].vectors, first.classes[3].vectors)
        assert not torch.equal(again.classes[3].vectors, again.classes[4].vectors)
        other = Curved(bench, 5, k=2, max_products=20).curvatures("mlp_digits", 3)
        assert memo.computed == 1
    assert not torch.equal(other.vectors, first.classes[3].vectors)
    torch.testing.assert_close(curved.curvatures("mlp_digits", 3).vectors, first.classes[3].vectors, atol=0, rtol=0)


def test_curvature_beside_spans_only_where_points_are_asked_for():
    bench = lab.Bench("digits", 10, 0, 10, from_training=True)
    by_network = {"mlp_digits": 3, "other": 0}
    assert curved_at(bench, "lenet_digits", by_network, 40, k=2, max_products=10) is None
    spaces = curved_at(bench, "mlp_digits", by_network, 40, k=2, max_products=10)
    assert len(spaces.classes) == 10
