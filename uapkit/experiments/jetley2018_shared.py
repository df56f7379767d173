"""What paper J's experiments share: images of both splits, each class's curvature basis, made once, and subspaces."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import checks, curvature, subspace
from uapkit import data as sets
from uapkit.curvature import Curvatures
from uapkit.data.images import Images
from uapkit.experiments.common import Bench
from uapkit.lab.sweep import for_network, kept, sweep
from uapkit.models import Model
from uapkit.models.card import state_sha256
from uapkit.seeds import child_seed, generator

KINDS = ("positive", "negative", "both", "flat")  # S_pos, S_neg, S_neg + pos, S_flat
RANDOM, DATA = "random", "data"  # nulls of the same dimension: a random subspace, the images' principal components
SOURCES = [
    importlib.import_module(f"uapkit.{m}")
    for m in ("curvature", "attacks.deepfool", "operators.hessian", "models.model", "models.layers")
]


@dataclass
class Curved(Bench):
    """Networks, training and test images, and the curvature basis of every class.

    data, n_fit, k: one for all networks, or a mapping by network ("other" for those not named), see :func:`of`.
    n_train: training images (their mean, train accuracy, and the pool of the next); n_fit: of these, drawn for each
    target class, those whose boundary points are averaged over; n_eval: test images, never fitted on. k: directions at
    each end; None: the whole basis. step_factor: the finite step in units of the paper's step / 10. max_products: of
    Lanczos.
    """

    n_train: int = 500
    k: Any = None
    step_factor: float = 10.0
    max_products: int = 300
    _sets: dict[str, Images] = field(default_factory=dict)
    _found: dict[tuple[str, int], Curvatures] = field(default_factory=dict)
    _components: dict[str, Tensor] = field(default_factory=dict)

    def data_of(self, spec: str) -> str:
        """The set of images of a network."""
        return for_network(self.data, spec)

    def part(self, split: str, spec: str) -> Images:
        """Images of the "train" or the "test" split, the same for all networks of a set."""
        key = f"{self.data_of(spec)}/{split}"
        if key not in self._sets:
            n = self.n_train if split == "train" else self.n_eval
            self._sets[key] = sets.load(self.data_of(spec), split=split, n=n, seed=self.seed).to(self.device)
        return self._sets[key]

    def step(self, spec: str) -> float:
        """The finite step, in the unit of the pixels, 2-norm."""
        return curvature.paper_step(tuple(self.part("test", spec).x.shape[1:]), factor=self.step_factor)

    def n_classes(self, spec: str) -> int:
        """How many classes the network tells apart."""
        with torch.no_grad():
            return self.model(spec)(self.part("test", spec).x[:1]).shape[1]

    def curvatures(self, spec: str, target: int) -> Curvatures:
        """Principal curvatures of a class, computed once for all items while a run's store is active."""
        if (spec, target) not in self._found:
            self._found = {key: v for key, v in self._found.items() if key[0] == spec}  # one network's in memory
            self._found[spec, target] = self._compute(spec, target)
        return self._found[spec, target]

    def _compute(self, spec: str, target: int) -> Curvatures:
        model, pool = self.model(spec), self.part("train", spec)
        order = torch.randperm(len(pool), generator=generator(self.seed, f"images for class {target}"))
        images = pool[order[: checks.count(for_network(self.n_fit, spec), "n_fit")]]
        settings: dict[str, Any] = {
            "k": for_network(self.k, spec),
            "step": self.step(spec),
            "max_products": self.max_products,
        }
        settings["seed"] = child_seed(self.seed, f"curvature of class {target}")
        point = {
            "weights": state_sha256(model.net.state_dict()),
            "normalisation": [model.mean.flatten().tolist(), model.std.flatten().tolist()],
            "images": images.sha256,
            "target": target,
            "device": self.device,
            **settings,
        }
        net = sys.modules[type(model.net).__module__]

        def compute() -> dict[str, np.ndarray]:
            found = curvature.principal_curvatures(model, images, target, **settings)
            arrays = {name: getattr(found, name).cpu().numpy() for name in ("values", "vectors", "residuals")}
            facts = [found.converged, found.n, found.asymmetry, found.method == "dense"]
            return arrays | {"facts": np.array(facts, dtype=float), "history": np.array(found.history)}

        a = kept("curvatures", point, compute, [*SOURCES, *([net] if hasattr(net, "__file__") else [])])
        converged, n, asymmetry, dense = a["facts"]
        values, vectors, residuals = (
            torch.from_numpy(a[name]).to(self.device) for name in ("values", "vectors", "residuals")
        )
        return Curvatures(
            values,
            vectors,
            residuals,
            converged=bool(converged),
            history=tuple(a["history"].tolist()),
            method="dense" if dense else "lanczos",
            target=target,
            step=settings["step"],
            n=int(n),
            asymmetry=float(asymmetry),
        )

    def mean_image(self, spec: str) -> Tensor:
        """(c, h, w) the training images' mean, the origin of all projections."""
        return self.part("train", spec).x.mean(0)

    def right(self, spec: str, split: str, basis: Tensor | None = None) -> Tensor:
        """(n,) bool: which images of the split, projected on ``basis``, get their true label.

        A projected image is mean + Q Q^T (x - mean), the mean that of the training images. Source: [jetley2018].
        """
        images, mean = self.part(split, spec), self.mean_image(spec)
        x = images.x if basis is None else mean + subspace.project(images.x - mean, basis.to(images.x))
        assert images.y is not None
        return logits(self.model(spec), x).argmax(1) == images.y.cpu()

    def components(self, spec: str) -> Tensor:
        """(D, min(n, D)) principal components of the training images, the first one first."""
        name = self.data_of(spec)
        if name not in self._components:
            centred = (self.part("train", spec).x - self.mean_image(spec)).flatten(1).double()
            vectors = torch.linalg.svd(centred, full_matrices=len(centred) < 1024 >= centred.shape[1])[2]
            self._components[name] = vectors.T.to(self.part("train", spec).x.dtype)
        return self._components[name]


def curved(data: Any, n_fit: Any, n_eval: int | None, seed: int, device: str, **settings: Any) -> Curved:
    """A :class:`Curved` whose set and numbers may be given by network."""
    return Curved(data, n_fit, 0, n_eval, seed, device, **settings)


@dataclass(frozen=True)
class Subspaces:
    """The classes' curvature bases of one network, to be stacked into S_pos, S_neg, S_neg + pos and S_flat."""

    classes: Sequence[Curvatures]
    components: Tensor
    seed: int = 0

    @property
    def d(self) -> int:
        """Number of pixels times channels."""
        return len(self.classes[0].vectors)

    @property
    def flat_is(self) -> str:
        """What S_flat is made of: the smallest curvatures, or random directions orthogonal to the known ends."""
        return "smallest curvatures" if self.classes[0].whole else "complement of the ends"

    def most(self, kind: str) -> int:
        """The largest ``d`` per class that :meth:`basis` takes."""
        known = min(c.vectors.shape[1] for c in self.classes)
        return known if self.classes[0].whole else known // 2 if kind != "flat" else self.d - known

    def of_class(self, c: int, kind: str, d: int) -> Tensor:
        """(D, d) directions of one class, the foremost first; (D, 2 d) for "both"."""
        found = self.classes[c]
        v = found.vectors
        if kind == "positive":
            return v[:, :d]
        if kind == "negative":
            return v[:, v.shape[1] - d :].flip(1)
        if kind == "both":
            return torch.cat([self.of_class(c, "positive", d), self.of_class(c, "negative", d)], 1)
        if found.whole:
            return v[:, found.values.abs().argsort()[:d]]
        draw = torch.randn(d, self.d, generator=generator(self.seed, f"flat {c}"), dtype=torch.float64).T.to(v.device)
        ends = torch.linalg.qr(v.double())[0]
        for _ in range(2):  # once more: what is left of the last columns may be small
            draw = torch.linalg.qr(draw - ends @ (ends.T @ draw))[0]
        return draw.to(v.dtype)

    def basis(self, kind: str, d: int) -> Tensor:
        """(D, m) orthonormal basis of the span of ``d`` directions of each class. ValueError if so many are not known.

        kind: "positive" (most positive curvature), "negative", "both" (2 d a class) or "flat" (smallest modulus; where
        only the ends are known: random directions orthogonal to them, see :attr:`flat_is`). Source: [jetley2018].
        """
        checks.one_of(kind, KINDS, "kind of subspace")
        if checks.count(d, "d") > self.most(kind):
            raise ValueError(f"d must lie in [1, {self.most(kind)}] for the {kind} subspace, got {d}; raise k")
        return stacked(torch.cat([self.of_class(c, kind, d) for c in range(len(self.classes))], 1))

    def null(self, kind: str, m: int, draw: int = 0) -> Tensor:
        """(D, m) basis of a null: "random" directions, or the first principal components of the training images."""
        if checks.one_of(kind, (RANDOM, DATA), "null") == RANDOM:
            return subspace.random_subspace(self.d, m, child_seed(self.seed, f"null {draw}")).to(self.components)
        if m > self.components.shape[1]:
            raise ValueError(f"{m} principal components need as many training images, got {self.components.shape[1]}")
        return self.components[:, :m]


@torch.no_grad()
def logits(model: Model, x: Tensor) -> Tensor:
    """(n, classes) on the CPU, of images that may lie outside [0, 1], a batch at a time."""
    fast = model.channels_last and x.device.type == "cpu"
    form = torch.channels_last if fast else torch.contiguous_format
    return torch.cat([model(b.contiguous(memory_format=form)).cpu() for b in x.split(128)])


def stacked(vectors: Tensor) -> Tensor:
    """(D, r) orthonormal basis of the columns' span, r their rank up to 1e-5.

    By the smaller Gram matrix in float64: one after another, as :func:`uapkit.subspace.orthonormal` takes dependent
    columns, hundreds of nearly dependent ones of ten classes would take minutes.
    """
    a = vectors.double()
    tall = a.shape[0] >= a.shape[1]
    values, w = torch.linalg.eigh(a.T @ a if tall else a @ a.T)
    kept_ = values > 1e-10 * values[-1]
    basis = (a @ w[:, kept_]) / values[kept_].sqrt() if tall else w[:, kept_]
    return basis.flip(1).to(vectors.dtype)


def class_subspaces(study: Curved, spec: str) -> Subspaces:
    """The curvature bases of all classes of a network, kept between items; see :class:`Subspaces`.

    Source: [jetley2018], Algorithm 1 and the selection of subspaces that follows it.
    """
    classes = [study.curvatures(spec, c) for c in range(study.n_classes(spec))]
    return Subspaces(classes, study.components(spec), study.seed)


def table_of(
    study: Curved, points: Sequence[Mapping[str, Any]], compute: Any, over: Sequence[str], desc: str
) -> pd.DataFrame:
    """The sweep's tidy table with the columns that all items share: data first, then model and weights."""
    table = sweep(points, compute, over=over, desc=desc)
    if "model" in table:
        table.insert(1, "weights", [study.weights(m) for m in table["model"]])
        table.insert(0, "data", [study.data_of(m) for m in table["model"]])
    return table
