"""Figures 5 and 6 of [equivariant2019]: misclassification against the norm along the top singular vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit.lab import Claim, Run
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.equivariant2019.drawing import curves
from uapkit.papers.equivariant2019.fooling import fooling_claims, fooling_curves
from uapkit.papers.equivariant2019.setting import QUICK, Attacks, Setting


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    samples: Sequence[int] = (20, 60, 200),
    n_eval: PerNetwork = 100,
    n_draws: int = 3,
    norms: Sequence[float] | Mapping[str, Sequence[float]] = (0.0, 1.0),
    small: float = 0.5,
    n_random: int = 4,
    passes: int = 1,
    energies: Sequence[float] = (0.9, 0.99),
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 5 and 6 of [equivariant2019]: misclassification against the norm along the top singular vector.

    One row a (model, attack, sample, sign, norm). error_rate (error_low, error_high): labels that are not the true one;
    fooling_rate (low, high): labels that change; both on the same n images. fit: "held out" where none of them was
    fitted on; "in sample" as the paper has it for all images; "other half" for the vector of the half that the image
    is not in. chosen: the sign that is better on fitted images. norms and small are shares of the images' mean norm,
    eps the norm itself. Baselines of equal norm, each at its better sign: random directions, of all of space and of the
    images' principal subspaces, each of so many ``dimensions`` that it holds a share ``energy`` of the images' squares
    (``energies``, from (0, 0.99], or ValueError); kind "random phases", noise with the spectrum of the largest sample's vector;
    the vector of an untrained network; and Algorithm 1 of [moosavi2017].
    Kind "redraw": the smallest sample, drawn ``n_draws`` times, disjoint.
    Kind "difference": error of one redraw's vector minus that of the largest sample's (interval over draws and images).
    both_low, both_high: of "other half" at ``small``, the interval over fitted and scored images; its vector is found anew
    from ``n_draws`` (refits) halves drawn with repetition, whose errors have refit_mean and refit_spread. n_eval and norms:
    for all networks, or by network.
    """
    return fooling_curves(
        Setting.of(data, rotation, labels, seed=seed, device=device), models, attacks,
        samples=samples, n_eval=n_eval, n_draws=n_draws, norms=norms, small=small, n_random=n_random, passes=passes,
        energies=energies,
    )  # fmt: skip


def claims(run: Run) -> Iterator[Claim]:
    """80 % wrong at a small norm, more than random directions, and with few images; see :func:`fooling_claims`."""
    yield from fooling_claims(run)


def figure(run: Run, value: str = "error_rate") -> Figure:
    """Rate against the norm, a panel a (network, attack), with the baselines."""
    return curves(run, value)
