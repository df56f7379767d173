"""Networks by one string and images in parts that never overlap, read by name and never by position."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uapkit import checks, evaluate, models, provenance
from uapkit import data as sets
from uapkit.checks import NotHere
from uapkit.data.images import Images
from uapkit.lab.memo import keep
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.lab.together import each
from uapkit.models.catalogue import find
from uapkit.seeds import child_seed, generator

SIZED = (
    "imagenet-sample",
    "imagenet",
    "pictures",
    "caltech101",
)  # sets of photographs that are resized to the network's input
SHARD = 10_000  # images that are scored at once; what is kept of them is what several processes divide among themselves
Size = tuple[int, int, int] | None  # of a network's input
TRAINED_APART = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "imagenet")  # sets with a training split


def split_name(network: str) -> tuple[str, str]:
    """``"squeezenet1_1[gluon]"`` to ("squeezenet1_1", "gluon"); without a tag the weights are "default"."""
    name, _, tag = network.partition("[")
    return name, tag.rstrip("]") or "default"


@dataclass(frozen=True)
class Split:
    """Images to fit on, to choose with (held in: neither fitted nor scored) and to score on."""

    fit: Images
    held_in: Images
    scored: Images


@dataclass
class Bench:
    """Networks, images and clean labels of one run, each loaded once and shared by all its points.

    data, n_fit, n_held_in, n_eval: for all networks, or a mapping by network (:func:`uapkit.lab.for_network`). n_fit
    images to fit on, the next n_held_in to choose with (0: the fitted ones), the next n_eval (None: all the rest) to
    score on; the three never overlap. from_training: fit and choose on the training split where the set has one, score
    on the test split. resize: how photographs reach the network's size, see :func:`fitted`. A Model of the caller's own
    goes by its name.
    """

    data: PerNetwork
    n_fit: PerNetwork
    n_held_in: PerNetwork = 0
    n_eval: PerNetwork = None
    seed: int = 0
    device: str = "cpu"
    resize: str = "squash"
    from_training: bool = False
    _own: dict[str, models.Model] = field(default_factory=dict)
    _models: dict[str, models.Model] = field(default_factory=dict)
    _splits: dict[tuple, Split] = field(default_factory=dict)
    _clean: dict[tuple[str, str], Tensor] = field(default_factory=dict)

    def names(self, wanted: Sequence[str | models.Model]) -> list[str]:
        """Names of the networks; a :class:`~uapkit.models.Model` of the caller's own goes by its own name.

        ValueError where another network in the list goes by that name.
        """
        names = [m.name if isinstance(m, models.Model) else m for m in wanted]
        own = {m.name: m for m in wanted if isinstance(m, models.Model)}
        for m, name in zip(wanted, names, strict=True):
            if own.get(name, m) is not m:  # the rows of both would be those of one
                raise ValueError(
                    f"two of the networks are called {name!r}; give one of your own another name, wrap(..., "
                    f"name={name + '_2'!r}) say"
                )
        self._own |= {name: m.to(self.device) for name, m in own.items()}
        return names

    def own(self, name: str) -> models.Model | None:
        """The caller's own network of this name, if it is one."""
        return self._own.get(name)

    def network(self, name: str) -> models.Model:
        """The network called ``name``; NotHere if its weights are missing."""
        if name in self._own:
            return self._own[name]
        if name not in self._models:
            plain, tag = split_name(name)
            self._models = {name: models.load(plain, weights=tag, device=self.device)}  # one at a time bounds memory
        return self._models[name]

    def weights(self, name: str) -> str:
        """The tag of the weights that ``name`` stands for; "wrapped" for a module of the user's own."""
        if name in self._own:
            return self._own[name].card.weights
        plain, tag = split_name(name)
        return find(plain, tag).weights if tag == "default" and plain in models.list() else tag

    def untrained(self, name: str, seed: int | None = None) -> models.Model:
        """A null: the same architecture with fresh weights, drawn by ``seed`` (None: the bench's).

        ValueError for a network of the caller's own without parameters. Warns where some have no ``reset_parameters()`` to
        draw them.
        """
        seed = self.seed if seed is None else seed
        if name not in self._own:
            return models.load(split_name(name)[0], weights="random", device=self.device, seed=seed)
        return _redrawn(self._own[name], seed)

    def setting(self, name: str, what: str) -> Any:
        """One of the settings by network (``"data"``, ``"n_fit"``, ...) for this network."""
        return for_network(getattr(self, what), name, what)

    def split(self, name: str) -> Split:
        """The images of a network."""
        size = self.network(name).input_size
        data = str(self.setting(name, "data"))
        n_fit, n_held_in, n_eval = (self.setting(name, what) for what in ("n_fit", "n_held_in", "n_eval"))
        key = (data, n_fit, n_held_in, n_eval, size if data in SIZED or data not in sets.list() else None)
        if key not in self._splits:
            self._splits = {key: self._loaded(data, n_fit, n_held_in, n_eval, size)}  # one at a time bounds memory
        return self._splits[key]

    def _loaded(self, data: str, n_fit: int, n_held_in: int, n_eval: int | None, size: Size) -> Split:
        if self.from_training and data in TRAINED_APART:
            fit = self._set(data, "train", n_fit + n_held_in, size)
            return self._parts(fit, n_fit, n_held_in, self._set(data, "test", n_eval, size))
        total = None if n_eval is None else n_fit + n_held_in + n_eval
        found = self._set(data, "test", total, size)
        if total is None:  # the whole set comes in its own order, which is by class for photographs
            found = found[torch.randperm(len(found), generator=generator(self.seed, "order of images"))]
        if len(found) <= n_fit + n_held_in:
            raise ValueError(
                f"{data} holds {len(found)} images, but n_fit + n_select = {n_fit + n_held_in} leaves none to score; lower them"
            )
        return self._parts(found, n_fit, n_held_in, found[n_fit + n_held_in :])

    def _set(self, data: str, split: str, n: int | None, size: Size) -> Images:
        """A set of images. NotHere where it is not on this machine."""
        try:
            return fitted(data, size, self.resize, split=split, n=n, seed=self.seed)
        except NotHere:
            raise
        except FileNotFoundError as error:
            raise NotHere(str(error)) from None

    def _parts(self, first: Images, n_fit: int, n_held_in: int, scored: Images) -> Split:
        fit = first[:n_fit].to(self.device)
        held_in = first[n_fit : n_fit + n_held_in].to(self.device) if n_held_in else fit
        return Split(fit, held_in, scored.to(self.device))

    def clean(self, name: str, part: str = "scored") -> Tensor:
        """(n,) predicted labels of the clean images of a part ("fit", "held_in", "scored")."""
        checks.one_of(part, ("fit", "held_in", "scored"), "part of the images")
        key = (name, part)
        if key not in self._clean:
            network = self.network(name)
            parts = [partial(keep, evaluate.labels, network, some) for some in shards(getattr(self.split(name), part))]
            self._clean[key] = torch.cat(each(parts))
        return self._clean[key]

    def fooled(self, name: str, v: Tensor, part: str = "scored") -> Tensor:
        """(n,) bool: which images of ``part`` change their label under ``v``; items that score the same share the answer."""
        network, images = self.network(name), shards(getattr(self.split(name), part))
        clean = self.clean(name, part).split(SHARD)
        parts = [partial(keep, evaluate.fooled, network, x, v, clean=y) for x, y in zip(images, clean, strict=True)]
        return torch.cat(each(parts)).to(self.device)

    def shape(self, name: str) -> tuple[int, int, int]:
        """(c, h, w) of the images."""
        c, h, w = self.split(name).fit.x.shape[1:]
        return c, h, w

    def told(self, table: Any) -> Any:
        """The item's table with the columns that all items share: weights and data of each row's network."""
        table.insert(1, "weights", [self.weights(m) for m in table["model"]])
        if "data" not in table:
            table["data"] = [self.setting(m, "data") for m in table["model"]]
        return table


def fitted(data: str, size: Size, resize: str, *, split: str = "test", n: int | None = None, seed: int = 0) -> Images:
    """Images of a set, see :func:`uapkit.data.load`, in the size (c, h, w) of a network's input, None if it has none.

    Photographs of a known set are resized (224 without a size), and so are the pictures of a folder unless all have the
    network's size already (without one: the same size). The other sets stay as they are. ValueError for pictures that
    would have to become another shape than a square.
    """
    load = partial(sets.load, data, split=split, seed=seed)
    folder = data not in sets.list()
    if folder:
        with provenance.recording():  # one of them, looked at before all are decoded
            first = load(n=1)
        if size is None or first.shape[1:] == size[1:]:
            with contextlib.suppress(ValueError):  # what else than a mixture of sizes is wrong is said below
                found = load(n=n)
                if size is None or found.shape[1:] == size[1:]:
                    return found
    load = partial(load, n=n)
    if not folder and (size is None or data not in SIZED):
        return load()
    if size is None:
        return load(size=224, resize=resize)
    if size[1] != size[2]:
        raise ValueError(
            f"the pictures of {data!r} are made squares, but the network's input_size is {size}; give a folder of pictures "
            f"of {size[1]} x {size[2]}"
        )
    return load(size=size[2], resize=resize)


def _redrawn(model: models.Model, seed: int) -> models.Model:
    """A copy with fresh weights: by the modules' own ``reset_parameters()``; what these leave, from a normal distribution.

    It has the mean and the spread of the parameter's entries, so that a single number keeps its value; a warning names them.
    ValueError for a network without parameters.
    """
    fresh, other = copy.deepcopy(model), copy.deepcopy(model)
    if next(fresh.net.parameters(), None) is None:
        raise ValueError(f"{model.name} has no parameters, so there is no untrained copy to compare it with")
    with torch.no_grad():
        for weights in other.parameters():  # what is drawn anew is the same in both all the same
            weights.copy_(2 * weights + 1)
    kept: list[str] = []
    # attention has the second only, which is not asked where the first leaves nothing
    for method in ("reset_parameters", "_reset_parameters"):
        for one in (fresh, other):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(child_seed(seed, {"reset_parameters": "untrained"}.get(method, method)))
                for module in one.modules():
                    if callable(reset := getattr(module, method, None)):
                        reset()
            one.requires_grad_(False)  # a parameter that the module put in its place asks for a gradient
        drawn, again = dict(fresh.net.named_parameters()), dict(other.net.named_parameters())
        kept = [name for name, weights in drawn.items() if not torch.equal(weights, again[name])]
        if not kept:
            return fresh
    warnings.warn(
        f"nothing in {model.name} draws {', '.join(kept[:3])}{' and others' if len(kept) > 3 else ''} anew; its untrained copy "
        "gets normal entries of the same mean and spread there; give the module that holds them a reset_parameters()",
        stacklevel=3,
    )
    with torch.no_grad():
        for name in kept:
            noise = torch.randn(drawn[name].shape, generator=generator(seed, f"untrained {name}"), dtype=torch.float64)
            entries = drawn[name].double().cpu()
            drawn[name].copy_(entries.mean() + entries.std(correction=0) * noise)
    return fresh


def shards(images: Images) -> list[Images]:
    """The images in parts of at most :data:`SHARD`, in order; all of them in one part where there are no more."""
    return [images[k : k + SHARD] for k in range(0, len(images), SHARD)] if len(images) > SHARD else [images]


def layers_of(
    model: models.Model, wanted: Mapping[str, Sequence[str]] | Sequence[str] | None, name: str, count: int
) -> list[str]:
    """The layers asked for: a list for all networks, a mapping by network, or ``count`` evenly spread outputs.

    ValueError where none is asked for and the network has neither activations nor pooling.
    """
    if isinstance(wanted, Mapping):
        wanted = wanted.get(name) or wanted.get(split_name(name)[0])
    if wanted:
        return list(wanted)
    outputs = model.layers(kind=("activation", "pool"))
    if not outputs:
        others = ", ".join(model.layers()[:8])
        raise ValueError(f"{name} has no activation or pooling to attack; name layers of it yourself, among {others}")
    places = np.linspace(0, len(outputs) - 1, min(count, len(outputs))).round().astype(int)
    return [outputs[i] for i in dict.fromkeys(places)]


def class_names(model: models.Model) -> tuple[str, ...]:
    """The names of the labels, numbers where the network has none."""
    return model.classes or tuple(str(k) for k in range(10**4))
