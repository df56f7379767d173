"""Universal directions scored along their line: both signs, label changes beside errors, baselines of equal norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from uapkit import attacks, evaluate
from uapkit.data.images import Images
from uapkit.experiments.common import paired
from uapkit.experiments.directions import Turned
from uapkit.experiments.per_image import BATCH
from uapkit.seeds import child_seed
from uapkit.spectra import random_directions, top_singular

SIGN_IMAGES = 500  # of the fitted images, at most, on which the better sign is chosen


@dataclass
class Course:
    """One network, the images to score and how far to go: ``norms`` are shares of the images' mean 2-norm."""

    bench: Turned
    spec: str
    n_images: int
    n_eval: int
    norms: Sequence[float]
    small: float

    def __post_init__(self) -> None:
        self.model = self.bench.model(self.spec)
        everything = self.bench.turned(self.n_images)
        self.first = self.n_images - self.n_eval  # images before this one may be fitted on, those from it are scored
        self.images: Images = everything
        self.scored = everything[self.first :]
        self.scale = float(self.scored.x.flatten(1).norm(dim=1).mean())
        self.clean = evaluate.labels(self.model, self.scored, batch_size=BATCH)
        self.truth = self.clean if self.scored.y is None else self.scored.y.cpu()

    def after(self, v: Tensor, size: float, images: Images | None = None) -> Tensor:
        """Labels under ``v``, (d,) or one (n, d) an image, of unit length, times ``size`` mean image norms."""
        images = self.scored if images is None else images
        shape = images.x.shape[1:] if v.ndim == 1 else images.x.shape
        move = (v * (size * self.scale)).to(images.x).view(shape)
        return evaluate.labels(self.model, images, move, batch_size=BATCH)

    def rows(self, v: Tensor, signs: Sequence[int] = (1, -1), **about: Any) -> tuple[list[dict], dict[int, Tensor]]:
        """A row a sign and norm; and by sign which scored images are wrong at the norm ``small``."""
        found, wrong = [], {}
        for sign in signs:
            for size in sorted({*self.norms, self.small}):
                labels = self.after(sign * v, size) if size else self.clean
                error = evaluate.Rate.mean(labels != self.truth)
                row = {**about, "sign": sign, "relative_norm": size, "eps": size * self.scale}
                row |= evaluate.Rate.mean(labels != self.clean).columns("fooling_rate")
                row |= {"error_rate": error.value, "error_low": error.low, "error_high": error.high}
                found.append(row | {"commonest_label_share": float(labels.bincount().max()) / len(labels)})
                if size == self.small:
                    wrong[sign] = labels != self.truth
        return found, wrong

    def better_sign(self, v: Tensor, fitted: Images) -> int:
        """The sign that makes more of the fitted images' labels wrong at the norm ``small``."""
        fitted = fitted[:SIGN_IMAGES]
        truth = evaluate.labels(self.model, fitted, batch_size=BATCH) if fitted.y is None else fitted.y.cpu()
        wrong = {s: int((self.after(s * v, self.small, fitted) != truth).sum()) for s in (1, -1)}
        return 1 if wrong[1] >= wrong[-1] else -1

    def vector(self, rows: Tensor, k: int = 1) -> Tensor:
        """(d,) the k-th right singular vector of unit rows (zero rows left out), its entry of largest modulus positive."""
        return top_singular(rows[rows.any(1)], k, "gram").vectors[-1].float()

    def singular(self, rows: Tensor, sample: int, **about: Any) -> tuple[list[dict], Tensor]:
        """Rows for the top vector of the first ``sample`` images; and who is wrong under its chosen sign at ``small``.

        A sample that reaches into the scored images is scored twice: "in sample", and "other half", where each half of
        all images is scored, at the better sign, with the vector of the other half.
        """
        if sample <= self.first:
            v = self.vector(rows[:sample])
            return self._both(v, self.better_sign(v, self.images[:sample]), fit="held out", n_fit=sample, **about)
        v = self.vector(rows[:sample])
        found, _ = self._both(v, self.better_sign(v, self.images[:sample]), fit="in sample", n_fit=sample, **about)
        half = self.n_images // 2
        a, b = self.vector(rows[:half]), self.vector(rows[half:])
        b = b if float(a @ b) >= 0 else -b
        each = torch.where((torch.arange(self.n_images) < half)[:, None], b, a)[self.first :]
        sign = self.better_sign(a, self.images[:half])
        more, wrong = self._both(each, sign, (sign,), fit="other half", n_fit=half, **about)
        return found + more, wrong

    def _both(self, v: Tensor, chosen: int, signs: Sequence[int] = (1, -1), **about: Any) -> tuple[list[dict], Tensor]:
        found, wrong = self.rows(v, signs, kind="singular vector", **about)
        return [row | {"chosen": row["sign"] == chosen} for row in found], wrong[chosen]

    def random(self, n_random: int, inside: Tensor | None, kind: str) -> list[dict]:
        """Random directions of equal norm; their sign is random already."""
        draws = random_directions(
            n_random, self.scored.x[0].numel(), child_seed(self.bench.seed, f"{kind} attack"), inside=inside
        )
        return [row for k, v in enumerate(draws) for row in self.rows(v, (1,), kind=kind, draw=k, chosen=True)[0]]

    def best_fixed(self, n_fit: int, passes: int) -> list[dict]:
        """The fixed direction of Algorithm 1 of [moosavi2017] in the 2-norm, made at the norm ``small``."""
        made = attacks.uap(
            self.model, self.images[: min(n_fit, self.first)].x, norm=2, eps=self.small * self.scale,
            target_rate=1.0, max_passes=passes, block=16, seed=self.bench.seed,
        )  # fmt: skip
        v = (made.v / made.v.norm()).flatten().cpu()
        return self.rows(v, (1,), kind="universal perturbation", n_fit=min(n_fit, self.first), chosen=True)[0]


def difference(a: Tensor, b: Tensor) -> dict[str, float]:
    """Error of ``a`` minus that of ``b`` on the same images, with its paired bootstrap interval."""
    found = paired(a, b)
    return {"difference": found["estimate"], "difference_low": found["low"], "difference_high": found["high"]}
