"""Which steps a layer is planned into: products stay those of the derivative, and nothing is recorded twice."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from reference import Function, jacobian, pixels, vector
from torch import nn

from uapkit.operators import JacobianOperator
from uapkit.operators.replay.general import General
from uapkit.operators.replay.links import Convolution


def planned(*layers):
    """The plan of a layer, whose products are held against the dense Jacobian."""
    torch.manual_seed(2)
    net, x = nn.Sequential(*layers).double().eval(), pixels(0, 3, 3, 6)
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_var, 0.3, 2.0)
    op, dense = JacobianOperator(net, x), jacobian(net, x)
    assert op.way == "replay"
    v, w = vector(1, op.shape[1]), vector(2, op.shape[0])
    before = v.clone(), w.clone()
    torch.testing.assert_close(op.matvec(v), dense @ v, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(op.rmatvec(w), dense.T @ w, rtol=1e-10, atol=1e-10)
    assert torch.equal(v, before[0])
    assert torch.equal(w, before[1]), "what the caller gave is not written over"
    (plan,) = op._products.plans.values()
    return plan


def conv(i=3, o=4):
    return nn.Conv2d(i, o, 3, padding=1)


def test_a_relu_that_only_a_pool_reads_is_left_to_the_pool():
    assert len(planned(conv(), nn.ReLU(), nn.MaxPool2d(2)).deferred) == 1
    assert len(planned(conv(), nn.Sigmoid(), nn.MaxPool2d(2)).deferred) == 1
    both = Function(lambda y: F.max_pool2d(y.relu(), 2) + F.avg_pool2d(y.relu(), 2))
    assert len(planned(conv(), both).deferred) == 1, "each relu is an operation of its own"
    read = Function(lambda y: F.max_pool2d(z := y.relu(), 2) + F.avg_pool2d(z, 2))
    assert not planned(conv(), read).deferred
    assert not planned(conv(), nn.ReLU()).deferred
    wider = torch.linspace(0.2, 0.8, 4, dtype=torch.float64).view(1, 4, 1, 1)
    assert not planned(Function(lambda y: F.max_pool2d(torch.maximum(y[:, :1], wider), 2))).deferred, (
        "it has four channels"
    )


def test_a_batch_norm_goes_into_the_kernel_before_it():
    plan = planned(conv(), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 5), nn.BatchNorm2d(5))
    assert [type(step.link) for step in plan.steps] == [Convolution, type(None), Convolution]
    assert plan.end is plan.steps[-1].node
    twice = Function(lambda x, a, b: b(y := a(x)) + y, conv(), nn.BatchNorm2d(4))
    assert len(planned(twice).steps) == 3, "not where another reads the convolution, too"


def test_the_last_step_does_not_write_into_what_came_in():
    assert len(planned(conv(), nn.Flatten(), nn.Linear(144, 5), nn.ReLU()).steps) == 4


def test_a_direction_is_repeated_where_a_larger_constant_is_added():
    wider = torch.linspace(0.2, 0.8, 4, dtype=torch.float64).view(1, 4, 1, 1)
    for layer in (
        lambda x: x[:, :1] + wider,
        lambda x: wider - x[:, :1],
        lambda x: torch.sub(x[:, :1], wider, alpha=2),
    ):
        planned(Function(layer))
        planned(Function(layer), nn.ReLU(), conv(4, 2))


def test_a_sum_behind_a_product_of_constants_is_no_linear_layer():
    """In ``addmm`` the factor before the weights is what a layer's input is; here the image comes in as the bias."""
    weights = torch.linspace(-1, 1, 10, dtype=torch.float64).view(2, 5)
    planned(Function(lambda x: torch.addmm(x.flatten(1)[:, :5], torch.ones(len(x), 2).double(), weights)), nn.ReLU())


def test_what_is_not_kept_has_no_bytes(monkeypatch):
    net, x = nn.Sequential(conv(), nn.ReLU()).double(), pixels(0, 4, 3, 6)
    assert JacobianOperator(net, x, chunk=2)._products.nbytes == 2 * 2 * 4 * 36, "a byte for each entry of the mask"
    monkeypatch.setattr(JacobianOperator, "record_bytes", 0)
    assert JacobianOperator(net, x, chunk=2)._products.nbytes == 0


@pytest.mark.parametrize(("off", "fits"), [(0.0, True), (1e-7, True), (1e-2, False), (math.nan, False)])
def test_two_products_that_are_not_each_others_adjoint_are_refused(off, fits):
    """Beyond rounding, whose third root is what finite differences leave."""
    products = General(lambda x: x.flatten(1).sin(), [pixels(0, 3, 2, 3)], 2**30)
    exact = products.push
    products.push = lambda v: (z * (1 + off) for z in exact(v))
    if fits:
        products.verify("the network")
    else:
        with pytest.raises(ValueError, match="two products of the network are not each other's adjoint"):
            products.verify("the network")
