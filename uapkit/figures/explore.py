"""Widgets of single items: their stored tables and arrays as states of :mod:`uapkit.figures.widgets`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit.evaluate import fooling_rate, labels
from uapkit.experiments.common import Bench
from uapkit.figures import style as plots
from uapkit.figures.widgets import Bar, Frames, State, frames, slider
from uapkit.subspace import principal_angles, random_subspace

RADII = tuple(k / 4 for k in range(9))  # in units of the radius the perturbation was made for
MANY, MIDDLE = 16, 160  # more vectors than this in one widget are shown by their middle
FIELDS = {  # column -> words
    "singular_value": "singular value",
    "wavelength": "mean wavelength in pixels",
    "neighbours": "correlation of neighbouring pixels",
    "spectral_correlation": "likeness to the layer's features",
}


def vectors(run: pd.DataFrame, *, by: str) -> Frames:
    """A picker of network and ``by`` ("layer" or "q") over an item's singular vectors ``v/<model>/...``."""
    arrays, states = run.attrs["arrays"], []
    rows = run[(run["status"] == "run") & (run["kind"] == "vector")].to_dict("records")
    for row in rows:
        end = row["layer"] if by == "layer" else f"q = {row['q']:g}"
        v = _middle(arrays[f"v/{row['model']}/{end}"], MIDDLE if len(rows) > MANY else None)
        facts = {"layer": row["layer"]} if by == "q" else {}
        facts |= {words: row[name] for name, words in FIELDS.items() if name in row and row[name] == row[name]}
        states.append(
            State(
                at={"network": plots.short(row["model"]), by: row[by]},
                pictures=plots.as_picture(v, stretch=True),
                facts=facts,
                alt=f"Singular vector of {plots.short(row['model'])}, {by} {row[by]}, contrast stretched",
            )
        )
    cut = len(rows) > MANY and any(v.shape[-1] > MIDDLE for k, v in arrays.items() if k.startswith("v/"))
    middle = f" Shown are the middle {MIDDLE} x {MIDDLE} pixels." if cut else ""
    return frames(
        states,
        title=f"One singular vector at a time, by {by}",
        width=300,
        note=f"Contrast is stretched to the full range; mid grey is no change.{middle}",
    )


def _middle(v: np.ndarray, side: int | None) -> np.ndarray:
    """The middle ``side`` x ``side`` pixels of v (c, h, w), where it is larger: noise cannot be compressed."""
    top, left = ((n - side) // 2 if side and n > side else 0 for n in v.shape[1:])
    return v[:, top : top + side, left : left + side] if side else v


def norm_slider(run: pd.DataFrame, *, n_pictures: int = 3, radii: Sequence[float] = RADII) -> Any:
    """A slider of the radius over an item's directions, on images that none of them was fitted on.

    run: a table of khrulkov2018/fig_examples, with its provenance. Shows picture, label, class probabilities and the
    fooling rate on all scored images, of the first network.
    """
    given = run.attrs["provenance"]["params"]
    spec = run.loc[run["status"] == "run", "model"].iloc[0]
    bench = Bench(given["data"], given["n_fit"], given["n_select"], given["n_eval"], given["seed"])
    model = bench.model(spec)
    scored = bench.images(model)[2]
    clean = labels(model, scored)
    start = f"v/{spec}/"
    directions = {
        k.removeprefix(start): torch.from_numpy(v) for k, v in run.attrs["arrays"].items() if k.startswith(start)
    }
    names = model.classes or tuple(map(str, range(1000)))

    @cache
    def rate(direction: str, size: float) -> Any:
        return fooling_rate(model, scored, directions[direction] * size, clean=clean)

    def draw(direction: str, picture: int, radius: float) -> State:
        size = radius / given["eps"]
        x = scored.x[picture - 1] + directions[direction] * size
        shares = model(x[None])[0].softmax(0)
        top, found = int(shares.argmax()), rate(direction, size)
        before, now = names[int(clean[picture - 1])], names[top]
        best = shares.topk(min(10, len(shares))).indices.sort().values.tolist()
        return State(
            pictures={"perturbed, clipped for display": x},
            facts={
                "label": now if now == before else f"{before} → {now}",
                "fooling rate": f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}], n = {found.n}",
            },
            bars={names[k]: float(shares[k]) for k in best},
            marked=now,
            alt=f"Image {picture} with {direction} at radius {radius:.3g}",
        )

    choices = {
        "direction": list(directions),
        "picture": list(range(1, n_pictures + 1)),
        "radius": [round(given["eps"] * r, 6) for r in radii],
    }
    return slider(
        draw,
        title=f"Radius, picture, label and fooling rate: {plots.short(spec)}",
        choices=choices,
        bars="class probabilities",
        note="Radius: the largest change of a pixel. Rates: images that nothing was fitted or chosen on, 95 % intervals.",
    )


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
