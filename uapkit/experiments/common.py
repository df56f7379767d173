"""What all experiments share: networks by one string, images split into fit, held-in and scored parts, nulls."""

from __future__ import annotations

import copy
import hashlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from uapkit import data as sets
from uapkit import evaluate, models
from uapkit.data.images import Images
from uapkit.lab.sweep import kept
from uapkit.models import layers as layers_module
from uapkit.models import model as model_module
from uapkit.models.card import state_sha256
from uapkit.models.catalogue import find
from uapkit.seeds import child_seed, generator

SIZED = ("imagenet-sample", "imagenet", "pictures")  # sets of photographs that are resized to the network's input


def split_name(spec: str) -> tuple[str, str]:
    """``"squeezenet1_1[gluon]"`` to ("squeezenet1_1", "gluon"); without a tag the weights are "default"."""
    name, _, tag = spec.partition("[")
    return name, tag.rstrip("]") or "default"


@dataclass
class Bench:
    """Networks, images and clean labels of one experiment, each loaded once and shared by all its points.

    data: name of the set; n_fit images to fit on, the next n_select held in to choose with, the next n_eval (None: all
    the rest) to score on; the three never overlap. resize: how photographs reach the network's size.
    """

    data: str
    n_fit: int
    n_select: int = 0
    n_eval: int | None = None
    seed: int = 0
    device: str = "cpu"
    resize: str = "squash"
    split: str = "test"
    _own: dict[str, models.Model] = field(default_factory=dict)
    _models: dict[str, models.Model] = field(default_factory=dict)
    _images: dict[int | None, tuple[Images, Images, Images]] = field(default_factory=dict)
    _clean: dict[tuple[str, str], Tensor] = field(default_factory=dict)

    def specs(self, wanted: Sequence[str | models.Model]) -> list[str]:
        """Names of the networks; a :class:`~uapkit.models.Model` of the caller's own goes by its own name."""
        self._own |= {m.name: m.to(self.device) for m in wanted if isinstance(m, models.Model)}
        return [m.name if isinstance(m, models.Model) else m for m in wanted]

    def model(self, spec: str) -> models.Model:
        """The network called ``spec``; NotHere if its weights are missing."""
        if spec in self._own:
            return self._own[spec]
        if spec not in self._models:
            name, tag = split_name(spec)
            self._models = {spec: models.load(name, weights=tag, device=self.device)}  # one at a time bounds memory
        return self._models[spec]

    def weights(self, spec: str) -> str:
        """The tag of the weights that ``spec`` stands for; "wrapped" for a module of the user's own."""
        if spec in self._own:
            return self._own[spec].card.weights
        name, tag = split_name(spec)  # not from the network: a run all of whose points are reused does not load it
        return find(name, tag).weights if tag == "default" and name in models.list() else tag

    def untrained(self, spec: str) -> models.Model:
        """A null: the same architecture with fresh weights."""
        if spec not in self._own:
            return models.load(split_name(spec)[0], weights="random", device=self.device, seed=self.seed)
        fresh = copy.deepcopy(self._own[spec])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(child_seed(self.seed, "untrained"))
            for module in fresh.modules():
                if callable(reset := getattr(module, "reset_parameters", None)):
                    reset()
        return fresh

    def images(self, model: models.Model) -> tuple[Images, Images, Images]:
        """(fit, held-in, scored) images for ``model``."""
        size = model.input_size[-1] if model.input_size and self.data in SIZED else None
        if size not in self._images:
            total = None if self.n_eval is None else self.n_fit + self.n_select + self.n_eval
            found = sets.load(self.data, split=self.split, n=total, seed=self.seed, **_sizing(size, self.resize))
            if total is None:  # the whole set comes in its own order, which is by class for photographs
                found = found[torch.randperm(len(found), generator=generator(self.seed, "order of images"))]
            ends = (self.n_fit, self.n_fit + self.n_select)
            if len(found) <= ends[1]:
                raise ValueError(
                    f"{self.data} holds {len(found)} images, but n_fit + n_select = {ends[1]} leaves none to score; lower them"
                )
            parts = found[: ends[0]], found[ends[0] : ends[1]] if self.n_select else found[: ends[0]], found[ends[1] :]
            self._images = {size: tuple(p.to(self.device) for p in parts)}  # type: ignore[dict-item]
        return self._images[size]

    def clean(self, spec: str, model: models.Model, part: str, images: Images) -> Tensor:
        """Predicted labels of the clean images, computed once for a network and a part."""
        if (spec, part) not in self._clean:
            self._clean[spec, part] = evaluate.labels(model, images)
        return self._clean[spec, part]

    def fooled(self, spec: str, v: Tensor, part: str = "scored") -> Tensor:
        """(n,) bool: which images of ``part`` ("fit", "held-in", "scored") change their label under ``v``.

        Kept by the runner, so that items which score the same vector share the answer.
        """
        model = self.model(spec)
        images = self.images(model)[("fit", "held-in", "scored").index(part)]

        def score() -> dict[str, np.ndarray]:
            return {
                "flags": evaluate.fooled(model, images, v, clean=self.clean(spec, model, part, images)).cpu().numpy()
            }

        found = kept_for(model, "fooled", {"images": tensor_sha256(images.x), "v": tensor_sha256(v)}, score, [evaluate])
        return torch.from_numpy(found["flags"]).to(self.device)


def tensor_sha256(x: Tensor) -> str:
    """Checksum of a tensor's numbers, shape and type."""
    array = np.ascontiguousarray(x.detach().cpu().numpy())
    return hashlib.sha256(f"{array.shape} {array.dtype}".encode() + array.tobytes()).hexdigest()


def kept_for(
    model: models.Model,
    what: str,
    point: Mapping[str, Any],
    compute: Callable[[], dict[str, np.ndarray]],
    sources: Sequence[ModuleType],
) -> dict[str, np.ndarray]:
    """:func:`uapkit.lab.sweep.kept` for arrays that depend on a network: its weights and its code count, too.

    A network whose class was typed into a notebook has no file to tell versions apart by; its arrays are computed anew.
    """
    net = sys.modules.get(type(model.net).__module__)
    if not hasattr(net, "__file__") or net is None:
        return compute()
    about = {"weights": state_sha256(model.state_dict()), "network": repr(model.net), "dtype": str(model.mean.dtype)}
    device = str(next(iter(model.state_dict().values()), torch.empty(0)).device)
    return kept(what, {**point, **about, "device": device}, compute, [*sources, model_module, layers_module, net])


def _sizing(size: int | None, resize: str) -> dict[str, Any]:
    return {} if size is None else {"size": size, "resize": resize}


def rate(flags: Tensor) -> dict[str, float]:
    """fooling_rate, low, high (Wilson, 95 %) and n of per-image flags, as columns."""
    one = evaluate.Rate.mean(flags)
    return {"fooling_rate": one.value, "low": one.low, "high": one.high, "n": one.n}


def layers_of(
    model: models.Model, wanted: Mapping[str, Sequence[str]] | Sequence[str] | None, spec: str, count: int
) -> list[str]:
    """The layers asked for: a list for all networks, a mapping by network, or ``count`` evenly spread outputs."""
    if isinstance(wanted, Mapping):
        wanted = wanted.get(spec) or wanted.get(split_name(spec)[0])
    if wanted:
        return list(wanted)
    outputs = model.layers(kind=("activation", "pool"))
    places = np.linspace(0, len(outputs) - 1, min(count, len(outputs))).round().astype(int)
    return [outputs[i] for i in dict.fromkeys(places)]


def paired(a: Any, b: Any) -> dict[str, float]:
    """estimate, low, high of mean(a) - mean(b) over the same images, by paired bootstrap."""
    one = evaluate.paired_difference(torch.as_tensor(a), torch.as_tensor(b), seed=0)
    return {"estimate": one.value, "low": one.low, "high": one.high, "n": one.n}


def rank_correlation(x: Sequence[float], y: Sequence[float], *, seed: int = 0, n_boot: int = 2000) -> dict[str, float]:
    """Spearman's rho of (x, y) with a percentile bootstrap interval over the pairs; NaN for fewer than four pairs."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(a) < 4:
        return {"estimate": math.nan, "low": math.nan, "high": math.nan, "n": len(a)}
    draws = np.random.default_rng(seed).integers(0, len(a), (n_boot, len(a)))
    usable = [d for d in draws if np.ptp(a[d]) > 0 and np.ptp(b[d]) > 0]  # a constant draw has no ranks
    low, high = np.percentile([spearmanr(a[d], b[d]).statistic for d in usable], [2.5, 97.5])
    return {"estimate": float(spearmanr(a, b).statistic), "low": float(low), "high": float(high), "n": len(a)}


def class_names(model: models.Model) -> tuple[str, ...]:
    """The names of the labels, numbers where the network has none."""
    return model.classes or tuple(str(k) for k in range(10**4))
