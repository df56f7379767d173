import copy
import json
import math
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from uapkit.attacks import deepfool, uap
from uapkit.attacks.deepfool import Settings, walk
from uapkit.attacks.labelled import Labelled
from uapkit.data import Images
from uapkit.data.views import viewed
from uapkit.evaluate import fooling_rate
from uapkit.lab.memo import keep, keeping
from uapkit.models import wrap
from uapkit.seeds import generator

inf = math.inf
module = sys.modules[uap.__module__]  # the name uapkit.attacks.uap is the function


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)]
    return nn.Sequential(*layers).double().eval()


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def by_the_book(model, x, *, norm, eps, passes, seed, block=1, sphere=False):
    """Algorithm 1, one image after the other, nothing clever; with the sum of ``block`` steps as the variant."""
    clean, v, settings = model(x).argmax(1), torch.zeros_like(x[0]), Settings(max_iter=10)
    for k in range(1, passes + 1):
        order = torch.randperm(len(x), generator=generator(seed, f"uap/pass{k}/batch0")).tolist()
        while order:
            steps = []
            while order and len(steps) < block:
                i = order.pop(0)
                if model(x[i : i + 1] + v).argmax(1) == clean[i]:
                    result = walk(model, x[i : i + 1] + v, settings)
                    steps.append(result.r[0] * result.success)
            if steps:
                v = v + torch.stack(steps).sum(0)
                length = float(v.abs().max() if norm == inf else v.norm())
                ball = v.clamp(-eps, eps) if norm == inf else v * min(1.0, eps / length)
                v = v * (eps / length) if sphere else ball
    return v


@pytest.mark.parametrize(("norm", "eps"), [(inf, 0.08), (2, 0.5)])
@pytest.mark.parametrize("block", [1, 3, 50])
def test_it_is_algorithm_1(net, x, norm, eps, block):
    result = uap(net, x, norm=norm, eps=eps, target_rate=1, max_passes=3, seed=7, block=block)
    assert torch.allclose(result.v, by_the_book(net, x, norm=norm, eps=eps, passes=3, seed=7, block=block), atol=1e-9)
    assert result.size() <= eps * (1 + 1e-9)
    assert result.made_by["n_passes"] == len(result.history) == 3
    assert result.history[-1] == float(fooling_rate(net, x, result))


@pytest.mark.parametrize(("norm", "eps"), [(inf, 0.08), (2, 0.5)])
def test_the_code_of_2016_projected_onto_the_sphere(net, x, norm, eps):
    about = {"norm": norm, "eps": eps, "seed": 7}
    result = uap(net, x, target_rate=1, max_passes=2, projection="sphere", **about)
    assert torch.allclose(result.v, by_the_book(net, x, passes=2, sphere=True, **about), atol=1e-9)
    assert result.size() == pytest.approx(eps)
    assert result.made_by["projection"] == "sphere"


@pytest.mark.parametrize("norm", [inf, 2])
def test_the_course_says_what_v_was_after_each_pass(net, x, norm):
    stands = []
    result = uap(
        net, x, norm=norm, eps=0.08, target_rate=1, max_passes=3, callback=lambda p: stands.append((p.steps, p.v))
    )
    course = result.made_by["course"]
    assert [(c["steps"], c["l2_norm"]) for c in course] == [(s, pytest.approx(float(v.norm()))) for s, v in stands]
    assert course[0]["way"] >= course[0]["l2_norm"] > 0
    assert course[0]["way"] <= course[1]["way"] <= course[2]["way"]
    # at least one gradient a step for each of the other candidates
    assert all(c["gradients"] >= c["steps"] * (min(10, int(net(x).shape[1])) - 1) for c in course)
    assert result.made_by["gradients"] == course[-1]["gradients"]
    if norm == inf:
        assert course[-1]["saturated"] == float((result.v.abs() >= 0.9 * 0.08).double().mean())
    else:
        assert "saturated" not in course[0]
    (one,) = uap(net, x[:1], eps=5.0, max_passes=1).made_by["course"]
    assert one["way"] == pytest.approx(one["l2_norm"]), "one step leads straight there"
    (step,) = walk(net, x[:1], Settings(max_iter=10)).gradients
    assert one["gradients"] == int(step) > 0


def turned(image):
    """A new view: sometimes a mirror image."""
    return image.flip(-1) if torch.rand(()) < 0.5 else image


def test_each_pass_meets_new_views_and_rates_are_those_of_the_images(net, x):
    settings = {"eps": 0.08, "target_rate": 1, "max_passes": 2, "seed": 7}
    result = uap(net, x, views=turned, **settings)
    v = torch.zeros_like(x[0])
    for number in (1, 2):
        seen = viewed(turned, x, 7, f"uap/pass{number}/views0")
        assert not torch.equal(seen, x)
        order = torch.randperm(len(x), generator=generator(7, f"uap/pass{number}/batch0"))
        for i in order.tolist():
            image, clean = seen[i : i + 1], net(seen[i : i + 1]).argmax(1)
            if net(image + v).argmax(1) == clean:
                step = walk(net, image + v, Settings(max_iter=10))
                v = (v + step.r[0] * step.success).clamp(-0.08, 0.08)
    assert torch.allclose(result.v, v, atol=1e-9)
    assert result.history[-1] == float(fooling_rate(net, x, result))
    assert "turned" in result.made_by["views"]
    still = uap(net, x, views=turned, eps=0.0, max_passes=3)
    assert still.made_by["end"] == "pass limit", "another view may move v, so nothing is stalled"


@pytest.mark.parametrize("block", [1, 4])
def test_looking_ahead_changes_nothing(net, x, block, monkeypatch):
    ahead = uap(net, x, eps=0.08, target_rate=1, max_passes=3, block=block)
    monkeypatch.setattr(module, "batch_for", lambda x: 1)
    one_by_one = uap(net, x, eps=0.08, target_rate=1, max_passes=3, block=block)
    assert torch.allclose(ahead.v, one_by_one.v, atol=1e-9)
    assert ahead.made_by == one_by_one.made_by


def test_the_seed_decides(net, x):
    first = uap(net, x, eps=0.08, target_rate=1, max_passes=2, seed=0)
    assert torch.equal(first.v, uap(net, x, eps=0.08, target_rate=1, max_passes=2, seed=0).v)
    assert not torch.allclose(first.v, uap(net, x, eps=0.08, target_rate=1, max_passes=2, seed=1).v, atol=1e-3)


def test_the_end_states(net, x):
    reached = uap(net, x, eps=0.5, target_rate=0.3)
    assert reached.made_by["end"] == "reached"
    assert reached.history[-1] >= 0.3 > max((0.0, *reached.history[:-1]))
    limit = uap(net, x, eps=0.01, target_rate=1, max_passes=2)
    assert (limit.made_by["end"], limit.made_by["n_passes"]) == ("pass limit", 2)
    nothing = uap(net, x, eps=0, max_passes=5)
    assert (nothing.made_by["end"], nothing.made_by["n_passes"]) == ("stalled", 1)
    assert nothing.history == (0.0,)


class Half(nn.Module):
    """Images with a dark first pixel are class 0 whatever is done; the others become class 1 when they get brighter."""

    def forward(self, x):
        s = x.flatten(1)[:, 1:].sum(1)
        dark = x[:, 0, 0, 0] < 0.5
        return torch.stack([torch.where(dark, s * 0 + 9, s * 0), torch.where(dark, s * 0, s - 2)], 1)


def test_images_that_deepfool_cannot_move_are_passed_over():
    x = torch.full((6, 1, 2, 2), 0.1)
    x[::2, 0, 0, 0] = 1.0
    result = uap(Half().eval(), x, norm=2, eps=5, target_rate=0.9, max_passes=4)
    assert result.made_by["end"] == "stalled"
    assert result.history == (0.5, 0.5)
    assert result.made_by["failures"] == 6  # three in each pass
    assert result.made_by["steps"] == 1
    assert torch.isfinite(result.v).all()


def test_true_labels_never_enter_and_one_image_is_enough(net, x):
    wrong = (net(x).argmax(1) + 1) % 5
    model = copy.deepcopy(net).float()
    images = Images(x.float(), wrong, tuple("abcde"), "test")
    with_labels = uap(model, images, eps=0.08, max_passes=1)
    assert torch.equal(with_labels.v, uap(model, images.x, eps=0.08, max_passes=1).v)
    assert with_labels.made_by["images_sha256"] == images.sha256
    one = uap(net, x[:1], norm=2, eps=100)
    assert one.made_by["end"] == "reached"
    assert torch.allclose(one.v, deepfool(net, x[:1]).r[0])


def test_inputs_may_stream(net, x):
    parts = list(x.split(9))
    streamed = uap(net, parts, eps=0.08, target_rate=1, max_passes=2, seed=3)
    assert torch.equal(streamed.v, uap(net, lambda: iter(parts), eps=0.08, target_rate=1, max_passes=2, seed=3).v)
    assert streamed.made_by["n_fit"] == 24
    assert streamed.history[-1] == float(fooling_rate(net, x, streamed))
    whole = uap(net, [x], eps=0.08, target_rate=1, max_passes=2, seed=3)
    assert torch.equal(whole.v, uap(net, x, eps=0.08, target_rate=1, max_passes=2, seed=3).v)
    with pytest.raises(TypeError, match="only once"):
        uap(net, iter(parts))
    with pytest.raises(ValueError, match="no images"):
        uap(net, [])


def test_slow_deepfools_can_be_discarded_as_the_released_code_does(net, x):
    needed = walk(net, x, Settings(max_iter=10)).n_iter
    assert needed.max() > 1
    everything = uap(net, x, eps=0.08, target_rate=1, max_passes=1)
    assert torch.equal(uap(net, x, eps=0.08, target_rate=1, max_passes=1, discard_from=9).v, everything.v)
    nothing = uap(net, x, eps=0.08, target_rate=1, discard_from=1)
    assert not nothing.v.any()
    assert nothing.made_by["end"] == "stalled"
    assert nothing.made_by["failures"] == 24


def test_callback_and_held_out_curve(net, x):
    passes = []
    result = uap(net, x[:16], eps=0.08, target_rate=1, max_passes=3, held_out=x[16:], callback=passes.append)
    assert [p.number for p in passes] == [1, 2, 3]
    assert tuple(p.fooling_rate for p in passes) == result.history
    assert [p.held_out_rate for p in passes] == result.made_by["held_out_rates"]
    assert passes[-1].held_out_rate == float(fooling_rate(net, x[16:], result))
    assert torch.equal(passes[-1].v, result.v)
    assert passes[-1].steps == result.made_by["steps"] > 0


def test_the_best_pass_can_be_kept(net, x, tmp_path):
    passes, settings = [], {"eps": 0.08, "target_rate": 1, "max_passes": 4, "seed": 2}
    last = uap(net, x, callback=passes.append, **settings)
    best = uap(net, x, keep="best", checkpoint=tmp_path / "run.safetensors", **settings)
    rates = [p.fooling_rate for p in passes]
    assert rates[-1] < max(rates)  # or this seed would show nothing
    assert torch.equal(last.v, passes[-1].v)
    assert (last.made_by["kept_pass"], last.made_by["fooling_rate_fit"]) == (4, rates[-1])
    assert torch.equal(best.v, passes[rates.index(max(rates))].v)
    assert float(fooling_rate(net, x, best)) == best.made_by["fooling_rate_fit"] == max(rates)
    assert best.made_by["kept_pass"] == rates.index(max(rates)) + 1
    assert torch.equal(uap(net, x, keep="best", checkpoint=tmp_path / "run.safetensors", **settings).v, best.v)


def test_the_bar_ends_at_the_last_image_and_a_quick_pass_is_kept_once(net, x, tmp_path, monkeypatch):
    """A checkpoint after each pass, and within a pass only once a minute."""
    bars, written = [], []

    class Bar(module.Bar):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            bars.append(self)

    monkeypatch.setattr(module, "Bar", Bar)
    monkeypatch.setattr(module, "write_state", lambda path, *state: written.append(path))
    uap(net, [x[:10], x[10:]], eps=0.08, target_rate=1, max_passes=2, checkpoint=tmp_path / "run.safetensors")
    assert [(bar.n, bar.total) for bar in bars] == [(24, 24)] * 2
    assert len(written) == 2


class Interrupted(nn.Module):
    def __init__(self, net, calls):
        super().__init__()
        self.net, self.left = net, calls

    def forward(self, x):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.net(x)


@pytest.mark.parametrize("calls", [30, 48, 73])
@pytest.mark.parametrize("block", [1, 3])
def test_an_interrupted_run_goes_on_where_it_was(net, x, calls, block, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", -1.0)
    settings = {"eps": 0.08, "target_rate": 1, "max_passes": 2, "block": block, "held_out": x[:5]}
    path, parts = tmp_path / "run.safetensors", [x[:10], x[10:]]
    whole = uap(Interrupted(net, 0).eval(), parts, **settings)
    with pytest.raises(KeyboardInterrupt):
        uap(Interrupted(net, calls).eval(), parts, checkpoint=path, **settings)
    assert path.exists()
    counting = Interrupted(net, 0).eval()
    resumed = uap(counting, parts, checkpoint=path, **settings)
    assert torch.equal(resumed.v, whole.v)
    assert resumed.history == whole.history
    assert resumed.made_by == whole.made_by
    before = counting.left
    again = uap(counting, parts, checkpoint=path, **settings)  # finished: nothing is left to do but the clean labels
    assert torch.equal(again.v, whole.v)
    assert before - counting.left <= 4


def test_a_finished_run_can_be_given_more_passes(net, x, tmp_path):
    path = tmp_path / "run.safetensors"
    uap(net, x, eps=0.08, target_rate=1, max_passes=1, checkpoint=path)
    longer = uap(net, x, eps=0.08, target_rate=1, max_passes=3, checkpoint=path)
    assert torch.equal(longer.v, uap(net, x, eps=0.08, target_rate=1, max_passes=3).v)


def test_checkpoints_of_other_runs_and_damaged_ones_are_refused(net, x, tmp_path):
    path = tmp_path / "run.safetensors"
    uap(net, x, eps=0.08, max_passes=1, checkpoint=path)
    for other in ({"seed": 1}, {"eps": 0.1}, {"block": 2}, {"norm": 2}):
        with pytest.raises(ValueError, match=f"of another run: {next(iter(other))} was"):
            uap(net, x, **{"eps": 0.08, "max_passes": 1, **other}, checkpoint=path)
    with pytest.raises(ValueError, match="clean labels"):
        uap(net, 1 - x, eps=0.08, max_passes=1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="no checkpoint of uap"):
        uap(net, x, eps=0.08, max_passes=1, checkpoint=path)


def test_a_checkpoint_knows_its_network_its_pixels_and_what_is_held_out(net, x, tmp_path):
    """Where the labels, the names and the settings are those of the run that wrote it, too."""
    path, settings = tmp_path / "run.safetensors", {"eps": 0.08, "target_rate": 1, "max_passes": 1}
    uap(net, x, **settings, checkpoint=path)
    other = copy.deepcopy(net)
    other[4].weight.data *= 0.999
    other[4].bias.data *= 0.999
    moved = x.clone()
    moved[3, 0, 0, 0] += 1e-9
    for model, images, more, name in (
        (other, x, {}, "weights"),
        (net, moved, {}, "pixels"),
        (net, list(x.split(12)), {}, "pixels"),
        (net, x, {"held_out": x[:5]}, "held_out"),
    ):
        assert torch.equal(model(x).argmax(1), net(x).argmax(1))
        with pytest.raises(ValueError, match=f"of another run: {name} was"):
            uap(model, images, **settings, **more, checkpoint=path)
    path.unlink()
    normalised = wrap(net, mean=0.0)
    uap(normalised, x.float(), **settings, checkpoint=path)
    with pytest.raises(ValueError, match="of another run: weights was"):  # mean and std lie in no state dict
        uap(wrap(net, std=1.001), x.float(), **settings, checkpoint=path)


def test_a_checkpoint_of_a_function_knows_its_logits(net, x, tmp_path):
    path, settings = tmp_path / "run.safetensors", {"eps": 0.08, "target_rate": 1, "max_passes": 1}
    first = uap(lambda x: net(x), x, **settings, checkpoint=path)
    assert torch.equal(uap(lambda x: net(x), x, **settings, checkpoint=path).v, first.v)
    with pytest.raises(ValueError, match="of another run: weights was"):
        uap(lambda x: 1.001 * net(x), x, **settings, checkpoint=path)


def test_a_checkpoint_of_an_earlier_version_is_refused(net, x, tmp_path):
    path, settings = (
        tmp_path / "run.safetensors",
        {"eps": 0.08, "max_passes": 1, "checkpoint": tmp_path / "run.safetensors"},
    )
    uap(net, x, **settings)
    with safe_open(path, "pt") as file:
        about, tensors = json.loads(file.metadata()["uapkit.uap"]), {n: file.get_tensor(n) for n in ("v", "best")}
    for name in ("pixels", "weights", "held_out"):
        del about["run"][name]
    save_file(tensors, path, {"uapkit.uap": json.dumps(about)})
    with pytest.raises(ValueError, match=r"by an earlier version of uapkit, which did not note pixels, .* delete it"):
        uap(net, x, **settings)


def test_the_state_that_a_memo_keeps_is_gone_on_from(x, tmp_path, monkeypatch):
    model = wrap(nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), input_size=(1, 8, 8))
    settings = {"eps": 0.05, "target_rate": 1.0, "max_passes": 3, "held_out": x[:5].float()}
    whole, passes = uap(model, x.float(), **settings), []
    sweep = module._Sweep.__call__

    def interrupted(self, state):
        passes.append(len(state.rates))
        if len(passes) == 2:
            raise KeyboardInterrupt
        sweep(self, state)

    monkeypatch.setattr(module._Sweep, "__call__", interrupted)
    with keeping(tmp_path):
        with pytest.raises(KeyboardInterrupt):
            keep(uap, model, x.float(), **settings)
        again = keep(uap, model, x.float(), **settings)
    assert passes == [0, 1, *range(1, len(whole.history))]
    assert torch.equal(again.v, whole.v)
    assert again.made_by == whole.made_by


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"eps": -0.1}, "eps"),
        ({"norm": 1}, "norm must be 2 or inf"),
        ({"target_rate": 0}, "target_rate"),
        ({"target_rate": 1.1}, "target_rate"),
        ({"max_passes": 0}, "max_passes"),
        ({"block": 0}, "block"),
        ({"num_classes": 1}, "num_classes"),
        ({"discard_from": 0}, "discard_from"),
        ({"linearise": "none"}, "linearise"),
        ({"keep": "first"}, "keep"),
        ({"projection": "cube"}, "projection"),
    ],
)
def test_bad_arguments_are_named(net, x, kind, message):
    with pytest.raises(ValueError, match=message):
        uap(net, x, **kind)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        uap(net, x * 255)
    with pytest.raises(ValueError, match="training mode"):
        uap(copy.deepcopy(net).train(), x)


def test_numbers_of_numpy_become_plain(net, x):
    told = uap(net, x, overshoot=np.float64(0.02), seed=np.int64(1), max_iter=np.int32(5), max_passes=1.0, block=2.0)
    plain = uap(net, x, overshoot=0.02, seed=1, max_iter=5, max_passes=1, block=2)
    assert told.made_by == plain.made_by
    assert torch.equal(told.v, plain.v)


class Root(nn.Module):
    """No number for an image with a pixel above 0.99."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x) + 0 * (0.99 - x.amax((1, 2, 3))).sqrt()[:, None]


def test_an_image_needs_a_label_as_it_is_but_not_under_v(net, x):
    images = Labelled(Root(net).eval(), [0.9 * x])
    with pytest.warns(UserWarning, match="not finite .* for 24 of 24 images of x; they count as not fooled"):
        assert images.rate(torch.full((1, 8, 8), 0.5)) == 0
    with pytest.raises(ValueError, match="logits are not finite"):
        Labelled(Root(net).eval(), [0.9 * x, torch.ones_like(x)])
    with pytest.raises(ValueError, match=r"one shape for one v, got \(1, 8, 8\) and \(1, 8, 9\)"):
        Labelled(net, [x, torch.cat([x, x[..., :1]], -1)])


def test_images_without_a_number_under_v_are_not_fooled_and_said():
    class Gamma(nn.Module):
        """Nothing is a number below black."""

        def forward(self, x):
            s = (x**2.2).flatten(1).sum(1)
            return torch.stack([s * 0 + 1, s], 1)

    x = torch.cat(
        [torch.full((3, 1, 2, 2), 0.75), torch.full((3, 1, 2, 2), 0.01)]
    )  # a step for those takes these below 0
    with pytest.warns(UserWarning, match="3 of 6 images of x"):
        result = uap(Gamma().eval(), x, norm=2, eps=5, target_rate=0.6, max_passes=2)
    assert result.history[-1] == 0.5
    assert result.made_by["end"] == "stalled"


@pytest.mark.slow  # the import alone takes seconds
@pytest.mark.parametrize(("norm", "eps"), [(inf, 0.08), (2, 0.5)])
def test_art_finds_the_same_vector_in_the_same_order(x, norm, eps, monkeypatch):
    """Equal settings: the order of the images, DeepFool's steps, overshoot and classes, the ball, two passes."""
    estimators = pytest.importorskip("art.estimators.classification")
    evasion = pytest.importorskip("art.attacks.evasion")
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)]
    model, x, seed, passes = nn.Sequential(*layers).eval(), x.float(), 7, []

    def same_order(everything, n):
        passes.append(None)
        return torch.randperm(n, generator=generator(seed, f"uap/pass{len(passes)}/batch0")).tolist()

    monkeypatch.setattr("art.attacks.evasion.universal_perturbation.random.sample", same_order)
    peer = estimators.PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 5, device_type="cpu")
    inner = {"max_iter": 10, "epsilon": 0.02, "nb_grads": 5, "batch_size": 1, "verbose": False}
    about = {"delta": 0.0, "max_iter": 2, "eps": eps, "norm": norm, "batch_size": 24, "verbose": False}
    attack = evasion.UniversalPerturbation(peer, attacker="deepfool", attacker_params=inner, **about)
    attack.generate(x.numpy())
    theirs = torch.from_numpy(attack.noise[0])
    ours = uap(model, x, norm=norm, eps=eps, target_rate=1, max_passes=2, seed=seed, linearise="plain")
    assert len(passes) == len(ours.history) == 2
    assert float((ours.v - theirs).norm()) < 0.05 * float(theirs.norm())
    assert abs(ours.history[-1] - attack.fooling_rate) <= 1 / 24 + 1e-9
