"""What paper J's first-order items share: net-dataset pairs, stacked attack directions, their bases and others to compare.

S_hi is spanned by the first, S_lo by the last right singular vectors of the stacked unit directions; here the number of
vectors counts all classes together.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from uapkit import attacks, checks, evaluate, models, spectra, subspace
from uapkit import data as sets
from uapkit.data.images import Images
from uapkit.experiments.common import SIZED, Bench, kept_for
from uapkit.experiments.jetley2018_shared import Curved, Subspaces, class_subspaces
from uapkit.intervals import CONFIDENCE
from uapkit.lab.sweep import for_network
from uapkit.models import Model
from uapkit.seeds import child_seed, generator

Data = str | Mapping[str, str]
Count = int | Mapping[str, int]
DEEPFOOL = [importlib.import_module(f"uapkit.attacks.{m}") for m in ("base", "deepfool", "gradient")]
UNTRAINED = "gradient, untrained network"
ATTACKS = ("deepfool", "gradient", "gradients of all classes", UNTRAINED)
BLOCK = 50  # images whose DeepFool is kept together
LARGEST = 2**24  # numbers of a full basis
FEW = 0.1  # the share of all dimensions that "few directions" means in the claims


@dataclass
class Pairs:
    """The networks of an item, each with its images, its attack directions and their singular basis.

    data, n_fit, n_eval: one for all networks, or mappings by network; "other" is for those not named. n_fit
    images give directions, mean and principal components; they come from the training images where the set has such,
    otherwise (photographs) they are held out from the n_eval images to score, None: all the others.
    """

    data: Data
    n_fit: Count
    n_eval: Count | None = None
    seed: int = 0
    device: str = "cpu"
    max_iter: int = 50
    _benches: dict[str, Bench] = field(default_factory=dict)
    _images: dict[tuple, tuple[Images, Images]] = field(default_factory=dict)
    _bases: dict[tuple, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def bench(self, spec: str | Model) -> Bench:
        """The bench of the network's image set."""
        name = spec.name if isinstance(spec, Model) else spec
        data, n_fit, n_eval = self.data_of(name), self.count(name, "n_fit"), self.count(name, "n_eval")
        key = f"{data} {n_fit} {n_eval}"
        if key not in self._benches:
            self._benches[key] = Bench(data, n_fit or 0, 0, n_eval, self.seed, self.device)
        return self._benches[key]

    def count(self, spec: str, name: str) -> int | None:
        """``n_fit`` or ``n_eval`` for a network."""
        found = for_network(getattr(self, name), spec, name)
        return None if found is None else checks.count(found, name)

    def data_of(self, spec: str) -> str:
        """The image set of a network."""
        return str(for_network(self.data, spec, "data"))

    def specs(self, wanted: Sequence[str | Model]) -> list[str]:
        """Names of the networks; a Model of the caller's own goes by its own name."""
        return [self.bench(m).specs([m])[0] for m in wanted]

    def model(self, spec: str) -> Model:
        """The network; NotHere if its weights are missing, or if it still has to be trained."""
        name = spec.partition("[")[0]
        bench = self.bench(spec)
        if spec not in bench._own and name not in models.list() and name.startswith(("lenet_", "nin_")):
            raise checks.NotHere(
                f"{name} has not been trained yet; `python -m uapkit.papers.jetley2018.recipes --help` says how"
            )
        return bench.model(spec)

    def images(self, spec: str) -> tuple[Images, Images]:
        """(n_fit images, n_eval images to score); the two never overlap."""
        model, data = self.model(spec), self.data_of(spec)
        n_fit, n_eval = self.count(spec, "n_fit"), self.count(spec, "n_eval")
        key = (data, model.input_size, n_fit, n_eval)
        if key not in self._images:
            if data in SIZED or data not in sets.list():
                fit, _, scored = self.bench(spec).images(model)
            else:
                fit = sets.load(data, split="train", n=n_fit, seed=self.seed).to(self.device)
                scored = sets.load(data, n=n_eval, seed=self.seed).to(self.device)
            self._images = {key: (fit, scored)}
        return self._images[key]

    def mean(self, spec: str) -> Tensor:
        """(c, h, w) mean of the images that the directions come from."""
        return self.images(spec)[0].x.mean(0)

    def directions(self, spec: str, attack: str) -> Tensor:
        """(n, d) unit directions at the images to fit on; images without a direction have no row.

        attack: "deepfool", "gradient" (of the predicted class's score), "gradients of all classes", of so many fewer images
        that there are as many rows, or the null "gradient, untrained network".
        """
        checks.one_of(attack, ATTACKS, "attack")
        model, fit = self.attacked(spec, attack), self.images(spec)[0]
        if attack == "deepfool":
            found = deepfool(model, fit, max_iter=self.max_iter)
            rows = found["r"][found["success"]]
        elif attack == "gradients of all classes":
            classes = model(fit.x[:1]).shape[1]
            few = fit.x[: max(1, len(fit) // classes)]
            rows = torch.stack([attacks.saliency(model, few, k) for k in range(classes)], 1).flatten(0, 1)
        else:
            rows = attacks.saliency(model, fit)
        rows = rows.flatten(1)
        return spectra.direction_matrix(rows[rows.any(1)]).cpu()

    def attacked(self, spec: str, attack: str) -> Model:
        """The network, or a copy of it with fresh weights for the null."""
        return self.bench(spec).untrained(spec) if attack == UNTRAINED else self.model(spec)

    def basis(self, spec: str, attack: str) -> tuple[Tensor, Tensor]:
        """(all d right singular vectors as columns, their singular values), largest first; kept by the runner.

        Fewer than d rows leave a null space, whose vectors have the value 0 and come last in no particular order.
        """
        if (spec, attack) not in self._bases:
            self._bases = {k: v for k, v in self._bases.items() if k[0] == spec}  # one network's at a time
            model, fit = self.attacked(spec, attack), self.images(spec)[0]

            def compute() -> dict[str, np.ndarray]:
                vectors, values = full_basis(self.directions(spec, attack))
                return {"vectors": vectors.float().numpy(), "values": values.numpy()}

            point = {"attack": attack, "images": fit.sha256, "max_iter": self.max_iter if attack == "deepfool" else 0}
            found = kept_for(model, "singular basis", point, compute, [*DEEPFOOL, spectra, sys.modules[__name__]])
            self._bases[spec, attack] = torch.from_numpy(found["vectors"]), torch.from_numpy(found["values"])
        return self._bases[spec, attack]

    def principal(self, spec: str) -> Tensor:
        """(d, d) principal components of the images to fit on, the largest first: what images alone would give."""
        key = (spec, "principal components")
        if key not in self._bases:
            self._bases[key] = full_basis((self.images(spec)[0].x - self.mean(spec)).flatten(1).cpu())
        return self._bases[key][0]

    def span(self, spec: str, kind: str, k: int, *, attack: str = "deepfool", draw: int = 0) -> Tensor:
        """(d, k) orthonormal basis: "S_hi", "S_lo", or the nulls "random" and "principal components"."""
        checks.one_of(kind, SPANS, "span")
        if kind == "random":
            return self._random(spec, draw)[:, :k]
        if kind == "principal components":
            return self.principal(spec)[:, :k].float()
        vectors = self.basis(spec, attack)[0]
        return vectors[:, :k] if kind == "S_hi" else vectors[:, -k:]

    def _random(self, spec: str, draw: int) -> Tensor:
        """(d, d) random orthonormal basis, whose first columns are nested random subspaces; made once a draw."""
        d, key = self.images(spec)[0].x[0].numel(), (spec, f"random {draw}")
        if key not in self._bases:
            made = subspace.random_subspace(d, d, child_seed(self.seed, f"random subspace {draw}"))
            self._bases[key] = made.float(), torch.zeros(d)
        return self._bases[key][0]

    def dimensions(self, spec: str, shares: Sequence[float]) -> list[int]:
        """Numbers of vectors, at least one, for ``shares`` of d in (0, 1]."""
        d = self.images(spec)[0].x[0].numel()
        if d * d > LARGEST:
            raise ValueError(
                f"a full basis of {d} dimensions is too large; take images of at most {int(LARGEST**0.5)} numbers"
            )
        return [max(1, round(checks.in_range(s, 0, 1, "shares", open_low=True) * d)) for s in shares]

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """The item's table with the weights and the images of every row."""
        table.insert(1, "weights", [self.bench(m).weights(m) for m in table["model"]])
        table.insert(2, "data", [self.data_of(m) for m in table["model"]])
        return table


SPANS = ("S_hi", "S_lo", "random", "principal components")


def full_basis(rows: Tensor) -> tuple[Tensor, Tensor]:
    """((d, d) right singular vectors as columns, (d,) singular values) of rows (n, d), largest first, in float64."""
    values, vectors = torch.linalg.eigh(rows.double().T @ rows.double())
    return vectors.flip(1).contiguous(), values.flip(0).clamp(min=0).sqrt()


def deepfool(model: Model, images: Images, *, block: int = BLOCK, **settings: Any) -> dict[str, Tensor]:
    """The fields of :func:`uapkit.attacks.deepfool`'s result by name, kept by the runner a block of images at a time.

    Items that attack the same images of the same network share the answer; ``settings`` are DeepFool's.
    """
    basis = settings.get("basis")
    parts = []
    for start in range(0, len(images), block):
        part = images[start : start + block]

        def compute(part: Images = part) -> dict[str, np.ndarray]:
            found = attacks.deepfool(model, part, **settings)
            return {name: getattr(found, name).cpu().numpy() for name in FIELDS}

        if basis is None:
            parts.append(kept_for(model, "deepfool", settings | {"images": part.sha256}, compute, DEEPFOOL))
        else:
            parts.append(compute())
    return {name: torch.from_numpy(np.concatenate([p[name] for p in parts])) for name in FIELDS}


FIELDS = ("r", "success", "n_iter", "label", "adversarial")


def curved(pairs: Pairs, spec: str, points: Count, n_train: int, k: Any, max_products: int) -> Subspaces | None:
    """The curvature subspaces of ``fig3_accuracy`` from ``points`` boundary points a class; None for 0 points."""
    n = for_network(points, spec, "n_curvature")
    if not n:
        return None
    study = Curved(pairs.data_of(spec), n, 0, 1, pairs.seed, pairs.device, n_train=n_train, k=for_network(k, spec, "k"))
    study.max_products = max_products
    return class_subspaces(study, study.specs([pairs.model(spec) if spec in pairs.bench(spec)._own else spec])[0])


class Projected(nn.Module):
    """A network behind a projection: it sees mean + P (x - mean), P = Q Q^T, or I - Q Q^T with ``remove``.

    basis: (d, k) with orthonormal columns; mean: (c, h, w). Source: [jetley2018], projected images.
    """

    basis: Tensor
    mean: Tensor

    def __init__(self, net: nn.Module, basis: Tensor, mean: Tensor, *, remove: bool = False) -> None:
        super().__init__()
        self.net, self.remove = net, remove
        self.register_buffer("basis", basis.to(mean))
        self.register_buffer("mean", mean)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w)."""
        part = subspace.project(x - self.mean, self.basis)
        return self.net(x - part if self.remove else self.mean + part)


def correct(model: nn.Module, images: Images) -> Tensor:
    """(n,) bool: is the predicted label the true one? ValueError for images without labels."""
    if images.y is None:
        raise ValueError(f"accuracy needs true labels, and {images.name} has none; take another set")
    return evaluate.labels(model.eval(), images) == images.y.cpu()


def accuracy(flags: Tensor) -> dict[str, float]:
    """accuracy, low, high (Wilson, 95 %) and n, as columns."""
    return evaluate.Rate.mean(flags).columns("accuracy")


def bootstrap_median(values: Tensor, *, n_boot: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """(median, low, high) over images, 95 % percentile bootstrap; values may be infinite, where an attack failed."""
    draws = torch.randint(len(values), (n_boot, len(values)), generator=generator(seed, "bootstrap of the median"))
    medians = values.double()[draws].sort(1).values[:, (len(values) - 1) // 2].sort().values
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(medians[round(q * (n_boot - 1))]) for q in (tail, 1 - tail))
    return float(values.double().sort().values[(len(values) - 1) // 2]), low, high


def at(rows: pd.DataFrame, kind: str, share: float = FEW) -> pd.Series:
    """The first row of a kind at the share nearest to ``share``."""
    rows = rows[rows["kind"] == kind]
    return rows.loc[(rows["share"] - share).abs().idxmin()]
