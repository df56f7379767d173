import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from uapkit.attacks import deepfool, superdeepfool
from uapkit.attacks.deepfool import DeepFoolResult, Settings, walk
from uapkit.attacks.superdeepfool import _normal_part

inf = math.inf


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def affine(w: torch.Tensor, b: torch.Tensor) -> nn.Module:
    layer = nn.Linear(w.shape[1], w.shape[0]).to(w.dtype)
    with torch.no_grad():
        layer.weight.copy_(w)
        layer.bias.copy_(b)
    return nn.Sequential(nn.Flatten(), layer).eval()


def random_affine(seed: int, classes: int, d: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    w = torch.randn(classes, d, generator=rng(seed), dtype=torch.float64)
    return affine(w, torch.randn(classes, generator=rng(seed + 1), dtype=torch.float64)), w, images(seed + 2, 8, d)


def images(seed: int, n: int, d: int) -> torch.Tensor:
    return torch.rand(n, 1, 1, d, generator=rng(seed), dtype=torch.float64)


def convnet(seed: int = 0, classes: int = 6) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, classes),
    ).eval()


@pytest.fixture(scope="module")
def small() -> tuple[nn.Module, torch.Tensor]:
    """A trained network, for boundaries that are not all alike: which quarter of the picture is brightest."""
    model, g = convnet(classes=4), rng(5)
    x = torch.rand(256, 1, 12, 12, generator=g) * 0.6
    y = torch.randint(4, (256,), generator=g)
    for i, k in enumerate(y.tolist()):
        x[i, 0, 6 * (k // 2) : 6 * (k // 2) + 6, 6 * (k % 2) : 6 * (k % 2) + 6] += 0.2
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    assert (model(x).argmax(1) == y).float().mean() > 0.9
    return model, x[:40]


def nearest(w: torch.Tensor, model: nn.Module, x: torch.Tensor, dual: float) -> torch.Tensor:
    """|f_k - f_0| / ||w_k - w_0||_dual, the least over the other classes: the exact distance to the boundary."""
    f = model(x).detach()
    k0 = f.argmax(1)
    distance = (f - f.gather(1, k0[:, None])).abs() / torch.linalg.vector_norm(w - w[k0][:, None], dual, 2)
    return distance.scatter(1, k0[:, None], inf).amin(1)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), classes=st.integers(2, 12), norms=st.sampled_from([(2.0, 2.0), (inf, 1.0), (3.0, 1.5)])
)
def test_affine_closed_form(seed, classes, norms):
    model, w, x = random_affine(seed, classes, 20)
    result = deepfool(model, x, num_classes=classes, norm=norms[0], overshoot=1e-6)
    size = torch.linalg.vector_norm(result.r.flatten(1), norms[0], 1)
    assert result.success.all()
    assert (result.n_iter == 1).all()
    assert torch.allclose(size, nearest(w, model, x, norms[1]) * (1 + 1e-6), rtol=1e-8)


def test_two_classes_move_by_f_over_w_times_the_overshoot():
    w = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    model = affine(w, torch.tensor([0.0, -5.0]))
    x = torch.tensor([0.2, 0.1], dtype=torch.float64).view(1, 1, 1, 2)  # f = 1 - 5 = -4, |f|/||w|| = 0.8
    assert torch.allclose(deepfool(model, x).r.flatten(), 1.02 * 0.8 * torch.tensor([0.6, 0.8], dtype=torch.float64))
    step = deepfool(model, x, norm=inf, overshoot=0.5).r.flatten()
    assert torch.allclose(step, torch.full((2,), 1.5 * 4 / 7, dtype=torch.float64))
    longer = deepfool(model, x, extra=0.1, overshoot=0.0).r.flatten()
    assert float(longer.norm()) == pytest.approx(0.9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_target_confines_the_direction(seed):
    model, w, x = random_affine(seed, 2, 15)
    label = model(x).argmax(1)
    result = deepfool(model, x, target=1)
    assert result.success.all()
    assert not result.r[label == 1].any()
    assert (result.n_iter[label == 1] == 0).all()
    gap = (model(x)[:, 1] - model(x)[:, 0]).detach().clamp(max=0).abs() / (w[1] - w[0]).norm()
    assert torch.allclose(result.r.flatten(1).norm(dim=1), 1.02 * gap, rtol=1e-6)


def test_target_reaches_that_class_among_many():
    model, _, x = random_affine(3, 9, 30)
    target = torch.arange(8)
    result = deepfool(model, x, target=target)
    assert result.success.all()
    assert torch.equal(model(x + result.r).argmax(1), target)
    assert torch.equal(result.adversarial, target)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(2, 20))
def test_basis_confines_the_step_and_has_its_closed_form(seed, k):
    model, w, x = random_affine(seed, 4, 20)
    q = torch.linalg.qr(torch.randn(20, k, generator=rng(seed + 9), dtype=torch.float64))[0]
    result = deepfool(model, x, num_classes=4, basis=q)
    flat = result.r.flatten(1)
    assert torch.allclose(flat @ q @ q.T, flat, atol=1e-10)
    assert torch.allclose(flat.norm(dim=1), 1.02 * nearest(w @ q, model, x, 2.0), rtol=1e-7)


def test_candidates_are_the_best_scoring_classes_only():
    # class 2 is the nearest boundary but scores lowest: with two candidates it must not be chosen
    w = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 100.0]], dtype=torch.float64)
    model = affine(w, torch.tensor([0.0, -1.0, -60.0]))
    x = torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64)
    assert deepfool(model, x, num_classes=2).adversarial.tolist() == [1]
    assert deepfool(model, x, num_classes=10).adversarial.tolist() == [2]


@pytest.mark.parametrize("kind", [{}, {"linearise": "plain"}, {"norm": inf}, {"extra": 1e-4}, {"refine": 4}])
def test_success_means_that_the_label_differs(small, kind):
    model, x = small
    result = deepfool(model, x, **kind)
    moved = model(x + result.r).argmax(1)
    assert torch.equal(result.label, model(x).argmax(1))
    assert torch.equal(moved != result.label, result.success)
    assert torch.equal(result.adversarial, moved)
    assert result.success.float().mean() > 0.95
    assert (result.n_iter[result.success] >= 1).all()


@pytest.mark.parametrize("norm", [2, inf])
def test_the_pixel_box_keeps_every_success(small, norm):
    model, x = small
    x = (x * 4 - 1).clamp(0, 1)  # many pixels on the walls, as in pictures of digits
    free, boxed = (deepfool(model, x, norm=norm, bounds=b) for b in (None, (0, 1)))
    inside = x + boxed.r
    assert float(inside.min()) >= 0
    assert float(inside.max()) <= 1
    kept = [(model((x + a.r).clamp(0, 1)).argmax(1) != a.label)[a.success].float().mean() for a in (free, boxed)]
    assert boxed.success.float().mean() > 0.95
    assert kept[1] == 1
    assert kept[0] < 0.9  # what the option is for


def test_pixels_without_room_leave_the_step_to_the_others():
    model = affine(torch.tensor([[0.0, 0.0], [2.0, 1.0]], dtype=torch.float64), torch.tensor([0.0, -2.5]))
    x = torch.tensor([1.0, 0.2], dtype=torch.float64).view(1, 1, 1, 2)  # the gap is 0.3; the first pixel is at its wall
    result = deepfool(model, x, bounds=(0, 1))
    assert result.success.all()
    assert result.r.flatten().tolist() == pytest.approx([0.0, 0.3 * 1.02])
    result = deepfool(model, x, bounds=(0, 1.5))  # unbounded: 0.3 * (2, 1) / 5
    assert result.r.flatten().tolist() == pytest.approx([0.12 * 1.02, 0.06 * 1.02])
    far = affine(torch.tensor([[0.0, 0.0], [2.0, 1.0]], dtype=torch.float64), torch.tensor([0.0, -3.2]))
    result = deepfool(far, x, bounds=(0, 1))
    assert not result.success.any()
    assert result.r.flatten().tolist() == pytest.approx([0.0, 0.8])  # as far as the box lets it, then it gives up
    assert int(result.n_iter) < 50


def test_refining_shortens_without_losing(small):
    model, x = small
    plain, refined = deepfool(model, x), deepfool(model, x, refine=7)
    a, b = plain.r.flatten(1).norm(dim=1), refined.r.flatten(1).norm(dim=1)
    assert (b <= a * (1 + 1e-6)).all()
    assert b.mean() < 0.995 * a.mean()
    assert torch.equal(plain.success, refined.success)


def test_batches_and_single_images_agree(small):
    model, x = small
    whole = deepfool(model, x)
    for size in (1, 3, 17):
        part = deepfool(model, x, batch_size=size)
        assert torch.equal(part.success, whole.success)
        assert torch.equal(part.n_iter, whole.n_iter)
        assert torch.allclose(part.r, whole.r, atol=1e-4)


def test_nothing_is_computed_for_images_that_are_finished(small):
    model, x = small
    seen = []
    handle = model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    result = deepfool(model, x)
    handle.remove()
    # every image is looked at once a step and once at its end, and at most once more a step to drop finished ones
    assert sum(seen) <= int((2 * result.n_iter + 1).sum())
    assert max(seen) == len(x)


def test_gradients_are_those_of_the_running_images(small, monkeypatch):
    model, x = small
    rows, true_grad = [], torch.autograd.grad

    def counted(outputs, inputs, grad_outputs, **kwargs):
        rows.append(len(inputs) * (len(grad_outputs) if kwargs.get("is_grads_batched") else 1))
        return true_grad(outputs, inputs, grad_outputs, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    result = deepfool(model, x, num_classes=4)
    steps = int(result.n_iter.sum())
    assert result.gradients.tolist() == (3 * result.n_iter).tolist()
    # three gradients an image and step; those of images found finished only where dropping them would cost more
    assert 3 * steps <= sum(rows) <= 4 * steps


def test_a_network_without_gradient_fails_and_says_so():
    class Steps(nn.Module):
        def forward(self, x):
            return torch.stack([x.flatten(1).sum(1) * 0, x.flatten(1).sum(1) * 0 - 1], 1)

    x = torch.rand(3, 1, 2, 2)
    for kind in ({}, {"bounds": (0, 1)}, {"norm": inf}, {"target": 1}):
        result = deepfool(Steps().eval(), x, **kind)
        assert not result.success.any()
        assert not result.r.any()
        assert not result.n_iter.any()


def test_nan_logits_are_no_success():
    class Broken(nn.Module):
        def forward(self, x):  # class 0 up to a sum of 3, where class 1 takes over; NaN from 2 on
            s = x.flatten(1).sum(1)
            return torch.stack([s * 0 + 1, s - 2, torch.where(s > 2, s * math.nan, s * 0 - 9)], 1)

    result = deepfool(Broken().eval(), torch.full((2, 1, 2, 2), 0.25))
    assert not result.success.any()
    assert torch.isfinite(result.r).all()


class Gap(nn.Module):
    """Class 1 from a sum of 3 on, class 0 below; no number around 2, half-way from a sum of 1."""

    def forward(self, x):
        s = x.flatten(1).sum(1)
        return torch.stack([s * 0 + 1, s - 2, torch.where((s - 2).abs() < 0.1, math.nan, s * 0 - 9)], 1)


@pytest.mark.parametrize("kind", [{}, {"target": 1}])
def test_refining_does_not_end_where_logits_are_nan(kind):
    x = torch.full((2, 1, 2, 2), 0.25)
    result = deepfool(Gap().eval(), x, refine=4, **kind)
    assert result.adversarial.tolist() == [1, 1]
    assert ((x + result.r).sum((1, 2, 3)) >= 3).all()


def test_superdeepfool_does_not_end_where_logits_are_nan(monkeypatch):
    x = torch.full((2, 1, 2, 2), 0.25)
    monkeypatch.setattr(
        sys.modules[superdeepfool.__module__],
        "_normal_part",
        lambda model, point, step, label, there: (step / 2, torch.ones(len(step), dtype=torch.bool)),
    )
    result = superdeepfool(Gap().eval(), x)
    assert result.adversarial.tolist() == [1, 1]
    assert ((x + result.r).sum((1, 2, 3)) >= 3).all()


def test_an_image_on_the_boundary_is_pushed_off_it():
    model = affine(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([1.0, 0.0]))
    x = torch.full((1, 1, 1, 2), 0.5)
    result = deepfool(model, x)
    assert model(x).diff().item() == 0
    assert result.success.all()
    assert float(result.r.abs().max()) < 1e-5


def test_more_classes_than_the_network_has_and_one_image():
    model, w, x = random_affine(11, 3, 10)
    result = deepfool(model, x[:1], num_classes=1000)
    assert isinstance(result, DeepFoolResult)
    assert result.r.shape == x[:1].shape
    assert float(result.r.norm()) == pytest.approx(1.02 * float(nearest(w, model, x[:1], 2.0)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"num_classes": 1}, "num_classes"),
        ({"max_iter": 0}, "max_iter"),
        ({"overshoot": -0.1}, "overshoot"),
        ({"norm": 1}, "norm"),
        ({"linearise": "plan"}, "'plain'"),
        ({"target": 4}, r"classes in \[0, 3\]"),
        ({"target": torch.tensor([1, 2])}, "one an image"),
        ({"bounds": (1, 0)}, "low < high"),
        ({"bounds": (0,)}, r"bounds must be \(low, high\) with low < high, got \(0,\)"),
        ({"bounds": (0.2, 0.3)}, "outside the bounds"),
        ({"basis": torch.ones(144, 2)}, "orthonormal"),
        ({"basis": torch.eye(3)}, "d = 144"),
        ({"basis": torch.eye(144), "norm": inf}, "norm 2"),
        ({"basis": torch.eye(144), "bounds": (0, 1)}, "one of them"),
        ({"batch_size": 0}, "batch_size"),
        ({"refine": -1}, "refine"),
    ],
)
def test_bad_arguments_are_named(small, kind, message):
    model, x = small
    with pytest.raises(ValueError, match=message):
        deepfool(model, x, **kind)


@pytest.mark.parametrize("basis", [5, torch.eye(144).numpy(), torch.eye(144) * 1j, torch.eye(144).to_sparse()])
def test_a_basis_is_a_dense_real_tensor(small, basis):
    model, x = small
    with pytest.raises(TypeError, match=r"basis must be a tensor \(d, k\) with orthonormal columns"):
        deepfool(model, x, basis=basis)


@pytest.mark.parametrize("kind", [{"overshoot": inf}, {"extra": inf}])
def test_lengths_are_finite(small, kind):
    with pytest.raises(ValueError, match=next(iter(kind))):
        deepfool(*small, **kind)


def test_counts_may_come_as_floats_that_are_whole(small):
    model, x = small[0], small[1][:5]
    as_told, whole = (
        {"num_classes": 4, "max_iter": 5, "refine": 2, "batch_size": 2},
        deepfool(model, x, max_iter=5, num_classes=4, refine=2),
    )
    floats = deepfool(model, x, **{name: float(n) for name, n in as_told.items()})
    torch.testing.assert_close(floats.r, whole.r)
    assert superdeepfool(model, x, num_classes=4.0, max_iter=5.0, max_rounds=2.0).success.all()


def test_one_score_is_not_enough():
    with pytest.raises(ValueError, match="two classes"):
        deepfool(affine(torch.ones(1, 4), torch.zeros(1)), torch.rand(2, 1, 2, 2))


def test_foolbox_finds_the_same_steps(small):
    foolbox = pytest.importorskip("foolbox")
    model, x = small
    peer = foolbox.PyTorchModel(model, bounds=(-1e3, 1e3), device="cpu")
    attack = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, overshoot=0.02)
    theirs = attack(peer, x, model(x).argmax(1), epsilons=None)[0] - x
    ours = deepfool(model, x, extra=1e-4).r
    assert torch.allclose(theirs.flatten(1).norm(dim=1), ours.flatten(1).norm(dim=1), rtol=0.02)
    cosine = nn.functional.cosine_similarity(theirs.flatten(1), ours.flatten(1))
    assert cosine.min() > 0.99


@pytest.mark.slow  # the import alone takes seconds
def test_art_finds_steps_of_the_same_length(small):
    estimators = pytest.importorskip("art.estimators.classification")
    evasion = pytest.importorskip("art.attacks.evasion")
    model, x = small
    x = x[:12]
    peer = estimators.PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 12, 12), 4, device_type="cpu")
    attack = evasion.DeepFool(peer, max_iter=50, epsilon=0.02, nb_grads=4, batch_size=1, verbose=False)
    theirs = torch.from_numpy(attack.generate(x.numpy())) - x
    model.eval()
    ours = deepfool(model, x, linearise="plain").r
    assert torch.allclose(theirs.flatten(1).norm(dim=1), ours.flatten(1).norm(dim=1), rtol=0.05)


def test_superdeepfool_on_planes_is_the_distance_to_the_nearest() -> None:
    model, w, x = random_affine(3, 5, 7)
    length = superdeepfool(model, x, overshoot=1e-6).r.flatten(1).norm(dim=1)
    torch.testing.assert_close(length, nearest(w, model, x, 2), rtol=1e-4, atol=1e-8)


def test_superdeepfool_ends_nearer_than_deepfool_and_fools(small) -> None:
    model, x = small
    plain, found = deepfool(model, x, max_iter=50), superdeepfool(model, x, max_iter=50)
    assert bool(found.success.all())
    assert torch.equal(model(x + found.r).argmax(1), found.adversarial)
    assert bool((found.adversarial != found.label).all())
    before, after = (r.flatten(1).norm(dim=1) for r in (plain.r, found.r))
    assert bool((after <= before * (1 + 1e-6)).all())
    assert float((after / before).mean()) < 0.985
    assert bool((found.gradients > plain.gradients).all())


def test_superdeepfools_steps_are_more_nearly_normal_to_the_boundary(small) -> None:
    model, x = small

    def cosine(result) -> float:
        point = (x + result.r).requires_grad_()
        scores = model(point)
        gap = scores.gather(1, result.adversarial[:, None]) - scores.gather(1, result.label[:, None])
        (w,) = torch.autograd.grad(gap.sum(), point)
        return float(torch.nn.functional.cosine_similarity(w.flatten(1), result.r.flatten(1)).mean())

    assert cosine(superdeepfool(model, x)) > cosine(deepfool(model, x))


def test_superdeepfool_batches_and_images_without_a_boundary() -> None:
    model, _, x = random_affine(9, 4, 6)
    whole, split = superdeepfool(model, x), superdeepfool(model, x, batch_size=3)
    torch.testing.assert_close(whole.r, split.r)
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3)).eval().requires_grad_(False)
    flat[1].weight.zero_()
    stuck = superdeepfool(flat, images(1, 3, 6).float())
    assert not bool(stuck.success.any())
    assert float(stuck.r.abs().max()) == 0.0


@pytest.mark.parametrize("wrong", [{"max_rounds": 0}, {"max_iter": 0}, {"batch_size": 0}, {"overshoot": -1.0}])
def test_superdeepfool_refuses_settings_out_of_range(wrong) -> None:
    model, _, x = random_affine(1, 3, 4)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        superdeepfool(model, x, **wrong)


class Curve(nn.Module):
    """Two classes of one pixel x: 0 and g(x)."""

    def __init__(self, g):
        super().__init__()
        self.g = g

    def forward(self, x):
        s = x.flatten(1)[:, 0]
        return torch.stack([torch.zeros_like(s), self.g(s)], 1)


def test_where_the_boundary_runs_away_fifty_steps_are_made():
    result = deepfool(Curve(lambda s: -torch.exp(-s)).eval(), torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64))
    assert result.n_iter.tolist() == [50]
    assert not result.success.any()
    assert float(result.r) == pytest.approx(50 * 1.02), "each step is |g / g'| = 1"


@pytest.mark.parametrize("linearise", ["overshot", "plain"])
def test_the_point_at_which_the_score_is_linearised(linearise):
    """Newton's steps on g(x) = x^3 - 0.6 by hand; the label is looked at at the overshot point."""
    x0, total, steps, reach = 0.3, 0.0, 0, 1.1
    while (x0 + reach * total) ** 3 < 0.6:
        at = x0 + total * (reach if linearise == "overshot" else 1)
        total, steps = total + (0.6 - at**3) / (3 * at**2), steps + 1
    model = Curve(lambda s: s**3 - 0.6).eval()
    x = torch.full((1, 1, 1, 1), x0, dtype=torch.float64)
    result = deepfool(model, x, linearise=linearise, overshoot=0.1)
    assert result.n_iter.tolist() == [steps]
    assert float(result.r) == pytest.approx(reach * total, rel=1e-9)
    # from the other side it takes several steps, each too short
    x0, total, steps = 1.0, 0.0, 0
    while (x0 + 1.001 * total) ** 3 > 0.2:
        at = x0 + total * (1.001 if linearise == "overshot" else 1)
        total, steps = total - (at**3 - 0.2) / (3 * at**2), steps + 1
        if steps == 50:
            break
    result = deepfool(Curve(lambda s: s**3 - 0.2).eval(), torch.ones_like(x), linearise=linearise, overshoot=0.001)
    assert steps > 2
    assert result.n_iter.tolist() == [steps]
    assert float(result.r) == pytest.approx(1.001 * total, rel=1e-6)


@pytest.mark.parametrize("target", [0, 1, 3])
def test_refining_towards_a_target_ends_in_it(small, target):
    model, x = small
    plain, refined = deepfool(model, x, target=target), deepfool(model, x, target=target, refine=6)
    assert torch.equal(plain.success, refined.success)
    there = refined.success
    assert (model(x + refined.r).argmax(1)[there] == target).all()
    assert (refined.adversarial[there] == target).all()


def test_pixels_that_go_down_have_room_down_to_the_lower_wall():
    """The mirror image of the pixel at its upper wall: the first pixel is at 0 and would go down."""
    model = affine(torch.tensor([[0.0, 0.0], [-2.0, -1.0]], dtype=torch.float64), torch.tensor([0.0, 0.5]))
    x = torch.tensor([0.0, 0.8], dtype=torch.float64).view(1, 1, 1, 2)  # the gap is 0.3
    result = deepfool(model, x, bounds=(0, 1))
    assert result.success.all()
    assert result.r.flatten().tolist() == pytest.approx([0.0, -0.3 * 1.02])
    result = deepfool(model, x, bounds=(-0.5, 1))
    assert result.r.flatten().tolist() == pytest.approx([-0.12 * 1.02, -0.06 * 1.02])


def super_by_the_book(model, x, rounds, settings):
    """SDF(inf, 1) on one image, line by line: the shortest step seen, and the gradients that were taken."""
    label = model(x).argmax(1)
    found = walk(model, x, settings)
    step, best, gradients = found.r, found.r, int(found.gradients)
    for number in range(rounds):
        point = (x + step).requires_grad_()
        scores = model(point)
        (w,) = torch.autograd.grad((scores[:, found.adversarial] - scores[:, label]).sum(), point)
        gradients += 1
        step = (w * step).sum() / (w * w).sum() * w
        crossed = bool(model(x + step).argmax(1) != label)
        if crossed and step.norm() < best.norm():
            best = step
        if crossed or number == rounds - 1:
            break
        found = walk(model, x + step, settings, away=label)
        gradients += int(found.gradients)
        step = step + found.r
        best = step if step.norm() < best.norm() else best
    return best, gradients


@pytest.mark.parametrize("rounds", [1, 2, 3, 10])
def test_superdeepfool_is_that_of_the_paper(small, rounds):
    model, x = small
    settings = Settings(4, 0.02, 50)
    found = superdeepfool(model, x[:12], num_classes=4, max_rounds=rounds)
    for i in range(12):
        best, gradients = super_by_the_book(model, x[i : i + 1], rounds, settings)
        assert torch.allclose(found.r[i], best[0], atol=1e-4)
        assert int(found.gradients[i]) == gradients


def test_only_the_part_of_a_step_along_the_normal_is_kept_and_only_forwards():
    model = affine(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 0.0]], dtype=torch.float64), torch.zeros(3))
    steps = torch.tensor([[3.0, 5.0], [-0.5, 3.0], [0.0, 3.0], [3.0, 5.0]], dtype=torch.float64).view(4, 1, 1, 2)
    label, there = torch.zeros(4, dtype=torch.long), torch.tensor([1, 1, 1, 2])  # towards class 2 there is no slope
    kept, forwards = _normal_part(model, torch.rand(4, 1, 1, 2, dtype=torch.float64), steps, label, there)
    assert forwards.tolist() == [True, False, False, False]
    assert forwards.dtype == torch.bool
    assert kept[0].flatten().tolist() == [3.0, 0.0]
