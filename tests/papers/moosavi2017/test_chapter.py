"""What paper M's chapter states and shows: its propositions on affine networks, a foreign array in three lines."""

import numpy as np
import pytest
import torch

from uapkit import attacks, data, evaluate, models
from uapkit.spectra import random_directions


def test_a_random_direction_needs_sqrt_d_times_the_norm():
    for d in (16, 400):
        normal = torch.zeros(d)
        normal[0] = 1
        draws = random_directions(20_000, d, seed=5)
        mean_square = float((draws @ normal.to(draws)).square().mean())
        assert mean_square == pytest.approx(1 / d, rel=0.05)


def affine(normal, offset):
    """Two classes with scores (0, <normal, x> - offset)."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(len(normal), 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([torch.zeros(len(normal)), torch.as_tensor(normal)]))
        net[1].bias.copy_(torch.tensor([0.0, -offset]))
    return net.eval()


def test_blocked_steps_add_up_where_normals_agree():
    normal, x = [0.6, 0.8, 0.0, 0.0], torch.full((4, 1, 2, 2), 0.1)
    net = affine(normal, 0.24)  # <normal, x> = 0.14: distance 0.1
    for block, times in ((1, 1), (2, 2), (4, 4)):
        made = attacks.uap(net, x, norm=2, eps=10.0, target_rate=1.0, max_passes=1, block=block)
        expected = times * 1.02 * 0.1 * torch.tensor(normal)
        assert torch.allclose(made.v.flatten(), expected, atol=1e-5), block
        assert made.made_by["end"] == "reached"


def test_opposite_normals_go_to_and_fro():
    """The exercise on getting stuck: a band of one class between two boundaries has normals that disagree."""
    net = affine([1.0, 0.0, 0.0, 0.0], 0.5)
    x = torch.tensor([[0.4, 0, 0, 0], [0.6, 0, 0, 0]]).view(2, 1, 2, 2)
    made = attacks.uap(net, x, norm=2, eps=1.0, target_rate=1.0, max_passes=4)
    assert made.made_by["end"] == "pass limit"
    assert set(made.history) == {0.5}


def test_three_lines_score_a_foreign_perturbation(tmp_path):
    images, model = data.load("digits", n=100), models.load("mlp_digits")
    made = attacks.uap(model, images[:20], eps=0.2, max_passes=1)
    np.save(tmp_path / "foreign.npy", 255 * made.v.numpy().transpose(1, 2, 0))
    v = attacks.Perturbation.from_array(tmp_path / "foreign.npy")
    assert float(evaluate.fooling_rate(model, images, v)) == float(evaluate.fooling_rate(model, images, made))
    colour = np.random.default_rng(0).uniform(-10, 10, (8, 8, 3)).astype(np.float32)
    np.save(tmp_path / "bgr.npy", colour)
    v = attacks.Perturbation.from_array(tmp_path / "bgr.npy", layout="hwc", channels="bgr", scale=255)
    assert np.allclose(v.v.numpy(), colour[:, :, ::-1].transpose(2, 0, 1) / 255)


def test_unrelated_normals_are_all_crossed_at_rho_root_m():
    rho, m, d = 0.3, 40, 4000
    orthonormal = torch.linalg.qr(random_directions(m, d, seed=1).double().T).Q.T
    v = rho * orthonormal.sum(0)
    assert torch.allclose(orthonormal @ v, torch.full((m,), rho, dtype=torch.float64))
    assert float(v.norm()) == pytest.approx(rho * m**0.5, rel=1e-9)
    for seed in range(20):  # whatever else reaches all boundaries is at least as long
        further = rho + 0.1 * torch.rand(m, generator=torch.Generator().manual_seed(seed)).double()
        beside = random_directions(1, d, seed=100 + seed).double()[0]
        other = orthonormal.T @ further + beside - orthonormal.T @ (orthonormal @ beside)
        assert float((orthonormal @ other).min()) >= rho
        assert float(other.norm()) > float(v.norm())

    rows = random_directions(m, d, seed=2).double()
    gram = rows @ rows.T
    one = torch.ones(m, dtype=torch.float64)
    shortest = rho * rows.T @ torch.linalg.solve(gram, one)
    length = float(shortest.norm())
    assert torch.allclose(rows @ shortest, rho * one)
    assert length == pytest.approx(rho * float(one @ torch.linalg.solve(gram, one)) ** 0.5, rel=1e-9)
    assert length <= rho * (m / float(torch.linalg.eigvalsh(gram)[0])) ** 0.5
    assert length == pytest.approx(rho * m**0.5, rel=2 * (m / d) ** 0.5)

    others = random_directions(1000, d, seed=3).double()
    assert float((others @ shortest >= rho).double().mean()) == 0, "the rate on X is 1, on other images 0"
