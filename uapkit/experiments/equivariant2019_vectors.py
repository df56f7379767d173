"""Figures 7 to 16 of [equivariant2019]: the top singular vectors as pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit.experiments import directions as d
from uapkit.experiments.directions import ATTACKS, Turned
from uapkit.experiments.equivariant2019_shared import CHOOSE, QUICK, points_of, tidy
from uapkit.fourier import mean_wavelength
from uapkit.seeds import child_seed
from uapkit.spectra import random_directions


def _pictured(v: np.ndarray, shape: Sequence[int]) -> dict[str, float]:
    """How a direction looks, in numbers: mean wavelength, and how much of it turns at one angular frequency."""
    picture = torch.from_numpy(v.copy()).view(*shape)
    share, frequency = d.angular_share(picture)
    return {"wavelength": mean_wavelength(picture), "angular_frequency": frequency, "angular_share": share}


def fig7_invariant_vectors(
    *,
    data: str = "digits",
    rotation: float = 180.0,
    step: float = 2.0,
    n_fit: int | None = None,
    k: int = 5,
    n_random: int = 20,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 7 of [equivariant2019]: top singular vectors of the differences under ``step`` degrees more of rotation.

    One row a vector: share of the squared singular values, wavelength in pixels, and angular_share, the part of its
    energy (beyond the mean over angles) at one angular frequency: steerable filters have it all at one. The vectors are in
    ``attrs["arrays"]`` as ``u/<index>``. Null: random directions in the images' own principal subspace.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation)
    n = bench.count(n_fit)
    shape = tuple(bench.turned(1).x.shape[1:])

    def vectors(what: str) -> tuple[list[dict], dict]:
        if what != "invariant directions":
            inside = bench.own_subspace(n) if what.endswith("subspace") else None
            draws = random_directions(n_random, math.prod(shape), child_seed(seed, what), inside=inside).numpy()
            return [{"kind": what, "draw": j, **_pictured(v, shape)} for j, v in enumerate(draws)], {}
        values, u = d.top(d.moments(bench.invariant(n, step), 1).sum(0), k)
        rows = [
            {"kind": what, "index": j + 1, "n_fit": n, "share": values[j], **_pictured(u[:, j], shape)}
            for j in range(k)
        ]
        return rows, {f"u/{j + 1}": u[:, j].reshape(shape).astype(np.float32) for j in range(k)}

    points = [{"what": what} for what in ("invariant directions", "random", "random in the data's subspace")]
    return tidy(bench, points, vectors, (), "invariant directions").drop(columns="what")


def fig8_attack_vectors(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ATTACKS,
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 200,
    k: int = 5,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 8 to 16 of [equivariant2019]: the top k singular vectors of each network and attack as pictures.

    One row a (model, attack, index): share, wavelength, angular frequency as in fig7_invariant_vectors. The vectors are
    in ``attrs["arrays"]`` as ``v/<model>/<attack>/<index>``.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)
    shape = tuple(bench.turned(1).x.shape[1:])

    def vectors(model: str, attack: str) -> tuple[list[dict], dict]:
        values, v = d.top(d.moments(bench.directions(model, attack, n), 1).sum(0), k)
        rows = [{"index": j + 1, "n_fit": n, "share": values[j], **_pictured(v[:, j], shape)} for j in range(k)]
        return rows, {f"v/{model}/{attack}/{j + 1}": v[:, j].reshape(shape).astype(np.float32) for j in range(k)}

    return tidy(bench, points_of(bench, models, attack=attacks), vectors, CHOOSE, "vectors")
