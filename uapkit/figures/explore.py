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
from uapkit.figures.widgets import Frames, State, frames, slider

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
