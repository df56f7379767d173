"""Universal directions scored along their line: both signs, label changes beside errors, baselines of equal norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from uapkit import attacks, checks, evaluate, lab
from uapkit.data.images import Images
from uapkit.lab import nulls, patterns
from uapkit.papers.equivariant2019.evidence import Columns
from uapkit.papers.equivariant2019.setting import BATCH, Setting
from uapkit.papers.equivariant2019.spectrum import DATA_ENERGY
from uapkit.seeds import child_seed, generator
from uapkit.spectra import random_directions

SIGN_IMAGES = 200  # of the fitted images, at most, on which the better sign is chosen, of attacks and nulls alike
IN_DATA, PHASES = "random direction in the data's subspace", "random phases"
ERROR: Columns = ("error_rate", "error_low", "error_high")
BOTH: Columns = ("error_rate", "both_low", "both_high")  # over the images that are fitted on, too


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

    def rows(
        self, v: Tensor, signs: Sequence[int] = (1, -1), norms: Sequence[float] | None = None, **about: Any
    ) -> tuple[list[dict], dict[int, Tensor]]:
        """A row a sign and norm (None: all); and by sign which scored images are wrong at the norm ``small``."""
        found, wrong = [], {}
        for sign in signs:
            for size in sorted({*(self.norms if norms is None else norms), self.small}):
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
        """The sign that makes more of the first SIGN_IMAGES fitted images' labels wrong at the norm ``small``."""
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
        each, sign = self._crossed(directions[:half], directions[half:])
        more, wrong = self._chosen(each, sign, (sign,), fit="other half", n_fit=half)
        return found + more, wrong

    def _crossed(self, first: Tensor, second: Tensor) -> tuple[Tensor, int]:
        """(n_eval, d) for each scored image the vector of the half that it is not in; and the better sign."""
        half = self.n_images // 2
        a = self.vector(first)
        sign = self.better_sign(a, self.images[:half])
        if self.first >= half:  # all scored images stand in the second half
            return a.expand(self.n_eval, -1), sign
        b = self.vector(second)
        b = b if float(a @ b) >= 0 else -b
        return torch.where((torch.arange(self.n_images) < half)[:, None], b, a)[self.first :], sign

    def refits(self, directions: Tensor, n_draws: int) -> Tensor:
        """(n_draws, n_eval) who is wrong at ``small`` under the vectors "other half" of halves drawn anew, with repetition.

        Each draw takes as many images from a half as it holds, finds the vector from them, and chooses its sign.
        """
        half, wrong = self.n_images // 2, []
        halves, draws = (directions[:half], directions[half:]), generator(self.setting.bench.seed, "images drawn anew")
        for _ in range(checks.count(n_draws, "n_draws")):
            each, sign = self._crossed(*(p[torch.randint(len(p), (len(p),), generator=draws)] for p in halves))
            wrong.append(self.after(sign * each, self.small) != self.truth)
        return torch.stack(wrong)

    def _chosen(
        self, v: Tensor, chosen: int, signs: Sequence[int] = (1, -1), **about: Any
    ) -> tuple[list[dict], Tensor]:
        found, wrong = self.rows(v, signs, kind="singular vector", **about)
        return [row | {"chosen": row["sign"] == chosen} for row in found], wrong[chosen]

    def redraws(self, directions: Tensor, sample: int, n_draws: int) -> tuple[list[dict], Tensor]:
        """Disjoint samples: a row each at ``small``, chosen sign; and (draws, n_eval) who is wrong under each.

        Draw j has the images from j * sample on, none of which is scored: as many draws as there are such images for, at
        most ``n_draws``, and at least one.
        """
        n_draws = max(1, min(checks.count(n_draws, "n_draws"), self.first // sample))
        found, wrong = [], []
        for draw in range(n_draws):
            here = slice(draw * sample, (draw + 1) * sample)
            v = self.vector(directions[here])
            sign = self.better_sign(v, self.images[here])
            rows, under = self.rows(v, (sign,), (), kind="redraw", fit="held out", n_fit=sample, draw=draw, chosen=True)
            found += rows
            wrong.append(under[sign])
        return found, torch.stack(wrong)

    def random(
        self, n_random: int, kind: str, n_curves: int = 0, energy: float = DATA_ENERGY
    ) -> tuple[list[dict], Tensor]:
        """Random directions, of all of R^d or of one of the images' subspaces, each at the sign that is better on fitted images.

        A row each at ``small``, the first ``n_curves`` at all norms; and (n_random, n_eval) who is wrong under each. A
        singular vector gets its better sign, so its null must have it, too. energy: share of the images' squares that the
        subspace holds; a column of its rows, with its ``dimensions``.
        """
        name, inside, about = f"{kind} attack", None, {}
        if kind == IN_DATA:
            inside = self.setting.own_subspace(self.n_images, energy)
            about = {"energy": energy, "dimensions": inside.shape[1]}
            name += "" if energy == DATA_ENERGY else f", {energy:g}"
        draws = random_directions(
            n_random, self.scored.x[0].numel(), child_seed(self.setting.bench.seed, name), inside=inside
        )
        return self._drawn(draws, kind, n_curves, about)

    def phases(self, v: Tensor, n_random: int, n_curves: int = 0) -> tuple[list[dict], Tensor]:
        """As :meth:`random`, of noise with the spectrum of ``v`` (d,): as smooth as v, and without its shape."""
        seeds = [child_seed(self.setting.bench.seed, f"{PHASES} {k}") for k in range(n_random)]
        picture = v.view(self.images.shape)
        draws = [patterns.random_phase(picture, eps=1.0, norm=2, seed=seed).flatten() for seed in seeds]
        return self._drawn(torch.stack(draws), PHASES, n_curves, {})

    def _drawn(self, draws: Tensor, kind: str, n_curves: int, about: dict[str, Any]) -> tuple[list[dict], Tensor]:
        found, wrong = [], []
        for k, v in enumerate(draws):
            sign = self.better_sign(v, self.images[: self.first])
            norms = None if k < n_curves else ()
            rows, under = self.rows(v, (sign,), norms, kind=kind, draw=k, chosen=True, **about)
            found += rows
            wrong.append(under[sign])
        return found, torch.stack(wrong)

    def untrained(self, directions: Tensor) -> list[dict]:
        """Rows of the top vector of an untrained copy's directions, at its better sign."""
        v = self.vector(directions)
        sign = self.better_sign(v, self.images[: self.first])
        return self.rows(v, (sign,), kind=nulls.UNTRAINED, n_fit=len(directions), chosen=True)[0]

    def universal(self, n_fit: int, passes: int) -> list[dict]:
        """The fixed direction of Algorithm 1 of [moosavi2017] in the 2-norm, made at the norm ``small``.

        gradients: how many gradients of single images it took, ten logits' for each step of its DeepFool.
        """
        n_fit = min(n_fit, self.first)
        made = lab.keep(
            attacks.uap, self.model, self.images[:n_fit].x, norm=2, eps=self.small * self.scale,
            target_rate=1.0, max_passes=passes, block=16, seed=self.setting.bench.seed,
        )  # fmt: skip
        v = (made.v / made.v.norm()).flatten().cpu()
        gradients = 10 * made.made_by.get("steps", 0)
        return self.rows(v, (1,), kind="universal perturbation", n_fit=n_fit, chosen=True, gradients=gradients)[0]
