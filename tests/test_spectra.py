import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, eigsh

from uapkit import spectra
from uapkit.spectra import (
    direction_matrix,
    energy,
    random_directions,
    singular_values,
    sphere_dimension,
    top_singular,
    unit_rows,
)
from uapkit.subspace import orthonormal, principal_angles

seeds = st.integers(0, 10**6)


def gaussian(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planted(seed: int, n: int, d: int, values: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix with these singular values, and its right singular vectors as rows."""
    k = len(values)
    u, v = orthonormal(gaussian(seed, n, k)), orthonormal(gaussian(seed + 1, d, k))
    return u * torch.tensor(values, dtype=u.dtype) @ v.T, v.T


def test_unit_rows_keep_their_places_and_tiny_rows_their_direction():
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0], [-2e30, 2e30]])
    half = math.sqrt(0.5)
    expected = torch.tensor([[0.6, 0.8], [0.0, 0.0], [1.0, 0.0], [-half, half]])
    assert torch.allclose(unit_rows(rows), expected, atol=1e-6)
    assert unit_rows(rows.double()).dtype == torch.float64


def test_direction_matrix_normalises_and_drops_zero_rows_aloud():
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0], [-2e30, 2e30]])
    with pytest.warns(UserWarning, match="1 of 4 rows are zero"):
        a = direction_matrix(rows.view(4, 1, 1, 2))
    half = math.sqrt(0.5)
    assert torch.allclose(a, torch.tensor([[0.6, 0.8], [1.0, 0.0], [-half, half]]))
    assert torch.equal(rows[0], torch.tensor([3.0, 4.0]))


def test_zero_rows_stay_zero_and_tiny_rows_keep_their_direction():
    found = unit_rows(torch.tensor([[0.0, 0.0], [3e-38, 4e-38], [3.0, 4.0]]))
    assert found[0].tolist() == [0, 0]
    assert torch.allclose(found[1:], torch.tensor([[0.6, 0.8], [0.6, 0.8]]), atol=1e-5)


@settings(max_examples=20)
@given(seed=seeds, n=st.integers(1, 20), d=st.integers(1, 20))
def test_unit_rows_have_squares_that_sum_to_n(seed, n, d):
    a = direction_matrix(gaussian(seed, n, d))
    assert torch.allclose(a.norm(dim=1), torch.ones(n, dtype=a.dtype))
    assert float(singular_values(a).square().sum()) == pytest.approx(n)
    shares = energy(a)
    assert len(shares) == min(n, d)
    assert float(shares[-1]) == pytest.approx(1)
    assert (shares.diff() >= 0).all()
    assert (shares.diff().diff() <= 1e-12).all()


@pytest.mark.parametrize("method", ["exact", "gram", "randomised", "auto"])
@pytest.mark.parametrize("shape", [(60, 25), (25, 60)])
def test_planted_directions_come_out_by_every_method(method, shape):
    a, v = planted(3, *shape, [9.0, 7.0, 4.0, 2.0, 1.0, 0.5])
    found = top_singular(a, 4, method)
    assert found.values.tolist() == pytest.approx([9, 7, 4, 2], rel=1e-6)
    assert torch.allclose((found.vectors * v[:4]).sum(1).abs(), torch.ones(4, dtype=v.dtype), atol=1e-6)
    assert (found.vectors.gather(1, found.vectors.abs().argmax(1, keepdim=True)) > 0).all()
    assert top_singular(a.float(), 4, method).vectors.dtype == torch.float32
    assert found.method == ("exact" if method == "auto" else method)


@settings(max_examples=15)
@given(seed=seeds, n=st.integers(5, 40), d=st.integers(5, 40))
def test_exact_and_gram_agree_and_randomised_finds_a_decaying_spectrum(seed, n, d):
    a = gaussian(seed, n, d) @ torch.diag(0.7 ** torch.arange(d, dtype=torch.float64))
    exact = top_singular(a, 3, "exact")
    for method in ("gram", "randomised"):
        other = top_singular(a, 3, method)
        assert torch.allclose(other.values, exact.values, rtol=1e-6)
        assert principal_angles(other.vectors.T, exact.vectors.T).max() < 0.1
    assert torch.allclose(singular_values(a)[:3], exact.values)


def test_blocks_need_not_be_in_memory_together():
    a, _ = planted(7, 90, 12, [5.0, 3.0, 2.0, 1.0])
    whole, parts = top_singular(a, 3), top_singular(iter(a.view(90, 3, 2, 2).split(17)), 3)
    assert parts.method == "gram"
    assert torch.allclose(parts.values, whole.values)
    assert torch.allclose(parts.vectors, whole.vectors, atol=1e-7)
    assert torch.allclose(singular_values(iter(a.split(40))), singular_values(a), atol=1e-6)
    assert len(singular_values(iter([a[:5]]))) == 5
    with pytest.raises(ValueError, match="accumulated"):
        top_singular([a], 2, "exact")
    with pytest.raises(ValueError, match="used up"):
        top_singular(iter([]), 2)
    with pytest.raises(ValueError, match="one length"):
        top_singular([a, a[:, :3]], 2)


def test_auto_takes_the_cheapest_exact_way_that_fits(monkeypatch):
    a = gaussian(0, 30, 20)
    monkeypatch.setattr(spectra, "EXACT_ENTRIES", 599)
    assert top_singular(a, 2).method == "gram"
    monkeypatch.setattr(spectra, "GRAM_SIDE", 19)
    assert top_singular(a, 2).method == "randomised"


def test_the_randomised_method_is_seeded():
    a = gaussian(1, 50, 40)
    first = top_singular(a, 3, "randomised", seed=1).vectors
    assert torch.equal(first, top_singular(a, 3, "randomised", seed=1).vectors)
    assert not torch.equal(first, top_singular(a, 3, "randomised", seed=2).vectors)


def test_energy_of_known_values():
    assert energy(torch.tensor([2.0, 1.0, 1.0])).tolist() == pytest.approx([4 / 6, 5 / 6, 1])
    assert energy(torch.tensor([2.0]), total=8).tolist() == pytest.approx([0.5])
    with pytest.raises(ValueError, match="total"):
        energy(torch.tensor([2.0]), total=3)
    with pytest.raises(ValueError, match="at least 0"):
        energy(torch.tensor([1.0, -1.0]))


def test_the_null_has_the_shares_of_the_reference_sheet():
    # top-5 share of uniform rows in R^784: 8.6 % for n = 100, 3.1 % for n = 500
    for n, share in ((100, 0.086), (500, 0.031)):
        rows = random_directions(n, 784, seed=0)
        assert torch.allclose(rows.norm(dim=1), torch.ones(n))
        assert float(energy(rows)[4]) == pytest.approx(share, abs=0.003)
    home = orthonormal(gaussian(2, 784, 10)).float()
    confined = random_directions(200, 784, seed=0, inside=home)
    assert torch.allclose(confined.norm(dim=1), torch.ones(200), atol=1e-5)
    assert torch.allclose(confined @ home @ home.T, confined, atol=1e-5)
    assert float(singular_values(confined)[10]) < 1e-4
    assert not torch.equal(random_directions(5, 9, 0), random_directions(5, 9, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: direction_matrix(torch.zeros(3, 4)), "all 3 rows are zero"),
        (lambda: direction_matrix(torch.full((3, 4), math.inf)), "finite"),
        (lambda: direction_matrix(torch.zeros(4)), r"\(n, d\)"),
        (lambda: direction_matrix(torch.zeros(0, 4)), r"\(n, d\)"),
        (lambda: top_singular(torch.rand(3, 4), 4), r"k must lie in \[1, 3\]"),
        (lambda: top_singular(torch.rand(3, 4), 0), "k must be"),
        (lambda: top_singular(torch.rand(3, 4), 1, "randomized"), "'randomised'"),
        (lambda: random_directions(0, 3, 0), "n must be"),
        (lambda: random_directions(2, 3, 0, inside=torch.eye(4)), "d = 3"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_are_finite(bad):
    rows = torch.ones(3, 4)
    rows[1, 2] = bad
    for call in (
        lambda r: top_singular(r, 1),
        lambda r: top_singular([r], 1),
        singular_values,
        lambda r: singular_values([r]),
    ):
        with pytest.raises(ValueError, match="rows hold values that are not finite"):
            call(rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", ["exact", "gram", "randomised"])
def test_rows_of_sixteen_bits(dtype, method):
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    found, right = top_singular(rows, 2.0, method), top_singular(rows.float(), 2, method)
    assert found.values.dtype == dtype
    assert torch.equal(found.values, right.values.to(dtype))
    assert torch.equal(singular_values(rows), singular_values(rows.double()))


def test_sphere_dimension_is_one_over_the_mean_squared_cosine():
    a = direction_matrix(gaussian(3, 7, 5))
    cosines = (a @ a.T)[~torch.eye(7, dtype=torch.bool)]
    assert sphere_dimension(singular_values(a)) == pytest.approx(1 / float(cosines.square().mean()))
    assert sphere_dimension(torch.ones(4)) == math.inf, "orthogonal rows"
    with pytest.raises(ValueError, match="two unit rows or more"):
        sphere_dimension(torch.ones(1))


@pytest.mark.parametrize(("n", "inner"), [(40, 30), (400, 30), (40, 300), (400, 300)])
def test_sphere_dimension_finds_the_subspace_whatever_n_is(n, inner):
    rows = direction_matrix(gaussian(n, n, inner)) @ orthonormal(gaussian(inner, 500, inner)).T
    assert sphere_dimension(singular_values(rows)) == pytest.approx(inner, rel=0.2)


@settings(max_examples=10)
@given(seed=seeds, n=st.integers(8, 40), d=st.integers(8, 40))
def test_every_method_agrees_with_scipys_svd_and_eigsh(seed, n, d):
    """Independent of torch: LAPACK and ARPACK as scipy calls them, the latter on the Gram matrix known by its products."""
    a = gaussian(seed, n, d) @ torch.diag(0.7 ** torch.arange(d, dtype=torch.float64))
    _, values, vectors = scipy.linalg.svd(a.numpy(), full_matrices=False)
    gram = LinearOperator((d, d), matvec=lambda v: a.numpy().T @ (a.numpy() @ v), dtype=np.float64)
    squares = np.sort(eigsh(gram, 3, return_eigenvectors=False))[::-1]
    for method in ("exact", "gram", "randomised"):
        found = top_singular(a, 3, method)
        assert found.values.numpy() == pytest.approx(values[:3], rel=1e-6)
        assert found.values.square().numpy() == pytest.approx(squares, rel=1e-6)
        assert np.abs((found.vectors.numpy() * vectors[:3]).sum(1)) == pytest.approx([1, 1, 1], abs=1e-5)
    assert singular_values(a).numpy() == pytest.approx(values, abs=1e-9)
    assert energy(a).numpy() == pytest.approx(np.cumsum(values**2) / (values**2).sum(), abs=1e-9)


def test_each_method_decomposes_what_it_says(monkeypatch):
    """The cost of a method is the size of what is decomposed; the answers alone would not tell."""
    sizes = []
    real_svd, real_eigh = torch.linalg.svd, torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "svd", lambda a, **k: sizes.append(("svd", *a.shape)) or real_svd(a, **k))
    monkeypatch.setattr(torch.linalg, "eigh", lambda a: sizes.append(("eigh", *a.shape)) or real_eigh(a))
    for rows, method in ((gaussian(0, 9, 40), "exact"), (gaussian(0, 9, 40), "gram"), (gaussian(0, 40, 9), "gram")):
        assert top_singular(rows, 2, method).method == method
    assert top_singular(gaussian(0, 60, 40), 2, "randomised").method == "randomised"
    assert sizes == [("svd", 9, 40), ("eigh", 9, 9), ("eigh", 9, 9), ("svd", 12, 40)]


def test_long_rows_come_in_blocks_of_one_length():
    a = gaussian(3, 12, 300)
    assert torch.allclose(singular_values([a[:5], a[5:]])[:12], singular_values(a))
    with pytest.raises(ValueError, match="all blocks must have rows of one length, got 300 and 299"):
        singular_values([a, a[:, 1:]])
    with pytest.raises(ValueError, match="got list"):
        direction_matrix([[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        direction_matrix(torch.zeros(4))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_total_may_lie_below_the_sum_by_rounding_alone_at_any_scale(scale):
    values = torch.tensor([2.0, 1.0]) * scale
    assert float(energy(values, total=5 * scale**2 / (1 + 0.9e-4))[-1]) == 1
    with pytest.raises(ValueError, match="at least the sum of squares"):
        energy(values, total=5 * scale**2 / (1 + 1.2e-4))


def test_two_rows_have_a_sphere():
    angled = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert sphere_dimension(singular_values(angled)) == pytest.approx(1 / 0.36)
    with pytest.raises(ValueError, match="two unit rows or more"):
        sphere_dimension(torch.ones(1))
