"""Principal curvatures where they are known: quadratic scores, a planted direction, dense against Lanczos and ARPACK."""

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import aslinearoperator, eigsh
from torch import nn

from uapkit import curvature, data, models
from uapkit.models.smooth import softened
from uapkit.operators import DenseOperator

SHAPE, D = (1, 4, 5), 20


def orthogonal(d, seed=0):
    return torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))[0]


class Quadratic(nn.Module):
    """Scores 1/2 x^T A_c x + b_c^T x, whose Hessians are the A_c."""

    def __init__(self, matrices, slopes, shape=SHAPE):
        super().__init__()
        self.register_buffer("a", matrices)
        self.register_buffer("b", slopes)

    def forward(self, x):
        x = x.flatten(1)
        return torch.einsum("nd,cde,ne->nc", x, self.a, x) / 2 + x @ self.b.T


@pytest.fixture(scope="module")
def quadratic():
    """Three classes; the Hessian of F_1 - F_0 has known eigenvalues and vectors, class 2 never wins."""
    values = torch.linspace(3.0, -2.0, D, dtype=torch.float64)
    vectors = orthogonal(D)
    a = torch.stack([torch.eye(D, dtype=torch.float64), vectors @ values.diag() @ vectors.T, torch.zeros(D, D)])
    a[1] += a[0]
    b = torch.zeros(3, D, dtype=torch.float64)
    b[0], b[1], b[2] = 2.0, 1.0, -50.0
    x = torch.rand(12, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return Quadratic(a, b).eval(), x, values, vectors


def settings(**other):
    return {"overshoot": 0.05, "max_iter": 50} | other


@pytest.mark.parametrize("step", [None, 0.3, "paper"])
@pytest.mark.parametrize("method", ["dense", "lanczos"])
def test_quadratic_scores_have_known_curvatures(quadratic, step, method):
    model, x, values, vectors = quadratic
    found = curvature.principal_curvatures(model, x, 1, k=4, step=step, method=method, **settings())
    wanted = torch.cat([values[:4], values[-4:]])
    torch.testing.assert_close(found.values, wanted, atol=1e-6, rtol=0)
    cosines = (found.vectors * torch.cat([vectors[:, :4], vectors[:, -4:]], 1)).sum(0).abs()
    torch.testing.assert_close(cosines, torch.ones(8, dtype=torch.float64), atol=1e-6, rtol=0)
    assert found.converged
    assert float(found.residuals.max()) < 1e-6
    assert found.asymmetry < 1e-8
    assert not found.whole
    assert (found.method, found.target) == (method, 1)


def test_the_whole_basis_is_orthonormal_and_sorted(quadratic):
    model, x, values, _ = quadratic
    found = curvature.principal_curvatures(model, x, 1, n_check=3, **settings())
    assert found.whole
    torch.testing.assert_close(found.values, values, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.vectors.T @ found.vectors, torch.eye(D, dtype=torch.float64))
    assert found.residuals.isnan().sum() == D - 6, "measured at three pairs of each end"


def test_positive_curvature_moves_images_into_the_class(quadratic):
    """The sign convention: far along the first direction the target wins, along the last one it loses."""
    model, x, *_ = quadratic
    found = curvature.principal_curvatures(model, x, 1, k=1, **settings())
    for sign in (1, -1):
        into, out = (model(x + sign * 60 * found.vectors[:, i].view(SHAPE)) for i in (0, 1))
        assert (into.argmax(1) == 1).all()
        assert (out.argmax(1) != 1).all()


def test_a_planted_direction_is_found():
    """An affine network plus one bump along v: v is the direction of the largest curvature by modulus."""
    v = orthogonal(D, 3)[:, 0]

    class Planted(nn.Module):
        def forward(self, x):
            x = x.flatten(1)
            along = x @ v
            return torch.stack([x.sum(1), x.sum(1) * 0.8 + along.cosh()], 1)

    x = torch.rand(10, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = curvature.principal_curvatures(Planted().eval(), x, 1, k=2, step=0.5, method="lanczos", **settings())
    assert abs(float(found.vectors[:, 0] @ v)) > 0.999
    assert float(found.values[0]) > 100 * float(found.values[1].abs())


def test_lanczos_dense_and_arpack_agree():
    values = torch.cat([torch.linspace(5, 2, 6), 0.1 * torch.randn(140, generator=torch.Generator().manual_seed(0))])
    values = torch.cat([values, torch.linspace(-2, -4, 4)]).double().sort(descending=True).values
    basis = orthogonal(150)
    a = basis @ values.diag() @ basis.T
    op = DenseOperator(a)
    lanczos, vectors, asymmetry, converged, history = curvature.ends(op, 4, rtol=1e-6)
    assert converged
    assert asymmetry < 1e-6
    assert history[-1] <= 1e-6 < history[0]
    torch.testing.assert_close(lanczos, torch.cat([values[:4], values[-4:]]), atol=1e-5, rtol=0)
    residual = torch.linalg.vector_norm(a @ vectors - vectors * lanczos, dim=0)
    assert float(residual.max()) < 1e-4
    dense = curvature.whole_basis(op)[0]
    torch.testing.assert_close(dense, values, atol=1e-8, rtol=0)
    arpack = eigsh(aslinearoperator(op), k=8, which="BE", return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(arpack)[::-1], lanczos, atol=1e-5)


def test_lanczos_that_stops_early_says_so():
    a = torch.diag(torch.linspace(1, -1, 100, dtype=torch.float64))
    *_, converged, history = curvature.ends(DenseOperator(a), 3, max_products=8, rtol=1e-6)
    assert not converged
    assert history[-1] > 1e-6


def test_lanczos_leaves_an_invariant_subspace():
    a = torch.zeros(30, 30, dtype=torch.float64)
    a[0, 0], a[1, 1] = 2.0, -1.0
    values, *_ = curvature.ends(DenseOperator(a), 3, rtol=1e-12)
    torch.testing.assert_close(values, torch.tensor([2.0, 0, 0, 0, 0, -1.0], dtype=torch.float64), atol=1e-10, rtol=0)


@pytest.fixture(scope="module")
def digits():
    return models.load("mlp_digits"), data.load("digits", split="train", n=20)


def test_relu_networks_have_no_exact_curvature_but_a_finite_one(digits):
    model, images = digits
    exact = curvature.principal_curvatures(model, images[:6], 3, k=2, step=None, method="lanczos")
    assert exact.values.abs().max() == 0
    finite = curvature.principal_curvatures(model, images[:6], 3, k=2, method="lanczos")
    assert finite.values[0] > 0 > finite.values[-1]
    smooth = curvature.principal_curvatures(softened(model, 3.0), images[:6], 3, k=2, step=None, method="lanczos")
    assert smooth.values[0] > 0
    noisy = curvature.principal_curvatures(model, images[:6], 3, k=2, noise=0.05, method="lanczos")
    assert noisy.n == finite.n
    assert noisy.values[0] > 0


def test_softened_network_approaches_the_original(digits):
    x = digits[1].x[:4]
    for name in ("mlp_digits", "lenet_digits", "gcnn_digits"):
        model = models.load(name)
        gaps = [float((softened(model, beta)(x) - model(x)).abs().max()) for beta in (1.0, 10.0, 1000.0)]
        assert gaps[0] > gaps[1] > gaps[2]
        assert gaps[2] < 0.02


def test_soft_max_pooling_with_padding_is_max_pooling_in_the_limit():
    pool = nn.MaxPool2d(3, 2, 1)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    soft = softened(nn.Sequential(pool).eval(), 1e3)
    torch.testing.assert_close(soft(x), pool(x), atol=3e-3, rtol=0)


def test_boundary_points_lie_before_the_boundary(digits):
    model, images = digits
    points, rivals = curvature.boundary_points(model, images, 4)
    assert 0 < len(points) < len(images), "images of the target itself are left out"
    assert (rivals != 4).all()
    before = model(points).softmax(1)[:, 4]
    assert float(before.median()) < 0.5, "still on the other side, at nearly equal scores"
    start = model(images.x).softmax(1)[:, 4]
    assert float(before.median()) > float(start.median())


def test_paper_step_is_that_of_the_released_code():
    assert curvature.paper_step((1, 28, 28)) == pytest.approx(0.547, abs=1e-3)
    assert 255 * curvature.paper_step((3, 32, 32)) == pytest.approx(276, abs=1)
    assert curvature.paper_step((1, 1, 4), (-1, 1), 1.0) == 2 * 2 / 512


def test_bad_input(digits):
    model, images = digits
    principal = curvature.principal_curvatures
    with pytest.raises(ValueError, match=r"k must lie in \[1, 392\]"):
        principal(model, images, 3, k=393)
    with pytest.raises(ValueError, match="step"):
        principal(model, images, 3, k=2, step=0.0)
    with pytest.raises(ValueError, match="method"):
        principal(model, images, 3, k=2, method="arnoldi")
    with pytest.raises(ValueError, match="ends only"):
        principal(model, images, 3, method="lanczos")
    with pytest.raises(ValueError, match="no image reaches class 3"):
        principal(model, images[model.predict(images) == 3], 3, k=2)
    with pytest.raises(ValueError, match="target"):
        principal(model, images, 10, k=2)
    with pytest.raises(ValueError, match="max_products"):
        principal(model, images, 3, k=20, method="lanczos", max_products=30)
    with pytest.raises(ValueError, match="nothing to soften"):
        softened(nn.Linear(2, 2).eval(), 1.0)
    with pytest.raises(ValueError, match="beta"):
        softened(model, 0.0)
    assert math.isnan(principal(model, images[:6], 3, k=2, method="lanczos", n_check=0).residuals[0])


def test_a_finite_step_counts_the_kinks_it_crosses():
    """Along v, a one-layer ReLU network's finite-step curvature is the sum of the slope jumps within h, over 2 h."""
    rng = torch.Generator().manual_seed(4)
    w, b = torch.randn(30, D, generator=rng, dtype=torch.float64), torch.randn(30, generator=rng, dtype=torch.float64)
    a = torch.randn(30, generator=rng, dtype=torch.float64)

    class OneLayer(nn.Module):
        def forward(self, x):
            return torch.stack([torch.relu(x.flatten(1) @ w.T + b) @ a, torch.zeros(len(x), dtype=x.dtype)], 1)

    x = torch.rand(1, *SHAPE, dtype=torch.float64, generator=rng)
    v = orthogonal(D, 5)[:, 0]
    for h in (0.01, 0.2, 1.0):
        op = curvature.MeanHessian(OneLayer().eval(), x, torch.tensor([1]), 0, step=h, chunk=None)
        at, slope = w @ x.flatten() + b, w @ v
        crossed = at.abs() < h * slope.abs()
        wanted = (a * slope.abs())[crossed].sum() / (2 * h)
        assert float(v @ op.matvec(v)) == pytest.approx(float(wanted), abs=1e-9)


def test_how_many_residuals_are_measured(quadratic):
    model, x, *_ = quadratic
    found = curvature.principal_curvatures(model, x, 1, **settings())
    assert not found.residuals.isnan().any(), "ten of each end, unless somebody says otherwise: here all"
    assert curvature.principal_curvatures(model, x, 1, n_check=0, **settings()).residuals.isnan().all()
    with pytest.raises(ValueError, match="n_check must be an integer of at least 0, got -1"):
        curvature.principal_curvatures(model, x, 1, n_check=-1, **settings())
    with pytest.raises(FrozenInstanceError):
        found.values = None


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_residuals_are_relative_and_looked_at_when_there_are_enough_vectors(scale):
    a = scale * torch.diag(torch.linspace(1, -1, 100, dtype=torch.float64))
    *_, history = curvature.ends(DenseOperator(a), 8, max_products=40, rtol=0)
    assert len(history) == 3, "after 20, 30 and 40 products; after 10 there are no 16 ends yet"
    *_, expected = curvature.ends(DenseOperator(a / scale), 8, max_products=40, rtol=0)
    assert history == pytest.approx(expected, rel=1e-6)


def test_the_asymmetry_is_a_share():
    a = torch.zeros(2, 2, dtype=torch.float64)
    a[0, 1] = 3.0
    assert curvature.whole_basis(DenseOperator(a))[2] == pytest.approx(math.sqrt(2))
    assert curvature.whole_basis(DenseOperator(a + a.T))[2] == pytest.approx(0, abs=1e-12)
    assert curvature.whole_basis(DenseOperator(0 * a))[2] == 0
