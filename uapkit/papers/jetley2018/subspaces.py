"""Paper J's curvature subspaces: the principal curvatures of every class, stacked, and nulls of the same dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from uapkit import checks, curvature, lab, subspace
from uapkit.curvature import Curvatures
from uapkit.data.images import Images
from uapkit.lab import Run
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.papers.jetley2018.setting import mean_image
from uapkit.seeds import child_seed, generator

KINDS = ("positive", "negative", "both", "flat")  # S_pos, S_neg, S_neg + pos, S_flat
RANDOM, DATA = "random", "data"  # nulls of the same dimension: a random subspace, the images' principal components
CHECKED = (6, 0, 3)  # classes whose directions are also taken from halves, where those of all classes are stacked
FOREMOST = 5  # directions of each end that are compared between disjoint halves of the images
LEAST_OVERLAP = 0.25  # their mean squared cosine from which on they may decide a verdict; chance gives 0.006 on MNIST


@dataclass(frozen=True)
class Curved:
    """How the curvatures of classes are taken, on the networks and images of a bench.

    bench: its images to fit on are the training images, which give their mean and are the pool of the next. n_points: of
    these, drawn for each target class, those whose boundary points are averaged over. k: directions at each end; None:
    the whole basis. Both for all networks, or by network. step_factor: the finite step in units of the paper's
    step / 10. max_products: of Lanczos.
    """

    bench: lab.Bench
    n_points: PerNetwork
    k: PerNetwork = None
    step_factor: float = 10.0
    max_products: int = 300

    def pool(self, network: str, target: int) -> Images:
        """The training images whose boundary points to a class are averaged over."""
        images = self.bench.split(network).fit
        order = torch.randperm(len(images), generator=generator(self.bench.seed, f"images for class {target}"))
        return images[order[: checks.count(for_network(self.n_points, network, "n_fit"), "n_fit")]]

    def curvatures(self, network: str, target: int) -> Curvatures:
        """Principal curvatures of a class; see :func:`uapkit.curvature.principal_curvatures`."""
        return self._of(network, self.pool(network, target), target)

    def _of(self, network: str, images: Images, target: int) -> Curvatures:
        return lab.keep(
            curvature.principal_curvatures,
            self.bench.network(network),
            images,
            target,
            k=for_network(self.k, network, "k"),
            step=curvature.paper_step(self.bench.shape(network), factor=self.step_factor),
            max_products=self.max_products,
            seed=child_seed(self.bench.seed, f"curvature of class {target}"),
        )

    def halves(self, network: str, target: int) -> tuple[Curvatures, Curvatures]:
        """The same from each of two disjoint halves of the class's pool of images."""
        images = self.pool(network, target)
        middle = len(images) // 2
        return self._of(network, images[:middle], target), self._of(network, images[middle:], target)

    def vouched(self, network: str, target: int) -> dict[str, Any]:
        """What vouches for a class's directions, as columns: converged, and overlap_halves, see :func:`overlap_of`."""
        try:
            overlap = overlap_of(*self.halves(network, target))
        except ValueError:  # too few images: a half of them reaches no boundary to the class
            overlap = math.nan
        return {"converged": self.curvatures(network, target).converged, "overlap_halves": overlap}

    def vouched_by_some(self, network: str, spaces: Subspaces) -> dict[str, Any]:
        """:meth:`vouched` of a network's stacked directions: all classes converged, and the mean overlap of three of them."""
        some = [self.vouched(network, c)["overlap_halves"] for c in CHECKED if c < len(spaces.classes)]
        return {"converged": all(c.converged for c in spaces.classes), "overlap_halves": sum(some) / len(some)}

    @torch.no_grad()
    def subspaces(self, network: str) -> Subspaces:
        """The curvature bases of all classes of a network.

        Source: [jetley2018], Algorithm 1 and the selection of subspaces that follows it.
        """
        images = self.bench.split(network).fit
        n_classes = self.bench.network(network)(images.x[:1]).shape[1]
        classes = [self.curvatures(network, c) for c in range(n_classes)]
        centred = (images.x - mean_image(self.bench, network)).flatten(1)
        return Subspaces(classes, lab.keep(principal_components, centred), self.bench.seed)


def overlap_of(one: Curvatures, other: Curvatures, n: int = FOREMOST) -> float:
    """Mean squared cosine in [0, 1] between the n foremost directions of both, the smaller of the two ends; n / D by chance."""
    ends = (slice(None, n), slice(-n, None))
    return min(float((one.vectors[:, end].T @ other.vectors[:, end]).square().sum()) / n for end in ends)


def deciding(run: Run, network: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a network whose directions are vouched for, and so may decide a verdict.

    Converged, and found again, up to ``LEAST_OVERLAP``, in a disjoint half of the images. Of a table that was stored before this
    was measured: those of the whole eigenbasis, since both ends by Lanczos had not converged on any network.
    """
    if {"converged", "overlap_halves"} <= set(rows):
        vouched = rows["converged"].eq(True) & (rows["overlap_halves"] >= LEAST_OVERLAP)
        return rows[vouched]
    known = for_network((run.provenance.get("params") or {}).get("k"), network, "k")
    return rows if known is None else rows.iloc[:0]


def vouched_for(run: Run | None) -> Run | None:
    """The run without the rows whose directions other images do not confirm, as the pages show it; None of None."""
    if run is None or "model" not in run.table:
        return run
    kept = [deciding(run, network, rows) for network, rows in run.by_network()]
    others = run.table.drop(run.rows.index)
    return replace(run, table=pd.concat([*kept, others]).sort_index())


def principal_components(centred: Tensor) -> Tensor:
    """(D, min(n, D)) principal components of centred images (n, D), the first one first."""
    vectors = torch.linalg.svd(centred.double(), full_matrices=len(centred) < 1024 >= centred.shape[1])[2]
    return vectors.T.to(centred.dtype)


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

    def most(self, kind: str) -> int:
        """The largest ``d`` per class that :meth:`basis` takes; 0 for flat ones where only the ends are known."""
        known = min(c.vectors.shape[1] for c in self.classes)
        return known if self.classes[0].whole else known // 2 if kind != "flat" else 0

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
        return v[:, found.values.abs().argsort()[:d]]

    def basis(self, kind: str, d: int) -> Tensor:
        """(D, m) orthonormal basis of the span of ``d`` directions of each class. ValueError if so many are not known.

        kind: "positive" (most positive curvature), "negative", "both" (2 d a class) or "flat" (smallest modulus, known
        with the whole basis alone: what is orthogonal to both ends is not flat but random). Source: [jetley2018].
        """
        checks.one_of(kind, KINDS, "kind of subspace")
        if not self.most(kind):
            raise ValueError("flat directions are known with the whole eigenbasis only; take k = None")
        if checks.count(d, "d") > self.most(kind):
            raise ValueError(f"d must lie in [1, {self.most(kind)}] for the {kind} subspace, got {d}; raise k")
        return lab.keep(stacked, torch.cat([self.of_class(c, kind, d) for c in range(len(self.classes))], 1))

    def null(self, kind: str, m: int, draw: int = 0) -> Tensor:
        """(D, m) basis of a null: "random" directions, or the first principal components of the training images."""
        if checks.one_of(kind, (RANDOM, DATA), "null") == RANDOM:
            return subspace.random_subspace(self.d, m, child_seed(self.seed, f"null {draw}")).to(self.components)
        if m > self.components.shape[1]:
            raise ValueError(f"{m} principal components need as many training images, got {self.components.shape[1]}")
        return self.components[:, :m]

    def with_nulls(self, dims: Sequence[int]) -> list[tuple[str, int, Tensor]]:
        """(kind, d, basis) of each kind for the ``dims`` that are known, and of the nulls of their dimensions (d = 0)."""
        known = {kind: sorted({checks.count(d, "dims") for d in dims if d <= self.most(kind)}) for kind in KINDS}
        found = [(kind, d, self.basis(kind, d)) for kind in KINDS for d in known[kind]]
        sizes = sorted({basis.shape[1] for *_, basis in found})
        random = [(RANDOM, 0, self.null(RANDOM, m)) for m in sizes]
        return found + random + [(DATA, 0, self.null(DATA, m)) for m in sizes if m <= self.components.shape[1]]


def stacked(vectors: Tensor) -> Tensor:
    """(D, r) orthonormal basis of the columns' span, r their rank up to 1e-5.

    By the smaller Gram matrix in float64: one after another, as :func:`uapkit.subspace.orthonormal` takes dependent
    columns, hundreds of nearly dependent ones of ten classes would take minutes.
    """
    a = vectors.double()
    tall = a.shape[0] >= a.shape[1]
    values, w = torch.linalg.eigh(a.T @ a if tall else a @ a.T)
    independent = values > 1e-10 * values[-1]
    basis = (a @ w[:, independent]) / values[independent].sqrt() if tall else w[:, independent]
    return basis.flip(1).to(vectors.dtype)


def curved_at(bench: lab.Bench, network: str, points: PerNetwork, n_train: int, **settings: Any) -> Subspaces | None:
    """Curvature subspaces beside first-order ones: from ``points`` boundary points a class, None for 0 of them.

    The images are the first ``n_train`` training images of the bench's set; settings: k, max_products.
    """
    n = for_network(points, network, "n_curvature")
    if not n:
        return None
    beside = lab.Bench(bench.data, n_train, 0, 1, bench.seed, bench.device, from_training=True)
    own = bench.own(network)
    return Curved(beside, n, **settings).subspaces(beside.names([network if own is None else own])[0])
