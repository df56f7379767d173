"""What paper K's experiments share: a layer chosen on held-in images, one linearisation for many q, and the nulls."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import evaluate
from uapkit.checks import NotHere
from uapkit.experiments.common import Bench, kept_for, layers_of, rate, split_name, tensor_sha256
from uapkit.lab.sweep import sweep
from uapkit.models import Model
from uapkit.operators import JacobianOperator, LayerJacobians
from uapkit.seeds import child_seed
from uapkit.singular import SingularPair, pq_singular

SOURCES = [
    importlib.import_module(f"uapkit.{m}")
    for m in ("norms", "singular", "operators.general", "operators.jacobian", "operators.plan", "operators.replay")
    + ("operators.links", "operators.rules")
]
Layers = Mapping[str, Sequence[str]] | Sequence[str] | None
Layer = Mapping[str, str] | str | None
KERAS_VGG = ("block2_pool", "block3_conv1", "block3_conv2", "block3_conv3")
PAPER_LAYERS = {  # the layers of Tables 1 to 3
    "vgg16": KERAS_VGG,
    "vgg19": KERAS_VGG,
    "resnet50": ("conv1", "res3c_branch2a", "bn5a_branch2c", "activation_8"),
}


def layer_points(bench: Bench, spec: str, layers: Layers, count: int) -> list[dict[str, Any]]:
    """(model, layer) pairs; a network that is not here keeps its layers if they are known, else one nameless row."""
    wanted = layers if layers else {k: v for k, v in PAPER_LAYERS.items() if k == split_name(spec)[0]}
    try:
        names = layers_of(bench.model(spec), wanted or None, spec, count)
    except NotHere:
        names = list((wanted.get(spec) or [""]) if isinstance(wanted, Mapping) else wanted)
    return [{"model": spec, "layer": layer} for layer in names]


def depth(model: Model, layer: str) -> float:
    """Place of a layer in the network's order, from 0 (input) to 1 (logits)."""
    order = model.layers()
    return order.index(layer) / (len(order) - 1)


def best_sign(bench: Bench, spec: str, v: Tensor) -> tuple[Tensor, float]:
    """(v or -v, rate): a singular vector's sign is free, so the better one on the held-in images is taken."""
    rates = {sign: float(bench.fooled(spec, sign * v, "held-in").float().mean()) for sign in (1.0, -1.0)}
    sign = max(rates, key=lambda s: rates[s])
    return sign * v, rates[sign]


@dataclass
class Study:
    """One setting of the attack on the networks and images of a bench.

    layer: a name, one for each network, or None: the best on the held-in images among the paper's layers of this
    network, or among ``n_layers`` evenly spread outputs, the candidates of Tables 1 to 3. norm: what ``eps`` is measured in.
    """

    bench: Bench
    p: float = math.inf
    q: float = 10.0
    eps: float = 10 / 255
    max_iter: int = 20
    seed: int = 0
    layer: Layer = None
    n_layers: int = 5
    n_random: int = 3
    norm: float = math.inf
    _together: dict[str, list[str]] = field(default_factory=dict)
    _layers: dict[tuple[str, bool], LayerJacobians] = field(default_factory=dict)
    _kept: dict[tuple[str, str, bool], JacobianOperator] = field(default_factory=dict)
    _fresh: dict[str, Model] = field(default_factory=dict)

    def together(self, points: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The (model, layer) points themselves, whose layers are from now on recorded in one pass of their network."""
        for point in points:
            self._together[point["model"]] = [p["layer"] for p in points if p["model"] == point["model"]]
        return points

    def operator(self, spec: str, layer: str, *, untrained: bool = False) -> JacobianOperator:
        """Stacked Jacobian at the images fitted on. The last one is kept: all q, p and seeds of a layer share it."""
        key = (spec, layer, untrained)
        if key not in self._kept:
            self._kept.clear()  # frees the old record before the new one is made
            net, layers = self.bench.model(spec), self._together.get(spec, [])
            fit, source = self.bench.images(net)[0].x, self.untrained(spec) if untrained else net
            if layer not in layers or len(layers) == 1:
                self._kept[key] = JacobianOperator(source.until(layer), fit)
            else:
                self._layers = {k: kept for k, kept in self._layers.items() if k[0] == spec}  # one network's at a time
                if (spec, untrained) not in self._layers:
                    self._layers[spec, untrained] = LayerJacobians(source, layers, fit)
                self._kept[key] = self._layers[spec, untrained].at(layer)
        return self._kept[key]

    def untrained(self, spec: str) -> Model:
        """A copy of the network with fresh weights, made once."""
        if spec not in self._fresh:
            self._fresh = {spec: self.bench.untrained(spec)}
        return self._fresh[spec]

    def pair(self, op: JacobianOperator, **other: Any) -> SingularPair:
        """The singular vector of ``op`` in this study's setting; ``other`` arguments of pq_singular come before it."""
        return pq_singular(op, **{"p": self.p, "q": self.q, "seed": self.seed, "max_iter": self.max_iter} | other)

    def vector(self, spec: str, layer: str, *, untrained: bool = False, **other: Any) -> SingularPair:
        """:meth:`pair` of a layer's operator; kept by the runner, so that all items with this vector share it."""
        setting = {"p": self.p, "q": self.q, "seed": self.seed, "max_iter": self.max_iter} | other

        def compute() -> dict[str, np.ndarray]:
            pair = self.pair(self.operator(spec, layer, untrained=untrained), **other)
            numbers = [pair.value, pair.start_value, pair.n_iter, pair.converged]
            return {"v": pair.v.cpu().numpy(), "history": np.array(pair.history), "numbers": np.array(numbers, float)}

        net = self.bench.model(spec)
        point = setting | {"layer": layer, "images": tensor_sha256(self.bench.images(net)[0].x)}
        found = kept_for(self.untrained(spec) if untrained else net, "singular vector", point, compute, SOURCES)
        value, start, n_iter, converged = found["numbers"].tolist()
        v, history = torch.from_numpy(found["v"]).to(self.bench.device), tuple(found["history"].tolist())
        return SingularPair(v, value, history, int(n_iter), bool(converged), setting["p"], setting["q"], start)

    def scaled(self, spec: str, v: Tensor, *, eps: float | None = None, norm: float | None = None) -> Tensor:
        """A direction as a perturbation (c, h, w) of size ``eps``."""
        shape = self.bench.images(self.bench.model(spec))[0].x.shape[1:]
        size = float(torch.linalg.vector_norm(v.double(), self.norm if norm is None else norm))
        return v.view(shape) * ((self.eps if eps is None else eps) / size)

    def scored(self, spec: str, v: Tensor) -> tuple[dict[str, float], Tensor, Tensor]:
        """(held_in_rate, fooling_rate, low, high, n), v in its better sign, and the scored images' flags."""
        v, held_in = best_sign(self.bench, spec, v)
        flags = self.bench.fooled(spec, v)
        return {"held_in_rate": held_in, **rate(flags)}, v, flags

    def random(self, spec: str, k: int = 0) -> Tensor:
        """The k-th null: random signs (in another norm than inf: a random direction) of the same size."""
        shape = self.bench.images(self.bench.model(spec))[0].x.shape[1:]
        seed = child_seed(self.seed, f"random signs {k}")
        return evaluate.random_perturbation(shape, eps=self.eps, norm=self.norm, seed=seed).to(self.bench.device)

    def choose(self, spec: str, over: Sequence[str]) -> str:
        """The layer to attack ``spec`` at; "" for a network that is not here and whose layers nobody named."""
        named = self.layer
        if isinstance(named, Mapping):
            named = named.get(spec) or named.get(split_name(spec)[0])
        if named:
            return named
        points = layer_points(self.bench, spec, None, self.n_layers)
        if len(points) == 1:
            return points[0]["layer"]

        def candidate(model: str, layer: str) -> list[dict]:
            v = self.scaled(model, self.vector(model, layer).v)
            return [{"held_in_rate": best_sign(self.bench, model, v)[1]}]

        table = sweep(self.together(points), candidate, over=over, per_network=True, desc=f"{spec}: which layer")
        if (table["status"] != "run").any():
            return points[0]["layer"]
        return str(table.loc[table["held_in_rate"].idxmax(), "layer"])

    def nulls(self, spec: str, layer: str, over: Sequence[str]) -> pd.DataFrame:
        """Rows of random signs, one a draw, and of the same attack made on an untrained copy; flags in the arrays."""

        def null(model: str, layer: str) -> tuple[list[dict], dict]:
            draws = [self.bench.fooled(model, self.random(model, k)) for k in range(self.n_random)]
            rows: list[dict] = [{"kind": "random signs", "draw": k, **rate(f)} for k, f in enumerate(draws)]
            made = self.vector(model, layer, untrained=True)
            score, _, flags = self.scored(model, self.scaled(model, made.v))
            rows.append({"kind": "untrained network", "singular_value": made.value, **score})
            arrays = {f"fooled/{model}/random signs/{k}": f.cpu().numpy() for k, f in enumerate(draws)}
            return rows, arrays | {f"fooled/{model}/untrained network": flags.cpu().numpy()}

        return sweep([{"model": spec, "layer": layer}], null, over=over, per_network=True, desc=f"{spec}: nulls")


def joined(bench: Bench, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One tidy table with all arrays; ``weights`` says which weights each network had, ``data`` which images."""
    table = pd.concat(parts, ignore_index=True)
    table.insert(1, "weights", [bench.weights(m) for m in table["model"]])
    table["data"] = bench.data
    table.attrs["arrays"] = {k: v for part in parts for k, v in part.attrs.get("arrays", {}).items()}
    return table
