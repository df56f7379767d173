import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import power_norm, vector

from uapkit import norms

inf = math.inf
seeds = st.integers(0, 10_000)
inner = st.floats(1.05, 20.0)


@pytest.mark.parametrize(("p", "dual"), [(1, inf), (inf, 1), (2, 2), (4, 4 / 3), (1.5, 3)])
def test_dual_exponent_known(p, dual):
    assert norms.dual_exponent(p) == pytest.approx(dual)


@given(p=inner)
def test_dual_exponent_is_an_involution(p):
    assert norms.dual_exponent(norms.dual_exponent(p)) == pytest.approx(p)


@pytest.mark.parametrize("bad", [0.5, -1, math.nan])
def test_exponent_out_of_range(bad):
    for call in (lambda: norms.dual_exponent(bad), lambda: norms.psi(torch.ones(2), bad)):
        with pytest.raises(ValueError, match="must lie in"):
            call()
    with pytest.raises(ValueError, match="must lie in"):
        norms.lp_norm(torch.ones(2), bad)


@given(seed=seeds, r=st.sampled_from([1, 1.5, 2, 3, 10, inf]))
def test_lp_norm_is_the_definition(seed, r):
    z = vector(seed, 7)
    assert float(norms.lp_norm(z, r)) == pytest.approx(power_norm(z, r), rel=1e-12)
    a = z.view(7, 1) * torch.tensor([1.0, -2.0, 0.0])
    expected = [power_norm(a[:, j], r) for j in range(3)]
    assert norms.lp_norm(a, r, dim=0).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("r", [1.0, 2.0, 50.0, 200.0])
def test_lp_norm_neither_over_nor_underflows(scale, r):
    z = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float32)
    assert float(norms.lp_norm(z * scale, r)) == pytest.approx(scale * power_norm(z.double(), r), rel=1e-5)


def test_lp_norm_of_zero_and_of_what_is_not_finite():
    for r in (1, 2, 7.5, inf):
        assert float(norms.lp_norm(torch.zeros(3), r)) == 0
        assert math.isnan(norms.lp_norm(torch.tensor([1.0, math.nan]), r))
        assert float(norms.lp_norm(torch.tensor([1.0, -inf]), r)) == inf


def test_psi_known_answers():
    z = torch.tensor([-2.0, 0.0, 3.0])
    assert norms.psi(z, 1).tolist() == [-1, 0, 1]
    assert norms.psi(z, 2).tolist() == [-2, 0, 3]
    assert norms.psi(z, 3).tolist() == [-4, 0, 9]
    assert norms.psi(z, inf).tolist() == [0, 0, 1]
    assert norms.psi(torch.tensor([1.0, -3.0, 3.0]), inf).tolist() == [0, -1, 0]  # one of two largest: the first
    assert norms.psi(z, 3, scaled=True).tolist() == pytest.approx([-4 / 9, 0, 1])
    assert norms.psi(z.view(1, 3, 1), inf).shape == (1, 3, 1)


@given(seed=seeds, p=inner)
def test_psi_of_the_dual_exponent_inverts(seed, p):
    z = vector(seed, 6)
    back = norms.psi(norms.psi(z, p), norms.dual_exponent(p))
    torch.testing.assert_close(back, z, rtol=1e-8, atol=1e-10)


@given(seed=seeds, r=st.sampled_from([1, 1.5, 2, 10, inf]))
def test_psi_is_where_hoelder_is_tight(seed, r):
    """<z, psi_r(z)> = ||z||_r ||psi_r(z)||_r' on the ray of psi_r(z)."""
    z = vector(seed, 6)
    w = norms.psi(z, r, scaled=True)
    product = power_norm(z, r) * power_norm(w, norms.dual_exponent(r))
    assert float(z @ w) == pytest.approx(product, rel=1e-10)


@pytest.mark.parametrize("r", [1, 1.01, 5, 50, 200, 1e4, inf])
@pytest.mark.parametrize("scale", [0.0, 1e-44, 1e-30, 1.0, 1e30])
def test_psi_in_float32_stays_finite(r, scale):
    z = torch.tensor([3.0, -1.0, 0.0, -3.0], dtype=torch.float32) * scale
    assert torch.isfinite(norms.psi(z, r)).all()
    w = norms.psi(z, r, scaled=True)
    assert torch.isfinite(w).all()
    assert float(w.abs().max()) == (0 if scale == 0 else 1)
    assert bool((w * z >= 0).all())


@pytest.mark.parametrize("norm", [2, inf])
@given(seed=seeds, eps=st.floats(0, 5))
def test_project_is_nearest(norm, seed, eps):
    v = vector(seed, 6).view(1, 2, 3)
    u = norms.project(v, norm, eps)
    assert u.shape == v.shape
    assert power_norm(u, norm) <= eps * (1 + 1e-12)
    for k in range(20):  # the projection of a convex set: no point w of it has <v - u, w - u> > 0
        w = vector(seed + 1 + k, 6).view_as(v)
        w = w * eps / power_norm(w, norm)
        assert float(((v - u) * (w - u)).sum()) <= 1e-9
    if power_norm(v, norm) <= eps:
        assert torch.equal(u, v)


@pytest.mark.parametrize("norm", [2, inf])
@pytest.mark.parametrize("size", [0.1, 7.0])
def test_the_sphere_scales_up_and_down(norm, size):
    v = torch.tensor([3.0, -4.0]) * size
    u = norms.project(v, norm, 2.0, "sphere")
    assert float(norms.lp_norm(u, norm)) == pytest.approx(2.0)
    assert torch.allclose(u / u.norm(), v / v.norm())
    assert norms.project(torch.zeros(2), norm, 2.0, "sphere").tolist() == [0, 0]


def test_project_refuses():
    v = torch.ones(3)
    with pytest.raises(ValueError, match="eps must lie in"):
        norms.project(v, 2, -1)
    with pytest.raises(ValueError, match="norm must be 2 or inf"):
        norms.project(v, 1, 1)
    with pytest.raises(ValueError, match="not finite"):
        norms.project(v * math.nan, inf, 1)


def test_project_leaves_its_argument_alone():
    v = torch.tensor([3.0, 4.0])
    assert norms.project(v, 2, 1).tolist() == pytest.approx([0.6, 0.8])
    norms.project(v, 2, 10).zero_()
    assert v.tolist() == [3, 4]
