"""Adversarial examples of [khrulkov2018]: pictures before and after, and whether the perturbation introduces edges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import conv2d

from uapkit import evaluate, lab
from uapkit.figures.style import short
from uapkit.figures.widgets import Frames, State, slider
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.khrulkov2018.pictures import before_and_after, example_pictures, picture_rows
from uapkit.papers.khrulkov2018.setting import DIRECTIONS, Layer, Setting

RADII = tuple(k / 4 for k in range(9))  # in units of the radius the perturbation was made for


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    data: str = "digits",
    pictures: str = "digits",
    n_pictures: int = 4,
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The figure of adversarial examples of [khrulkov2018], and whether the perturbation introduces edges.

    Rows of kind "picture", one a (model, direction, picture): label, confidence before, perturbed_label,
    perturbed_confidence. Rows of kind "scored images", one a (model, direction): fooling_rate with low and high,
    edges_before, edges_after (mean edge density, threshold eps / 2), edges_more with edges_low and edges_high (paired,
    over the images). direction: "singular vector" (of ``layer``, or of the best on held-in images), "random signs",
    "untrained network". Perturbations as ``v/<model>/<direction>`` in ``attrs["arrays"]``.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, layer)

    def shown(model: str, layer: str) -> tuple[list[dict], dict]:
        net, scored = bench.network(model), bench.split(model).scored.x
        examples = example_pictures(pictures, n_pictures, seed, net.input_size[-1] if net.input_size else None)
        before = lab.keep(edge_density, scored, eps / 2)
        rows, arrays = [], {}
        for direction, v in setting.directions(model, layer).items():
            found = picture_rows(net, examples.to(device), v)
            rows += [{"kind": "picture", "direction": direction, **row} for row in found]
            after = lab.keep(edge_density, scored + v, eps / 2)
            more = lab.paired(after, before)
            row = {
                "kind": "scored images",
                "direction": direction,
                **lab.rate(bench.fooled(model, v)),
                "edges_before": float(before.mean()),
                "edges_after": float(after.mean()),
                "edges_more": more.value,
                "edges_low": more.low,
                "edges_high": more.high,
            }
            rows.append(row)
            arrays[f"v/{model}/{direction}"] = v.cpu().numpy()
        return rows, arrays

    parts = []
    for network in bench.names(models):
        points = [{"model": network, "layer": setting.choose(network)}]
        parts.append(lab.sweep(points, shown, desc=f"{network}: examples"))
    return bench.told(lab.joined(parts))


def edge_density(x: Tensor, threshold: float) -> Tensor:
    """(n,) share of the pixels where the grey picture, smoothed by a Gaussian of 1 pixel, rises by more than ``threshold``.

    The rise is the length of the gradient in units of pixel value a pixel (central differences), as Canny's detector
    has it before it thins lines. x: (n, c, h, w). The 4 outermost pixels are left out, where smoothing sees the border.
    """
    at = torch.arange(-3.0, 4.0, device=x.device)
    smooth = torch.exp(-(at**2) / 2)
    smooth = smooth / smooth.sum()
    slope = torch.tensor([-0.5, 0.0, 0.5], device=x.device)
    grey = x.mean(1, keepdim=True)
    grey = conv2d(conv2d(grey, smooth.view(1, 1, 7, 1)), smooth.view(1, 1, 1, 7))
    across, down = conv2d(grey, slope.view(1, 1, 1, 3)), conv2d(grey, slope.view(1, 1, 3, 1))
    length = torch.sqrt(across[:, :, 1:-1] ** 2 + down[:, :, :, 1:-1] ** 2)
    return (length > threshold).float().mean((1, 2, 3)).cpu()


def claims(run: Run) -> Iterator[Claim]:
    """Edge density after minus before; the null is random signs of the same size."""
    for network, rows in run.by_network():
        own, null = (_more_edges(rows, direction) for direction in ("singular vector", nulls.RANDOM_SIGNS))
        yield claim("introduces_many_new_edges", network, own, ">", 0.05, null=null)


def _more_edges(rows: pd.DataFrame, direction: str) -> Interval:
    (row,) = lab.rows_of(rows, kind="scored images", direction=direction).to_dict("records")
    return lab.from_row(row, "edges_more", "edges_low", "edges_high")


def figure(run: Run, network: str, direction: str) -> Figure:
    """The pictures before and after one of the directions of a network, with labels and confidences."""
    rows = run.where(kind="picture", model=network, direction=direction)
    return before_and_after(run, rows, run.flags("v", network, direction), f"{short(network)}, {direction}")


def figures(run: Run) -> Iterator[Figure]:
    """:func:`figure` for each network and each of its directions."""
    for network, _ in run.by_network():
        for direction in DIRECTIONS:
            yield figure(run, network, direction)


def norm_slider(run: Run, *, n_pictures: int = 3, radii: Sequence[float] = RADII) -> Frames | Any:
    """A slider of the radius over a run's directions, on images that none of them was fitted on.

    Shows picture, label, class probabilities and the fooling rate on all scored images, of the first network.
    """
    given = run.provenance["params"]
    network = run.rows["model"].iloc[0]
    bench = lab.Bench(given["data"], given["n_fit"], given["n_select"], given["n_eval"], given["seed"])
    model, scored, clean = bench.network(network), bench.split(network).scored, bench.clean(network)
    start = f"v/{network}/"
    directions = {k.removeprefix(start): torch.from_numpy(v) for k, v in run.arrays.items() if k.startswith(start)}
    names = lab.class_names(model)

    @cache
    def rate(direction: str, size: float) -> Interval:
        return evaluate.fooling_rate(model, scored, directions[direction] * size, clean=clean)

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

    choices: dict[str, list] = {
        "direction": list(directions),
        "picture": list(range(1, n_pictures + 1)),
        "radius": [round(given["eps"] * r, 6) for r in radii],
    }
    return slider(
        draw,
        title=f"Radius, picture, label and fooling rate: {short(network)}",
        choices=choices,
        bars="class probabilities",
        note="Radius: the largest change of a pixel. Rates: images that nothing was fitted or chosen on, 95 % intervals.",
    )
