"""A layer's derivative as a list of steps: what does not depend on the images' values.

The layer is traced to ATen operations (:func:`trace`). Every image has the same tangent until the first operation that
looks at the image: up to there (``shared``) the steps work on a batch of 1, for all images of all chunks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from uapkit.gate import owner
from uapkit.operators.replay.links import Convolution, Link, Weighted, channels_last
from uapkit.operators.replay.rules import NO_SLOPE, Call, linear_link, name

Layer = Callable[[Tensor], Tensor]
LAYOUT = {"as_strided", "_reshape_alias", "set_"}  # what they give depends on the order in memory
VIEWS = {torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default}
Adjoints = dict[fx.Node, tuple[Tensor, bool]]  # with whether the memory may be written over


@contextmanager
def plain_operations() -> Iterator[None]:
    """Without the fused attention kernels, which can be differentiated only once or not at all."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def trace(fn: Layer, x: Tensor) -> tuple[fx.GraphModule, bool]:
    """``fn`` at ``x`` as a graph of ATen operations without in-place ones; raises whatever tracing raises.

    With shapes alone, so that nothing is computed, unless ``fn`` looks at values; True where it does.
    """
    plain, looks = torch.func.functionalize(fn), False
    with torch.no_grad(), plain_operations(), _attributes_kept(fn), warnings.catch_warnings():
        try:
            warnings.simplefilter("ignore", FutureWarning)  # PyTorch's own, on its way to say that values are looked at
            graph_module = make_fx(plain, tracing_mode="fake", _allow_non_fake_inputs=True)(x)
        except Exception:  # whatever it does with values; the real trace raises what is to be raised
            graph_module, looks = make_fx(plain)(x), True
    graph_module.graph.eliminate_dead_code()
    return graph_module, looks


@contextmanager
def _attributes_kept(fn: Layer) -> Iterator[None]:
    """What the network's modules store while they are traced would be tensors of the trace, of no use afterwards."""
    network = owner(fn)
    modules = list(network.modules()) if isinstance(network, nn.Module) else []
    before = [dict(vars(m)) for m in modules]
    try:
        yield
    finally:
        for module, attributes in zip(modules, before, strict=True):
            vars(module).clear()
            vars(module).update(attributes)


class Traced:
    """``fn`` at ``x`` (n, c, h, w) as a graph: its nodes in order, and those whose values no image enters.

    ``outputs``: the node of each tensor that ``fn`` returns, of the one or of several. ``looks``: whether the values of
    ``x`` were looked at, so that ``fn`` may do something else at other images.
    """

    def __init__(self, fn: Callable[[Tensor], Any], x: Tensor) -> None:
        self.graph_module, self.looks = trace(fn, x)
        nodes = list(self.graph_module.graph.nodes)
        self.input = next(n for n in nodes if n.op == "placeholder")
        returned = next(n for n in nodes if n.op == "output").args[0]
        several = isinstance(returned, tuple | list)
        self.outputs = [_original(n) for n in returned] if several else [returned]
        needed = behind(nodes, [self.input, *self.outputs])
        self.nodes = [n for n in nodes if n in needed]
        self.n, self.placed = len(x), not any(name(n) in LAYOUT for n in self.nodes if n.op == "call_function")
        self.constants = self._fold_constants()

    def starts(self, x: Tensor) -> dict[fx.Node, Any]:
        """The values before the first operation, from the images: in the order in memory that runs fastest."""
        return {self.input: channels_last(x) if self.placed else x, **self.constants}

    def _fold_constants(self) -> dict[fx.Node, Any]:
        constants: dict[fx.Node, Any] = {}
        with torch.no_grad():
            for node in self.nodes:
                if node.op == "get_attr":
                    value = getattr(self.graph_module, str(node.target)).detach()
                    constants[node] = channels_last(value) if self.placed else value
                elif node.op == "call_function" and all(a in constants for a in node.all_input_nodes):
                    constants[node] = run(node, constants)
        return constants


def behind(nodes: Sequence[fx.Node], outputs: Sequence[Any]) -> set[fx.Node]:
    """The ``outputs`` and all nodes that they are computed from."""
    needed = {node for node in outputs if isinstance(node, fx.Node)}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    return needed


def _original(node: Any) -> Any:
    """What a copy was made of: layers are copied on the way out, against what works in place behind them."""
    return node.args[0] if isinstance(node, fx.Node) and node.target is torch.ops.aten.clone.default else node


@dataclass
class Step:
    """One link's place: from the tangents ``sources`` to ``node``'s; ``last``: sources that nobody needs afterwards."""

    node: fx.Node
    sources: list[fx.Node]
    shared: bool
    link: Link | None = None
    last: list[fx.Node] = field(default_factory=list)
    reuse: bool = False


class Plan:
    """The steps to one output of a traced function, for chunks of that size, and the links that no image enters."""

    def __init__(self, traced: Traced, which: int = 0) -> None:
        self.input, self.constants, self.n = traced.input, traced.constants, traced.n
        self.starts = traced.starts
        self.output = traced.outputs[which]
        if not isinstance(self.output, fx.Node):
            raise TypeError("layer_fn must return one tensor that depends on the images")
        self._members = behind(traced.nodes, [self.input, self.output])
        self.nodes = [node for node in traced.nodes if node in self._members]
        self.like = self.output.meta["val"]
        self.out_shape = self.like.shape
        if self.out_shape[:1] != (self.n,) or not self.like.is_floating_point():
            raise ValueError("layer_fn must return (n, ...)")
        self._analyse()
        self._fold_scales()
        self._schedule()

    def _analyse(self) -> None:
        """Which nodes carry a tangent, which share it, and through which it passes unchanged (``alias``)."""
        self.active, self.alias, self.steps = {self.input}, {self.input: self.input}, []
        self.calls: dict[fx.Node, Call] = {}
        self.deferred: set[fx.Node] = set()
        shared = {self.input}
        for node in self.nodes:
            value = node.meta.get("val")
            if node.op != "call_function" or node in self.constants or name(node) in NO_SLOPE:
                continue
            if isinstance(value, tuple | list):
                if any(a in self.active for a in node.all_input_nodes):
                    self.active.add(node)
                continue
            if not (isinstance(value, Tensor) and value.is_floating_point()):
                continue
            call = Call(node, self.active, self.constants)
            if not call.places:
                continue
            self.active.add(node)
            self.calls[node] = call
            sources = [self.alias[p] for p in call.parents]
            is_shared = call.batch_free and all(s in shared for s in sources)
            link = linear_link(call, self._constant, is_shared) if call.linear else None
            if self._behind_pool(call):
                self.deferred.add(node)
            if node in self.deferred or (isinstance(link, Weighted) and link.trivial):
                self.alias[node] = sources[0]
                continue
            self.alias[node] = node
            if is_shared:
                shared.add(node)
            self.steps.append(Step(node, sources, is_shared, link))

    def _constant(self, argument: Any) -> Any:
        return fx.node.map_arg(argument, self.constants.get)

    def _behind_pool(self, call: Call) -> bool:
        """An entry-by-entry operation that only a max-pool reads: the pool takes over its link, on fewer entries."""
        users = [user for user in call.node.users if user in self._members]
        one = len(call.places) == 1 and call.shapes[0] == call.shape and len(call.shape) == 4
        return (
            one
            and call.pointwise
            and not call.linear
            and len(users) == 1
            and call.node is not self.output
            and name(users[0]) == "max_pool2d_with_indices"
        )

    def _fold_scales(self) -> None:
        """A scale of channels behind a convolution that nobody else reads goes into its kernel (batch norm)."""
        steps = {s.node: s for s in self.steps}
        for step in list(self.steps):
            before = steps.get(step.sources[0])
            readers = [s for other in self.steps for s in other.sources] + [self.alias.get(self.output)]
            if before is None or readers.count(before.node) > 1 or len(step.sources) > 1:
                continue
            convolution, scale = before.link, step.link
            if isinstance(convolution, Convolution) and scale is not None and convolution.absorb(scale):
                self.steps.remove(step)
                for later in self.steps:
                    later.sources = [before.node if s is step.node else s for s in later.sources]
                self.alias = {k: before.node if v is step.node else v for k, v in self.alias.items()}

    def _schedule(self) -> None:
        """When a tangent is read for the last time, and when its memory may be written over."""
        self.end = self.alias.get(self.output)
        readers = [s for step in self.steps for s in step.sources]
        self.shared = {self.input} | {s.node for s in self.steps if s.shared}
        seen = {self.end}
        for step in reversed(self.steps):
            if not step.shared:
                step.last = [s for s in set(step.sources) if s not in seen and s not in self.shared]
                step.reuse = step.sources[0] in step.last and readers.count(step.sources[0]) == 1
            seen |= set(step.sources)

    def push_shared(self, v: Tensor) -> dict[fx.Node, Tensor]:
        """The tangents that all images share, from the direction ``v`` (1, c, h, w)."""
        tangents = {self.input: channels_last(v)}
        for step in self.steps:
            if step.shared and step.link is not None:
                tangents[step.node] = step.link.push([tangents[s] for s in step.sources], False)
        return tangents

    def pull_shared(self, adjoints: Adjoints) -> Tensor | float:
        """The adjoint of the direction, (1, c, h, w), from those that images share; 0 where none came back."""
        for step in reversed(self.steps):
            if step.shared and step.link is not None and step.node in adjoints:
                pull_step(step, step.link, adjoints, self.shared)
        return adjoints[self.input][0] if self.input in adjoints else 0.0


def pull_step(step: Step, link: Link, adjoints: Adjoints, shared: set[fx.Node]) -> None:
    """Replace the adjoint of a step's output by its share of those of its sources."""
    g, own = adjoints.pop(step.node)
    for source, part in zip(step.sources, link.pull(g, own), strict=True):
        add_adjoint(adjoints, source, part, link.pull_owns, shared)


def add_adjoint(adjoints: Adjoints, node: fx.Node, g: Tensor, own: bool, shared: set[fx.Node]) -> None:
    """Add ``g`` to the node's adjoint, over all images where they share the tangent."""
    if node in shared and g.shape[0] > 1:
        g, own = g.sum(0, keepdim=True), True
    if node in adjoints:
        other, other_own = adjoints[node]
        g, own = (other.add_(g) if other_own else g.add_(other) if own else g + other), True
    adjoints[node] = (g, own)


def run(node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """The node's value from those of its arguments."""
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
    target = (
        torch.ops.aten.reshape if node.target in VIEWS else node.target
    )  # values may lie in another order than traced
    return target(*args, **kwargs)  # type: ignore[operator]
