"""Rates along a direction are those of the public functions, on images that nothing was fitted on."""

import pytest
import torch

from uapkit import evaluate
from uapkit.papers.equivariant2019.course import Course
from uapkit.seeds import child_seed
from uapkit.spectra import random_directions


def test_no_fitted_image_is_scored(setting, net):
    """The rate of the smallest sample is that of its vector on images 100 to 200, and it was fitted on the first 20."""
    here = setting()
    along = Course(here, net, 200, 100, (0.3,), 0.5)
    assert along.first == 100
    directions = here.directions(net, "gradient", 200)
    found, _ = along.singular(directions, 20)
    v = along.vector(directions[:20]).view(1, 28, 28)
    scored = here.turned(200)[100:]
    eps = 0.3 * float(scored.x.flatten(1).norm(dim=1).mean())
    row = next(r for r in found if r["relative_norm"] == 0.3 and r["sign"] == 1)
    assert row["eps"] == pytest.approx(eps)
    assert row["error_rate"] == pytest.approx(float(evaluate.error_rate(here.network(net), scored, v * eps)))
    assert row["fooling_rate"] == pytest.approx(float(evaluate.fooling_rate(here.network(net), scored, v * eps)))
    other = next(
        r for r in along.singular(directions, 200)[0] if r["fit"] == "other half" and r["relative_norm"] == 0.3
    )
    a = along.vector(directions[:100]).view(1, 28, 28) * other["sign"]  # the second half is scored
    assert other["error_rate"] == pytest.approx(float(evaluate.error_rate(here.network(net), scored, a * eps)))


def test_the_vector_is_the_top_singular_one_without_zero_rows(setting, net):
    here = setting()
    along = Course(here, net, 60, 20, (), 0.5)
    directions = here.directions(net, "gradient", 40)
    v = torch.linalg.svd(directions.double())[2]
    for index in (1, 2):
        assert abs(float(along.vector(directions, index).double() @ v[index - 1])) == pytest.approx(1, abs=1e-5)
    holes = directions.clone()
    holes[::2] = 0
    assert torch.allclose(along.vector(holes), along.vector(directions[1::2]))


def test_the_better_sign_is_the_one_with_more_errors_on_fitted_images(setting, net):
    here = setting()
    along = Course(here, net, 60, 20, (), 0.5)
    v, fitted = along.vector(here.directions(net, "gradient", 40)), along.images[:40]
    errors = [float((along.after(s * v, 0.5, fitted) != fitted.y).double().mean()) for s in (1, -1)]
    assert errors[0] != errors[1]
    assert along.better_sign(v, fitted) == (1 if errors[0] > errors[1] else -1)


def test_every_draw_of_a_random_null_has_the_sign_that_is_better_on_fitted_images(setting, net):
    here = setting()
    along = Course(here, net, 100, 40, (0.25,), 0.5)
    rows, wrong = along.random(6, "random direction", n_curves=1)
    assert [r["relative_norm"] for r in rows if r["draw"] == 0] == [0.25, 0.5]
    at_small = [r for r in rows if r["relative_norm"] == 0.5]
    assert wrong.double().mean(1).tolist() == [r["error_rate"] for r in at_small]
    draws = random_directions(6, 784, child_seed(3, "random direction attack"))
    fitted = along.images[:60]
    for v, row in zip(draws, at_small, strict=True):
        errors = {s: float((along.after(s * v, 0.5, fitted) != fitted.y).double().mean()) for s in (1, -1)}
        assert errors[row["sign"]] == max(errors.values())
    assert {r["sign"] for r in at_small} == {1, -1}


def test_redraws_are_disjoint_and_never_scored(setting, net):
    here = setting()
    along = Course(here, net, 100, 40, (), 0.5)
    directions = here.directions(net, "gradient", 100)
    rows, wrong = along.redraws(directions, 20, 9)
    assert [r["draw"] for r in rows] == [0, 1, 2], "sixty images are not scored"
    second = along.vector(directions[20:40])
    labels = along.after(rows[1]["sign"] * second, 0.5)
    assert torch.equal(wrong[1], labels != along.truth)


def test_refits_are_vectors_of_halves_drawn_anew(setting, net):
    """With one row repeated a draw is the vector itself; drawn images give other vectors and other errors."""
    here = setting()
    along = Course(here, net, 100, 50, (), 0.5)
    directions = here.directions(net, "gradient", 100)
    assert len(directions[:50].unique(dim=0)) > 40
    alike = torch.cat([directions[:1].expand(50, -1), directions[50:]])
    v = along.vector(alike[:1])
    labels = along.after(along.better_sign(v, along.images[:50]) * v, 0.5)
    assert all(torch.equal(under, labels != along.truth) for under in along.refits(alike, 3))
    wrong = along.refits(directions, 6)
    assert wrong.shape == (6, 50)
    assert len(wrong.unique(dim=0)) > 1
    assert torch.equal(along.refits(directions, 6), wrong), "by the seed"


def test_each_scored_image_has_the_vector_of_the_half_that_it_is_not_in(setting, net):
    here = setting()
    along = Course(here, net, 100, 70, (), 0.5)
    directions = here.directions(net, "gradient", 100)
    each, _ = along._crossed(directions[:50], directions[50:])
    a, b = along.vector(directions[:50]), along.vector(directions[50:])
    assert each.shape == (70, 784)
    assert torch.equal(each[20:], a.expand(50, -1)), "images 50 to 99 are in the second half"
    assert torch.equal(each[:20], (b if a @ b >= 0 else -b).expand(20, -1))
