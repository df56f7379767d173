"""The perturbation lemma behind Theorem 2 of [equivariant2019], and why the stated form needs its factor."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st


def moment(seed: int, m: int, d: int = 5) -> torch.Tensor:
    """Mean of m outer squares of random unit vectors that share a direction."""
    rows = torch.randn(m, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows[:, 0] *= 3
    rows = rows / rows.norm(dim=1, keepdim=True)
    return rows.T @ rows / m


def compared(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float, float]:
    """(spectral norm of a - b, gap of a, sine of the angle between the top eigenvectors)."""
    values, vectors = torch.linalg.eigh(a)
    error = float(torch.linalg.matrix_norm(a - b, 2))
    cosine = float((vectors[:, -1] @ torch.linalg.eigh(b)[1][:, -1]).abs().clamp(max=1))
    return error, float(values[-1] - values[-2]), math.sqrt(1 - cosine**2)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), m=st.integers(3, 60))
def test_the_sine_is_within_both_forms_of_the_perturbation_lemma(seed: int, m: int) -> None:
    error, gap, sine = compared(moment(seed, 400), moment(seed + 1, m))
    assert gap * sine <= 2 * error + 1e-9
    if error < gap:
        assert sine <= error / (gap - error) + 1e-9
        distance = 2 * math.sin(math.asin(sine) / 2)
        assert distance <= math.sqrt(2) * sine + 1e-12, "hence the theorem holds with the factor sqrt(2)"


@pytest.mark.parametrize(("share", "broken"), [(0.4, False), (0.51, True), (0.58, True), (0.6, False)])
def test_the_stated_bound_fails_just_above_half_the_gap(share: float, broken: bool) -> None:
    """Two directions, 3/4 and 1/4 of the rows: an error of more than half the gap may turn the top eigenvector around."""
    whole = torch.diag(torch.tensor([0.75, 0.25], dtype=torch.float64))
    gap, error = 0.5, share * 0.5
    sampled = whole - torch.diag(torch.tensor([error, -error], dtype=torch.float64))
    found_error, found_gap, sine = compared(whole, sampled)
    assert (found_error, found_gap) == (pytest.approx(error), pytest.approx(gap))
    distance = 2 * math.sin(math.asin(sine) / 2)
    assert (distance > error / (gap - error)) == broken
    assert distance <= math.sqrt(2) * error / (gap - error) + 1e-12
