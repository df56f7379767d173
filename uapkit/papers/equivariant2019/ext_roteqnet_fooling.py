"""The curves of Figures 5 and 6 of [equivariant2019] for RotEqNet, which the paper does not show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit.lab import Claim, Run
from uapkit.papers.equivariant2019.drawing import curves
from uapkit.papers.equivariant2019.fooling import fooling_claims, fooling_curves
from uapkit.papers.equivariant2019.setting import Attacks, Setting


def run(
    *,
    models: Sequence[Any] = ("roteqnet_digits",),
    attacks: Attacks = ("gradient",),
    data: str = "digits",
    rotation: float = 30.0,
    samples: Sequence[int] = (30, 60),
    n_eval: int | None = 30,
    n_draws: int = 1,
    norms: Sequence[float] = (0.0, 1.0),
    small: float = 0.5,
    n_random: int = 1,
    passes: int = 1,
    energies: Sequence[float] = (0.99,),
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The curves of Figures 5 and 6 for RotEqNet, which [equivariant2019] does not show; as fig5_fooling."""
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
