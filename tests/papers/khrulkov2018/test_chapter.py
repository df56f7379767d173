"""What paper K's chapter states, in numbers, on matrices and networks small enough to know the answer."""

import itertools
import math

import pytest
import torch

from uapkit import models
from uapkit.norms import dual_exponent, lp_norm, psi
from uapkit.operators import JacobianOperator
from uapkit.singular import pq_singular

inf = math.inf


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def iterate(a, v, p, q):
    """One step of the printed algorithm, with no safeguard that could hide a loss."""
    v = psi(a.T @ psi(a @ v, q), dual_exponent(p))
    return v / lp_norm(v, p)


@pytest.mark.parametrize(("p", "q"), list(itertools.product((1.2, 2, 5, inf), (1, 1.5, 2, 5, inf))))
def test_the_printed_iteration_never_loses_ground(p, q):
    for seed in range(20):
        a, v = drawn(9, 6, seed=seed), drawn(6, seed=100 + seed)
        v = v.sign() if p == inf else v / lp_norm(v, p)
        values = [float(lp_norm(a @ v, q))]
        for _ in range(8):
            v = iterate(a, v, p, q)
            values.append(float(lp_norm(a @ v, q)))
        assert all(after >= before * (1 - 1e-12) for before, after in itertools.pairwise(values))
        assert values[-1] > 0


def test_below_q_of_one_a_step_may_lose_ground():
    """The exercise: the q-norm is not convex there, and its gradient leads astray."""

    def size(z, q=0.5):
        return float(z.abs().pow(q).sum() ** (1 / q))

    lost = 0
    for seed in range(20):
        a, v = drawn(4, 5, seed=seed), drawn(5, seed=100 + seed).sign()
        z = a @ v
        after = (a.T @ (z.sign() * z.abs() ** -0.5)).sign()
        lost += size(a @ after) < size(z) * (1 - 1e-9)
    assert lost > 0


def test_without_a_response_there_is_no_direction():
    """The theorem asks for A v other than 0: otherwise the next iterate would be 0 divided by its norm."""
    a, v = torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([1.0, -1.0])
    assert not psi(a.T @ psi(a @ v, 3), 1).any()
    assert not torch.isfinite(iterate(a, v, inf, 3)).any()


@pytest.mark.parametrize("r", [20, 200, 2000])
def test_one_entry_is_the_limit_for_large_q(r):
    z = torch.tensor([0.3, -1.2, 0.9], dtype=torch.float64)
    assert torch.allclose(psi(z / z.abs().max(), r), psi(z, inf), atol=(0.9 / 1.2) ** (r - 1) * 1.001)
    tied = torch.tensor([0.2, -1.0, 1.0], dtype=torch.float64)
    limit = psi(tied, inf)
    assert limit.tolist() == [0, -1, 0], "the first of the largest alone"
    for seed in range(20):  # a subgradient of the maximum norm there
        other = drawn(3, seed=seed)
        assert float(other.abs().max()) >= float(tied.abs().max() + limit @ (other - tied)) - 1e-12


def test_large_gradient_steps_are_the_power_method():
    for seed in range(20):
        a, v = drawn(7, 5, seed=seed), drawn(5, seed=50 + seed).sign()
        g = a.T @ psi(a @ v, 4)
        t = 2.0 / float(g.abs().min())
        assert torch.equal((v + 1.001 * t * g).clamp(-1, 1), iterate(a, v, inf, 4))
    towards = torch.tensor([0.5, -0.01], dtype=torch.float64)
    step = (torch.tensor([-1.0, 1.0], dtype=torch.float64) + 10 * towards).clamp(-1, 1)
    assert step.tolist() != towards.sign().tolist(), "a finite step leaves entries of small gradient where they were"


def test_the_gradient_of_a_singular_value_is_that_at_the_maximiser():
    """All sign vectors are tried, so the singular value is known, and its derivative by finite differences."""
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=6)), dtype=torch.float64)
    for seed in range(10):
        a, towards, q = drawn(8, 6, seed=seed), drawn(8, 6, seed=30 + seed), 3.0

        def value(t, a=a, towards=towards, q=q):
            return float(lp_norm((a + t * towards) @ signs.T, q, dim=0).max())

        v = signs[int(lp_norm(a @ signs.T, q, dim=0).argmax())]
        t = torch.zeros((), dtype=torch.float64, requires_grad=True)
        (fixed,) = torch.autograd.grad(((a + t * towards) @ v).abs().pow(q).sum() ** (1 / q), t)
        assert float(fixed) == pytest.approx((value(1e-6) - value(-1e-6)) / 2e-6, rel=1e-5)


def test_a_singular_value_can_be_made_small_and_no_label_changes():
    """The exercise on the loss: hidden layers rescale for nothing, and scaling the last layer keeps every label."""
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(16, 12), torch.nn.ReLU(), torch.nn.Linear(12, 5)
    ).double()
    for k, parameter in enumerate(net.parameters()):
        parameter.data.copy_(drawn(*parameter.shape, seed=k))
    x = drawn(40, 1, 4, 4, seed=9).abs().clamp(max=1)

    def measured():
        model = models.wrap(net, input_size=(1, 4, 4), name="rescaled")
        sigma = [
            pq_singular(JacobianOperator(model.until(layer), x[:6]), p=inf, q=10, seed=1).value for layer in ("2", "3")
        ]
        with torch.no_grad():
            return *sigma, net(x)

    hidden, last, logits = measured()
    c = 1e-3
    with torch.no_grad():
        net[1].weight.mul_(c)
        net[1].bias.mul_(c)
        net[3].weight.div_(c)
    smaller, same, again = measured()
    assert smaller == pytest.approx(c * hidden, rel=1e-9)
    assert same == pytest.approx(last, rel=1e-9)
    assert torch.allclose(again, logits)
    with torch.no_grad():
        net[3].weight.mul_(c)
        net[3].bias.mul_(c)
    _, tiny, scaled = measured()
    assert tiny == pytest.approx(c * last, rel=1e-9), "naming the logits does not help either"
    assert torch.equal(scaled.argmax(1), logits.argmax(1))
    loss = torch.nn.functional.cross_entropy
    labels = logits.argmax(1)
    assert float(loss(scaled, labels)) > float(loss(logits, labels)), "the loss changes, the labels do not"
