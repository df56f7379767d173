"""Widgets of single items: their stored tables and arrays as states of :mod:`uapkit.figures.widgets`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from uapkit.figures import style as plots
from uapkit.figures.widgets import Bar, Frames, State, frames
from uapkit.subspace import principal_angles, random_subspace


def angles(attack: pd.DataFrame, invariant: pd.DataFrame, table: pd.DataFrame | None, *, n_random: int = 200) -> Frames:
    """Principal angles between the top k attack and the top k invariant directions, for every k that is stored.

    attack, invariant: stored runs of equivariant2019/fig8_attack_vectors and fig7_invariant_vectors, whose vectors are in
    the arrays; table: of tab1_angles, whose intervals are shown where k, network and attack agree. The null, 95 % of the
    angles between random subspaces of the same dimensions, is simulated here (``n_random`` pairs).
    """
    columns = {k: torch.from_numpy(v).flatten() for k, v in attack.attrs["arrays"].items()}
    basis = [torch.from_numpy(v).flatten() for _, v in sorted(invariant.attrs["arrays"].items())]
    pairs = list(dict.fromkeys(tuple(k.split("/")[1:3]) for k in columns if k.startswith("v/")))
    nulls = {k: _random_angles(len(basis[0]), k, n_random) for k in range(1, len(basis) + 1)}
    states = []
    for (model, kind), k in ((pair, k) for pair in pairs for k in nulls):
        a = torch.stack([columns[f"v/{model}/{kind}/{j + 1}"] for j in range(k)], 1)
        found = principal_angles(a, torch.stack(basis[:k], 1))
        ends = _stored_intervals(table, model, kind, k)
        bars = {}
        for j in range(k):
            low, high = ends.get(j + 1, (None, None))
            bars[f"angle {j + 1}"] = Bar(float(found[j]), low, high, nulls[k][j])
        states.append(State(at={"network": plots.short(model), "attack": kind, "dimension k": k}, bars=bars))
    return frames(
        states,
        title="Principal angles between the top k attack and the top k invariant directions",
        bars="degrees, largest first; hatched: 95 % of random subspaces of the whole space",
        bar_range=(0, 90),
        start=len(nulls) - 1,
        note="Angles of the stored vectors; intervals in brackets leave out a tenth of the images at a time, where stored.",
    )


def _random_angles(d: int, k: int, n: int) -> list[tuple[float, float]]:
    """Central 95 % of each principal angle between two random k-dimensional subspaces of R^d."""
    fixed = random_subspace(d, k, 0)
    drawn = np.stack([principal_angles(random_subspace(d, k, seed), fixed) for seed in range(1, n + 1)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _stored_intervals(table: pd.DataFrame | None, model: str, attack: str, k: int) -> dict[int, tuple[float, float]]:
    if table is None or table.attrs["provenance"]["params"]["k"] != k:
        return {}
    rows = table[(table["status"] == "run") & (table["kind"] == "trained")]
    rows = rows[(rows["model"] == model) & (rows["attack"] == attack)]
    return {int(r["index"]): (r["low"], r["high"]) for r in rows.to_dict("records")}
