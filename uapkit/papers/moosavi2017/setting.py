"""What paper M's items share: X, the radii of both norms, one fit of Algorithm 1 for all items, and the null."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import attacks, evaluate, lab
from uapkit.attacks import Perturbation
from uapkit.data.images import Images
from uapkit.intervals import Interval
from uapkit.lab import nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.models import Model
from uapkit.seeds import generator

RELEASED: dict[str, Any] = {
    "num_classes": 10,
    "overshoot": 0.02,
    "max_iter": 10,
}  # DeepFool's settings in the paper's code
CURVE = 100  # scored images at most on which the curve over the passes is drawn
D = 3 * 224 * 224  # numbers in an image of the paper
UAP, BLOCKED, PHASES = "UAP", "UAP, blocked", "random phases"
PASS_LIMIT = "pass limit"  # how a run ended that could have gone on: its rate bounds the attack's from below
CHANCE = Interval(0.0, 0, 0.0, 0.0)  # the null of vectors unlike each other, where they fool no more than random ones


def radius(norm: float, eps: float, shape: Sequence[int]) -> float:
    """The radius that goes with the l_inf radius ``eps``: in the 2-norm the paper's 2000 for 10, the same for each pixel.

    At 3 x 224 x 224 and eps = 10/255 it is 2000/255; images of other sizes d get sqrt(d) as much. norm: 2 or inf.
    """
    return eps if norm == math.inf else eps * 200 * math.sqrt(math.prod(shape) / D)


def bench_of(data: PerNetwork, n_fit: PerNetwork, n_eval: PerNetwork, seed: int = 0, device: str = "cpu") -> lab.Bench:
    """``n_fit`` images to fit on, of the training split where the set has one, and ``n_eval`` others to score."""
    return lab.Bench(data, n_fit, 0, n_eval, seed, device, resize="squash256", from_training=True)


def universal(
    net: Model,
    x: Images,
    *,
    norm: float,
    eps: float,
    target_rate: float,
    max_passes: int,
    seed: int,
    block: int = 1,
    held_out: Images | None = None,
) -> Perturbation:
    """Algorithm 1 on ``x`` with the released settings of DeepFool, computed once for all items; see :func:`uapkit.attacks.uap`.

    held_out: images for the curve over the passes, which decides nothing. Departure: of a run that ends without
    reaching ``target_rate``, the pass with the best rate on ``x`` is taken, not the last (where it is reached, the two
    are one).
    """
    return lab.keep(
        attacks.uap,
        net,
        x,
        norm=norm,
        eps=eps,
        target_rate=target_rate,
        max_passes=max_passes,
        seed=seed,
        block=block,
        held_out=held_out,
        keep="best",
        **RELEASED,
    )


@dataclass
class Setting:
    """One setting of Algorithm 1 on the networks and images of a bench. n_images, max_passes: for all networks, or by network.

    n_images: how many of the images set apart are the paper's X (None: all). eps: radius in the infinity norm; see
    :func:`radius`.
    """

    bench: lab.Bench
    n_images: PerNetwork = None
    eps: float = 10 / 255
    target_rate: float = 0.8
    max_passes: PerNetwork = 10

    def x(self, network: str, n: int | None = None) -> Images:
        """The paper's X, or its first ``n`` images. ValueError for an X larger than the images set apart."""
        wanted, most = for_network(self.n_images, network, "n_images"), self.bench.setting(network, "n_fit")
        if wanted is not None and not 1 <= wanted <= most:
            raise ValueError(f"n_images must be in [1, n_fit] = [1, {most}], got {wanted}; raise n_fit")
        return self.bench.split(network).fit[:wanted][:n]

    def radius(self, network: str, norm: float) -> float:
        """See :func:`radius`."""
        return radius(norm, self.eps, self.bench.shape(network))

    def fit(
        self,
        network: str,
        *,
        norm: float = math.inf,
        block: int = 1,
        seed: int | None = None,
        n: int | None = None,
        max_passes: int | None = None,
    ) -> Perturbation:
        """Algorithm 1 on X (its first ``n`` images); held_out_rates are those of the first scored ones."""
        passes = for_network(self.max_passes, network, "max_passes") if max_passes is None else max_passes
        return universal(
            self.bench.network(network),
            self.x(network, n),
            norm=norm,
            eps=self.radius(network, norm),
            target_rate=self.target_rate,
            max_passes=passes,
            seed=self.bench.seed if seed is None else seed,
            block=block,
            held_out=self.bench.split(network).scored[:CURVE],
        )

    def random(self, network: str, k: int = 0, norm: float = math.inf) -> Tensor:
        """The k-th null: random signs (norm inf) or a direction uniform on the sphere (norm 2) of the same norm."""
        shape, eps = self.bench.shape(network), self.radius(network, norm)
        v = nulls.random(shape, eps=eps, norm=norm, seed=self.bench.seed, name=f"random direction {k}")
        return v.to(self.bench.device)

    def fooled_x(self, network: str, v: Tensor, n: int | None = None) -> Tensor:
        """(n,) bool: which images of X (its first ``n``) change their label under ``v``."""
        net, x = self.bench.network(network), self.x(network, n)
        return lab.keep(evaluate.fooled, net, x, v, clean=lab.keep(evaluate.labels, net, x))

    def same_images(self, network: str, other: str) -> bool:
        """Are the two networks fitted and scored on the same images (which each may see in a size of its own)?"""
        settings = ("data", "n_fit", "n_eval")
        return all(self.bench.setting(network, s) == self.bench.setting(other, s) for s in settings)

    def table(self, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """One tidy table with all arrays; ``weights`` says which weights each network had, ``data`` which images."""
        table = lab.joined(list(parts))
        if "data" in table:  # some rows say it themselves
            usual = pd.Series([self.bench.setting(m, "data") for m in table["model"]], dtype=str)
            table["data"] = table["data"].fillna(usual)
        return self.bench.told(table)


def facts(made: Perturbation) -> dict[str, Any]:
    """What a table says of a fitted perturbation: its end, cost and norms; l2_norm and eps as the paper gives them, 0 to 255.

    saturated: share of the entries within a tenth of the largest size allowed (norm inf), NaN in the 2-norm.
    """
    how, v = made.made_by, made.v
    return {
        "n_fit": how["n_fit"],
        "end": how["end"],
        "passes": how["n_passes"],
        "steps": how["steps"],
        "failures": how["failures"],
        "l2_norm": 255 * made.size(2),
        "linf_norm": 255 * made.size(math.inf),
        "saturated": float((v.abs() >= 0.9 * made.eps).float().mean()) if made.norm == math.inf else math.nan,
    }


def curve(made: Perturbation) -> np.ndarray:
    """(2, passes) rates pass by pass: on X, on the first scored images."""
    return np.array([made.history, made.made_by["held_out_rates"]])


def rephased(v: Tensor, seed: int) -> Tensor:
    """``v`` (c, h, w) with random phases added to those of its Fourier coefficients, the same in all channels.

    Each channel keeps its two-dimensional spectrum, the channels keep how they go together (so the colours), and the 2-norm
    stays; every shape is lost. Source: the surrogates of Prichard and Theiler (1994).
    """
    noise = torch.fft.fft2(torch.randn(v.shape[1:], generator=generator(seed, "phases"), dtype=torch.float64))
    return torch.fft.ifft2(torch.fft.fft2(v.double().cpu()) * noise / noise.abs()).real.to(v)  # a real picture's phases


def mean_of_draws(rows: pd.DataFrame) -> Interval:
    """The mean over the draws of a null: of their rates, and of the ends of their intervals."""
    rate, low, high = (float(rows[column].mean()) for column in ("fooling_rate", "low", "high"))
    return Interval(rate, int(rows["n"].max()) if len(rows) else 0, low, high)


def random_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of random signs or random directions of norm eps."""
    return lab.rows_of(rows, kind=[nulls.RANDOM_SIGNS, nulls.RANDOM_DIRECTION])


def gram(vectors: Sequence[Tensor]) -> np.ndarray:
    """(k, k) normalised inner products of k perturbations of one shape."""
    rows = torch.stack([v.flatten().double().cpu() for v in vectors])
    rows = rows / rows.norm(dim=1, keepdim=True)
    return (rows @ rows.T).numpy()
