"""Table 1 of [equivariant2019]: principal angles between attack directions and invariant directions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.figures.widgets import Bar, Frames, State, frames
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.equivariant2019.drawing import bounds
from uapkit.papers.equivariant2019.evidence import estimate, groups
from uapkit.papers.equivariant2019.setting import IN_DATA, QUICK, RANDOM, Attacks, Setting
from uapkit.papers.equivariant2019.spectrum import angles, jackknife, leading, moments
from uapkit.subspace import principal_angles, random_subspace


def run(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Attacks = ("gradient",),
    data: str = "digits",
    rotation: float = 30.0,
    step: float = 2.0,
    n_fit: int | None = 300,
    k: int = 5,
    n_random: int = 100,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 1 of [equivariant2019]: principal angles between the top k attack and the top k invariant directions.

    One row a (model, attack, kind, index): principal_angle in degrees, index 1 the largest as in the paper, with its
    jackknife interval. Nulls: random subspaces of R^d and of the images' own principal subspace (mean and central 95 %
    of ``n_random`` draws), and the attack directions of an untrained network. data_dimension: of the images' principal
    subspace; inside_data: share of the k attack directions that lies in it, which says how apt that null is. gap,
    gap_invariant: (s_k - s_k+1) / s_k of the attack's and the invariant singular values: near 0 the top k directions are
    not well defined, and neither are their angles.
    """
    setting = Setting.of(data, rotation, labels, seed=seed, device=device)
    n = setting.count(n_fit)

    def measured(model: str, attack: str) -> list[dict]:
        setting.network(model)  # first of all: a network that is not here costs nothing
        invariant, own = setting.invariant(n, step), setting.own_subspace(n).numpy()
        found: list[dict] = []

        def add(kind: str, rows: list[dict[str, float]], inside: float = math.nan) -> None:
            about = {"n_fit": n, "data_dimension": own.shape[1], "inside_data": inside}
            found.extend({"kind": kind, **row, **about} for row in rows)

        gap_invariant = relative_gap(lab.keep(leading, invariant, k + 1)[0], k)
        for kind in ("trained", nulls.UNTRAINED):
            rows = setting.rows(model, attack, n, kind)
            values, v = lab.keep(leading, rows, k + 1)
            inside = ((own.T @ v[:, :k]) ** 2).sum() / k
            gaps = {"gap": relative_gap(values, k), "gap_invariant": gap_invariant}
            angles = [row | gaps for row in lab.keep(angles_with_intervals, rows, invariant, k)]
            add(kind, angles, float(inside))
        for kind in (RANDOM, IN_DATA):
            drawn = setting.random_subspaces(kind, n, k, n_random)
            add(kind, lab.keep(angles_with_draws, drawn, invariant, k))
        return found

    return setting.table(setting.points(models, attack=attacks), measured, "angles")


def relative_gap(shares: np.ndarray, k: int) -> float:
    """(s_k - s_{k+1}) / s_k of singular values s whose squares are ``shares``, largest first."""
    s = np.sqrt(shares)
    return float(1 - s[k] / s[k - 1])


def angles_with_intervals(rows: Tensor, invariant: Tensor, k: int) -> list[dict[str, float]]:
    """Each principal angle with its jackknife interval, the largest first."""
    value, low, high, _ = jackknife(lambda a, b: angles(a, b, k), moments(rows), moments(invariant))
    return _by_index(value, low, high.clip(max=90))


def angles_with_draws(subspaces: Sequence[np.ndarray], invariant: Tensor, k: int) -> list[dict[str, float]]:
    """Mean and central 95 % of each principal angle between bases (d, k) and the invariant directions."""
    u = torch.from_numpy(leading(invariant, k)[1])
    drawn = [principal_angles(u, torch.from_numpy(w)) for w in subspaces]
    return _by_index(np.mean(drawn, 0), *np.percentile(drawn, [2.5, 97.5], axis=0))


def _by_index(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[dict[str, float]]:
    return [
        {"index": j, "principal_angle": float(a), "low": float(b), "high": float(c)}
        for j, (a, b, c) in enumerate(zip(value, low, high, strict=True), 1)
    ]


def claims(run: Run) -> Iterator[Claim]:
    """The smallest angle is above that of each null.

    "Nearly orthogonal" by itself is no claim that could fail: random subspaces of R^784 have 82 degrees and more.
    """
    columns = ("principal_angle", "low", "high")
    for name, rows in groups(run, ["model", "attack"]):
        smallest = lab.rows_of(rows, index=rows["index"].max())
        ours = estimate(lab.rows_of(smallest, kind="trained").iloc[0], columns, n="n_fit")
        for what, kind in (("random", RANDOM), ("random_in_data", IN_DATA), ("untrained", nulls.UNTRAINED)):
            beyond = lab.rows_of(smallest, kind=kind)["high"].iloc[0]
            yield claim(f"orthogonal_beyond_{what}", name, ours, ">", beyond)


def figure(run: Run) -> Figure:
    """Principal angles, the largest first, a panel a network, with bands or points of the nulls."""
    networks = list(run.by_network())
    with style():
        drawn, axes = panels([name for name, _ in networks], height=3.0)
        for ax, (network, of_network) in zip(axes, networks, strict=False):
            for kind in dict.fromkeys(of_network["kind"]):
                rows, shown = lab.rows_of(of_network, kind=kind).sort_values("index"), look(kind)
                if kind in (RANDOM, IN_DATA):
                    ax.fill_between(rows["index"], rows["low"], rows["high"], alpha=0.3, color=shown.colour, label=kind)
                else:
                    ax.errorbar(
                        rows["index"],
                        rows["principal_angle"],
                        yerr=bounds(rows, "principal_angle"),
                        marker=shown.marker,
                        linestyle=shown.line,
                        capsize=3,
                        color=shown.colour,
                        label=kind,
                    )
            ax.set(title=short(network), xlabel="index", ylabel="angle in degrees", ylim=(0, 91))
        legend(drawn, axes[:1], columns=4)
    return drawn


def picker(run: Run | None, attack: Run, invariant: Run, *, n_random: int = 200) -> Frames:
    """Principal angles between the top k attack and the top k invariant directions, for every k that is stored.

    attack, invariant: runs of fig8_attack_vectors and fig7_invariant_vectors, whose vectors are in the arrays; run: of
    this item, whose intervals are shown where k, network and attack agree. The null, 95 % of the angles between random
    subspaces of the same dimensions, is simulated here (``n_random`` pairs).
    """
    basis = [torch.from_numpy(v).flatten() for _, v in sorted(invariant.arrays.items())]
    pairs = list(dict.fromkeys(tuple(name.split("/")[1:3]) for name in attack.arrays if name.startswith("v/")))
    bands = {k: random_angles(len(basis[0]), k, n_random) for k in range(1, len(basis) + 1)}
    states = []
    for model, kind in pairs:
        columns = [torch.from_numpy(attack.flags("v", model, kind, j + 1)).flatten() for j in range(len(basis))]
        for k, band in bands.items():
            found = principal_angles(torch.stack(columns[:k], 1), torch.stack(basis[:k], 1))
            ends = _stored_intervals(run, model, kind, k)
            bars = {}
            for j in range(k):
                low, high = ends.get(j + 1, (None, None))
                bars[f"angle {j + 1}"] = Bar(float(found[j]), low, high, band[j])
            states.append(State(at={"network": short(model), "attack": kind, "dimension k": k}, bars=bars))
    return frames(
        states,
        title="Principal angles between the top k attack and the top k invariant directions",
        bars="degrees, largest first; hatched: 95 % of random subspaces of the whole space",
        bar_range=(0, 90),
        start=len(bands) - 1,
        note="Angles of the stored vectors; intervals in brackets leave out a tenth of the images at a time, where stored.",
    )


def random_angles(d: int, k: int, n: int) -> list[tuple[float, float]]:
    """Central 95 % of each principal angle between two random k-dimensional subspaces of R^d, over ``n`` draws."""
    fixed = random_subspace(d, k, 0)
    drawn = np.stack([principal_angles(random_subspace(d, k, seed), fixed) for seed in range(1, n + 1)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _stored_intervals(run: Run | None, model: str, attack: str, k: int) -> dict[int, tuple[float, float]]:
    if run is None or run.provenance["params"]["k"] != k:
        return {}
    rows = run.where(kind="trained", model=model, attack=attack)
    return {int(r["index"]): (r["low"], r["high"]) for r in rows.to_dict("records")}
