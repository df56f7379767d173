"""Which link stands for which ATen operation of a traced network."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from uapkit.operators.replay.graphs import Linear, Retained
from uapkit.operators.replay.links import Convolution, Gather, Link, Mask, Positive, Weighted, aten

# Linear in one active tensor argument, all others being constants.
ONE = frozenset(
    """view _unsafe_view reshape expand permute transpose t squeeze unsqueeze slice select constant_pad_nd mean sum
    avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d mm bmm clone alias _to_copy roll flip
    upsample_nearest2d upsample_bilinear2d upsample_bicubic2d reflection_pad1d reflection_pad2d replication_pad2d
    index index_select gather unfold im2col col2im pixel_shuffle pixel_unshuffle split split_with_sizes unbind diagonal
    cumsum contiguous lift_fresh_copy""".split()  # noqa: SIM905
)
# Linear in all their floating-point arguments together, so that the constant ones count as zero.
ALL = {"cat", "stack", "slice_scatter", "select_scatter", "copy"}
# Of the linear ones, those that treat a batch of one image as they treat n.
BATCH_FREE = {"avg_pool2d", "avg_pool3d", "constant_pad_nd", "_adaptive_avg_pool2d", "upsample_nearest2d", "clone"}
BATCH_NORM = {"native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"}  # argument 5: training

NO_SLOPE = {
    "detach",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_empty",
    "empty_like",
    "sign",
    "floor",
    "ceil",
    "round",
    "trunc",
    "zeros_like",
    "ones_like",
    "full_like",
    "heaviside",
}


def name(node: fx.Node) -> str:
    """The operation's name without its overload, e.g. ``relu``; that of the parent for one output of several."""
    target = node.target
    if target is operator.getitem:
        return name(node.args[0])  # type: ignore[arg-type]
    return target.overloadpacket.__name__ if isinstance(target, torch._ops.OpOverload) else str(target)


class Call:
    """One differentiable output of one operation: its inputs, and the function of the active ones alone.

    ``parents``: the nodes whose tangents come in, one entry for each place they stand at.
    """

    def __init__(self, node: fx.Node, active: Container[fx.Node], constant: Container[fx.Node]) -> None:
        self.node, self.name = node, name(node)
        self.op, self.which = cast(tuple[Any, Any], node.args if node.target is operator.getitem else (node, None))
        self.flat, self.spec = tree_flatten((self.op.args, self.op.kwargs))
        if self.name == "copy":
            self.flat[0] = None  # only says which shape is written over
        self.places = [i for i, a in enumerate(self.flat) if isinstance(a, fx.Node) and a in active]
        self.parents: list[fx.Node] = [self.flat[i] for i in self.places]
        others = [a for i, a in enumerate(self.flat) if isinstance(a, fx.Node) and i not in self.places]
        self.fixed = all(a in constant for a in others)
        self.constants = [a.meta["val"] for a in others]
        self.shape: torch.Size = node.meta["val"].shape
        self.shapes = [p.meta["val"].shape for p in self.parents]

    @property
    def pointwise(self) -> bool:
        """Acts entry by entry."""
        target = self.op.target
        return isinstance(target, torch._ops.OpOverload) and torch.Tag.pointwise in target.tags

    @property
    def linear(self) -> bool:
        """Affine in the active arguments, with constants that no image enters: its link is made once."""
        single = len(self.places) == 1
        if not self.fixed:
            return False
        if self.name in BATCH_NORM:
            return self.places == [0] and self.which == 0 and not self.op.args[5]
        if self.name in ("convolution", "div"):
            return self.places == [0]
        if self.name == "addmm":
            return self.places == [1]
        return self.name in ("add", "sub", "neg", *ALL) or (single and self.name in ("mul", *ONE))

    @property
    def batch_free(self) -> bool:
        """Affine, and the same on one tangent that all images share as on n."""
        if self.name in ("add", "sub", "mul", "div"):  # not with a constant of its own for each image
            return self.linear and all(c.ndim < len(self.shape) or c.shape[0] == 1 for c in self.constants)
        return self.linear and self.name in {"convolution", "neg", *BATCH_NORM, *BATCH_FREE}

    def function(self, values: Callable[[Any], Any], homogeneous: bool = False) -> Callable[..., Tensor]:
        """The operation as a function of its active arguments; ``homogeneous``: with every constant term zero."""
        flat = [None if i in self.places else values(a) for i, a in enumerate(self.flat)]
        target: Any = self.op.target
        if self.name in ("view", "_unsafe_view"):
            target = aten.reshape  # tangents may lie in memory in another order than the values did
        if self.name == "copy":
            target = lambda _, source, *rest: source.expand(self.shape)  # noqa: E731
        if homogeneous and self.name in ALL:
            flat = [torch.zeros_like(a) if isinstance(a, Tensor) and a.is_floating_point() else a for a in flat]
        if homogeneous and self.name == "constant_pad_nd":
            flat[-1] = 0.0 if len(self.op.args) == 3 else flat[-1]
        if homogeneous and self.name == "addmm":
            target = partial(target, beta=0)

        def call(*active: Tensor) -> Tensor:
            leaves = list(flat)
            for place, tensor in zip(self.places, active, strict=True):
                leaves[place] = tensor
            args, kwargs = tree_unflatten(leaves, self.spec)
            out = target(*args, **kwargs)
            return out if self.which is None else out[self.which]

        return call


def linear_link(call: Call, values: Callable[[Any], Any], shared: bool) -> Link:
    """The link of an affine operation, from constants and shapes only."""
    args: list[Any] = [None if a in call.parents else values(a) for a in call.op.args]
    if call.name == "convolution":
        return Convolution(args[1], args[3:], call.shapes[0][2:], call.shape[2:])
    if call.name in BATCH_NORM:
        factor = torch.rsqrt(args[4] + args[7])
        factor = factor if args[1] is None else factor * args[1]
        return Weighted([factor.view(1, -1, *[1] * (len(call.shape) - 2))], call.shapes, call.shape)
    if call.name in ("add", "sub", "neg", "mul", "div"):
        return Weighted(_weights(call, args), call.shapes, call.shape)
    like = [p.meta["val"] for p in call.parents]
    one = [torch.zeros((), dtype=t.dtype, device=t.device) for t in like]  # seen as many, so that none is stored
    zeros = [z.expand((1, *t.shape[1:]) if shared else t.shape) for z, t in zip(one, like, strict=True)]
    return Linear(call.function(values, homogeneous=True), zeros)


def _weights(call: Call, args: Sequence[Any]) -> list[float | Tensor]:
    if call.name == "neg":
        return [-1.0]
    if call.name in ("mul", "div"):
        weight = 1 / args[1] if call.name == "div" else args[1 - call.places[0]]
        return [float(weight) if isinstance(weight, Tensor) and weight.ndim == 0 else weight]
    second = float(call.op.kwargs.get("alpha", 1)) * (1 if call.name == "add" else -1)
    weights: list[float | Tensor] = [1.0 if place == 0 else second for place in call.places]
    if len(weights) == 1 and call.shapes[0] != call.shape:  # a larger constant was added: the tangent is repeated
        constant = next(a for a in args if isinstance(a, Tensor))
        return [constant.new_full((1,) * len(call.shape), float(weights[0])).expand(1, *call.shape[1:])]
    return weights


def recorded_link(call: Call, values: Callable[[Any], Any], shared: bool, before: Link | None) -> Link:
    """The link of any other operation, at the values of these images; ``before`` is the one a pool takes over."""
    inputs = [values(p) for p in call.parents]
    if call.name == "max_pool2d_with_indices":
        places = values(call.op)[1]
        after = Mask(values(call.node) > 0) if isinstance(before, Positive) else _pooled(before, places)
        return Gather(places, call.shapes[0], shared, after)
    if call.name == "relu":
        return Mask(values(call.node) > 0)
    if call.name == "mul" and len(inputs) == 2:
        return Weighted([inputs[1], inputs[0]], call.shapes, call.shape)
    if call.pointwise:
        return _pointwise(call, call.function(values), inputs)
    return Retained(call.function(values), inputs)


def _pointwise(call: Call, fn: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Link:
    with torch.enable_grad():
        leaves = [t.expand(call.shape).detach().requires_grad_(True) for t in inputs]
        slopes = torch.autograd.grad(fn(*leaves).sum(), leaves, materialize_grads=True)
    if len(slopes) == 1 and call.shapes[0] == call.shape and bool(((slopes[0] == 0) | (slopes[0] == 1)).all()):
        return Mask(slopes[0] == 1)
    return Weighted(slopes, call.shapes, call.shape)


def _pooled(before: Link | None, places: Tensor) -> Link | None:
    """An entry-by-entry link moved behind the pool, where there are fewer entries."""

    def pick(t: Tensor) -> Tensor:
        return t.flatten(2).gather(2, places.flatten(2)).view(places.shape)

    if before is None:
        return None
    if isinstance(before, Mask):
        return Mask(pick(before.bits) != 0)
    assert isinstance(before, Weighted)
    (slope,) = before.weights
    assert isinstance(slope, Tensor)
    return Weighted([pick(slope)], [places.shape], places.shape)
