"""Record a network's activation pattern once, then replay its derivative as a short list of linear maps."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from uapkit.operators.replay.links import Link, Positive, channels_last
from uapkit.operators.replay.plan import Adjoints, Plan, Traced, add_adjoint, plain_operations, pull_step, run
from uapkit.operators.replay.rules import Call, recorded_link
from uapkit.seeds import generator

Values = dict[fx.Node, Any]


@dataclass
class Known:
    """The values of all nodes at one chunk, and the links that were recorded there for one layer or another."""

    values: Values
    links: dict[tuple[fx.Node, bool], Link] = field(default_factory=dict)  # False: a pool with the link it took over


class Recording:
    """The links of one chunk ``x`` (n, c, h, w) of images; ``nbytes`` held for it alone.

    known: what was kept at ``x``; without it the layer is run.
    """

    def __init__(self, plan: Plan, x: Tensor, known: Known | None = None) -> None:
        self.plan, self.known = plan, known
        self.links = {s.node: s.link for s in plan.steps if s.link is not None}
        own = {s.node for s in plan.steps if s.link is None} | plan.deferred
        for node, values in _walk(plan.nodes, plan.starts(x)) if known is None else _each(plan, known.values):
            if node in own:
                with torch.no_grad(), plain_operations():
                    self._record(plan.calls[node], values)
        self.nbytes = sum(self.links[node].nbytes for node in own if node in self.links)

    def _record(self, call: Call, values: Values) -> None:
        if call.node in self.plan.deferred and call.name == "relu":
            self.links[call.node] = Positive()
            return
        source = call.parents[0]
        before = self.links.pop(source, None) if source in self.plan.deferred else None
        links = {} if self.known is None else self.known.links
        if (call.node, before is None) not in links:
            shared = self.plan.alias[source] in self.plan.shared
            value = lambda a: fx.node.map_arg(a, values.__getitem__)  # noqa: E731
            links[call.node, before is None] = recorded_link(call, value, shared, before)
        self.links[call.node] = links[call.node, before is None]

    def first(self, k: int) -> Recording:
        """The recording at its first k images; ValueError, or what an operation raises, where they cannot be told apart."""
        cut = copy(self)
        cut.plan = copy(self.plan)
        cut.plan.n, cut.plan.out_shape = k, torch.Size((k, *self.plan.out_shape[1:]))
        each = {step.node for step in self.plan.steps if not step.shared}
        cut.links = {node: link.first(k) if node in each else link for node, link in self.links.items()}
        return cut

    def push(self, shared: dict[fx.Node, Tensor]) -> Tensor:
        """The tangents of the layer's output, from those that all images share."""
        plan, own, tangents = self.plan, set[fx.Node](), dict[fx.Node, Tensor]()
        if plan.end is None:
            return torch.zeros(plan.out_shape, dtype=plan.like.dtype, device=plan.like.device)
        for step in plan.steps:
            if step.shared:
                continue
            link = self.links[step.node]
            incoming = [tangents[s] if s in tangents else shared[s] for s in step.sources]
            if not link.broadcasts:
                incoming = [
                    t.expand(plan.n, *t.shape[1:]) if s in plan.shared else t
                    for s, t in zip(step.sources, incoming, strict=True)
                ]
            tangents[step.node] = link.push(incoming, step.reuse and step.sources[0] in own)
            if link.push_owns:
                own.add(step.node)
            for source in step.last:
                del tangents[source]
        end = tangents[plan.end] if plan.end in tangents else shared[plan.end]
        return end.expand(plan.out_shape)

    def pull(self, w: Tensor, adjoints: Adjoints) -> None:
        """Adds to ``adjoints`` those of the tangents that all images share, from ``w``, shaped like the output."""
        if self.plan.end is None:
            return
        own: Adjoints = {}
        add_adjoint(own, self.plan.end, channels_last(w.view(self.plan.out_shape)), False, self.plan.shared)
        for step in reversed(self.plan.steps):
            if not step.shared and step.node in own:
                pull_step(step, self.links[step.node], own, self.plan.shared)
        for node, (g, mine) in own.items():
            add_adjoint(adjoints, node, g, mine, self.plan.shared)


class Forward:
    """``fn``, which returns one tensor or several, at chunks of images (n, c, h, w): traced once for each size of chunk.

    keep_bytes: how much of the values on the way to keep, so that no later recording has to run the network. Raises
    ValueError where the trace looked at the values of one chunk and is not what ``fn`` does at another.
    """

    def __init__(self, fn: Callable[[Tensor], Any], chunks: Sequence[Tensor], keep_bytes: int = 0) -> None:
        self.fn, self.chunks = fn, chunks
        self.traced: dict[int, Traced] = {}
        self.known: list[Known | None] = []
        kept = 0
        for x in chunks:
            if len(x) not in self.traced:
                self.traced[len(x)] = Traced(fn, x)
            elif self.traced[len(x)].looks:
                self._compare(self.traced[len(x)], x)
            values = self._run(self.traced[len(x)], x) if kept < keep_bytes else None
            kept += 0 if values is None else sum(v.nbytes for v in values.values() if isinstance(v, Tensor))
            self.known.append(None if values is None else Known(values))

    def _run(self, traced: Traced, x: Tensor) -> Values:
        values = traced.starts(x)
        for node in traced.nodes:
            if node.op == "call_function" and node not in values:
                with torch.no_grad(), plain_operations():
                    values[node] = run(node, values)
        return values

    def _compare(self, traced: Traced, x: Tensor) -> None:
        """ValueError unless the graph of another chunk keeps its shapes at ``x``, and each image gets the answer of ``fn``."""
        values = self._run(traced, x)
        with torch.no_grad():
            answer = self.fn(x)
        if any(values[n].shape != n.meta["val"].shape for n in traced.nodes if isinstance(n.meta.get("val"), Tensor)):
            raise ValueError("the shapes on the way depend on the images")
        for node, y in zip(traced.outputs, [answer] if isinstance(answer, Tensor) else answer, strict=True):
            gap, size = (t.reshape(len(x), -1).norm(dim=1) for t in (values[node] - y, y))
            if not bool((gap <= torch.finfo(y.dtype).eps ** (1 / 3) * size).all()):
                raise ValueError("what is computed depends on the images")


class Replay:
    """One output of ``forward`` at its chunks: recorded here, once, as far as ``record_bytes`` reach."""

    def __init__(self, forward: Forward, record_bytes: int, which: int = 0) -> None:
        self.forward, self.which, self.chunks = forward, which, forward.chunks
        self.plans = {n: Plan(traced, which) for n, traced in forward.traced.items()}
        self.recordings: list[Recording | None] = []
        self.nbytes = 0
        for x, known in zip(self.chunks, forward.known, strict=True):
            recording = Recording(self.plans[len(x)], x, known) if self.nbytes < record_bytes else None
            self.nbytes += recording.nbytes if recording is not None else 0
            self.recordings.append(recording)
        self.out_shapes = [self.plans[len(x)].out_shape for x in self.chunks]

    def push(self, v: Tensor) -> Iterator[Tensor]:
        """J v chunk by chunk, shaped like the outputs, from the direction ``v`` (1, c, h, w)."""
        shared = {n: plan.push_shared(v) for n, plan in self.plans.items()}
        for x, recording in self._each():
            yield recording.push(shared[len(x)])

    def pull(self, pieces: Sequence[Tensor]) -> Tensor:
        """J^T w, (1, c, h, w), from pieces of w shaped like the outputs."""
        adjoints: dict[int, Adjoints] = {n: {} for n in self.plans}
        for (x, recording), w in zip(self._each(), pieces, strict=True):
            recording.pull(w, adjoints[len(x)])
        total = torch.zeros_like(self.chunks[0][:1])
        for n, plan in self.plans.items():
            total += plan.pull_shared(adjoints[n])
        return total

    def _each(self) -> Iterator[tuple[Tensor, Recording]]:
        for x, known, recording in zip(self.chunks, self.forward.known, self.recordings, strict=True):
            yield x, recording or Recording(self.plans[len(x)], x, known)

    def agrees(self, fn: Callable[[Tensor], Tensor], images: int | None = None) -> bool:
        """Whether both products are those of automatic differentiation, in one random direction.

        fn: this output's own function. images: how many of the first chunk's to look at, None for all.
        """
        x, recording = next(self._each())
        if images is not None and images < len(x):
            x, recording = x[:images], recording.first(images)
        random, adjoints = generator(0, "replay_check"), Adjoints()
        w = torch.randn(recording.plan.out_shape, generator=random, dtype=torch.float32, device="cpu").to(x)
        v = torch.randn(x[:1].shape, generator=random, dtype=torch.float32, device="cpu").to(x)
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_(True)
            y = fn(leaf)
            (g,) = torch.autograd.grad(y, leaf, w, allow_unused=True) if y.requires_grad else (None,)
        expected = torch.zeros_like(v) if g is None else g.sum(0, keepdim=True)
        recording.pull(w, adjoints)
        pulled, pushed = recording.plan.pull_shared(adjoints), recording.push(recording.plan.push_shared(v))
        tolerance = torch.finfo(x.dtype).eps ** (1 / 3)
        size = float(expected.norm())
        adjoint_gap = abs(float((pushed * w).sum()) - float((pulled * v).sum()))
        if not size:
            return False  # dead units, or a gradient that does not reach the image: the general way finds out which
        return float((pulled - expected).norm()) <= tolerance * size and adjoint_gap <= tolerance * size * float(
            v.norm()
        )


def _reads(node: fx.Node) -> list[fx.Node]:
    """What must be kept until ``node`` is recorded: for one output of several, the inputs of its operation too."""
    operation = node.all_input_nodes[0].all_input_nodes if node.target is operator.getitem else []
    return [*node.all_input_nodes, *operation]


def _walk(nodes: Sequence[fx.Node], values: Values) -> Iterator[tuple[fx.Node, Values]]:
    """(node, the values that are still needed) after each operation in turn, from those of the inputs."""
    unread = Counter(used for node in nodes for used in _reads(node))
    for node in nodes:
        if node.op != "call_function" or node in values:
            continue
        with torch.no_grad(), plain_operations():
            values[node] = run(node, values)
        yield node, values
        for used in _reads(node):
            unread[used] -= 1
            if not unread[used]:
                del values[used]


def _each(plan: Plan, known: Values) -> Iterator[tuple[fx.Node, Values]]:
    return ((node, known) for node in plan.nodes if node.op == "call_function" and node not in plan.constants)
