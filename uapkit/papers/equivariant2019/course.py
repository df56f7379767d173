"""Universal directions scored along their line: both signs, label changes beside errors, baselines of equal norm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from uapkit import attacks, evaluate, lab
from uapkit.data.images import Images
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.equivariant2019.evidence import Columns, estimate, nearest_null
from uapkit.papers.equivariant2019.setting import BATCH, Attacks, Setting
from uapkit.seeds import child_seed
from uapkit.spectra import random_directions

SIGN_IMAGES = 500  # of the fitted images, at most, on which the better sign is chosen
IN_DATA = "random direction in the data's subspace"
ERROR: Columns = ("error_rate", "error_low", "error_high")


@dataclass
class Course:
    """One network, the images to score and how far to go: ``norms`` are shares of the images' mean 2-norm.

    Of the first ``n_images`` of the setting the last ``n_eval`` are scored, those before may be fitted on. small: the
    norm at which signs are chosen and samples compared.
    """

    setting: Setting
    network: str
    n_images: int
    n_eval: int
    norms: Sequence[float]
    small: float

    def __post_init__(self) -> None:
        self.model = self.setting.network(self.network)
        self.images: Images = self.setting.turned(self.n_images)
        self.first = self.n_images - self.n_eval  # images before this one may be fitted on, those from it are scored
        self.scored = self.images[self.first :]
        self.scale = float(self.scored.x.flatten(1).norm(dim=1).mean())
        self.clean = self.labels(self.scored)
        self.truth = self.clean if self.scored.y is None else self.scored.y.cpu()

    def labels(self, images: Images, move: Tensor | None = None) -> Tensor:
        """(n,) predicted labels of images, moved by one perturbation or one an image."""
        return lab.keep(evaluate.labels, self.model, images, move, batch_size=BATCH)

    def after(self, v: Tensor, size: float, images: Images | None = None) -> Tensor:
        """Labels under ``v``, (d,) or one (n, d) an image, of unit length, times ``size`` mean image norms."""
        images = self.scored if images is None else images
        shape = images.x.shape[1:] if v.ndim == 1 else images.x.shape
        return self.labels(images, (v * (size * self.scale)).to(images.x).view(shape))

    def rows(self, v: Tensor, signs: Sequence[int] = (1, -1), **about: Any) -> tuple[list[dict], dict[int, Tensor]]:
        """A row a sign and norm; and by sign which scored images are wrong at the norm ``small``."""
        found, wrong = [], {}
        for sign in signs:
            for size in sorted({*self.norms, self.small}):
                labels = self.after(sign * v, size) if size else self.clean
                error = evaluate.Rate.mean(labels != self.truth)
                found.append(
                    {
                        **about,
                        "sign": sign,
                        "relative_norm": size,
                        "eps": size * self.scale,
                        **lab.rate(labels != self.clean),
                        "error_rate": error.value,
                        "error_low": error.low,
                        "error_high": error.high,
                        "commonest_label_share": float(labels.bincount().max()) / len(labels),
                    }
                )
                if size == self.small:
                    wrong[sign] = labels != self.truth
        return found, wrong

    def better_sign(self, v: Tensor, fitted: Images) -> int:
        """The sign that makes more of the fitted images' labels wrong at the norm ``small``."""
        fitted = fitted[:SIGN_IMAGES]
        truth = self.labels(fitted) if fitted.y is None else fitted.y.cpu()
        wrong = {s: int((self.after(s * v, self.small, fitted) != truth).sum()) for s in (1, -1)}
        return 1 if wrong[1] >= wrong[-1] else -1

    def vector(self, directions: Tensor, index: int = 1) -> Tensor:
        """(d,) the unit singular vector of directions (n, d), its entry of largest modulus positive.

        Rows that are zero are left out. Both signs are scored and the better is chosen by errors, so the attack's own
        choice of a sign is not used.
        """
        rows = directions[directions.any(1)].view(-1, *self.images.shape)
        made = lab.keep(
            attacks.svd_uap, self.model, self.images.x[: len(rows)], directions=rows, eps=1.0, sign="+",
            method="gram", vector=index,
        )  # fmt: skip
        return made.v.flatten()

    def singular(self, directions: Tensor, sample: int) -> tuple[list[dict], Tensor]:
        """Rows for the top vector of the first ``sample`` images; and who is wrong under its chosen sign at ``small``.

        A sample that reaches into the scored images is scored twice: "in sample", and "other half", where each half of
        all images is scored, at the better sign, with the vector of the other half.
        """
        v = self.vector(directions[:sample])
        sign = self.better_sign(v, self.images[:sample])
        if sample <= self.first:
            return self._chosen(v, sign, fit="held out", n_fit=sample)
        found, _ = self._chosen(v, sign, fit="in sample", n_fit=sample)
        half = self.n_images // 2
        a, b = self.vector(directions[:half]), self.vector(directions[half:])
        b = b if float(a @ b) >= 0 else -b
        each = torch.where((torch.arange(self.n_images) < half)[:, None], b, a)[self.first :]
        sign = self.better_sign(a, self.images[:half])
        more, wrong = self._chosen(each, sign, (sign,), fit="other half", n_fit=half)
        return found + more, wrong

    def _chosen(
        self, v: Tensor, chosen: int, signs: Sequence[int] = (1, -1), **about: Any
    ) -> tuple[list[dict], Tensor]:
        found, wrong = self.rows(v, signs, kind="singular vector", **about)
        return [row | {"chosen": row["sign"] == chosen} for row in found], wrong[chosen]

    def random(self, n_random: int, kind: str) -> list[dict]:
        """Random directions of equal norm, of all of R^d or of the images' subspace; their sign is random already."""
        inside = self.setting.own_subspace(self.n_images) if kind == IN_DATA else None
        seed = child_seed(self.setting.bench.seed, f"{kind} attack")
        draws = random_directions(n_random, self.scored.x[0].numel(), seed, inside=inside)
        return [row for k, v in enumerate(draws) for row in self.rows(v, (1,), kind=kind, draw=k, chosen=True)[0]]

    def universal(self, n_fit: int, passes: int) -> list[dict]:
        """The fixed direction of Algorithm 1 of [moosavi2017] in the 2-norm, made at the norm ``small``."""
        n_fit = min(n_fit, self.first)
        made = lab.keep(
            attacks.uap, self.model, self.images[:n_fit].x, norm=2, eps=self.small * self.scale,
            target_rate=1.0, max_passes=passes, block=16, seed=self.setting.bench.seed,
        )  # fmt: skip
        v = (made.v / made.v.norm()).flatten().cpu()
        return self.rows(v, (1,), kind="universal perturbation", n_fit=n_fit, chosen=True)[0]


def fooling_curves(
    setting: Setting,
    models: Sequence[Any],
    wanted: Attacks,
    *,
    samples: Sequence[int],
    n_eval: int | None,
    norms: Sequence[float],
    small: float,
    n_random: int,
    passes: int,
) -> pd.DataFrame:
    """The table of fig5_fooling and ext_roteqnet_fooling: curves of the samples' vectors, and baselines of equal norm."""
    total = setting.most = max(setting.count(n) for n in samples)
    apart = max([n for n in samples if n <= total // 2] or [total // 2])  # samples that are kept out of scoring
    scored = total - apart if n_eval is None else min(n_eval, total - apart)
    courses: dict[str, Course] = {}

    def course(model: str) -> Course:
        if model not in courses:
            courses.clear()
            courses[model] = Course(setting, model, total, scored, norms, small)
        return courses[model]

    def vectors(model: str, attack: str) -> list[dict]:
        along, found, wrong = course(model), [], {}
        directions = setting.directions(model, attack, total)
        for sample in samples:
            rows, wrong[sample] = along.singular(directions, sample)
            found += rows
        for sample in samples:
            if sample < max(samples):
                difference = lab.paired(wrong[sample], wrong[max(samples)])
                found.append(
                    {
                        "kind": "difference",
                        "n_fit": sample,
                        "relative_norm": small,
                        "fit": "against the largest sample",
                        "difference": difference.value,
                        "difference_low": difference.low,
                        "difference_high": difference.high,
                    }
                )
        return found

    def baselines(model: str) -> list[dict]:
        along, fewest = course(model), min(samples)
        untrained = along.vector(setting.directions(model, "gradient", fewest, untrained=True))
        return [
            *along.random(n_random, nulls.RANDOM_DIRECTION),
            *along.random(n_random, IN_DATA),
            *along.rows(untrained, kind=nulls.UNTRAINED, n_fit=fewest, chosen=True)[0],
            *along.universal(apart, passes),
        ]

    names = setting.bench.names(models)
    parts = [setting.table(setting.points([m], attack=wanted), vectors, f"{m}: curves") for m in names]
    parts += [setting.table([{"model": m}], baselines, f"{m}: baselines") for m in names]
    return lab.joined(parts)


def fooling_claims(run: Run) -> Iterator[Claim]:
    """80 % wrong at half the images' mean norm or less, by a vector that no scored image was fitted on."""
    for network, of_network in run.by_network():
        differences = lab.rows_of(of_network, kind="difference")
        small = float(differences["relative_norm"].max())
        random = of_network[of_network["is_null"]]
        for attack, rows in of_network.dropna(subset="attack").groupby("attack", sort=False):
            name = f"{network}, {attack}"
            apart = lab.rows_of(rows, kind="singular vector", fit=["held out", "other half"])
            ours = _worst(lab.rows_of(apart, n_fit=apart["n_fit"].max(), chosen=True), small)
            there = lab.rows_of(random, relative_norm=ours["relative_norm"])
            found = estimate(ours, ERROR)
            yield claim("reaches_80_percent", name, found, ">", 0.80, null=nearest_null(there, ERROR, ">"))
            yield claim("beats_random_directions", name, found, ">", there["error_high"].max())
            fewest = lab.rows_of(differences, attack=attack).sort_values("n_fit").iloc[0].copy()
            fewest["n"] = ours["n"]  # the same scored images
            columns = ("difference", "difference_low", "difference_high")
            yield claim("100_samples_suffice", name, estimate(fewest, columns), ">", -0.05)


def _worst(rows: pd.DataFrame, small: float) -> pd.Series:
    """The row with the largest error among those at no more than the small norm."""
    rows = rows[(rows["relative_norm"] > 0) & (rows["relative_norm"] <= small)]
    return rows.loc[rows["error_rate"].idxmax()]
