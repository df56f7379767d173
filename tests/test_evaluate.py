"""Rates on classifiers whose answers are known by hand; intervals against textbook values."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from uapkit import evaluate, predict
from uapkit.data import Images, load, stream

X = torch.tensor([0.1, 0.3, 0.45, 0.6, 0.9]).view(5, 1, 1, 1).expand(5, 1, 2, 2).contiguous()
Y = torch.tensor([0, 0, 1, 1, 1])


def above(threshold):
    """Class 1 where the mean pixel exceeds the threshold."""

    def model(x):
        mean = x.mean((1, 2, 3))
        return torch.stack([torch.zeros_like(mean), mean - threshold], 1)

    return model


def shift(amount):
    return torch.full((1, 2, 2), amount)


def test_known_labels_and_fooling_rate():
    assert evaluate.labels(above(0.5), X).tolist() == [0, 0, 0, 1, 1]
    assert evaluate.fooled(above(0.5), X, shift(0.25)).tolist() == [False, True, True, False, False]
    rate = evaluate.fooling_rate(above(0.5), X, shift(0.25))
    assert (rate.value, rate.n, rate.hits, float(rate)) == (0.4, 5, 2, 0.4)
    assert rate.low < 0.4 < rate.high


@pytest.mark.parametrize("batch_size", [None, 2])
def test_probabilities_are_the_softmax_of_the_logits(batch_size):
    p = evaluate.probabilities(above(0.5), X, shift(0.25), batch_size=batch_size)
    bright = torch.sigmoid(X.mean((1, 2, 3)) + 0.25 - 0.5)
    assert torch.allclose(p, torch.stack([1 - bright, bright], 1))
    assert torch.equal(
        evaluate.probabilities(above(0.5), X, batch_size=batch_size).argmax(1), evaluate.labels(above(0.5), X)
    )
    with pytest.raises(ValueError, match="not finite"):
        evaluate.probabilities(lambda x: above(0.5)(x) * math.nan, X)


def test_true_labels_enter_the_error_rate_only():
    images = Images(X, Y, ("dark", "bright"))
    assert float(evaluate.error_rate(above(0.5), images)) == pytest.approx(0.2)  # the image of 0.45
    assert float(evaluate.error_rate(above(0.5), images, shift(0.25))) == pytest.approx(0.2)  # now that of 0.3
    assert float(evaluate.error_rate(above(0.5), X, y=1 - Y)) == pytest.approx(0.8)
    assert float(evaluate.fooling_rate(above(0.5), images, shift(0.0))) == 0.0
    table = evaluate.accuracy(above(0.5), images)
    assert list(table.columns) == ["model", "data", "accuracy", "low", "high", "n"]
    assert table.accuracy[0] == pytest.approx(0.8)


def test_no_true_labels_is_said():
    with pytest.raises(ValueError, match="true labels are needed"):
        evaluate.error_rate(above(0.5), X)
    with pytest.raises(ValueError, match=r"y must hold one label an image, shape \(5,\), got \(3,\)"):
        evaluate.error_rate(above(0.5), X, y=Y[:3])


def test_clip_cuts_what_leaves_the_box():
    def looks_beyond(x):  # class 1 only where a pixel lies outside [0, 1]
        out = ((x < 0) | (x > 1)).any(-1).any(-1).any(-1).float()
        return torch.stack([1 - out, out], 1)

    assert float(evaluate.fooling_rate(looks_beyond, X, shift(0.5))) == pytest.approx(0.4)  # 0.6 and 0.9 leave
    assert float(evaluate.fooling_rate(looks_beyond, X, shift(0.5), clip=True)) == 0.0
    assert float(evaluate.error_rate(looks_beyond, X, shift(0.5), y=torch.zeros(5, dtype=torch.long), clip=True)) == 0.0


@given(batch_size=st.integers(1, 9), seed=st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_batch_size_changes_nothing(batch_size, seed):
    rng = torch.Generator().manual_seed(seed)
    x = torch.rand(7, 3, 4, 4, generator=rng)
    weight = torch.randn(5, 48, generator=rng)
    v, each = torch.randn(3, 4, 4, generator=rng), torch.randn(7, 3, 4, 4, generator=rng)

    def model(z):
        return z.flatten(1) @ weight.T

    for perturbation in (v, each):
        whole = model(x + perturbation).argmax(1)
        assert torch.equal(evaluate.labels(model, x, perturbation, batch_size=batch_size), whole)


def test_memory_is_bounded_by_the_batch():
    seen = []

    def model(x):
        seen.append(len(x))
        return above(0.5)(x)

    evaluate.labels(model, X, batch_size=2)
    assert seen[-3:] == [2, 2, 1]
    assert max(seen) == 2  # the gate too looks at no more
    assert evaluate.default_batch(224, 224) == 10
    assert evaluate.default_batch(5000, 5000) == 1


def test_clean_labels_are_reused():
    calls = []

    def model(x):
        calls.append(len(x))
        return above(0.5)(x)

    clean = evaluate.labels(model, X)
    calls.clear()
    assert evaluate.fooled(model, X, shift(0.25), clean=clean).sum() == 2
    assert calls == [5]
    with pytest.raises(ValueError, match="one label an image"):
        evaluate.fooled(model, X, shift(0.25), clean=clean[:2])


def test_module_runs_in_evaluation_mode_and_is_put_back():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(4, 2))
    net[2].eval()
    with torch.no_grad():
        net[2].weight.copy_(torch.tensor([[0.0] * 4, [1.0] * 4]))
        net[2].bias.copy_(torch.tensor([0.0, -2.0]))
    assert evaluate.labels(net, X).tolist() == [0, 0, 0, 1, 1]
    assert net.training
    assert net[1].training
    assert not net[2].training


def test_double_precision_is_kept():
    seen = []

    def model(x):
        seen.append(x.dtype)
        return above(0.5)(x)

    evaluate.fooled(model, X.double(), shift(0.1))
    assert set(seen) == {torch.float64}


class Held:
    """Stands for a Perturbation: something that holds v and the exponent of its norm."""

    v, norm = shift(0.25), math.inf


def test_perturbation_objects_are_read():
    assert evaluate.fooling_rate(above(0.5), X, Held()).hits == 2
    table = evaluate.norm_sweep(above(0.5), X, Held(), [0.25])
    assert table.fooling_rate[0] == 0.4  # 0.25 is the largest entry, not the length


@pytest.mark.parametrize(
    ("x", "v", "error", "message"),
    [
        (X * 255, shift(0.1), ValueError, "allowed is \\[0, 1\\]"),
        (X - 0.5, shift(0.1), ValueError, "allowed is \\[0, 1\\]"),
        (X * math.nan, shift(0.1), ValueError, "not finite"),
        (X[0], shift(0.1), ValueError, "shape \\(n, c, h, w\\)"),
        (X[:0], shift(0.1), ValueError, "empty"),
        ((X * 255).byte(), shift(0.1), TypeError, "divide bytes by 255"),
        (X, torch.zeros(1, 3, 3), ValueError, "\\(1, 2, 2\\), got \\(1, 3, 3\\)"),
        (X, torch.zeros(4, 1, 2, 2), ValueError, "got \\(4, 1, 2, 2\\)"),
        (X, shift(math.nan), ValueError, "not finite"),
        (X, np.zeros((1, 2, 2)), TypeError, "tensor \\(c, h, w\\) or a Perturbation"),
    ],
)
def test_bad_images_and_perturbations_are_refused(x, v, error, message):
    with pytest.raises(error, match=message):
        evaluate.fooling_rate(above(0.5), x, v)


def test_useless_logits_are_refused():
    with pytest.raises(ValueError, match="must return logits"):
        evaluate.labels(lambda x: x, X)
    with pytest.raises(ValueError, match="not finite"):
        evaluate.labels(lambda x: above(0.5)(x) * math.nan, X)
    with pytest.raises(ValueError, match="batch_size"):
        evaluate.labels(above(0.5), X, batch_size=0)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [  # Newcombe 1998, Table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_published_values(hits, n, low, high):
    rate = evaluate.Rate.of(hits, n)
    assert rate.low == pytest.approx(low, abs=5e-5)
    assert rate.high == pytest.approx(high, abs=5e-5)


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_interval_holds_the_rate_and_mirrors(n, share):
    hits = round(n * share)
    rate, mirror = evaluate.Rate.of(hits, n), evaluate.Rate.of(n - hits, n)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1
    assert rate.low == pytest.approx(1 - mirror.high, abs=1e-12)


def test_rate_reads_well_and_refuses_nonsense():
    assert repr(evaluate.Rate.of(2, 5)) == "0.4 [0.1176, 0.7693] (n = 5)"
    for hits, n in ((6, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="must"):
            evaluate.Rate.of(hits, n)


def test_paired_difference_uses_the_pairing():
    rng = torch.Generator().manual_seed(0)
    a = torch.rand(400, generator=rng) < 0.5
    b = a.clone()
    b[:20] = False  # nearly the same images
    paired = evaluate.paired_difference(a, b)
    assert paired.value == pytest.approx(float(a.double().mean() - b.double().mean()))
    assert paired.low > 0
    shuffled = evaluate.paired_difference(a, b[torch.randperm(400, generator=rng)])
    assert (shuffled.high - shuffled.low) > 2 * (paired.high - paired.low)
    # for a mean the bootstrap's width is that of the normal interval
    d = a.double() - b.double()
    assert (paired.high - paired.low) == pytest.approx(2 * 1.96 * float(d.std()) / 20, rel=0.1)


def test_paired_difference_is_antisymmetric_and_repeatable():
    a, b = torch.rand(50) < 0.7, torch.rand(50) < 0.3
    one, other = evaluate.paired_difference(a, b, seed=3), evaluate.paired_difference(b, a, seed=3)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert evaluate.paired_difference(a, b, seed=3) == one
    assert evaluate.paired_difference(a, a).low == evaluate.paired_difference(a, a).high == 0
    for bad in (b[:3], torch.zeros(0)):
        with pytest.raises(ValueError, match="same images"):
            evaluate.paired_difference(a if len(bad) else bad, bad)


def test_paired_difference_covers_the_truth():
    rng = torch.Generator().manual_seed(5)
    covered = 0
    for seed in range(200):
        a, b = (torch.rand(80, generator=rng) < p for p in (0.6, 0.4))
        interval = evaluate.paired_difference(a, b, seed=seed, n_boot=400)
        covered += interval.low <= 0.2 <= interval.high
    assert 178 <= covered <= 200  # 95 % nominal; 178 is four standard deviations below 190


def test_mean_interval_is_students():
    one = evaluate.mean_interval([1.0, 2.0, 3.0])
    assert (one.value, one.n) == (2.0, 3)
    assert one.high - one.value == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)  # t table, 2 degrees of freedom
    assert evaluate.mean_interval([0.4]).low == -math.inf
    with pytest.raises(ValueError, match="finite number"):
        evaluate.mean_interval([])


def test_transfer_table():
    models = {"at 0.5": above(0.5), "at 0.2": above(0.2)}
    table = evaluate.transfer(models, X, {"up": shift(0.25), "none": shift(0.0)})
    assert list(table.columns) == ["source", "target", "fooling_rate", "low", "high", "n"]
    found = table.set_index(["source", "target"]).fooling_rate
    assert found["up", "at 0.5"] == 0.4
    assert found["up", "at 0.2"] == 0.2
    assert (table[table.source == "none"].fooling_rate == 0).all()
    twin, other = above(0.5), above(0.2)
    twin.name, other.name = "net", "net"
    with pytest.raises(ValueError, match="same name"):
        evaluate.transfer([twin, other], X, {"up": shift(0.25)})
    other.name = "other"
    assert set(evaluate.transfer([twin, other], X, {"up": shift(0.25)}).target) == {"net", "other"}
    with pytest.raises(ValueError, match="at least one"):
        evaluate.transfer(models, X, {})


def test_norm_sweep_scales_and_takes_both_signs():
    images = Images(X, Y)
    table = evaluate.norm_sweep(above(0.5), images, shift(7.0), [-1.0, 0.0, 0.5], norm=2)  # norm 1 = 0.5 a pixel
    assert table.eps.tolist() == [-1.0, 0.0, 0.5]
    assert table.fooling_rate.tolist() == pytest.approx([0.4, 0.0, 0.4])
    assert table.error_rate.tolist() == pytest.approx([0.6, 0.2, 0.2])
    assert "error_rate" not in evaluate.norm_sweep(above(0.5), X, shift(1.0), [0.1])
    with pytest.raises(ValueError, match="positive finite norm"):
        evaluate.norm_sweep(above(0.5), X, shift(0.0), [0.1])
    with pytest.raises(TypeError):
        evaluate.norm_sweep(above(0.5), X, shift(1.0), [0.1], 2)


def test_norms_are_measured_as_the_perturbation_says():
    """Of a tensor, and of what says nothing, in the 2-norm."""

    def rates(v, norm=None):
        return evaluate.norm_sweep(above(0.5), X, v, [0.2, 0.35, 0.5], norm=norm).fooling_rate.tolist()

    expected = {p: rates(shift(7.0), p) for p in (1.0, 2.0, 3.0)}
    assert len({tuple(one) for one in expected.values()}) == 3
    silent = type("Silent", (), {"v": shift(7.0)})()
    told = type("Told", (), {"v": shift(7.0), "norm": 1.0})()
    assert rates(shift(7.0)) == rates(silent) == expected[2.0]
    assert rates(told) == expected[1.0]


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0, math.inf])
def test_random_perturbation_has_the_norm_and_the_seed(norm):
    v = evaluate.random_perturbation((3, 8, 8), eps=0.7, norm=norm, seed=1)
    assert float(torch.linalg.vector_norm(v.double(), norm)) == pytest.approx(0.7, rel=1e-6)
    assert torch.equal(v, evaluate.random_perturbation((3, 8, 8), eps=0.7, norm=norm, seed=1))
    assert not torch.equal(v, evaluate.random_perturbation((3, 8, 8), eps=0.7, norm=norm, seed=2))
    if norm == math.inf:
        assert set(v.abs().unique().tolist()) == {torch.tensor(0.7).item()}
        assert abs(float(v.mean())) < 0.7 * 4 / math.sqrt(192)


def test_random_perturbation_refuses_nonsense():
    for bad, message in (({"eps": -1}, "eps"), ({"eps": 1, "norm": 0.5}, "norm"), ({"eps": math.nan}, "eps")):
        with pytest.raises(ValueError, match=message):
            evaluate.random_perturbation((1, 2, 2), seed=0, **bad)
    with pytest.raises(ValueError, match=r"\(c, h, w\)"):
        evaluate.random_perturbation((4,), eps=1, seed=0)
    with pytest.raises(ValueError, match=r"\(c, h, w\)"):
        evaluate.random_perturbation((1, 1, 4, 4), eps=1, seed=0)


def test_streams_are_scored_like_loaded_sets():
    model, v = above(0.3), torch.full((1, 28, 28), 0.02)
    loaded = load("digits", n=50)
    flow = stream("digits", n=50, batch_size=16)
    assert 0 < evaluate.fooling_rate(model, loaded, v).hits < 50
    assert evaluate.fooling_rate(model, flow, v, batch_size=5) == evaluate.fooling_rate(model, loaded, v)
    with pytest.raises(ValueError, match="labels from 0 to 9, the network has the classes 0 to 1"):
        evaluate.error_rate(model, flow, v)

    def ten(x):
        return torch.cat([model(x), torch.zeros(len(x), 8)], 1)

    assert evaluate.error_rate(ten, flow, v) == evaluate.error_rate(ten, loaded, v)


def test_whoever_reads_answers_batch_by_batch_can_take_gradients_between_them():
    """Nothing is left switched off between two batches, nor where the reader stops early."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3)).train()
    reading = predict.answers(net, torch.rand(4, 1, 2, 2), None, batch_size=2)
    next(reading)
    assert torch.is_grad_enabled()
    assert net.training
    (z,) = next(reading)[1]
    assert not z.requires_grad, "the answers themselves carry none"


def test_a_batch_size_may_be_a_float_that_is_whole():
    assert torch.equal(evaluate.labels(above(0.5), X, batch_size=2.0), evaluate.labels(above(0.5), X))


def test_how_many_images_are_predicted_at_once():
    sizes = {1: 512, 32: 512, 33: 481, 224: 10, 1024: 1, 2048: 1}
    assert {side: predict.default_batch(side, side) for side in sizes} == sizes


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_pixels_are_rounded_to_so_many_bits(bits):
    seen = []

    def model(x):
        seen.append(x)
        return torch.stack([x.mean((1, 2, 3)), 1 - x.mean((1, 2, 3))], 1)

    evaluate.labels(model, X, shift(0.21), bits=bits)
    levels = 2**bits - 1
    expected = [round(min(1.0, float(x.mean()) + 0.21) * levels) / levels for x in X]
    assert seen[-1][:, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="bits must be an integer of at least 1"):
        evaluate.labels(model, X, shift(0.2), bits=0)
    with pytest.raises(ValueError, match="at most 24, got 1000000"):
        evaluate.labels(model, X, shift(0.2), bits=10**6)


@pytest.mark.parametrize("v", [shift(0.3) * 1j, shift(0.3).to_sparse(), None, [[[0.3]]], True])
def test_what_is_no_dense_real_tensor_is_no_perturbation(v):
    """The imaginary part would be lost without a word."""
    for rate in (
        lambda: evaluate.fooling_rate(above(0.5), X, v),
        lambda: evaluate.transfer({"a": above(0.5)}, X, {"b": v}),
        lambda: evaluate.norm_sweep(above(0.5), X, v, [0.1]),
    ):
        with pytest.raises(TypeError, match=r"v must be a tensor \(c, h, w\) or a Perturbation"):
            rate()
    with pytest.raises(TypeError, match=r"real numbers, got torch\.complex64"):
        evaluate.fooling_rate(above(0.5), X * 1j, shift(0.3))


def test_one_perturbation_may_have_an_axis_in_front_and_many_belong_to_their_images():
    model, v = above(0.5), shift(0.3)
    assert torch.equal(evaluate.labels(model, X, v[None]), evaluate.labels(model, X, v))
    each = torch.stack([shift(a) for a in (0.6, 0.0, 0.6, -0.6, -0.6)])
    for batch_size in (None, 2):
        assert evaluate.labels(model, X, each, batch_size=batch_size).tolist() == [1, 0, 1, 0, 0]


@pytest.mark.parametrize("rows", [2, 4, 6])
@pytest.mark.parametrize("kind", ["fooling_rate", "error_rate", "labels", "probabilities", "norm_sweep", "transfer"])
def test_one_perturbation_an_image_means_as_many(kind, rows):
    v = torch.stack([shift(0.3)] * rows)
    given = {
        "transfer": ([above(0.5)], X, {"v": v}),
        "error_rate": (above(0.5), Images(X, Y), v),
        "norm_sweep": (above(0.5), X, v, [0.1]),
    }
    with pytest.raises(ValueError, match=rf"one for each of 5 images, got \({rows}, 1, 2, 2\)"):
        getattr(evaluate, kind)(*given.get(kind, (above(0.5), X, v)))


def test_one_perturbation_an_image_needs_images_in_their_order():
    each = torch.stack([shift(a) for a in (0.6, 0.0, 0.6, -0.6, -0.6)])
    shuffling = torch.utils.data.DataLoader(X, 2, shuffle=True)
    for call in (
        lambda: evaluate.fooling_rate(above(0.5), shuffling, each),
        lambda: evaluate.norm_sweep(above(0.5), shuffling, each + 0.01, [0.1]),
        lambda: evaluate.transfer([above(0.5)], shuffling, {"v": each}),
    ):
        with pytest.raises(ValueError, match=r"v, one perturbation an image, cannot .* or give one for all"):
            call()
    assert evaluate.labels(above(0.5), [X[:2], X[2:]], each).tolist() == [1, 0, 1, 0, 0]


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_a_sweep_scales_each_perturbation_of_one_an_image(norm):
    each = torch.stack([shift(a) for a in (5.0, -0.1, 0.02, -0.3, 1.0)])
    unit = torch.stack([v / torch.linalg.vector_norm(v, norm) for v in each])
    norms = [-0.5, 0.2, 6.0]
    found = evaluate.norm_sweep(above(0.5), X, each, norms, norm=norm).fooling_rate.tolist()
    assert found == [float(evaluate.fooling_rate(above(0.5), X, unit * eps)) for eps in norms]
    each[3] = 0
    with pytest.raises(ValueError, match=r"got 0.0 for 1 of the 5 images; leave these out"):
        evaluate.norm_sweep(above(0.5), X, each, norms)


@pytest.mark.parametrize("norms", [0.1, [], ["a"]])
def test_norms_of_a_sweep_are_a_list_of_numbers(norms):
    with pytest.raises((TypeError, ValueError), match="norms must"):
        evaluate.norm_sweep(lambda x: pytest.fail("the network ran"), X, shift(1.0), norms)


@pytest.mark.parametrize("rows", [1, 4])
def test_as_many_answers_as_images(rows):
    def model(x):
        return torch.rand(rows, 3)

    with pytest.raises(ValueError, match=r"logits \(n, classes\), here \(2, ...\), got"):
        predict.logits(model, X[:2])
