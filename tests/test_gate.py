"""The gate: what it finds, that it looks once, and the way out for those who know."""

import gc

import pytest
import torch
from torch import nn

from uapkit import attacks, checks, data, evaluate, gate, models, probe
from uapkit.curvature import principal_curvatures
from uapkit.lab.identity import identity
from uapkit.operators import HessianOperator, JacobianOperator

X = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def linear(classes=3, seed=0, scale=1.0):
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, classes))
    net[1].weight.data *= scale
    return net.eval()


class Counted(nn.Module):
    def __init__(self, model, change=lambda z: z):
        super().__init__()
        self.model, self.change, self.calls = model, change, 0

    def forward(self, x):
        self.calls += 1
        return self.change(self.model(x))


def test_a_network_is_looked_at_once():
    net = Counted(linear()).eval()
    evaluate.labels(net, X)
    once = net.calls
    assert once > 2
    net.calls = 0
    evaluate.labels(net, X)
    assert net.calls == 1  # the labels alone
    for change in (
        lambda: net.model[1].weight.copy_(net.model[1].weight * 2),
        lambda: net.model[1].weight.detach().mul_(2),
        lambda: net.register_buffer("more", torch.zeros(1)),
    ):
        with torch.no_grad():
            change()
    net.calls = 0
    evaluate.labels(net, X)
    assert net.calls == once
    net.calls = 0
    evaluate.labels(net, X.repeat(1, 1, 1, 1)[:, :, :, :])
    assert net.calls == 1


def test_what_is_remembered_dies_with_the_network():
    gc.collect()
    known = len(gate._passed._kept)
    net = linear()
    evaluate.labels(net, X)
    assert len(gate._passed._kept) == known + 1
    del net
    gc.collect()
    assert len(gate._passed._kept) == known


def test_wrappers_of_one_network_are_told_apart():
    inner = linear()
    evaluate.labels(Counted(inner).eval(), X)
    noisy = Counted(inner, lambda z: z + torch.randn_like(z)).eval()
    with pytest.raises(ValueError, match="no fixed function"):
        evaluate.labels(noisy, X)

    class Defended:
        model = inner

        def __call__(self, x):
            return inner(x) + x.mean()

    with pytest.raises(ValueError, match="alone"):
        evaluate.labels(Defended(), X)


def test_a_layer_is_remembered_with_its_network():
    net = Counted(linear()).eval()
    model = models.wrap(net)
    JacobianOperator(model.until("logits"), X)
    net.calls = 0
    JacobianOperator(model.until("logits"), X)
    again = net.calls
    net.model[1].weight.data = net.model[1].weight * 2
    net.calls = 0
    JacobianOperator(model.until("logits"), X)
    assert net.calls > again


@pytest.mark.parametrize(("check", "change"), [
    ("fixed", lambda z: z + 1e-3 * torch.randn_like(z)),
    ("alone", lambda z: z + z.mean()),
    ("logits", lambda z: z.softmax(1)),
    ("gradient", lambda z: z / 2 + z.detach() / 2),
])  # fmt: skip
def test_whoever_knows_better_says_so(check, change):
    with pytest.raises(ValueError, match=rf"models\.trust\(network, '{check}'\)"):
        attacks.loss_gradient(Counted(linear(), change).eval(), X)
    known = models.trust(Counted(linear(), change).eval(), check)
    assert attacks.loss_gradient(known, X).shape == X.shape
    wrapped = models.wrap(Counted(linear(), change), trust=[check])
    assert attacks.loss_gradient(wrapped, X).shape == X.shape
    with pytest.raises(ValueError, match="unknown check 'fixd'; the nearest names are 'fixed'"):
        models.trust(known, "fixd")


def test_half_precision_is_scored_and_attacked_by_those_who_know():
    net = linear().half()
    assert torch.equal(evaluate.labels(net, X), evaluate.labels(net.float(), X))
    known = models.trust(linear().half(), "precision", "gradient")
    assert attacks.loss_gradient(known, X).dtype == torch.float32


def test_probabilities_are_turned_into_the_logits_that_they_came_from():
    net = linear(scale=3)
    soft = nn.Sequential(net, nn.Softmax(1)).eval()
    with pytest.raises(ValueError, match='outputs="probabilities"'):
        attacks.deepfool(soft, X)
    with pytest.raises(ValueError, match="probabilities"):
        evaluate.probabilities(soft, X)
    assert torch.equal(evaluate.labels(soft, X), evaluate.labels(net, X))  # labels are the same: nothing to refuse
    taken, right = attacks.deepfool(models.wrap(soft, outputs="probabilities"), X), attacks.deepfool(net, X)
    torch.testing.assert_close(taken.r, right.r, rtol=1e-3, atol=1e-5)
    p = evaluate.probabilities(models.wrap(soft, outputs="probabilities"), X)
    torch.testing.assert_close(p, net(X).softmax(1).detach())


@pytest.mark.parametrize(
    ("last", "classes", "words"),
    [
        (nn.LogSoftmax(1), 3, "negative"),
        (nn.Identity(), 3, "negative|sums to"),
        (nn.Sigmoid(), 3, "sums to"),
        (nn.ReLU(), 1, "above 1"),
        (nn.Identity(), 1, "negative"),
    ],
)
def test_what_is_called_probabilities_is_none(last, classes, words):
    """Their logarithm, or that of what is cut off at 0, would be taken for logits."""
    net = linear(scale=20, classes=classes)
    net[-1].bias.data.fill_(3 if isinstance(last, nn.ReLU) else -3)
    for call in (
        lambda m: evaluate.labels(m, X),
        lambda m: attacks.deepfool(m, X),
        lambda m: m(X),
        lambda m: m.predict(X),
    ):
        with pytest.raises(ValueError, match=rf'outputs="probabilities" but .*({words})'):
            call(models.wrap(nn.Sequential(net, last), outputs="probabilities"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_probabilities_that_are_rounded_are_probabilities(dtype):
    z = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0)) * 3

    class Soft(nn.Module):
        def forward(self, x):
            return (z.softmax(1)[: len(x)] + 0 * x.sum()).to(dtype)

    model = models.wrap(Soft(), outputs="probabilities")
    assert torch.equal(model(X).argmax(1), z[: len(X)].softmax(1).to(dtype).argmax(1))


def test_a_sigmoid_is_no_logit():
    def model():
        return models.wrap(nn.Sequential(linear(classes=1), nn.Sigmoid()), outputs="binary", input_size=X.shape[1:])

    for call in (
        lambda m: evaluate.labels(m, X),
        lambda m: attacks.deepfool(m, X),
        lambda m: m.layers(),
        lambda m: torch.inference_mode()(m)(X),
    ):
        with pytest.raises(
            ValueError, match='outputs="binary", one logit an image, but returns the probabilities of a'
        ):
            call(model())


def test_trying_a_model_is_no_call_of_its_layers():
    net = nn.Sequential(nn.ReLU(inplace=True), *linear(classes=1))
    model = models.wrap(net, outputs="binary", input_size=X.shape[1:])
    assert model.layers() == ["0", "1", "2", "logits"]
    with pytest.raises(ValueError, match="called only 1 times"):
        models.wrap(net, outputs="binary").until("2:2")(X)
    untried = models.wrap(net, outputs="binary", input_size=X.shape[1:])
    assert identity(model) == identity(untried)


@pytest.mark.parametrize("shape", [lambda z: z, lambda z: z[:, 0]], ids=["(n, 1)", "(n,)"])
def test_one_logit_is_two_classes_when_told_so(shape):
    one = Counted(linear(classes=1), shape)
    for refused in (evaluate.labels, evaluate.probabilities, attacks.deepfool):
        with pytest.raises(ValueError, match='outputs="binary"'):
            refused(one.eval(), X)
    model = models.wrap(one, outputs="binary")
    s = linear(classes=1)(X)[:, 0].detach()
    assert evaluate.labels(model, X).tolist() == (s > 0).long().tolist()
    torch.testing.assert_close(evaluate.probabilities(model, X)[:, 1], torch.sigmoid(s))
    probability = models.wrap(nn.Sequential(linear(classes=1), nn.Sigmoid()), outputs="probabilities")
    torch.testing.assert_close(evaluate.probabilities(probability, X)[:, 1], torch.sigmoid(s))
    with pytest.raises(ValueError, match="not one logit"):
        evaluate.labels(models.wrap(linear(), outputs="binary"), X)
    with pytest.raises(ValueError, match="kind of outputs"):
        models.wrap(linear(), outputs="logit")


def test_a_gradient_that_is_cut_off_is_found_on_the_way_to_a_layer():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.head = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten()), nn.Linear(16, 3)

        def forward(self, x):
            with torch.no_grad():
                z = self.backbone(x)
            return self.head(z)

    torch.manual_seed(0)
    model = models.wrap(Cut())
    for attack in (
        lambda: attacks.singular_uap(model, X, layer="logits"),
        lambda: attacks.singular_uap(model, X, layer="head"),
        lambda: JacobianOperator(model.net, X),
        lambda: HessianOperator(lambda x: model(x)[:, 0] ** 2, X),
        lambda: principal_curvatures(model, X, 0, k=1),
        lambda: attacks.svd_uap(model, X, eps=1),
    ):
        with pytest.raises(ValueError, match="does not reach the image"):
            attack()
    free = models.wrap(nn.Sequential(model.net.backbone, model.net.head))
    assert attacks.singular_uap(free, X, layer="logits").made_by["singular_value"] > 0


def test_a_layer_that_is_dead_is_not_taken_for_a_cut():
    dead = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.ReLU())
    nn.init.constant_(dead[1].bias, -100)
    with pytest.raises(ValueError, match="all its units are dead or saturated"):
        attacks.singular_uap(models.wrap(dead, input_size=(1, 4, 4)), X, layer="2")


def test_products_that_are_not_each_others_are_found():
    class Backwards(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(ValueError, match="does not reach the image: it is"):
        JacobianOperator(lambda x: Backwards.apply(x).flatten(1), X)


def test_a_network_that_changes_its_images_works_behind_a_normalisation():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = linear()

        def forward(self, x):
            return self.body(x.mul_(0.9))

    for door in (evaluate.labels, attacks.deepfool, lambda net, x: attacks.uap(net, x, eps=0.1)):
        with pytest.raises(ValueError, match="changes the images that it is given"):
            door(InPlace().eval(), X)
    right = attacks.deepfool(models.wrap(linear(), std=1 / 0.9), X)
    torch.testing.assert_close(attacks.deepfool(models.wrap(InPlace()), X).r, right.r)


def test_uap_refuses_images_that_have_no_label():
    bright = Counted(linear(), lambda z: z)
    bright.forward = lambda x: linear()(x) / (x.amax((1, 2, 3)) > 0.3)[:, None]
    with pytest.raises(ValueError, match="not finite"):
        attacks.uap(bright.eval(), torch.cat([X, 0.1 * X]), eps=0.1)


def test_operators_want_fixed_functions_too():
    noisy = lambda x: (x + torch.rand_like(x)).flatten(1)  # noqa: E731
    with pytest.raises(ValueError, match="no fixed function"):
        JacobianOperator(noisy, X)
    with pytest.raises(ValueError, match="no fixed function"):
        HessianOperator(lambda x: noisy(x).sum(1), X)
    with pytest.raises(TypeError, match="too coarse for derivatives"):
        JacobianOperator(lambda x: x.flatten(1), X.half())


def test_places_that_are_not_here_are_one_sentence():
    if not torch.cuda.is_available():
        for door in (
            lambda: models.load("linear_digits", device="cuda"),
            lambda: models.wrap(linear()).to("cuda"),
            lambda: data.Images(X).to("cuda"),
        ):
            with pytest.raises(ValueError, match=r"device must be one that is here \(cpu\), got 'cuda'") as refusal:
                door()
            assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match="got 'gpu'"):
        checks.device("gpu")


def doors(net, x):
    """Everything that takes a network and images: {name: call}."""
    model, v = models.wrap(net), torch.full(x.shape[1:], 0.1, device=x.device)
    return {
        "labels": lambda: evaluate.labels(net, x),
        "scores": lambda: evaluate.fooling_rate(net, x, v).value,
        "predict": lambda: model.predict(x),
        "deepfool": lambda: attacks.deepfool(net, x).r,
        "uap": lambda: attacks.uap(net, x, eps=0.1, max_passes=1).v,
        "batches": lambda: attacks.uap(net, [x], eps=0.1, max_passes=1).v,
        "fgsm": lambda: attacks.fgsm(net, x, eps=0.1),
        "singular": lambda: attacks.singular_uap(model, x, layer="1", max_iter=3).v,
        "products": lambda: JacobianOperator(model.until("1"), x).matvec(torch.ones(16, device=x.device)),
    }


@pytest.mark.parametrize("door", doors(linear(), X))
def test_a_network_without_numbers_is_refused_at_every_door(door):
    with pytest.raises(ValueError, match=r"on the device 'meta', where parameters have no numbers; load") as refusal:
        doors(linear().to("meta"), X)[door]()
    assert "\n" not in str(refusal.value)


def test_images_are_taken_to_where_the_network_is():
    """Told on a machine with one device: ``meta`` computes shapes, and would refuse images that lie elsewhere."""
    net, seen = linear().to("meta"), []
    net[1].register_forward_pre_hook(lambda _, given: seen.append(given[0].device.type))
    use = gate.Adapted(net, X, gradient=False)
    assert use.needed
    assert use(X).shape == (6, 3)
    assert seen == ["meta"]
    assert not gate.Adapted(linear(), X, gradient=False).needed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no second device on this machine")
@pytest.mark.parametrize("door", doors(linear(), X))
@pytest.mark.parametrize("places", [("cuda", "cpu"), ("cpu", "cuda")], ids="net {0[0]}, images {0[1]}".format)
def test_network_and_images_may_lie_on_two_devices(door, places):
    found = torch.as_tensor(doors(linear().to(places[0]), X.to(places[1]))[door]()).cpu()
    torch.testing.assert_close(found, torch.as_tensor(doors(linear(), X)[door]()), rtol=1e-4, atol=1e-5)


def test_channels_are_checked_where_they_are_known():
    model = models.wrap(linear(), input_size=(1, 4, 4))
    with pytest.raises(ValueError, match=r"takes images of 1 channels, got shape \(\d, 3, 4, 4\)"):
        evaluate.labels(model, X.expand(-1, 3, -1, -1))
    with pytest.raises(ValueError, match="cannot take 1 images"):
        models.wrap(linear(), input_size=(3, 9, 9)).layers()


def test_a_bare_module_is_sent_to_wrap():
    with pytest.raises(TypeError, match=r"give models\.wrap\(module\), got Sequential"):
        attacks.singular_uap(linear(), X, layer="1")
    with pytest.raises(TypeError, match=r"give its \.module\(\)"):
        models.wrap(torch.export.export(linear(), (X,)))


@pytest.mark.filterwarnings("ignore")
def test_hidden_layers_are_said_to_be_hidden():
    scripted = models.wrap(torch.jit.trace(linear(), X))
    assert attacks.singular_uap(scripted, X, layer="logits", max_iter=2).v.shape == (1, 4, 4)
    with pytest.raises(ValueError, match="a scripted or exported module hides its layers"):
        scripted.until("1")(X)


def test_compiled_parts_run_as_they_were_written():
    net = linear()
    expected = attacks.singular_uap(models.wrap(linear()), X, layer="1", max_iter=3)
    net[1] = torch.compile(net[1], backend="eager")
    model = models.wrap(net)
    assert model.compiled
    found = attacks.singular_uap(model, X, layer="1", max_iter=3)
    assert torch.equal(found.v, expected.v)
    whole = models.wrap(torch.compile(linear(), backend="eager"))
    assert whole.layers() == models.wrap(linear()).layers()


def test_results_are_printed_on_one_line():
    assert repr(attacks.deepfool(linear(), X)).startswith(
        "DeepFoolResult(6 x (1, 4, 4), 6 of 6 succeeded, median length "
    )


def test_a_network_with_many_jumps_is_let_in():
    """RotEqNet takes the angle of the strongest of its responses: any step that moves all pixels crosses a jump."""
    net, x = models.load("roteqnet_digits"), data.load("digits", n=12).x
    for k in range(0, 12, 3):
        probe.reaches(net, probe.pair_of(x[k:]), "net")


def test_a_gradient_of_its_own_is_found_among_jumps():
    """Rounding with a gradient that passes straight through jumps everywhere, and its gradient is nowhere the slope."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    class Rounded(nn.Module):
        def forward(self, x):
            z = inner(x)
            return z + (torch.round(3 * z) / 3 - z).detach()

    with pytest.raises(ValueError, match="does not reach the image"):
        probe.reaches(Rounded(), probe.pair_of(torch.rand(2, 1, 28, 28)), "net")
