"""Paper J's curvature subspaces: the principal curvatures of every class, stacked, and nulls of the same dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from uapkit import checks, curvature, lab, subspace
from uapkit.curvature import Curvatures
from uapkit.data.images import Images
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.papers.jetley2018.setting import mean_image
from uapkit.seeds import child_seed, generator

KINDS = ("positive", "negative", "both", "flat")  # S_pos, S_neg, S_neg + pos, S_flat
RANDOM, DATA = "random", "data"  # nulls of the same dimension: a random subspace, the images' principal components


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
        return lab.keep(
            curvature.principal_curvatures,
            self.bench.network(network),
            self.pool(network, target),
            target,
            k=for_network(self.k, network, "k"),
            step=curvature.paper_step(self.bench.shape(network), factor=self.step_factor),
            max_products=self.max_products,
            seed=child_seed(self.bench.seed, f"curvature of class {target}"),
        )

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
