import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import Plain, best_sign_value, matrix, power_norm, vector

from uapkit.norms import dual_exponent
from uapkit.operators import DenseOperator
from uapkit.singular import pq_singular

inf = math.inf
seeds = st.integers(0, 10_000)
exponents = st.sampled_from([1, 1.5, 2, 3, 10, inf])
CORNERS = [(p, q) for p in (1, 1.5, 2, 5, inf) for q in (1, 1.5, 2, 5, inf)]


def psi(z, r):
    """Textbook psi; a one-hot for r = inf."""
    if r == inf:
        one = torch.zeros_like(z)
        one[z.abs().argmax()] = z[z.abs().argmax()].sign()
        return one
    return z.sign() * z.abs() ** (r - 1)


@given(seed=seeds, p=exponents, q=exponents)
def test_pq_history_never_decreases(seed, p, q):
    pair = pq_singular(Plain(matrix(seed, 9, 6)), p=p, q=q, v0=vector(seed, 6))
    h = [pair.start_value, *pair.history]
    assert all(b >= a for a, b in itertools.pairwise(h))
    assert len(pair.history) == pair.n_iter <= 30
    assert pair.history[-1] == pair.value


@pytest.mark.parametrize(("p", "q"), CORNERS)
def test_iterates_are_those_of_the_textbook(p, q):
    """Dense float64 reference of every step, value and vector."""
    a, v = matrix(1, 9, 6), vector(2, 6)
    v = v.sign() if p == inf else v / power_norm(v, p)
    trace = []
    pair = pq_singular(Plain(a), p=p, q=q, v0=vector(2, 6), max_iter=3, callback=lambda *step: trace.append(step))
    assert pair.start_value == pytest.approx(power_norm(a @ v, q))
    assert [k for k, _, _ in trace] == list(range(1, pair.n_iter + 1))
    for (_, mine, value), told in zip(trace, pair.history, strict=True):
        v = psi(a.T @ psi(a @ v, q), dual_exponent(p))
        v = v / power_norm(v, p)
        torch.testing.assert_close(mine, v, rtol=1e-9, atol=1e-9)
        assert value == told == pytest.approx(power_norm(a @ v, q), rel=1e-12)


@given(seed=seeds, p=exponents, q=exponents, closed=st.booleans())
def test_vector_and_value_belong_together(seed, p, q, closed):
    a = matrix(seed, 7, 5)
    pair = pq_singular(DenseOperator(a) if closed else Plain(a), p=p, q=q, seed=seed, max_iter=4)
    assert power_norm(pair.v, p) == pytest.approx(1, rel=1e-9)
    assert power_norm(a @ pair.v, q) == pytest.approx(pair.value, rel=1e-9)
    assert (pair.p, pair.q) == (p, q)


@pytest.mark.parametrize(("rows", "columns"), [(9, 6), (4, 7)])
@pytest.mark.parametrize("seed", range(3))
def test_p_q_2_is_the_svd(rows, columns, seed):
    a = matrix(seed, rows, columns)
    _, s, vh = torch.linalg.svd(a)
    for op, tol in ((Plain(a), 1e-5), (DenseOperator(a), 1e-10)):
        pair = pq_singular(op, p=2, q=2, max_iter=3000)
        assert pair.converged
        assert pair.value == pytest.approx(float(s[0]), rel=1e-10)
        assert abs(float(pair.v @ vh[0])) == pytest.approx(1, abs=tol)
    assert pq_singular(DenseOperator(a), p=2, q=2, max_iter=1).value == pytest.approx(float(s[0]), rel=1e-12)


@pytest.mark.parametrize(("p", "q"), [(1.5, 1), (2, 1.5), (2, 2), (3, 2), (3, 3), (10, 3)])
def test_nonnegative_matrix_has_one_maximiser(p, q):
    """Boyd's theorem: a positive matrix with q <= p has a unique maximiser up to sign, reached from any start."""
    a = matrix(3, 9, 6).abs()
    pairs = [pq_singular(Plain(a), p=p, q=q, seed=s, max_iter=2000) for s in range(10)]
    assert all(pair.converged for pair in pairs)
    for pair in pairs:
        v = pair.v * pair.v[0].sign()
        assert bool((v > 0).all())
        assert pair.value == pytest.approx(pairs[0].value, rel=1e-9)
        torch.testing.assert_close(v, pairs[0].v.abs(), rtol=0, atol=1e-4)
    for s in range(200):
        w = vector(s, 6)
        assert power_norm(a @ w, q) / power_norm(w, p) <= pairs[0].value * (1 + 1e-12)


@pytest.mark.parametrize("q", [1, 1.5, 2, 5, 10, inf])
def test_p_inf_against_all_sign_vectors(q):
    a = matrix(5, 8, 6)
    best = best_sign_value(a, q)
    values = [pq_singular(Plain(a), p=inf, q=q, seed=s, max_iter=100).value for s in range(60)]
    assert max(values) <= best * (1 + 1e-12)
    assert max(values) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("r", [1, 1.5, 2, 10, inf])
def test_closed_forms(r):
    a = matrix(6, 8, 5)
    columns = max(power_norm(a[:, j], r) for j in range(5))
    pair = pq_singular(DenseOperator(a), p=1, q=r)
    assert pair.value == pytest.approx(columns, rel=1e-12)
    assert int((pair.v != 0).sum()) == 1
    rows = max(power_norm(a[i], dual_exponent(r)) for i in range(8))
    pair = pq_singular(DenseOperator(a), p=r, q=inf)
    assert pair.value == pytest.approx(rows, rel=1e-12)
    assert pair.converged
    assert pair.n_iter == 1
    many = max(pq_singular(Plain(a), p=r, q=inf, seed=s).value for s in range(60))
    assert many == pytest.approx(rows, rel=1e-9)


@given(seed=seeds, p=exponents, q=exponents)
def test_one_row_is_solved_in_one_step(seed, p, q):
    """One linear functional: its dual norm, whatever q; for p = inf the sign of the gradient."""
    a = matrix(seed, 1, 6)
    pair = pq_singular(Plain(a), p=p, q=q, seed=seed, max_iter=1)
    assert pair.value == pytest.approx(power_norm(a[0], dual_exponent(p)), rel=1e-9)
    if p == inf:
        assert abs(float(pair.v @ a[0].sign())) == 6


def test_costs_one_product_each_way_an_iteration():
    op = Plain(matrix(0, 9, 6))
    pair = pq_singular(op, p=3, q=4, max_iter=7)
    assert pair.n_iter == 7
    assert not pair.converged
    assert (op.forward, op.backward) == (8, 7)


def test_rtol_stops_earlier():
    a = matrix(4, 30, 20)
    full = pq_singular(Plain(a), p=3, q=4, max_iter=1000)
    short = pq_singular(Plain(a), p=3, q=4, max_iter=1000, rtol=1e-3)
    assert full.converged
    assert short.converged
    assert short.n_iter < full.n_iter < 1000
    steps = [b / a - 1 for a, b in zip([short.start_value, *short.history], short.history, strict=False)]
    assert steps[-1] <= 1e-3 < min(steps[:-1])


def test_seed_decides_the_start():
    op = Plain(matrix(7, 30, 40))
    first, again, other = (pq_singular(op, p=2, q=5, seed=s, max_iter=2) for s in (3, 3, 4))
    assert torch.equal(first.v, again.v)
    assert first.history == again.history
    assert not torch.allclose(first.v, other.v)
    start = pq_singular(DenseOperator(torch.eye(500)), p=2, q=3, max_iter=1).start_value
    assert 0 < start < 0.5  # 500 equal-sized uniform entries, not one spike


def test_default_start_has_both_signs_and_spread():
    """||v0||_q of a uniform start on [-1/2, 1/2], scaled to 2-norm 1: E|u|^4 / (n E[u^2]^2) = 9 / 5 / n."""
    n = 4000
    pair = pq_singular(Plain(torch.eye(n, dtype=torch.float64)), p=2, q=4, seed=1, max_iter=1)
    assert pair.start_value == pytest.approx((9 / 5 / n) ** 0.25, rel=0.02)
    ones = Plain(torch.ones(1, n, dtype=torch.float64))
    assert pq_singular(ones, p=inf, q=2, seed=1, max_iter=1).start_value < 0.1 * n


@pytest.mark.parametrize("q", [50, 200])
@pytest.mark.parametrize("p", [1, 1.02, 1.5, 2, inf])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_large_q_in_float32(p, q, scale):
    a = matrix(8, 40, 30, torch.float32)
    pair = pq_singular(Plain(a * scale), p=p, q=q)
    assert pair.v.dtype == torch.float32
    assert torch.isfinite(pair.v).all()
    exact = pq_singular(Plain(a.double() * scale), p=p, q=q, v0=pair.v, max_iter=1).start_value
    assert pair.value == pytest.approx(exact, rel=1e-4)
    near = pq_singular(Plain(a), p=p, q=inf).value
    assert pair.value / scale == pytest.approx(near, rel=0.1)


def test_zero_entries_keep_their_sign():
    """A column of zeros leaves an entry free: for p = inf it keeps the start's sign, and v stays in {-1, 1}."""
    a = matrix(9, 6, 4)
    a[:, 2] = 0
    for sign in (-1.0, 1.0):
        pair = pq_singular(Plain(a), p=inf, q=3, v0=torch.tensor([1.0, 1.0, sign, -1.0]))
        assert pair.v.abs().tolist() == [1, 1, 1, 1]
        assert pair.v[2] == sign
    assert pq_singular(Plain(a), p=inf, q=3, v0=torch.tensor([1.0, 0, 0, 0])).v.abs().tolist() == [1, 1, 1, 1]


def test_sign_is_that_of_the_start():
    a, v0 = matrix(10, 9, 6), vector(10, 6)
    plus, minus = (pq_singular(Plain(a), p=3, q=4, v0=s * v0) for s in (1, -1))
    torch.testing.assert_close(plus.v, -minus.v)
    assert plus.value == pytest.approx(minus.value)


@pytest.mark.parametrize(("p", "q"), CORNERS)
def test_start_in_the_kernel_is_left(p, q):
    a = torch.tensor([[1.0, -1.0, 0.0], [2.0, -2.0, 0.0]], dtype=torch.float64)
    pair = pq_singular(Plain(a), p=p, q=q, v0=torch.ones(3))
    best = power_norm(torch.tensor([1.0, 2.0]), q) * power_norm(torch.tensor([1.0, -1.0]), dual_exponent(p))
    assert pair.value == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("kind", [DenseOperator, Plain])
@pytest.mark.parametrize(("p", "q"), [(1, 2), (2, 2), (2, inf), (inf, 10)])
def test_zero_operator(kind, p, q):
    with pytest.raises(ValueError, match="the operator is zero"):
        pq_singular(kind(torch.zeros(4, 3)), p=p, q=q)


@pytest.mark.parametrize("bad", [0.99, 0, -1, math.nan])
def test_exponents_out_of_range(bad):
    op = DenseOperator(torch.eye(2))
    with pytest.raises(ValueError, match=r"p must lie in \[1, inf\]"):
        pq_singular(op, p=bad, q=2)
    with pytest.raises(ValueError, match=r"q must lie in \[1, inf\]"):
        pq_singular(op, p=2, q=bad)


def test_other_bad_arguments():
    op = Plain(torch.eye(3))
    with pytest.raises(ValueError, match="v0 must have 3 entries"):
        pq_singular(op, p=2, q=3, v0=torch.ones(4))
    with pytest.raises(ValueError, match="v0 must have 3 entries"):
        pq_singular(op, p=2, q=3, v0=torch.ones(2))
    one, other = (pq_singular(Plain(matrix(3, 5, 4)), p=p, q=3, seed=1) for p in (inf, float("inf")))
    assert (one.start_value, one.history) == (other.start_value, other.history), "whichever infinity it is"
    for v0 in (torch.zeros(3), torch.tensor([1.0, math.nan, 0])):
        with pytest.raises(ValueError, match="v0 must be finite and not zero"):
            pq_singular(op, p=2, q=3, v0=v0)
    with pytest.raises(ValueError, match="max_iter"):
        pq_singular(op, p=2, q=3, max_iter=0)
    with pytest.raises(ValueError, match="rtol"):
        pq_singular(op, p=2, q=3, rtol=-1)
    for q in (1, 3, inf):
        with pytest.raises(ValueError, match="not finite"):
            pq_singular(Plain(torch.eye(3) * math.nan), p=2, q=q)


def test_an_operator_that_is_no_adjoint_pair_does_not_converge():
    op = Plain(matrix(11, 6, 6))
    op.rmatvec = lambda w: op.a @ w
    pair = pq_singular(op, p=2, q=2, max_iter=200)
    assert not pair.converged
    assert pair.value == max(pair.history)


class Shrinking(Plain):
    """An operator whose products lose a little with every call, as rounding may."""

    def __init__(self, a, loss):
        super().__init__(a)
        self.loss, self.calls = loss, 0

    def matvec(self, v):
        self.calls += 1
        return super().matvec(v) * (1 - self.loss) ** self.calls


@pytest.mark.parametrize(("loss", "converged"), [(1e-9, True), (1e-6, False)])
def test_a_loss_by_rounding_is_the_end_and_a_larger_one_is_no_convergence(loss, converged):
    """In double precision half of the digits are rounding at most: 1.5e-8 of the value."""
    pair = pq_singular(
        Shrinking(torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64)), loss), p=2, q=3, max_iter=99
    )
    assert pair.n_iter < 99
    assert pair.converged is converged
