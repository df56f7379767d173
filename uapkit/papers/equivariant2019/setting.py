"""What paper E's items share: networks, images that are turned, one attack direction an image, and its nulls."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import attacks, checks, lab, models
from uapkit import data as sets
from uapkit.data.images import Images, rotation_angles
from uapkit.lab import nulls, split_name
from uapkit.papers.equivariant2019.spectrum import DATA_ENERGY, principal_subspace
from uapkit.seeds import child_seed, generator
from uapkit.spectra import random_directions, unit_rows
from uapkit.subspace import random_subspace

QUICK = ("stdcnn_digits", "gcnn_digits")
ATTACKS = ("gradient", "fgsm", "deepfool")
RANDOM, IN_DATA, SHUFFLED = "random", "random in the data's subspace", "shuffled pixels"
NULLS = (RANDOM, IN_DATA, SHUFFLED, nulls.UNTRAINED)
BATCH = 50  # of small images: what their layers make of more does not fit a core's cache, and takes twice as long

Attacks = Sequence[str] | Mapping[str, Sequence[str]]  # for all networks, or by network ("other": the rest)


def family(network: str) -> str:
    """The name without training seed and tag: ``"stdcnn_mnist_rot_seed1"`` and ``"stdcnn_mnist_rot[seed1]"`` are one."""
    return re.sub(r"_seed\d+$", "", split_name(network)[0])


def training(network: str) -> str:
    """How the network was trained, as its name tells: the variant of its recipe ("sgd", ...), else "adamw"."""
    found = re.search(r"_mnist_rot_([a-z_]+?)(?:_seed\d+)?$", split_name(network)[0])
    return found.group(1) if found else "adamw"


def training_seed(network: str) -> int:
    """The seed a network was trained with, as its name tells: 0 without ``_seedK``."""
    found = re.search(r"_seed(\d+)$", split_name(network)[0])
    return int(found.group(1)) if found else 0


@dataclass
class Setting:
    """Networks of a bench, and images of its set that are turned, each by its own fixed angle from [-rotation, rotation].

    All images stand in one fixed random order, so a sample of n is the first n and samples are nested. rotation: in
    degrees. labels: "true" or "predicted", what the loss gradient is taken with. most: the largest sample; directions
    are computed for it once, and those of smaller samples are its first rows.
    """

    bench: lab.Bench
    rotation: float = 180.0
    labels: str = "true"
    most: int = 0
    _upright: tuple[Images, Tensor] | None = None
    _turned: dict[tuple[int, float], Images] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.one_of(self.labels, ("true", "predicted"), "kind of labels")

    @classmethod
    def of(cls, data: str, rotation: float, labels: str = "true", *, seed: int, device: str) -> Setting:
        """Of one set of images, on a bench of its own."""
        return cls(lab.Bench(data, 0, seed=seed, device=device), rotation, labels)

    # ------------------------------------------------------------------------------------------ networks and tables

    def network(self, name: str) -> models.Model:
        """The network; NotHere also for one of the recipes' networks that nobody has trained yet.

        ValueError if it does not take the images of the set.
        """
        plain = split_name(name)[0]
        recipe = re.match(r"(stdcnn|gcnn|roteqnet)_mnist_rot", plain)
        if self.bench.own(name) is None and plain not in models.list() and recipe:
            raise checks.NotHere(
                f"{plain} has not been trained yet; `python -m uapkit.papers.equivariant2019.recipes --help` says how"
            )
        model = self.bench.network(name)
        if model.input_size and self.shape != model.input_size:
            try:  # some networks take images of any size
                with torch.no_grad():
                    model(self._all()[0].x[:1].to(self.bench.device))
            except RuntimeError:
                taken, held = (" x ".join(map(str, size)) for size in (model.input_size, self.shape))
                raise ValueError(f"{name} takes images of {taken}, but {self.bench.data} holds {held}") from None
        return model

    def points(self, wanted: Sequence[Any], **lists: Any) -> list[dict[str, Any]]:
        """All combinations of networks and the given lists, networks outermost (one is in memory at a time).

        A mapping gives each network its own list, "other" those that it does not name.
        """
        points: list[dict[str, Any]] = [{"model": name} for name in self.bench.names(wanted)]
        for column, values in lists.items():
            own: dict[str, Any] = dict(values) if isinstance(values, Mapping) else {"other": values}
            points = [p | {column: value} for p in points for value in own.get(p["model"]) or own.get("other", ())]
        return points

    def table(self, points: Iterable[Mapping[str, Any]], compute: Callable[..., Any], desc: str) -> pd.DataFrame:
        """:func:`uapkit.lab.sweep` with the columns that all items share."""
        table = lab.sweep(points, compute, desc=desc)
        if "model" in table:
            table.insert(1, "weights", [self.bench.weights(m) for m in table["model"]])
            table.insert(2, "network", [family(m) for m in table["model"]])
            table.insert(3, "training_seed", [training_seed(m) for m in table["model"]])
        table.insert(0, "data", self.bench.data)
        return table

    # ------------------------------------------------------------------------------------------ images

    def _all(self) -> tuple[Images, Tensor]:
        """All images of the set upright, in the order of all samples, and their angles."""
        if self._upright is None:
            found = sets.load(self.bench.data, split="test", rotation=0)
            angles = rotation_angles(len(found), self.rotation, seed=0)  # those of data.load(..., rotation=rotation)
            order = torch.randperm(len(found), generator=generator(self.bench.seed, "order of images"))
            self._upright = found[order], angles[order]
        return self._upright

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of an image."""
        return self._all()[0].shape

    def count(self, n: int | None) -> int:
        """``n``, or the size of the set; ValueError if the set is smaller."""
        most = len(self._all()[0])
        if n is not None and checks.count(n, "number of images", 20) > most:
            raise ValueError(f"{self.bench.data} holds {most} images, got a sample of {n}; lower it")
        return most if n is None else n

    def turned(self, n: int, more: float = 0.0) -> Images:
        """The first n images, each turned by its own angle and ``more`` degrees, interpolated once."""
        if (n, more) not in self._turned:
            upright, angles = self._all()
            self._turned[n, more] = upright[:n].rotated(angles[:n] + more).to(self.bench.device)
        return self._turned[n, more]

    # ------------------------------------------------------------------------------------------ directions

    def directions(self, network: str, attack: str, n: int, *, untrained: bool = False) -> Tensor:
        """(n, d) unit attack directions of the first n images; a row is zero where the attack gave none.

        untrained: those of a copy of the network with fresh weights, drawn by the bench's seed. ValueError where all are
        zero: then there is nothing to decompose, compare or add.
        """
        checks.one_of(attack, ATTACKS, "attack")
        if attack == "fgsm":
            return unit_rows(self.directions(network, "gradient", n, untrained=untrained).sign())
        images = self.turned(n if untrained else max(n, self.most))
        net = self.bench.untrained(network) if untrained else self.network(network)
        if attack == "gradient":
            y = images.y if self.labels == "true" else None
            found = lab.keep(attacks.loss_gradient, net, images.x, y, batch_size=BATCH)
        else:
            made = lab.keep(attacks.deepfool, net, images.x, batch_size=BATCH)
            found = made.r * made.success[:, None, None, None]
        rows = unit_rows(found.flatten(1)).cpu()[:n]
        if not rows.any():
            raise ValueError(
                f"{attack} gives no direction on any of the {n} images of {network}{' with fresh weights' if untrained else ''}; "
                "give the item another network, more images or another attack"
            )
        return rows

    def invariant(self, n: int, step: float) -> Tensor:
        """(n, d) unit differences between an image turned by ``step`` degrees more and the image."""
        return unit_rows((self.turned(n, step).x - self.turned(n).x).flatten(1)).cpu()

    def own_subspace(self, n: int, energy: float = DATA_ENERGY) -> Tensor:
        """(d, m) orthonormal basis of the fewest principal directions of n turned images with a share ``energy`` of their squares.

        ValueError unless energy lies in (0, 0.99].
        """
        checks.in_range(energy, 0, DATA_ENERGY, "share of the images' energy in energies", open_low=True)
        rows = unit_rows(self.turned(n).x.flatten(1).cpu())
        basis = lab.keep(principal_subspace, rows)
        if energy == DATA_ENERGY:
            return basis
        held = (rows.double() @ basis).square().sum(0).cumsum(0) / rows.double().square().sum()
        return basis[:, : int((held < energy).sum()) + 1].contiguous()

    def rows(self, network: str, attack: str, n: int, kind: str = "trained") -> Tensor:
        """(n, d) directions of the trained network, or of one of the nulls with the same n."""
        checks.one_of(kind, ("trained", *NULLS), "kind")
        if kind in (RANDOM, IN_DATA):
            return self.random_rows(kind, n)
        if kind == nulls.UNTRAINED:
            return self.directions(network, attack, n, untrained=True)
        found = self.directions(network, attack, n)
        if kind == SHUFFLED:  # every row keeps its entries and loses where they stand
            places = torch.rand(found.shape, generator=generator(self.bench.seed, SHUFFLED)).argsort(1)
            found = found.gather(1, places)
        return found

    def random_rows(self, kind: str, n: int, of: int | None = None) -> Tensor:
        """(n, d) directions uniform on the sphere, of all images or of the principal subspace of the first ``of`` (n)."""
        inside = None if kind == RANDOM else self.own_subspace(of or n)
        return random_directions(n, math.prod(self.shape), child_seed(self.bench.seed, kind), inside=inside)

    def random_subspaces(self, kind: str, n: int, k: int, n_random: int) -> list[np.ndarray]:
        """(d, k) bases of random subspaces of all of R^d, or inside the images' own principal subspace."""
        checks.count(n_random, "n_random")
        size, inside = math.prod(self.shape), None if kind == RANDOM else self.own_subspace(n)
        seeds = [child_seed(self.bench.seed, f"{kind} {j}") for j in range(n_random)]
        return [random_subspace(size, k, seed, inside=inside).numpy() for seed in seeds]


def central(name: str, draws: Sequence[float]) -> dict[str, float]:
    """Mean of the draws as ``name``, and their central 95 % as low and high."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return {name: float(np.mean(draws)), "low": float(low), "high": float(high)}


def over_seeds(rows: pd.DataFrame, value: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """One row a (network, *by): mean of ``value`` over training seeds, its spread (standard deviation), min, max, n_seeds.

    rows: that were run, one a training seed in each group, or ValueError. The interval over images stays with the single
    networks.
    """
    rows = rows.dropna(subset=value)
    keys = ["network", *by]
    if rows.duplicated([*keys, "training_seed"]).any():
        raise ValueError(f"several rows a training seed for {', '.join(keys)}; name more columns in by")
    found = rows.groupby(keys, sort=False)[value].agg(["mean", "std", "min", "max", "count"]).reset_index()
    return found.rename(columns={"mean": value, "std": "spread", "count": "n_seeds"})
