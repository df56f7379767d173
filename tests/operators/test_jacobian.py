import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Function, by_columns, jacobian, matrix, pixels, vector
from scipy.sparse.linalg import aslinearoperator
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models import resnet18
from torchvision.models.squeezenet import Fire

from uapkit.models import trust, wrap
from uapkit.operators import DenseOperator, HessianOperator, JacobianOperator, LayerJacobians
from uapkit.operators.base import default_chunk
from uapkit.operators.replay.record import Replay
from uapkit.singular import pq_singular


class Stop(Exception):
    def __init__(self, output):
        self.output = output


def until(net, layer):
    """The net up to a layer, stopped by an exception out of a forward hook."""

    def fn(x):
        def stop(module, args, output):
            raise Stop(output)

        handle = layer.register_forward_hook(stop)
        try:
            net(x)
        except Stop as reached:
            return reached.output
        finally:
            handle.remove()

    return fn


def conv(i, o, k=3, **kw):
    return nn.Conv2d(i, o, k, padding=k // 2, **kw)


def relu(inplace=True):
    return nn.ReLU(inplace)


def pad_shortcut(x, a, b):
    y = b(F.relu(a(x)))
    return F.relu(y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2)))


def excite(x, a, b):
    y = F.hardswish(a(x))
    return y * torch.sigmoid(b(y.mean((2, 3), keepdim=True)))


def writes_in_place(x, a):
    y = a(x)
    z = y.clone()
    z[:, :2] *= 2
    z[:, 2:] += y[:, 1:3].relu()
    z.clamp_(-0.5, 0.6)
    return z.transpose(1, 2)


def branches(x, a, b):
    y = torch.maximum(a(x), b(x).abs()) / (1 + x.square().sum((1, 2, 3), keepdim=True))
    left, right = y.chunk(2, 1)
    return torch.stack([torch.where(left > right, left, right.exp()), F.pad(left, (1, 0), value=3.0)[..., :-1] - 0.5])[
        0
    ]


def attention(x, layer):
    return layer(x.flatten(2).transpose(1, 2))


def looks(x, a):
    return a(x) * (2.0 if float(x.detach().abs().amax()) > 0 else 1.0)


def resnet():
    net = resnet18(weights=None)
    return until(net, net.layer2[0]), net


NETS = {
    "resnet18": resnet,
    "vgg": lambda: nn.Sequential(
        conv(3, 4),
        relu(),
        conv(4, 4),
        relu(),
        nn.MaxPool2d(2),
        conv(4, 6),
        relu(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 9),
        relu(),
        nn.Dropout(),
        nn.Linear(9, 5),
    ),
    "squeezenet": lambda: nn.Sequential(
        nn.Conv2d(3, 5, 3, 2), relu(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(5, 2, 3, 3)
    ),
    "norms": lambda: nn.Sequential(
        conv(3, 5),
        relu(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.LocalResponseNorm(3, 0.5),
        conv(5, 4, 1),
        nn.GroupNorm(2, 4),
    ),
    "leaky": lambda: nn.Sequential(
        conv(3, 4, bias=False),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2, 2, ceil_mode=True),
        conv(4, 5, 1),
        nn.BatchNorm2d(5),
        nn.LeakyReLU(0.1, inplace=True),
        Function(lambda x: x.mean((2, 3))),
    ),
    "option A shortcut": lambda: nn.Sequential(
        conv(3, 3), nn.BatchNorm2d(3), relu(), Function(pad_shortcut, nn.Conv2d(3, 6, 3, 2, 1), conv(6, 6))
    ),
    "smooth": lambda: nn.Sequential(
        conv(3, 4),
        nn.Sigmoid(),
        conv(4, 4),
        nn.Softplus(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 6),
        nn.GELU(),
        nn.Softmax(1),
    ),
    "excite": lambda: nn.Sequential(Function(excite, conv(3, 4), conv(4, 4, 1)), nn.ReLU6(), nn.PReLU(4)),
    "odd convolutions": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 4, stride=3, dilation=1, padding=1),
        nn.Conv2d(6, 6, 2, groups=6),
        relu(),
        nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1),
        nn.Conv2d(4, 3, 2, dilation=2),
    ),
    "pool before relu": lambda: nn.Sequential(conv(3, 4), nn.MaxPool2d(3, 1, 1), relu(), nn.Upsample(scale_factor=2)),
    "pre-activation": lambda: nn.Sequential(
        nn.BatchNorm2d(3), relu(), conv(3, 4), nn.BatchNorm2d(4), nn.ELU(), nn.AdaptiveAvgPool2d(2)
    ),
    "scaled and not": lambda: nn.Sequential(
        conv(3, 4), nn.BatchNorm2d(4), Function(lambda y: torch.cat([(3 * y).relu(), (-y).relu(), y / 2 - 1], 1))
    ),
    "norm first": lambda: nn.Sequential(nn.GroupNorm(1, 3), conv(3, 4), relu()),
    "affine": lambda: nn.Sequential(conv(3, 4), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 5)),
    "in-place writes": lambda: Function(writes_in_place, conv(3, 4)),
    "branches": lambda: Function(branches, conv(3, 4), conv(3, 4)),
    "attention": lambda: Function(attention, nn.TransformerEncoderLayer(3, 1, 5, batch_first=True)),
    "looks at values": lambda: Function(looks, nn.Sequential(conv(3, 2), relu(), nn.MaxPool2d(2))),
}
SMALL = "vgg"


def network(name, dtype=torch.float64):
    torch.manual_seed(1)
    made = NETS[name]()
    fn, net = made if isinstance(made, tuple) else (made, made)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training, not the identity
            for t, low, high in ((module.running_mean, -0.3, 0.3), (module.running_var, 0.3, 2.0)):
                nn.init.uniform_(t, low, high)
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    net.to(dtype).eval()
    return fn


def error(a, b):
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("name", NETS)
def test_products_are_those_of_the_dense_jacobian_again_and_again(name):
    fn, x = network(name), pixels(0, 3, 3, 8)
    dense = jacobian(fn, x)
    assert float(dense.abs().max()) > 1e-4
    for chunk in (None, 2, 1):
        op = JacobianOperator(fn, x, chunk=chunk)
        assert op.shape == tuple(dense.shape)
        assert op.way == ("general" if name == "looks at values" else "replay")
        for k in range(3):
            v, w = vector(k, dense.shape[1]), vector(100 + k, dense.shape[0])
            assert error(op.matvec(v), dense @ v) < 1e-12
            assert error(op.rmatvec(w), dense.T @ w) < 1e-12


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), name=st.sampled_from(["vgg", "leaky", "smooth", "norms", "looks at values"]))
def test_adjoint_identity(seed, name):
    op = JacobianOperator(network(name), pixels(seed, 2, 3, 8))
    v, w = vector(seed, op.shape[1]), vector(seed + 1, op.shape[0])
    assert float(op.matvec(v) @ w) == pytest.approx(float(op.rmatvec(w) @ v), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("name", ["vgg", "looks at values"])
@pytest.mark.parametrize("record_bytes", [0, 1])
def test_chunks_beyond_the_record_run_anew(name, record_bytes, monkeypatch):
    fn, x = network(name), pixels(0, 5, 3, 8)
    full = JacobianOperator(fn, x)
    monkeypatch.setattr(JacobianOperator, "record_bytes", record_bytes)
    op = JacobianOperator(fn, x, chunk=2)
    kept = op._products.recordings if op.way == "replay" else op._products.links
    assert [k is not None for k in kept] == [record_bytes > 0, False, False]
    for k in range(2):
        v, w = vector(k, op.shape[1]), vector(k, op.shape[0])
        assert error(op.matvec(v), full.matvec(v)) < 1e-12
        assert error(op.rmatvec(w), full.rmatvec(w)) < 1e-12


class Routed(nn.Module):
    """Each image goes to a head by its brightness, ``apart`` from the first head; a head without images is not run."""

    def __init__(self, *edges, apart=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.edges = edges
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(12, 12))
        self.heads = nn.ModuleList(nn.Linear(12, 5) for _ in range(len(edges) + 1))
        for head in self.heads[1:]:
            for t, first in zip(head.parameters(), self.heads[0].parameters(), strict=True):
                t.data = torch.lerp(first.data, t.data, apart)

    def forward(self, x):
        to = sum((x.mean((1, 2, 3)) > edge).long() for edge in self.edges)
        z = self.body(x)
        out = self.heads[0](z)
        for k, head in enumerate(self.heads):
            which = (to == k).nonzero()[:, 0]
            if k and len(which):
                out = out.index_copy(0, which, head(z[which]))
        return out


def dark_then_bright(n, bright):
    x = pixels(0, n, 3, 2) / 2
    x[n - bright :] += 0.5
    return x


@pytest.mark.parametrize(
    ("net", "x"),
    [
        (Routed(0.5), dark_then_bright(12, 6)),
        (Routed(0.4, 0.5, 0.6), pixels(0, 12, 3, 2)),  # all heads in every chunk, of other numbers of images
        (Routed(0.5, apart=1e-5), dark_then_bright(60, 1)),  # one image in a chunk of many, and that by little
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_network_that_sends_images_to_its_parts_is_right_in_every_chunk(net, x, backwards):
    x = x.flip(0) if backwards else x
    net = net.double().eval()
    dense, half = jacobian(net, x), len(x) // 2
    ops = [JacobianOperator(net, x, chunk=chunk) for chunk in (None, half, 4, 1)]
    assert [op.way for op in ops] == ["replay"] + ["general"] * 3
    w = vector(1, len(dense))
    for op in ops:
        assert error(op.matvec(v := vector(0, 12)), dense @ v) < 1e-12
        assert error(op.rmatvec(w), dense.T @ w) < 1e-12
    largest = float(torch.linalg.svdvals(dense)[0])
    assert pq_singular(ops[1], p=2, q=2, max_iter=100).value == pytest.approx(largest, rel=1e-3)


def test_chunks_that_are_not_kept_and_layers_recorded_together_are_held_against_the_network_too(monkeypatch):
    net, x = Routed(0.5).double().eval(), dark_then_bright(4, 2)
    together = LayerJacobians(wrap(net, input_size=(3, 2, 2), name="routed"), ["body", "logits"], x, chunk=2)
    assert [together.at(layer).way for layer in ("body", "logits")] == ["replay", "general"]
    monkeypatch.setattr(JacobianOperator, "record_bytes", 0)
    assert JacobianOperator(net, x, chunk=2).way == "general"


def test_a_network_that_looks_at_values_but_does_the_same_everywhere_is_replayed():
    net, x = Routed(0.5).double().eval(), dark_then_bright(12, 6)
    for images in (x[:6], x[6:], torch.cat([x[4:8], x[4:8]])):
        assert JacobianOperator(net, images, chunk=len(images) // 2).way == "replay"


@pytest.mark.parametrize("name", ["leaky", "squeezenet", "pool before relu"])
def test_other_order_in_memory_gives_the_same(name, monkeypatch):
    """Graphics processors keep channels outermost; the entries' order is ours to get right, so it is tested here."""
    fn, x = network(name), pixels(0, 3, 3, 8)
    ours = JacobianOperator(fn, x, chunk=2)
    monkeypatch.setattr("uapkit.operators.replay.links.channels_inside", lambda t: False)
    other = JacobianOperator(fn, x, chunk=2)
    assert other.way == "replay"
    v, w = vector(0, ours.shape[1]), vector(1, ours.shape[0])
    assert error(other.matvec(v), ours.matvec(v)) < 1e-12
    assert error(other.rmatvec(w), ours.rmatvec(w)) < 1e-12


class Convolutions(TorchDispatchMode):
    """Batch sizes and input channels of all convolutions that run."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket is torch.ops.aten.convolution:
            self.seen.append((args[0].shape[0], args[0].shape[1]))
        return func(*args, **(kwargs or {}))


def test_shared_prefix_runs_once_and_chunks_bound_the_batch():
    fn, x = network(SMALL), pixels(0, 6, 3, 8)
    op = JacobianOperator(fn, x, chunk=2)
    with Convolutions() as forward:
        op.matvec(vector(0, op.shape[1]))
    with Convolutions() as backward:
        op.rmatvec(vector(0, op.shape[0]))
    chunk = [(2, 4), (2, 4)]
    assert forward.seen == [(1, 3)] + chunk * 3
    assert backward.seen == [(2, 6), (2, 4)] * 3 + [(1, 4)]


def test_layer_is_not_run_again_and_nothing_behind_it():
    calls = []
    net = network(SMALL)

    def explode(module, args):
        raise AssertionError("ran behind the layer")

    net[4].register_forward_pre_hook(lambda *_: calls.append(1))
    net[6].register_forward_pre_hook(explode)
    op = JacobianOperator(until(net, net[5]), pixels(0, 4, 3, 8), chunk=2)
    before = len(calls)
    assert before > 0
    op.rmatvec(op.matvec(vector(0, op.shape[1])))
    assert len(calls) == before


class Images(TorchDispatchMode):
    """How many images each first convolution is given, while shapes alone do not count."""

    def __init__(self, net):
        super().__init__()
        self.weight, self.seen = net[0].weight, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket is torch.ops.aten.convolution and args[1].shape == self.weight.shape:
            self.seen += [args[0].shape[0]] * (type(args[0]) is torch.Tensor)
        return func(*args, **(kwargs or {}))


def test_recording_takes_one_forward_pass_and_an_eighth_of_a_chunk():
    net, x = network(SMALL), pixels(0, 16, 3, 8)
    JacobianOperator(net, x)  # the gate looks at a network once
    with Images(net) as mode:
        JacobianOperator(net, x, chunk=8)
    assert mode.seen == [8, 8, *[1] * 3], "both chunks; then one image to verify, and the direction there and back"


class Remembers(nn.Module):
    """Keeps a tensor for each number of images, as masks and grids are kept."""

    def __init__(self):
        super().__init__()
        self.conv, self.ones = conv(3, 2), None

    def forward(self, x):
        if self.ones is None or self.ones.shape[0] != len(x):
            self.ones = x.new_ones(len(x), 1, 1, 1)
        return (self.conv(x) * self.ones).relu()


def test_tracing_leaves_nothing_in_the_network():
    net, x = Remembers().double(), pixels(0, 5, 3, 8)
    op = JacobianOperator(net, x)
    assert op.way == "replay"
    assert type(net.ones) is torch.Tensor
    dense = jacobian(net, x)
    assert error(op.matvec(v := vector(0, 192)), dense @ v) < 1e-12


def test_layers_are_verified_on_few_images(monkeypatch):
    looked = []
    agrees = Replay.agrees
    monkeypatch.setattr(
        Replay, "agrees", lambda self, fn, images=None: looked.append(images) or agrees(self, fn, images)
    )
    for name in sorted(NETS.keys() - {"looks at values", "attention"}):  # one puts images and places in one axis
        op = JacobianOperator(network(name), pixels(0, 9, 3, 8), chunk=9)
        assert op.way == "replay", name
        assert looked == [2], name
        looked.clear()


def test_products_own_their_memory():
    for name in (SMALL, "affine", "looks at values"):
        op = JacobianOperator(network(name), pixels(0, 2, 3, 8))
        v, w = vector(0, op.shape[1]), vector(0, op.shape[0])
        v_before, w_before = v.clone(), w.clone()
        z, g = op.matvec(v), op.rmatvec(w)
        z_before, g_before = z.clone(), g.clone()
        op.matvec(v).zero_()
        op.rmatvec(w).zero_()
        assert torch.equal(v, v_before)
        assert torch.equal(w, w_before)
        assert torch.equal(z, z_before)
        assert torch.equal(g, g_before)
        assert torch.equal(op.matvec(v), z_before)
        assert torch.equal(op.rmatvec(w), g_before)


def test_types_follow_images_and_vectors():
    net = network(SMALL, torch.float32)
    op = JacobianOperator(net, pixels(0, 2, 3, 8, dtype=torch.float32))
    v = vector(0, op.shape[1])
    assert op.dtype == np.float32
    out = op.matvec(v)
    assert out.dtype == torch.float32
    from_numpy = op.matvec(v.numpy())
    assert isinstance(from_numpy, np.ndarray)
    assert from_numpy.dtype == np.float32
    np.testing.assert_array_equal(from_numpy, out.numpy())
    assert torch.equal(op.matvec(v.view(3, 8, 8)), out)
    exact = JacobianOperator(copy.deepcopy(net).double(), pixels(0, 2, 3, 8, dtype=torch.float32).double())
    assert error(out.double(), exact.matvec(v)) < 1e-5


@pytest.mark.parametrize("name", [SMALL, "looks at values"])
def test_scipy_takes_it(name):
    op = JacobianOperator(network(name), pixels(0, 2, 3, 8))
    dense = by_columns(op.matvec, op.shape[1]).numpy()
    lo = aslinearoperator(op)
    block = matrix(0, op.shape[1], 3).numpy()
    np.testing.assert_allclose(lo @ block, dense @ block, atol=1e-12)
    np.testing.assert_allclose(op.matmat(block), dense @ block, atol=1e-12)
    w = vector(1, op.shape[0]).numpy()
    np.testing.assert_allclose(lo.rmatvec(w), dense.T @ w, atol=1e-12)
    assert op.matmat(torch.from_numpy(block)).shape == (op.shape[0], 3)


def test_parameters_get_no_gradient_and_modes_do_not_matter():
    net, x = network(SMALL), pixels(0, 2, 3, 8)
    v = vector(0, 192)
    expected = JacobianOperator(net, x).matvec(v)
    assert not expected.requires_grad
    assert all(p.grad is None for p in net.parameters())
    with torch.no_grad():
        assert torch.equal(JacobianOperator(net, x).matvec(v), expected)
    with torch.inference_mode():
        assert torch.equal(JacobianOperator(net, x.clone()).matvec(v.clone()), expected)
    net.requires_grad_(False)
    assert torch.equal(JacobianOperator(net, x.requires_grad_(True)).matvec(v), expected)


@pytest.mark.parametrize("fn", [lambda x: torch.ones(len(x), 2, dtype=x.dtype), lambda x: F.relu(x.flatten(1) - 2)])
def test_zero_jacobian(fn):
    op = JacobianOperator(fn, pixels(0, 3, 1, 2), chunk=2)
    assert not op.matvec(vector(0, 4)).any()
    assert not op.rmatvec(vector(0, op.shape[0])).any()
    with pytest.raises(ValueError, match="the operator is zero"):
        pq_singular(op, p=math.inf, q=5)


def test_detached_parts_have_no_slope():
    x = pixels(0, 2, 1, 2)

    def half(x):
        return (x * x.detach()).flatten(1)

    with pytest.raises(ValueError, match="does not reach the image"):
        JacobianOperator(half, x)
    op = JacobianOperator(trust(half, "gradient"), x)
    torch.testing.assert_close(op.rmatvec(torch.ones(8, dtype=torch.float64)), x.sum(0).flatten())


def test_products_that_are_not_numbers_are_refused():
    """The sum's logarithm is differentiated twice at a weight of zero, whose logarithm is none."""
    with pytest.raises(ValueError, match="not each other's adjoint: <w, J v> = nan"):
        JacobianOperator(lambda x: x.flatten(1).logcumsumexp(1), pixels(0, 2, 1, 2))


def test_singular_vector_of_a_network_is_that_of_its_dense_jacobian():
    fn, x = network(SMALL), pixels(0, 3, 3, 8)
    op, dense = JacobianOperator(fn, x, chunk=2), DenseOperator(jacobian(fn, x))
    for p, q in ((2, 2), (math.inf, 10), (1.5, 3)):
        mine = pq_singular(op, p=p, q=q, seed=3, max_iter=500)
        theirs = pq_singular(dense, p=p, q=q, seed=3, max_iter=500)
        assert mine.value == pytest.approx(theirs.value, rel=1e-9)


@pytest.mark.parametrize(
    ("images", "kind", "match"),
    [
        (torch.zeros(3, 8, 8), ValueError, "n, c, h, w"),
        (torch.zeros(0, 3, 8, 8), ValueError, "non-empty"),
        (torch.full((1, 3, 8, 8), math.nan), ValueError, "not finite"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "floating-point"),
        (np.zeros((1, 3, 8, 8)), TypeError, "floating-point"),
    ],
)
def test_bad_images(images, kind, match):
    for make in (JacobianOperator, HessianOperator):
        with pytest.raises(kind, match=match):
            make(lambda x: x.flatten(1).sum(1), images)


def test_bad_arguments():
    x = pixels(0, 2, 1, 2)
    with pytest.raises(ValueError, match="chunk"):
        JacobianOperator(lambda x: x, x, chunk=0)
    with pytest.raises(ValueError, match="one output an image"):
        JacobianOperator(lambda x: x.sum(), x)
    with pytest.raises(TypeError, match="one floating-point tensor"):
        JacobianOperator(lambda x: (x, x), x)
    with pytest.raises(TypeError, match="one floating-point tensor"):
        JacobianOperator(lambda x: x > 0, x)
    with pytest.raises(ValueError, match=r"cannot take 2 images .* mat1 and mat2"):  # the layer's own complaint
        JacobianOperator(nn.Linear(3, 3).double(), x)
    op = JacobianOperator(lambda x: x.flatten(1), x)
    with pytest.raises(ValueError, match="must have 4 entries"):
        op.matvec(torch.zeros(5))
    with pytest.raises(ValueError, match="must have 8 entries"):
        op.rmatvec(np.zeros(4))
    for block in (torch.zeros(5, 2), torch.zeros(4), torch.zeros(4, 2, 2)):
        with pytest.raises(ValueError, match=r"shape \(4, k\)"):
            op.matmat(block)
    with pytest.raises(TypeError, match="torch tensor or a NumPy array"):
        op.matvec([0.0] * 4)
    for v in (torch.zeros(4, dtype=torch.complex64), np.zeros(4, complex)):
        with pytest.raises(TypeError, match="real vectors"):
            op.matvec(v)
        with pytest.raises(TypeError, match="real vectors"):
            op.matmat(v[:, None])
    with pytest.raises(TypeError, match=r"Linear\) computes in bfloat16, too coarse"):
        JacobianOperator(nn.Linear(2, 3).bfloat16().eval(), x)
    for a in (np.array([[1, 2j]]), torch.ones(2, 2, dtype=torch.complex64)):
        with pytest.raises(TypeError, match="a must be a matrix of real numbers"):
            DenseOperator(a)
    for a in (torch.zeros(3), torch.zeros(2, 2, 2), torch.zeros(0, 2), torch.tensor([[math.nan]])):
        with pytest.raises(ValueError, match="a "):
            DenseOperator(a)


def test_dense_operator():
    a = matrix(0, 5, 3)
    for op in (DenseOperator(a), DenseOperator(a.numpy())):
        assert op.shape == (5, 3)
        v, w = vector(1, 3), vector(2, 5)
        assert torch.equal(op.matvec(v), a @ v)
        assert torch.equal(op.rmatvec(w), a.T @ w)
        np.testing.assert_allclose(aslinearoperator(op) @ np.eye(3), a.numpy())
    assert DenseOperator(torch.eye(2, dtype=torch.int64)).matvec(torch.ones(2)).tolist() == [1, 1]
    wide, block = matrix(3, 2, 300), matrix(4, 300, 2)
    assert torch.equal(DenseOperator(wide).matmat(block), wide @ block)


def test_a_chunk_holds_a_million_pixel_values_on_a_cpu_and_more_elsewhere():
    assert default_chunk(torch.empty(1, 3, 224, 224)) == 2**20 // 150528
    assert default_chunk(torch.empty(1, 1, 28, 28)) == 2**20 // 784
    assert default_chunk(torch.empty(1, 1, 2048, 1024)) == 1
    assert default_chunk(torch.empty(1, 3, 224, 224, device="meta")) == 2**24 // 150528


def test_hessian_of_a_quadratic_score_at_every_step():
    """Scores x^T A_i x / 2, one symmetric matrix an image: the mean of the matrices, exactly, with and without step."""
    a = torch.stack([matrix(s, 4, 4) for s in range(3)])
    a = a + a.transpose(1, 2)
    x = pixels(0, 3, 1, 2)

    def score(z):  # which image it is can be read off its constant first pixel's neighbourhood
        which = torch.cdist(z.detach().flatten(1), x.flatten(1)).argmin(1)
        return 0.5 * torch.einsum("ni,nij,nj->n", z.flatten(1), a[which], z.flatten(1))

    mean, block = a.mean(0), matrix(9, 4, 5)
    for step in (None, 1e-3, 0.05):
        for chunk in (None, 2):
            op = HessianOperator(score, x, step=step, chunk=chunk)
            assert op.shape == (4, 4)
            torch.testing.assert_close(op.matmat(block), mean @ block, rtol=1e-7, atol=1e-9)
            torch.testing.assert_close(op.matvec(block[:, 0]), mean @ block[:, 0], rtol=1e-7, atol=1e-9)
            torch.testing.assert_close(op.rmatvec(block[:, 0]), mean @ block[:, 0], rtol=1e-7, atol=1e-9)
            assert not op.matvec(torch.zeros(4)).any()


def test_hessian_of_a_smooth_network():
    torch.manual_seed(0)
    net = nn.Sequential(conv(1, 3), nn.Softplus(), nn.Flatten(), nn.Linear(27, 2)).double()
    x = pixels(0, 4, 1, 3)

    def score(z):
        return net(z)[:, 1] - net(z)[:, 0]

    dense = torch.stack(
        [torch.autograd.functional.hessian(lambda z: score(z.view(1, 1, 3, 3))[0], image.flatten()) for image in x]
    ).mean(0)
    exact = HessianOperator(score, x, chunk=3)
    np.testing.assert_allclose(aslinearoperator(exact) @ np.eye(9), dense.detach().numpy(), atol=1e-12)
    near = HessianOperator(score, x, step=1e-4, chunk=3)
    torch.testing.assert_close(by_columns(near.matvec, 9), dense, rtol=1e-4, atol=1e-8)


def test_hessian_of_a_relu_network_needs_a_step():
    """|x_1 - 1/2|: no curvature at any point but one, 2 h-wide kinks at the scale h; the step is along the unit vector."""

    def score(z):
        return (z[:, 0, 0, 0] - 0.5).abs()

    x = torch.tensor([0.45, 0.9], dtype=torch.float64).view(2, 1, 1, 1).expand(2, 1, 1, 2)
    v = torch.tensor([3.0, 0.0], dtype=torch.float64)
    assert not HessianOperator(score, x).matvec(v).any()
    for scale in (1.0, 1e-8):
        got = HessianOperator(score, x, step=0.1).matvec(scale * v)  # only the first image's kink lies within 0.1
        assert got.tolist() == pytest.approx([scale * 3 * (2 / 0.2) / 2, 0])
    assert not HessianOperator(lambda z: z[:, 0, 0, 0] * 0 + 1, x, step=0.1).matvec(v).any()
    bias = torch.ones(1, dtype=torch.float64, requires_grad=True)
    assert not HessianOperator(lambda z: bias.expand(len(z)), x, step=0.1).matvec(v).any(), "of its parameter alone"


def test_hessian_refuses():
    x = pixels(0, 2, 1, 2)
    with pytest.raises(ValueError, match="one score an image"):
        HessianOperator(lambda z: z.flatten(1), x).matvec(torch.ones(4))
    with pytest.raises(ValueError, match=r"one score an image, \(1,\), got \(\)"):
        HessianOperator(lambda z: z.sum(), x)
    with pytest.raises(ValueError, match="does not reach the image"):
        HessianOperator(lambda z: z.detach().flatten(1).sum(1), x)
    with pytest.raises(TypeError, match="positional"):
        HessianOperator(lambda z: z.flatten(1).sum(1), x, 0.1)
    for step in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="step"):
            HessianOperator(lambda z: z.flatten(1).sum(1), x, step=step)
    with pytest.raises(ValueError, match="chunk"):
        HessianOperator(lambda z: z.flatten(1).sum(1), x, chunk=0)
