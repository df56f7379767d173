"""What paper K's items share: the singular vector of a layer in its better sign, its nulls, and the layer to attack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from uapkit import attacks, lab
from uapkit.attacks import Perturbation
from uapkit.checks import NotHere
from uapkit.lab import nulls
from uapkit.models import Model
from uapkit.norms import lp_norm
from uapkit.operators import JacobianOperator, LayerJacobians
from uapkit.seeds import generator

Layers = Mapping[str, Sequence[str]] | Sequence[str] | None
Layer = Mapping[str, str] | str | None
KERAS_VGG = ("block2_pool", "block3_conv1", "block3_conv2", "block3_conv3")
PAPER_LAYERS = {  # the layers of Tables 1 to 3
    "vgg16": KERAS_VGG,
    "vgg19": KERAS_VGG,
    "resnet50": ("conv1", "res3c_branch2a", "bn5a_branch2c", "activation_8"),
}
DIRECTIONS = ("singular vector", nulls.RANDOM_SIGNS, nulls.UNTRAINED)  # of :meth:`Setting.directions`


@dataclass
class Setting:
    """One setting of the attack on the networks and images of a bench; see :func:`uapkit.attacks.singular_uap`.

    layer: a name, one for each network, or None: the best on the held-in images among the paper's layers of this
    network, or among ``n_layers`` evenly spread outputs, the candidates of Tables 1 to 3. n_random: draws of the null.
    """

    bench: lab.Bench
    p: float = math.inf
    q: float = 10.0
    eps: float = 10 / 255
    max_iter: int = 20
    seed: int = 0
    layer: Layer = None
    n_layers: int = 5
    n_random: int = 3
    norm: float = math.inf
    _together: dict[str, Sequence[str]] = field(default_factory=dict)
    _recorded: dict[tuple[str, bool, str], LayerJacobians] = field(default_factory=dict)
    _fresh: dict[str, Model] = field(default_factory=dict)

    def layers(self, network: str, wanted: Layers, count: int) -> list[dict[str, Any]]:
        """(model, layer) points, recorded in one pass; a network that is not here keeps its layers if they are known."""
        wanted = wanted if wanted else {k: v for k, v in PAPER_LAYERS.items() if k == lab.split_name(network)[0]}
        try:
            names = lab.layers_of(self.bench.network(network), wanted or None, network, count)
            self.record(network, names)
        except NotHere:
            names = list((wanted.get(network) or [""]) if isinstance(wanted, Mapping) else wanted)
        return [{"model": network, "layer": layer} for layer in names]

    def record(self, network: str, layers: Sequence[str]) -> None:
        """From now on these layers share one forward pass of their network, and one of its untrained copy."""
        self._together = {network: tuple(layers)}

    def jacobians(self, network: str, layer: str, *, untrained: bool = False, part: str = "fit") -> LayerJacobians:
        """The Jacobians at a part of the images, of this layer and of those recorded with it; run when first needed."""
        net, key = self.model(network, untrained), (network, untrained, part)
        known = self._recorded.get(key)
        if known is None or known.model is not net or layer not in known.layers:
            self._recorded = {
                k: v for k, v in self._recorded.items() if k[0] == network
            }  # one network's: bounds memory
            together = self._together.get(network, ())
            layers = together if layer in together else (layer,)
            self._recorded[key] = LayerJacobians(net, layers, getattr(self.bench.split(network), part).x)
        return self._recorded[key]

    def model(self, network: str, untrained: bool = False) -> Model:
        """The network called so, or its untrained copy."""
        return self.untrained(network) if untrained else self.bench.network(network)

    def untrained(self, network: str) -> Model:
        """A copy of the network with fresh weights, made once."""
        if network not in self._fresh:
            self._fresh = {network: self.bench.untrained(network)}
        return self._fresh[network]

    def vector(
        self, network: str, layer: str, *, untrained: bool = False, images: Tensor | str = "fit", **other: Any
    ) -> Perturbation:
        """The singular vector of a layer, scaled to ``eps``; ``other`` arguments of the attack come before the setting's.

        images: a part of the bench's images by name, whose layers are recorded together, or a batch (n, c, h, w).
        """
        given: dict[str, Any] = {"p": self.p, "q": self.q, "eps": self.eps, "norm": self.norm}
        given |= {"max_iter": self.max_iter, "seed": self.seed, **other}
        if isinstance(images, str):
            given["recorded"] = self.jacobians(network, layer, untrained=untrained, part=images)
        x = getattr(self.bench.split(network), images).x if isinstance(images, str) else images
        return lab.keep(attacks.singular_uap, self.model(network, untrained), x, layer=layer, **given)

    def better_sign(self, network: str, v: Tensor) -> tuple[Tensor, float]:
        """(v or -v, rate): a singular vector's sign is free, so the better one on the held-in images is taken."""
        rates = {s: float(self.bench.fooled(network, s * v, "held_in").float().mean()) for s in (1.0, -1.0)}
        sign = max(rates, key=lambda s: rates[s])
        return sign * v, rates[sign]

    def scored(self, network: str, v: Tensor) -> tuple[dict[str, float], Tensor, Tensor]:
        """(held_in_rate, fooling_rate, low, high, n), v in its better sign, and the scored images' flags."""
        v, held_in = self.better_sign(network, v)
        flags = self.bench.fooled(network, v)
        return {"held_in_rate": held_in, **lab.rate(flags)}, v, flags

    def random(self, network: str, k: int = 0) -> Tensor:
        """The k-th null: random signs (in another norm than inf: a random direction) of the same size."""
        v = nulls.random(
            self.bench.shape(network), eps=self.eps, norm=self.norm, seed=self.seed, name=f"random signs {k}"
        )
        return v.to(self.bench.device)

    def directions(self, network: str, layer: str) -> dict[str, Tensor]:
        """The perturbation and its two nulls by name (``DIRECTIONS``), each (c, h, w) in its better held-in sign."""
        own, fresh = (self.better_sign(network, self.vector(network, layer, untrained=f).v)[0] for f in (False, True))
        return dict(zip(DIRECTIONS, (own, self.random(network), fresh), strict=True))

    def choose(self, network: str) -> str:
        """The layer to attack; "" for a network that is not here and whose layers nobody named."""
        named = self.layer
        if isinstance(named, Mapping):
            named = named.get(network) or named.get(lab.split_name(network)[0])
        if named:
            return named
        points = self.layers(network, None, self.n_layers)
        if len(points) == 1:
            return points[0]["layer"]

        def candidate(model: str, layer: str) -> list[dict]:
            return [{"held_in_rate": self.better_sign(model, self.vector(model, layer).v)[1]}]

        table = lab.sweep(points, candidate, desc=f"{network}: which layer")
        if (table["status"] != "run").any():
            return points[0]["layer"]
        return str(table.loc[table["held_in_rate"].idxmax(), "layer"])

    def random_rows(self, network: str) -> tuple[list[dict], dict[str, Any]]:
        """A row for each draw of random signs; flags ``fooled/<network>/random signs/<k>``."""
        rows, arrays = [], {}
        for k in range(self.n_random):
            flags = self.bench.fooled(network, self.random(network, k))
            rows.append({"kind": nulls.RANDOM_SIGNS, "draw": k, **lab.rate(flags)})
            arrays[f"fooled/{network}/{nulls.RANDOM_SIGNS}/{k}"] = flags.cpu().numpy()
        return rows, arrays

    def nulls(self, network: str, layer: str) -> Any:
        """Rows of random signs, one a draw, and of the same attack made on an untrained copy; flags in the arrays."""

        def null(model: str, layer: str) -> tuple[list[dict], dict]:
            rows, arrays = self.random_rows(model)
            made = self.vector(model, layer, untrained=True)
            score, _, flags = self.scored(model, made.v)
            rows.append({"kind": nulls.UNTRAINED, "singular_value": value_of(made), **score})
            return rows, arrays | {f"fooled/{model}/{nulls.UNTRAINED}": flags.cpu().numpy()}

        return lab.sweep([{"model": network, "layer": layer}], null, desc=f"{network}: nulls")


def value_of(made: Perturbation) -> float:
    """The singular value of a vector of :func:`uapkit.attacks.singular_uap`."""
    return float(made.made_by["singular_value"])


def depth(model: Model, layer: str) -> float:
    """Place of a layer in the network's order, from 0 (input) to 1 (logits)."""
    order = model.layers()
    return order.index(layer) / (len(order) - 1)


def batch(x: Tensor, size: int, seed: int, name: str) -> Tensor:
    """(size, c, h, w) of the images x, drawn without replacement; ``name`` tells draws apart."""
    return x[torch.randperm(len(x), generator=generator(seed, name))[:size]]


def response(
    model: Model, x: Tensor, v: Tensor, *, layer: str, p: float, q: float, recorded: LayerJacobians | None = None
) -> tuple[float, float]:
    """(||J v||_q, :func:`top_image`) of a layer's Jacobian J, stacked over the images x, for v scaled to unit p-norm.

    recorded: the Jacobians of this model at these images, where they were recorded already.
    """
    operator = recorded.at(layer) if recorded else JacobianOperator(model.until(layer), x)
    change = operator.matvec(v / lp_norm(v.flatten(), p))
    return float(lp_norm(change, q)), top_image(change, len(x), q)


def top_image(change: Tensor, n: int, q: float) -> float:
    """Share of ||J v||_q^q, ``change`` being J v (n*m,), that the one image with the most of it holds; 1/n if all are alike.

    A large q counts the largest entries only, so one image with a steep Jacobian can hold the value of a whole batch.
    """
    images = (change.double().abs() / change.abs().max()).view(n, -1).pow(q).sum(1)
    return float(images.max() / images.sum())
