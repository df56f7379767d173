"""What paper M's experiments share: the split of the images, one fit for all items, l2 and l_inf radii, and the nulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from torch import Tensor

from uapkit import data as sets
from uapkit import evaluate
from uapkit.attacks import Perturbation
from uapkit.checks import NotHere
from uapkit.data.images import Images
from uapkit.experiments.common import SIZED, Bench
from uapkit.experiments.moosavi2017_fit import clean, fit_uap, fooled
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.models import Model
from uapkit.seeds import child_seed

TRAINED_APART = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "imagenet")  # sets with a training split
CURVE = 100  # scored images at most on which the curve over the passes is drawn
D = 3 * 224 * 224  # numbers in an image of the paper


def radius(norm: float, eps: float, shape: Sequence[int]) -> float:
    """The radius that goes with the l_inf radius ``eps``: in the 2-norm the paper's 2000 for 10, the same for each pixel.

    At 3 x 224 x 224 and eps = 10/255 it is 2000/255; images of other sizes d get sqrt(d) as much. norm: 2 or inf.
    """
    return eps if norm == math.inf else eps * 200 * math.sqrt(math.prod(shape) / D)


@dataclass
class Halves(Bench):
    """A bench whose images to fit on are of the training split, where the set has one; else no scored image is among them."""

    resize: str = "squash256"

    def images(self, model: Model) -> tuple[Images, Images, Images]:
        """(fit, fit again, scored) images for ``model``. NotHere for a set that is not on this machine."""
        size = model.input_size[-1] if model.input_size and self.data in SIZED else None
        if size not in self._images:
            sizing: dict[str, Any] = {} if size is None else {"size": size, "resize": self.resize}
            try:
                if self.data not in TRAINED_APART:
                    return super().images(model)
                fit = sets.load(self.data, split="train", n=self.n_fit, seed=self.seed, **sizing)
                scored = sets.load(self.data, split="test", n=self.n_eval, seed=self.seed, **sizing)
            except NotHere:
                raise
            except FileNotFoundError as error:
                raise NotHere(str(error)) from None
            self._images = {size: tuple(p.to(self.device) for p in (fit, fit, scored))}  # type: ignore[dict-item]
        return self._images[size]


@dataclass
class Study:
    """The setting of one item. data, n_fit, n_images, n_eval, max_passes: for all networks, or by network.

    data: the set. n_fit: how many images are set apart to fit on; n_images: how many of them are the paper's X (None:
    all); n_eval: how many others are scored (None: all). eps: radius in the infinity norm; see :func:`radius`.
    """

    data: PerNetwork
    n_fit: PerNetwork
    n_images: PerNetwork = None
    n_eval: PerNetwork = None
    eps: float = 10 / 255
    target_rate: float = 0.8
    max_passes: PerNetwork = 10
    seed: int = 0
    device: str = "cpu"
    resize: str = "squash256"
    _benches: dict[tuple, Halves] = field(default_factory=dict)
    _own: dict[str, Model] = field(default_factory=dict)

    def specs(self, wanted: Sequence[str | Model]) -> list[str]:
        """Names of the networks; a Model of the caller's own goes by its own name."""
        self._own |= {m.name: m for m in wanted if isinstance(m, Model)}
        return [m.name if isinstance(m, Model) else m for m in wanted]

    def bench(self, spec: str) -> Halves:
        """The bench of a network; networks on the same images share one."""
        key = tuple(for_network(value, spec) for value in (self.data, self.n_fit, self.n_eval))
        if key not in self._benches:
            data, n_fit, n_eval = key
            self._benches[key] = Halves(data, n_fit, 0, n_eval, self.seed, self.device, self.resize)
            self._benches[key].specs(list(self._own.values()))
        return self._benches[key]

    def x(self, spec: str) -> tuple[Images, Images]:
        """(X, scored images) of a network."""
        bench = self.bench(spec)
        fit, _, scored = bench.images(bench.model(spec))
        return fit[: self.n_x(spec)], scored

    def n_x(self, spec: str) -> int:
        """Number of images in X."""
        n, most = for_network(self.n_images, spec), self.bench(spec).n_fit
        if n is not None and not 1 <= n <= most:
            raise ValueError(f"n_images must be in [1, n_fit] = [1, {most}], got {n}; raise n_fit")
        return most if n is None else n

    def radius(self, spec: str, norm: float) -> float:
        """See :func:`radius`."""
        return radius(norm, self.eps, self.x(spec)[1].shape)

    def fit(
        self, spec: str, *, norm: float = math.inf, block: int = 1, seed: int | None = None, n: int | None = None,
        max_passes: int | None = None,
    ) -> Perturbation:  # fmt: skip
        """Algorithm 1 on X (its first ``n`` images), fitted once for all items; held_out_rates on the first scored ones."""
        images, scored = self.x(spec)
        return fit_uap(
            self.bench(spec).model(spec),
            images if n is None else images[:n],
            norm=norm,
            eps=self.radius(spec, norm),
            target_rate=self.target_rate,
            max_passes=for_network(self.max_passes, spec) if max_passes is None else max_passes,
            seed=self.seed if seed is None else seed,
            block=block,
            held_out=scored[:CURVE],
            device=self.device,
        )

    def random(self, spec: str, k: int = 0, norm: float = math.inf) -> Tensor:
        """The k-th null: random signs (norm inf) or a direction uniform on the sphere (norm 2) of the same norm."""
        seed = child_seed(self.seed, f"random direction {k}")
        v = evaluate.random_perturbation(self.x(spec)[1].shape, eps=self.radius(spec, norm), norm=norm, seed=seed)
        return v.to(self.device)

    def fooled(self, spec: str, v: Tensor) -> Tensor:
        """(n,) bool: which scored images change their label under ``v``; computed once for all items."""
        return fooled(self.bench(spec).model(spec), self.x(spec)[1], v, self.device)

    def fooled_x(self, spec: str, v: Tensor, n: int | None = None) -> Tensor:
        """(n,) bool: which images of X (its first ``n``) change their label under ``v``."""
        images = self.x(spec)[0]
        return fooled(self.bench(spec).model(spec), images if n is None else images[:n], v, self.device)

    def clean(self, spec: str) -> Tensor:
        """(n,) predicted labels of the scored images."""
        return clean(self.bench(spec).model(spec), self.x(spec)[1], self.device)

    def joined(self, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """One tidy table with all arrays; ``weights`` says which weights each network had, ``data`` which images."""
        table = pd.concat(parts, ignore_index=True)
        table.insert(1, "weights", [self.bench(m).weights(m) for m in table["model"]])
        named = pd.Series([self.bench(m).data for m in table["model"]], dtype=str)
        table["data"] = table["data"].fillna(named) if "data" in table else named
        table.attrs["arrays"] = {k: v for part in parts for k, v in part.attrs.get("arrays", {}).items()}
        return table


def kind_of_null(norm: float) -> str:
    """What the null of a norm is called."""
    return "random signs" if norm == math.inf else "random direction"


def facts(made: Perturbation) -> dict[str, Any]:
    """What a table says of a fitted perturbation: its end, cost and norms; l2_norm and eps as the paper gives them, 0 to 255.

    saturated: share of the entries within a tenth of the largest size allowed (norm inf), NaN in the 2-norm.
    """
    about, v = made.made_by, made.v
    share = float((v.abs() >= 0.9 * made.eps).float().mean()) if made.norm == math.inf else math.nan
    return {
        "n_fit": about["n_fit"],
        "end": about["end"],
        "passes": about["n_passes"],
        "steps": about["steps"],
        "failures": about["failures"],
        "l2_norm": 255 * made.size(2),
        "linf_norm": 255 * made.size(math.inf),
        "saturated": share,
    }
