"""The solutions that are handed out agree with the package: one course, one book, one meaning of every word."""

import math

import pytest
import torch

from uapkit import attacks, models, norms, singular, spectra, subspace
from uapkit.classroom import notebooks
from uapkit.operators import DenseOperator
from uapkit.runner import verdicts
from uapkit.seeds import generator


def solved(name, *cells):
    """Names that these solution cells define."""
    space = {"torch": torch, "math": math}
    for cell in cells:
        exec(notebooks.answers(notebooks.read(name))[cell], space)
    return space


def random(*shape, name="classroom"):
    return torch.randn(*shape, generator=generator(0, name), dtype=torch.float64)


@pytest.mark.parametrize("p", [1, 1.5, 2, 7, math.inf])
def test_dual_norm(p):
    space, w = solved("a1_linear", "norms"), random(64)
    assert space["dual_exponent"](p) == norms.dual_exponent(p)
    assert space["dual_norm"](w, p) == pytest.approx(float(norms.lp_norm(w, norms.dual_exponent(p))))


@pytest.mark.parametrize(("p", "q"), [(math.inf, 5), (3, 4), (2, 3)])
def test_power_method(p, q):
    space, a, v0 = solved("a2_power", "step", "method"), random(20, 8), random(8, name="start")
    v0 = v0.sign() if p == math.inf else v0
    v, history = space["power_method"](a.mv, a.T.mv, v0, p, q, 12)
    ours = singular.pq_singular(DenseOperator(a), p=p, q=q, v0=v0, max_iter=12)
    assert history[-1] == pytest.approx(ours.value, rel=1e-6)
    assert torch.allclose(v, ours.v.to(v), atol=1e-5)


def test_deepfool():
    def derivatives(f, x):
        g = lambda z: f(z[None])[0]  # noqa: E731
        return g(x), torch.func.jacrev(g)(x)

    space = solved("a3_uap", "step", "deepfool")
    space["logits_and_jacobian"] = derivatives
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).double()
    x = random(5, 1, 8, 8).sigmoid()
    ours = attacks.deepfool(models.wrap(net), x)
    for image, r in zip(x, ours.r, strict=True):
        theirs, _ = space["deepfool"](lambda z: net(z.reshape(-1, 1, 8, 8)), image.flatten())
        assert torch.allclose(theirs, r.flatten(), atol=1e-6)


def test_spectrum_and_angles():
    space, g = solved("a4_svd", "spectrum", "angles"), random(30, 20)
    rows = space["direction_matrix"](g)
    assert torch.allclose(rows, spectra.direction_matrix(g).double())
    u, w = random(20, 3), random(20, 3, name="other")
    ours = subspace.principal_angles(subspace.orthonormal(u), subspace.orthonormal(w))
    assert torch.allclose(space["principal_angles"](u, w), torch.as_tensor(ours).double(), atol=1e-4)


def by_the_assignments_rule(rows):
    """The rule as assignment 6 states it, one row a network; the book's own rule looks closer at the null."""
    judged = []
    for row in rows:
        held = verdicts.holds(row["low"], row["high"], ">", 0.0)
        null = verdicts.holds(row["null_low"], row["null_high"], ">", 0.0)
        judged.append((held, held and not null if held else held))
    if any(held for held, _ in judged) and not any(carried for _, carried in judged):
        return "not above chance"
    if all(carried for _, carried in judged):
        return "confirmed"
    if any(carried for _, carried in judged):
        return "partly"
    return "differs" if any(carried is False for _, carried in judged) else "undecided"


def test_verdict_is_that_of_its_text():
    verdict = solved("a6_replication", "verdict")["verdict"]
    intervals = [(0.1, 0.2), (-0.1, 0.1), (-0.2, -0.1)]
    nulls = [(-0.1, 0.1), (0.05, 0.1)]
    kinds = [{"low": a, "high": b, "null_low": c, "null_high": d} for a, b in intervals for c, d in nulls]
    for one in kinds:
        for other in kinds:
            assert verdict([one, other]) == by_the_assignments_rule([one, other]), (one, other)
