"""Record a network's activation pattern once, then replay its derivative as a short list of linear maps."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from uapkit.operators.links import channels_last
from uapkit.operators.plan import Adjoints, Layer, Plan, add_adjoint, plain_operations, pull_step, run
from uapkit.operators.rules import Call, recorded_link
from uapkit.seeds import generator


class Recording:
    """The links of one chunk ``x`` (n, c, h, w) of images; ``nbytes`` held for it alone."""

    def __init__(self, plan: Plan, x: Tensor) -> None:
        self.plan = plan
        self.links = {s.node: s.link for s in plan.steps if s.link is not None}
        own = {s.node for s in plan.steps if s.link is None} | plan.deferred
        values: dict[fx.Node, Any] = {plan.input: x, **plan.constants}
        unread = Counter(used for node in plan.nodes for used in _reads(node))
        for node in plan.nodes:
            if node.op != "call_function" or node in plan.constants:
                continue
            with torch.no_grad(), plain_operations():
                values[node] = run(node, values)
                if node in own:
                    self._record(plan.calls[node], values)
            for used in _reads(node):
                unread[used] -= 1
                if not unread[used]:
                    del values[used]
        self.nbytes = sum(self.links[node].nbytes for node in own if node in self.links)

    def _record(self, call: Call, values: dict[fx.Node, Any]) -> None:
        source = call.parents[0]
        before = self.links.pop(source, None) if source in self.plan.deferred else None
        shared = self.plan.alias[source] in self.plan.shared
        self.links[call.node] = recorded_link(call, lambda a: fx.node.map_arg(a, values.__getitem__), shared, before)

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


class Replay:
    """``fn`` at chunks of images (n, c, h, w): recorded here, once, as far as ``record_bytes`` reach."""

    def __init__(self, fn: Layer, chunks: Sequence[Tensor], record_bytes: int) -> None:
        self.fn, self.chunks = fn, chunks
        self.plans: dict[int, Plan] = {}
        self.recordings: list[Recording | None] = []
        self.nbytes = 0
        for x in chunks:
            if len(x) not in self.plans:
                self.plans[len(x)] = Plan(fn, x)
            recording = Recording(self.plans[len(x)], x) if self.nbytes < record_bytes else None
            self.nbytes += recording.nbytes if recording is not None else 0
            self.recordings.append(recording)
        self.out_shapes = [self.plans[len(x)].out_shape for x in chunks]

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
        for x, recording in zip(self.chunks, self.recordings, strict=True):
            yield x, recording or Recording(self.plans[len(x)], x)

    def agrees(self) -> bool:
        """Whether both products are those of automatic differentiation on the first chunk, in one random direction."""
        x, recording = next(self._each())
        random, adjoints = generator(0, "replay_check"), Adjoints()
        w = torch.randn(self.out_shapes[0], generator=random).to(x)
        v = torch.randn(x[:1].shape, generator=random).to(x)
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_(True)
            y = self.fn(leaf)
            (g,) = torch.autograd.grad(y, leaf, w, allow_unused=True) if y.requires_grad else (None,)
        expected = torch.zeros_like(v) if g is None else g.sum(0, keepdim=True)
        recording.pull(w, adjoints)
        pulled, pushed = recording.plan.pull_shared(adjoints), recording.push(recording.plan.push_shared(v))
        tolerance = torch.finfo(x.dtype).eps ** (1 / 3)
        size = float(expected.norm())
        adjoint_gap = abs(float((pushed * w).sum()) - float((pulled * v).sum()))
        return float((pulled - expected).norm()) <= tolerance * size and adjoint_gap <= tolerance * size * float(
            v.norm()
        )


def _reads(node: fx.Node) -> list[fx.Node]:
    """What must be kept until ``node`` is recorded: for one output of several, the inputs of its operation too."""
    operation = node.all_input_nodes[0].all_input_nodes if node.target is operator.getitem else []
    return [*node.all_input_nodes, *operation]
