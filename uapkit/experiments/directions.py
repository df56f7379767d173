"""What experiments on stacked attack directions share: turned images, directions kept between items, moments, nulls."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.special import stdtrit
from torch import Tensor
from torch.nn.functional import grid_sample

from uapkit import checks, models, spectra, subspace
from uapkit import data as sets
from uapkit.data.images import Images, rotation_angles
from uapkit.experiments import per_image
from uapkit.experiments.common import Bench, split_name
from uapkit.lab.sweep import kept
from uapkit.models.card import state_sha256
from uapkit.seeds import child_seed, generator

SOURCES = [
    importlib.import_module(f"uapkit.{m}")
    for m in (
        "experiments.per_image",
        "attacks.base",
        "attacks.deepfool",
        "attacks.gradient",
        "data.images",
        "models.model",
        "models.layers",
    )
]

ATTACKS = ("gradient", "fgsm", "deepfool")
NULLS = ("random", "random in the data's subspace", "shuffled pixels", "untrained network")
GROUPS = 10  # of images, left out one at a time for an interval
DATA_ENERGY = 0.99  # share of the images' energy that their own principal subspace holds


def family(spec: str) -> str:
    """The name without training seed and tag: ``"stdcnn_mnist_rot_seed1"`` and ``"stdcnn_mnist_rot[seed1]"`` are one."""
    return re.sub(r"_seed\d+$", "", split_name(spec)[0])


def training_seed(spec: str) -> int:
    """The seed a network was trained with, as its name tells: 0 without ``_seedK``."""
    found = re.search(r"_seed(\d+)$", split_name(spec)[0])
    return int(found.group(1)) if found else 0


@dataclass
class Turned(Bench):
    """A bench whose images are turned, each by its own fixed angle from [-rotation, rotation] degrees.

    All images of the split stand in one fixed random order, so a sample of n is the first n and samples are nested.
    labels: "true" or "predicted", what the loss gradient is taken with.
    """

    rotation: float = 180.0
    labels: str = "true"
    most: int = 0  # the largest sample: directions are computed for it once, and smaller samples are its first rows
    _upright: tuple[Images, Tensor] | None = None
    _basis: dict[int, Tensor] = field(default_factory=dict)
    _rows: dict[tuple, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.one_of(self.labels, ("true", "predicted"), "kind of labels")

    def model(self, spec: str) -> models.Model:
        """The network; NotHere also for one of the recipes' networks that nobody has trained yet.

        ValueError if it does not take the images of the set.
        """
        name = split_name(spec)[0]
        if spec not in self._own and name not in models.list() and re.match(r"(stdcnn|gcnn|roteqnet)_mnist_rot", name):
            raise checks.NotHere(f"{name} has not been trained yet; `python -m uapkit.papers.equivariant2019.recipes --help` says how")
        model = super().model(spec)
        shape = tuple(self._all()[0].x.shape[1:])
        if model.input_size and shape != model.input_size:
            try:  # some networks take images of any size
                with torch.no_grad():
                    model(self._all()[0].x[:1].to(self.device))
            except RuntimeError:
                taken, held = (" x ".join(map(str, size)) for size in (model.input_size, shape))
                raise ValueError(f"{spec} takes images of {taken}, but {self.data} holds {held}") from None
        return model

    def _all(self) -> tuple[Images, Tensor]:
        if self._upright is None:
            found = sets.load(self.data, split=self.split, rotation=0)
            angles = rotation_angles(len(found), self.rotation, seed=0)  # those of data.load(..., rotation=rotation)
            order = torch.randperm(len(found), generator=generator(self.seed, "order of images"))
            self._upright = found[order], angles[order]
        return self._upright

    def count(self, n: int | None) -> int:
        """``n``, or the size of the set; ValueError if the set is smaller."""
        most = len(self._all()[0])
        if n is not None and checks.count(n, "number of images", 20) > most:
            raise ValueError(f"{self.data} holds {most} images, got a sample of {n}; lower it")
        return most if n is None else n

    def turned(self, n: int, more: float = 0.0) -> Images:
        """The first n images, each turned by its own angle and ``more`` degrees, interpolated once."""
        upright, angles = self._all()
        return upright[:n].rotated(angles[:n] + more).to(self.device)

    def directions(self, spec: str, attack: str, n: int, *, untrained: int | None = None) -> Tensor:
        """(n, d) unit attack directions of the first n images; a row is zero where the attack gave none.

        untrained: the seed of an untrained copy whose directions are taken instead. Kept by the runner for all items.
        """
        checks.one_of(attack, ATTACKS, "attack")
        if attack == "fgsm":
            return per_image.unit(self.directions(spec, "gradient", n, untrained=untrained).sign())
        total = max(n, self.most) if untrained is None else n
        key = (spec, attack, total, untrained)
        if key not in self._rows:
            self._rows = {k: v for k, v in self._rows.items() if k[0] == spec}  # one network's at a time bounds memory
            self._rows[key] = self._kept(spec, attack, total, untrained)
        return self._rows[key][:n]

    def _kept(self, spec: str, attack: str, n: int, untrained: int | None) -> Tensor:
        model = self.model(spec) if untrained is None else self.fresh(spec, untrained)
        images = self.turned(n)
        point = {
            "weights": state_sha256(model.net.state_dict()),
            "images": images.sha256,
            "normalisation": [model.mean.flatten().tolist(), model.std.flatten().tolist()],
            "device": self.device,
            "attack": attack,
            "labels": self.labels if attack == "gradient" else "",
        }
        net = sys.modules[type(model.net).__module__]
        sources = [*SOURCES, *([net] if hasattr(net, "__file__") else [])]
        found = kept(
            "directions",
            point,
            lambda: {"rows": per_image.unit_directions(model, images, attack, self.labels)},
            sources,
        )
        return torch.from_numpy(found["rows"])

    def fresh(self, spec: str, seed: int) -> models.Model:
        """An untrained copy; the seed draws its weights."""
        if spec in self._own:
            return self.untrained(spec)
        return models.load(split_name(spec)[0], weights="random", seed=seed, device=self.device)

    def invariant(self, n: int, step: float) -> Tensor:
        """(n, d) unit differences between an image turned by ``step`` degrees more and the image."""
        return per_image.unit((self.turned(n, step).x - self.turned(n).x).flatten(1)).cpu()

    def own_subspace(self, n: int) -> Tensor:
        """(d, m) orthonormal basis of the turned images' principal subspace, holding 99 % of their energy."""
        if n not in self._basis:
            values, vectors = top(moments(per_image.unit(self.turned(n).x.flatten(1).cpu()), 1).sum(0))
            m = int((np.cumsum(values) < DATA_ENERGY).sum()) + 1
            self._basis[n] = torch.from_numpy(np.ascontiguousarray(vectors[:, :m]))
        return self._basis[n]

    def rows(self, spec: str, attack: str, n: int, kind: str = "trained") -> Tensor:
        """(n, d) directions of the trained network, or of one of the nulls with the same n."""
        checks.one_of(kind, ("trained", *NULLS), "kind")
        if kind == "untrained network":
            return self.directions(spec, attack, n, untrained=0)
        if kind.startswith("random"):
            d = self.turned(1).x[0].numel()
            inside = None if kind == "random" else self.own_subspace(n)
            return spectra.random_directions(n, d, child_seed(self.seed, kind), inside=inside)
        found = self.directions(spec, attack, n)
        if kind == "shuffled pixels":  # every row keeps its entries and loses where they stand
            places = torch.rand(found.shape, generator=generator(self.seed, "shuffled pixels")).argsort(1)
            found = found.gather(1, places)
        return found


def moments(rows: Tensor, groups: int = GROUPS) -> Tensor:
    """(groups, d, d) float64: A^T A of each of ``groups`` runs of rows; their sum over n is the matrix of Theorem 1."""
    return torch.stack([part.double().T @ part.double() for part in rows.tensor_split(groups)])


def _largest(k: int | None, d: int) -> list[int] | None:
    """Which of d ascending eigenvalues are the k largest; ValueError unless 1 <= k <= d."""
    if k is not None and checks.count(k, "number of top directions") > d:
        raise ValueError(f"the number of top directions must lie in [1, {d}] for images of {d} pixels, got {k}")
    return None if k is None else [d - k, d - 1]


def top_values(moment: Tensor, k: int | None = None) -> np.ndarray:
    """(k,) largest eigenvalues as shares of the trace, largest first; all of them for None. ValueError for k > d."""
    subset = _largest(k, len(moment))
    return eigh((moment / moment.trace()).numpy(), subset_by_index=subset, eigvals_only=True)[::-1].clip(0)


def top(moment: Tensor, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(k largest eigenvalues as shares of the trace, (d, k) eigenvectors), largest first; all of them for None."""
    values, vectors = eigh((moment / moment.trace()).numpy(), subset_by_index=_largest(k, len(moment)))
    return values[::-1].clip(0), vectors[:, ::-1]


def jackknife(
    statistic: Callable[..., np.ndarray], *parts: Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(estimate, low, high, standard error) of ``statistic(*moments)`` from moments by group of images.

    The same group is left out of all of ``parts`` at a time; the interval is Student's at 95 %.
    """
    whole = [p.sum(0) for p in parts]
    estimate = np.atleast_1d(statistic(*whole))
    g = len(parts[0])
    left_out = np.stack(
        [np.atleast_1d(statistic(*(w - p[j] for w, p in zip(whole, parts, strict=True)))) for j in range(g)]
    )
    error = np.sqrt((g - 1) / g * ((left_out - left_out.mean(0)) ** 2).sum(0))
    half = stdtrit(g - 1, 0.975) * error
    return estimate, estimate - half, estimate + half, error


def shares(moment: Tensor, k: int) -> np.ndarray:
    """(k,) cumulative shares of the spectrum: entry j - 1 is what the top j directions hold."""
    return np.cumsum(top_values(moment, k))


def held_out_share(parts: Tensor, k: int) -> float:
    """Share of the energy of one half of the images in the top k directions of the other half, mean of both ways."""
    half = len(parts) // 2
    a, b = parts[:half].sum(0), parts[half:].sum(0)
    found = []
    for fit, scored in ((a, b), (b, a)):
        v = torch.from_numpy(np.ascontiguousarray(top(fit, k)[1]))
        found.append(float((v.T @ scored @ v).trace() / scored.trace()))
    return float(np.mean(found))


def angles(a: Tensor, b: Tensor, k: int) -> np.ndarray:
    """(k,) principal angles in degrees between the top k eigenspaces, largest first."""
    u, w = (torch.from_numpy(np.ascontiguousarray(top(m, k)[1])) for m in (a, b))
    return subspace.principal_angles(u, w)


def mean_dots(a: Tensor, b: Tensor, ks: Sequence[int]) -> np.ndarray:
    """Mean modulus of the k x k dot products between the top k eigenvectors, for each k."""
    dots = np.abs(top(a, max(ks))[1].T @ top(b, max(ks))[1])
    return np.array([dots[:k, :k].mean() for k in ks])


def _angular_power(v: Tensor, n_angles: int) -> Tensor:
    """Energy of ``v`` (c, h, w) at each angular frequency, read on circles about its centre (bilinear)."""
    radii = torch.arange(1, (min(v.shape[-2:]) - 1) // 2 + 1, dtype=torch.float64)
    t = torch.arange(n_angles, dtype=torch.float64) * (2 * torch.pi / n_angles)
    grid = torch.stack([radii[:, None] * t.cos(), radii[:, None] * t.sin()], -1)
    grid = grid * 2 / torch.tensor([v.shape[-1], v.shape[-2]])  # grid_sample's coordinates run over [-1, 1]
    read = grid_sample(v[None].double(), grid[None], mode="bilinear", align_corners=False)[0]
    power = (torch.fft.rfft(read, dim=-1).abs() ** 2 * radii[:, None]).sum((0, 1))
    power[1 : (n_angles + 1) // 2] *= 2  # a real picture has these twice, at m and at -m
    return power


def angular_share(v: Tensor, n_angles: int = 64) -> tuple[float, int]:
    """(share, m): how much of the energy of ``v`` (c, h, w) beyond its mean over angles is at one angular frequency m.

    A filter f(r) cos(m t + s), which is steerable by two copies of itself, has share 1 at m.
    """
    power = _angular_power(v, n_angles)[1:]
    return float(power.max() / power.sum()), int(power.argmax()) + 1


def round_share(v: Tensor, n_angles: int = 64) -> float:
    """Share of the energy of ``v`` (c, h, w) that no rotation changes: its mean over angles. 1 for a picture f(r)."""
    power = _angular_power(v, n_angles)
    return float(power[0] / power.sum())
