"""Which weights exist for which network: torchvision's, and those of catalogue.yml."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torchvision
import yaml
from torch import nn

from uapkit import checks
from uapkit.models.card import Card
from uapkit.seeds import child_seed

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Entry:
    """One set of weights. ``scale``, ``mean``, ``std``: the network sees ``(pixels * scale - mean) / std``.

    build: ``module:callable`` and its ``arguments``, or ``torchvision:name``. file, sha256: of the state dict
    (torchvision publishes the first digits of the sha256 only). url: where the file is published; without one, at the
    release address. recipe: of networks that are trained at first use instead. The rest is as in :class:`Card`.
    """

    name: str
    weights: str
    build: str
    input_size: tuple[int, int, int]
    classes: str
    source: str
    licence: str
    arguments: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    sha256: str = ""
    url: str = ""
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    conversion: str = ""
    accuracy: tuple[dict[str, Any], ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("input_size", "mean", "std", "accuracy"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def __str__(self) -> str:
        return f"{self.name}[{self.weights}]"

    def net(self, seed: int = 0) -> nn.Module:
        """The untrained network; its first numbers come from ``seed`` and nobody else's random state is touched."""
        home, _, what = self.build.partition(":")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(child_seed(seed, f"weights of {self.name}"))
            if home == "torchvision":
                quick = {"init_weights": True} if what in ("googlenet", "inception_v3") else {}  # silences a warning
                return torchvision.models.get_model(what, weights=None, **quick)
            return getattr(importlib.import_module(home), what)(**self.arguments)

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, std) for pixels in [0, 1]."""
        return tuple(m / self.scale for m in self.mean), tuple(s / self.scale for s in self.std)

    def class_names(self) -> tuple[str, ...]:
        """The labels' names."""
        if self.classes == "imagenet":
            return tuple(torchvision.models.AlexNet_Weights.DEFAULT.meta["categories"])
        return CIFAR10 if self.classes == "cifar10" else tuple(str(digit) for digit in range(10))

    def card(self) -> Card:
        """The card of the published or trained weights."""
        return Card(
            name=self.name,
            architecture=self.build.rpartition(":")[2] if not self.arguments.get("name") else self.arguments["name"],
            weights=self.weights,
            source=self.source,
            conversion=self.conversion,
            licence=self.licence,
            sha256=self.sha256,
            accuracy=self.accuracy,
            recipe=self.recipe,
        )


@cache
def own_entries() -> tuple[Entry, ...]:
    """The entries of catalogue.yml."""
    text = Path(__file__).with_name("catalogue.yml").read_text(encoding="utf-8")
    return tuple(Entry(**fields) for fields in yaml.safe_load(text))


@cache
def torchvision_names() -> tuple[str, ...]:
    """Torchvision's classifiers."""
    return tuple(torchvision.models.list_models(module=torchvision.models))


def torchvision_entries(name: str) -> list[Entry]:
    """Torchvision's weights for one of its classifiers, its default first."""
    members = torchvision.models.get_model_weights(name)
    entries = []
    for member in sorted(members, key=lambda m: m is not members.DEFAULT):
        preset, meta, file = member.transforms(), member.meta, member.url.rpartition("/")[2]
        scores = meta.get("_metrics", {}).get("ImageNet-1K", {})
        entries.append(
            Entry(
                name=name,
                weights=member.name,
                build=f"torchvision:{name}",
                input_size=(3, preset.crop_size[0], preset.crop_size[0]),
                classes="imagenet",
                source="torchvision",
                licence="BSD-3-Clause (torchvision)",
                file=file,
                sha256=file.rpartition("-")[2].partition(".")[0],
                url=member.url,
                mean=tuple(preset.mean),
                std=tuple(preset.std),
                accuracy=(
                    {
                        "data": "ImageNet validation",
                        "n": 50000,
                        "top1": scores.get("acc@1"),
                        "top5": scores.get("acc@5"),
                        "by": "torchvision",
                    },
                ),
            )
        )
    return entries


def names() -> list[str]:
    """Every network that can be loaded by name, sorted."""
    return sorted({*torchvision_names(), *(entry.name for entry in own_entries())})


def entries_of(name: str) -> list[Entry]:
    """All weights of a network, its default first; ValueError with the nearest names for an unknown network."""
    checks.one_of(name, names(), "model", "`uapkit models` lists all of them")
    published = torchvision_entries(name) if name in torchvision_names() else []
    return [*published, *(entry for entry in own_entries() if entry.name == name)]


def find(name: str, weights: str) -> Entry:
    """The entry of these weights; ``"default"`` is the first. ValueError with the nearest tags for unknown ones."""
    entries = entries_of(name)
    if weights == "default":
        return entries[0]
    tags = [entry.weights for entry in entries]
    checks.one_of(weights, [*tags, "random"], f"weights of {name}", "or the path of a .safetensors or .pth file")
    return entries[tags.index(weights)]
