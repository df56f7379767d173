import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from uapkit.subspace import orthonormal, principal_angles, project, random_subspace

seeds = st.integers(0, 10**6)


def gaussian(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=25)
@given(seed=seeds, k=st.integers(1, 12))
def test_orthonormal_keeps_every_leading_span(seed, k):
    a = gaussian(seed, 12, k)
    q = orthonormal(a)
    assert torch.allclose(q.T @ q, torch.eye(k, dtype=a.dtype), atol=1e-10)
    assert torch.allclose((q.T @ a).tril(-1), torch.zeros(k, k, dtype=a.dtype), atol=1e-8)
    assert ((q * a).sum(0) > 0).all()


def test_dependent_and_zero_columns_are_left_out():
    a, b, c = gaussian(1, 6, 3).T
    q = orthonormal(torch.stack([a, a * 2, torch.zeros_like(a), b, a - b, c], 1))
    assert q.shape == (6, 3)
    assert torch.allclose(q, orthonormal(torch.stack([a, b, c], 1)), atol=1e-8)
    whole = orthonormal(gaussian(2, 4, 9))
    assert whole.shape == (4, 4)
    assert torch.allclose(whole @ whole.T, torch.eye(4, dtype=whole.dtype), atol=1e-10)
    tiny = orthonormal(torch.tensor([[1e-30, 0.0], [0.0, 1e3]]))
    assert torch.allclose(tiny, torch.eye(2))


@settings(max_examples=25)
@given(seed=seeds, k=st.integers(1, 11))
def test_projection_laws(seed, k):
    q, x, y = orthonormal(gaussian(seed, 12, k)), gaussian(seed + 1, 5, 12), gaussian(seed + 2, 5, 12)
    p = project(x, q)
    assert torch.allclose(project(p, q), p, atol=1e-10)
    assert torch.allclose((p * y).sum(), (x * project(y, q)).sum())
    assert torch.allclose((x - p) @ q, torch.zeros(5, k, dtype=x.dtype), atol=1e-10)
    assert (p.norm(dim=1) <= x.norm(dim=1) + 1e-10).all()


def test_projection_takes_vectors_and_images_and_keeps_the_shape():
    q = orthonormal(gaussian(0, 12, 4))
    x = gaussian(1, 5, 3, 2, 2)
    flat = project(x.flatten(1), q)
    assert torch.equal(project(x, q).flatten(1), flat)
    assert torch.allclose(project(x[0], q).flatten(), flat[0])
    assert torch.allclose(project(x[0].flatten(), q), flat[0])
    with pytest.raises(ValueError, match="12 entries"):
        project(gaussian(1, 5, 11), q)
    with pytest.raises(ValueError, match="columns"):
        project(x, gaussian(0, 12))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_whole_numbers_are_projected_as_such(dtype):
    q, x = orthonormal(torch.ones(4, 1, dtype=torch.float64)), torch.tensor([3, 0, 1, 0]).to(dtype)
    p = project(x, q)
    assert p.dtype == torch.float64
    assert torch.equal(p, project(x.double(), q))
    assert torch.equal(project(x.view(1, 1, 2, 2), q).flatten(), p)


@settings(max_examples=25)
@given(seed=seeds, degrees=st.floats(1e-6, 90))
def test_a_planted_angle_comes_out_in_any_basis(seed, degrees):
    e = orthonormal(gaussian(seed, 9, 4))
    t = math.radians(degrees)
    u = e[:, :2]
    w = torch.stack([e[:, 0], math.cos(t) * e[:, 1] + math.sin(t) * e[:, 2]], 1)
    mixed = w @ (gaussian(seed + 1, 2, 2) + 3 * torch.eye(2, dtype=w.dtype))
    assert principal_angles(u, w) == pytest.approx([degrees, 0.0], abs=1e-5)
    assert principal_angles(u, mixed) == pytest.approx([degrees, 0.0], abs=1e-4)


@settings(max_examples=25)
@given(seed=seeds, k=st.integers(1, 5), m=st.integers(1, 5))
def test_angles_are_symmetric_sorted_and_their_cosines_singular_values(seed, k, m):
    u, w = orthonormal(gaussian(seed, 10, k)), orthonormal(gaussian(seed + 1, 10, m))
    a = principal_angles(u, w)
    assert a == pytest.approx(principal_angles(w, u), abs=1e-6)
    assert len(a) == min(k, m)
    assert (np.diff(a) <= 1e-9).all()
    assert np.cos(np.radians(a[::-1])) == pytest.approx(torch.linalg.svdvals(u.T @ w).numpy(), abs=1e-8)


def test_known_angles():
    e = torch.eye(5)
    assert principal_angles(e[:, :2], e[:, 2:4]) == pytest.approx([90, 90])
    assert principal_angles(e[:, :2], e[:, [1, 0]]) == pytest.approx([0, 0], abs=1e-5)
    with pytest.raises(ValueError, match="same number of rows"):
        principal_angles(e, torch.eye(4))


def test_random_subspaces_have_the_angles_of_chance():
    # the reference sheet's null for five dimensions of 784: 89.4, 88.0, 86.4, 84.7, 82.5 degrees
    draws = [principal_angles(random_subspace(784, 5, 2 * s), random_subspace(784, 5, 2 * s + 1)) for s in range(40)]
    assert np.mean(draws, 0) == pytest.approx([89.4, 88.0, 86.4, 84.7, 82.5], abs=0.5)


def test_random_subspaces_are_seeded_nested_and_confined():
    q = random_subspace(20, 6, 3)
    assert torch.equal(q, random_subspace(20, 6, 3))
    assert torch.allclose(q[:, :4], random_subspace(20, 4, 3))
    assert not torch.allclose(q, random_subspace(20, 6, 4))
    home = orthonormal(gaussian(5, 20, 8))
    inside = random_subspace(20, 6, 3, inside=home)
    assert torch.allclose(project(inside.T, home).T, inside)
    assert torch.allclose(inside.T @ inside, torch.eye(6, dtype=inside.dtype), atol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: orthonormal(torch.zeros(4, 2)), "all zero"),
        (lambda: orthonormal(torch.full((4, 2), math.nan)), "finite"),
        (lambda: orthonormal(torch.zeros(4)), "columns"),
        (lambda: orthonormal(torch.zeros(4, 0)), r"columns, got \(4, 0\)"),
        (lambda: orthonormal(torch.ones(4, 2, 2)), r"columns, got \(4, 2, 2\)"),
        (lambda: orthonormal([1.0]), "columns, got list"),
        (lambda: principal_angles(torch.ones(3, 1), torch.ones(4, 1)), "the same number of rows, got 3 and 4"),
        (lambda: principal_angles(torch.ones(4, 1), torch.ones(3, 1)), "the same number of rows, got 4 and 3"),
        (lambda: project(torch.ones(2, 2, 1, 2, 2), torch.eye(4)), "vectors or images of 4 entries"),
        (lambda: random_subspace(4, 5, 0), r"\[1, 4\]"),
        (lambda: random_subspace(4, 3, 0, inside=torch.eye(4)[:, :2]), r"\[1, 2\]"),
        (lambda: random_subspace(5, 2, 0, inside=torch.eye(4)), "d = 5"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_spaces_of_many_dimensions_and_a_tolerance_by_name():
    basis = orthonormal(torch.randn(784, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    for shape in ((784,), (2, 784), (1, 28, 28), (2, 1, 28, 28)):
        x = torch.ones(shape, dtype=torch.float64)
        assert project(x, basis).shape == x.shape
        assert torch.allclose(project(project(x, basis), basis), project(x, basis))
    with pytest.raises(TypeError):
        orthonormal(basis, 1e-3)
