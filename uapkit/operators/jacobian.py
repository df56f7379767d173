"""The Jacobians of a network's layer at many images, stacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from uapkit import checks, gate
from uapkit.models import Model
from uapkit.operators.base import Operator, batch_of, default_chunk, placed
from uapkit.operators.replay.general import General
from uapkit.operators.replay.record import Forward, Replay

Layer = Callable[[Tensor], Tensor]


class JacobianOperator(Operator):
    """Jacobians of ``layer_fn`` at n images, stacked: shape (n*m, c*h*w); rows by image, then by output. Never formed.

    ``layer_fn`` maps images (n, c, h, w) to (n, ...), each output depending on its own image only (a network in eval
    mode), e.g. ``model.until("block2_pool")``; products compute nothing behind it. Images and parameters must not
    change while the operator lives: what depends on them is recorded here, once, and replayed. ``way`` says how:

    - ``"replay"``: the layer is traced to elementary operations and their derivatives are kept (one byte for a ReLU's
      entry, eight for a max-pool's output, the slope of a smooth activation). Before the first operation that looks at
      the image, the direction is the same for all images and is computed once. Verified on the first images against
      automatic differentiation, and at every further chunk against the layer's own answers if tracing had to look at the
      images' values (a network that sends images to its parts); layers that cannot be traced, or fail this, go
    - ``"general"``: autograd's own graph, retained. Verified against finite differences, and the two products against
      each other.

    At most ``chunk`` images are worked on at once (default: few enough to stay in the cache of a CPU, more on a GPU), and
    at most ``record_bytes`` are kept in all; chunks beyond run the layer anew for every product.

    Source: [khrulkov2018], Algorithms 2 and 3; recording and replay are ours, the products are the same.
    Raises ValueError for images that are not a finite, non-empty (n, c, h, w), an output that is not (n, ...), and a
    layer that is no fixed function of each image or whose gradient does not reach it (:mod:`uapkit.gate`), TypeError for
    an output that is no floating-point tensor.
    """

    record_bytes: ClassVar[int] = 4 * 2**30

    def __init__(self, layer_fn: Layer, images: Tensor, *, chunk: int | None = None) -> None:
        with torch.inference_mode(False):
            layer_fn = gate.unwrapped(layer_fn)
            images = placed(layer_fn, batch_of(images))
            gate.admit(layer_fn, images, whole=False)
            chunks = _chunks(images, chunk)
            self._take(_replay(layer_fn, chunks, self.record_bytes) or _general(layer_fn, chunks, self.record_bytes))

    def _take(self, products: Replay | General) -> None:
        first = products.chunks[0]
        self.chunk, self._image_shape = len(first), first.shape[1:]
        self._products = products
        self.way = "replay" if isinstance(products, Replay) else "general"
        self._rows = [shape.numel() for shape in products.out_shapes]
        super().__init__((sum(self._rows), first[0].numel()), first.dtype, first.device)

    def _matvec(self, v: Tensor) -> Tensor:
        return torch.cat([z.reshape(-1) for z in self._products.push(v.view(1, *self._image_shape))])

    def _rmatvec(self, w: Tensor) -> Tensor:
        pieces = zip(w.split(self._rows), self._products.out_shapes, strict=True)
        return self._products.pull([piece.view(shape) for piece, shape in pieces]).reshape(-1)


class LayerJacobians:
    """The Jacobians of several ``layers`` of one network at the same images, from one forward pass.

    :meth:`at` gives ``JacobianOperator(model.until(layer), images)``, but the network is traced and run once, when the
    first layer is asked for, up to the last of the layers, and its activations (up to ``keep_bytes``) serve them all; a
    layer outside ``layers``, and a network that cannot be traced as a whole, is recorded by itself. Images and
    parameters must not change meanwhile. images, chunk and errors as for the operator.
    """

    keep_bytes: ClassVar[int] = 2 * 2**30
    derived: ClassVar[tuple[str, ...]] = ("layers", "chunk", "_forward")  # none of them changes what :meth:`at` gives

    def __init__(self, model: Model, layers: Sequence[str], images: Tensor, *, chunk: int | None = None) -> None:
        self.model, self.layers, self.chunk = model, tuple(layers), chunk
        self.images = placed(model, batch_of(images))
        gate.admit(model.several(self.layers), self.images, whole=False)  # an unknown layer is refused now

    @cached_property
    def _forward(self) -> Forward | None:
        together = self.model.several(self.layers)
        with torch.inference_mode(False), suppress(Exception):  # whatever tracing stumbles over: each layer by itself
            return Forward(together, _chunks(self.images, self.chunk), self.keep_bytes)
        return None

    def at(self, layer: str) -> JacobianOperator:
        """The operator of one layer."""
        until, record_bytes = self.model.until(layer), JacobianOperator.record_bytes
        if self._forward is not None and layer in self.layers:
            with torch.inference_mode(False), suppress(Exception):
                replay = Replay(self._forward, record_bytes, self.layers.index(layer))
                if _verified(replay, until):
                    made = JacobianOperator.__new__(JacobianOperator)
                    made._take(replay)
                    return made
        return JacobianOperator(until, self.images, chunk=self.chunk)


def _chunks(images: Tensor, chunk: int | None) -> tuple[Tensor, ...]:
    """The images in equal parts of at most ``chunk``, the last perhaps smaller."""
    most = default_chunk(images) if chunk is None else checks.count(chunk, "chunk")
    parts = -(-len(images) // most)
    return images.split(-(-len(images) // parts))


def _verified(replay: Replay, layer_fn: Layer) -> bool:
    """Whether its products are the derivative: on an eighth of the first chunk, on all of it where that fails.

    Fewer may all be dead, may round to the other side of a kink than they do among others, or cannot be told apart.
    """
    with suppress(Exception):
        if replay.agrees(layer_fn, images=-(-len(replay.chunks[0]) // 8)):
            return True
    return replay.agrees(layer_fn)


def _replay(layer_fn: Layer, chunks: tuple[Tensor, ...], record_bytes: int) -> Replay | None:
    """The replayed products, or None where the layer cannot be traced or its replay is not its derivative."""
    try:
        replay = Replay(Forward(layer_fn, chunks), record_bytes)
        return replay if _verified(replay, layer_fn) else None
    except Exception:  # whatever tracing stumbles over, and the layer's own errors, which come again from General
        return None


def _general(layer_fn: Layer, chunks: tuple[Tensor, ...], record_bytes: int) -> General:
    """The products by autograd. ValueError where they are not the derivative, unless the caller knows better."""
    products = General(layer_fn, chunks, record_bytes)
    if "gradient" not in gate.trusted(gate.owner(layer_fn)):
        products.verify(gate.name_of(layer_fn))
    return products
