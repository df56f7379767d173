"""Figure 3 of [jetley2018], bottom: how much of the norm of attacks lies in curvature subspaces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor

from uapkit import attacks as methods
from uapkit import checks, lab, subspace
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.lab.claims import RANKED
from uapkit.lab.sweep import for_network
from uapkit.papers.jetley2018.drawing import SUBSPACES
from uapkit.papers.jetley2018.setting import Projected, mean_image, right, told
from uapkit.papers.jetley2018.subspaces import KINDS, RANDOM, Curved, deciding
from uapkit.seeds import child_seed, generator

ATTACKS = ("deepfool", "fgsm", "uap", "saliency")


def run(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    attacks: Sequence[str] = ATTACKS,
    dims: Sequence[int] = (1, 2, 4, 8, 16, 39, 78),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 900,
    n_fit: int | Mapping[str, int] = 10,
    n_eval: int | None = 100,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    uap_eps: float | Mapping[str, float] = 0.2,
    n_uap: int = 100,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 3 of [jetley2018], bottom: the share of the 2-norm of attacks that lies in the curvature subspaces.

    One row a (model, attack, kind, d): norm_share, the mean over test images of |Q Q^T r| / |r| (low, high: Student, n);
    chance = sqrt(m / D), what a random direction has; projected_accuracy, of the projected test images on the same subspace. Kinds
    and nulls as in the upper figure; the attack "random" is a null too. The universal perturbation (one row, no
    interval) is fitted on ``n_uap`` training images with the largest pixel ``uap_eps``. converged, overlap_halves: what
    vouches for the directions, see :meth:`Curved.vouched`. Arrays, a line a subspace in the table's order: shares of
    each image as ``share/<model>/<attack>``, of the images at the places ``image/...``; ``right/<model>``, who is
    classified correctly when projected.
    """
    bench = lab.Bench(data, n_train, 0, n_eval, seed, device, from_training=True)
    curved = Curved(bench, n_fit, k, step_factor, max_products)

    def shares(model: str) -> tuple[list[dict], dict]:
        eps = for_network(uap_eps, model, "uap_eps")
        made = {name: directions(bench, model, name, eps, n_uap) for name in (*attacks, RANDOM)}
        mean, net, images = mean_image(bench, model), bench.network(model), bench.split(model).scored
        spaces = curved.subspaces(model)
        vouched = curved.vouched_by_some(model, spaces)
        rows: list[dict[str, Any]] = []
        parts: dict[str, list[np.ndarray]] = {name: [] for name in made}
        seen: list[np.ndarray] = []
        for kind, d, basis in spaces.with_nulls(dims):
            flags = right(Projected(net, basis, mean), images)
            seen.append(flags.numpy())
            size, m = basis.shape
            for name, (r, _) in made.items():
                part = (subspace.project(r, basis).norm(dim=1) / r.norm(dim=1)).double()
                parts[name].append(part.numpy())
                middle = float(part.mean())
                half = 1.96 * float(part.std()) / math.sqrt(len(part)) if len(part) > 1 else math.nan
                rows.append(
                    {
                        "attack": name,
                        "kind": kind,
                        "d": d,
                        "m": m,
                        "norm_share": middle,
                        "low": middle - half,
                        "high": middle + half,
                        "n": len(part),
                        "chance": math.sqrt(m / size),
                        "projected_accuracy": float(flags.double().mean()),
                        **vouched,
                    }
                )
        arrays = {f"share/{model}/{name}": np.stack(part) for name, part in parts.items()}
        arrays |= {f"image/{model}/{name}": place.numpy() for name, (_, place) in made.items()}
        arrays[f"right/{model}"] = np.stack(seen)
        if "uap" in made:
            arrays[f"v/{model}/uap"] = made["uap"][0].view(*bench.shape(model)).cpu().numpy()
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    return told(bench, lab.sweep(points, shares, desc="norm in subspaces"), ("data", "model", "weights"))


def directions(bench: lab.Bench, network: str, attack: str, uap_eps: float, n_uap: int) -> tuple[Tensor, Tensor]:
    """((n, d) rows of an attack, (n,) the test images they belong to); images without one are left out.

    "uap": one row, fitted on training images, which belongs to none (-1).
    """
    model, images = bench.network(network), bench.split(network).scored
    if checks.one_of(attack, (*ATTACKS, RANDOM), "attack") == "deepfool":
        rows = lab.keep(methods.deepfool, model, images).r
    elif attack == "fgsm":
        rows = lab.keep(methods.fgsm, model, images, eps=1.0)
    elif attack == "saliency":
        rows = lab.keep(methods.saliency, model, images)
    elif attack == "uap":
        fit, draw = bench.split(network).fit[:n_uap], child_seed(bench.seed, "uap")
        rows = lab.keep(methods.uap, model, fit, eps=uap_eps, max_passes=3, seed=draw, block=8).v[None]
        return rows.flatten(1), torch.tensor([-1])
    else:
        rows = torch.randn(images.x.shape, generator=generator(bench.seed, "random attack")).to(images.x)
    rows = rows.flatten(1)
    return rows[rows.any(1)], rows.any(1).nonzero()[:, 0].cpu()


def claims(run: Run) -> Iterator[Claim]:
    """Rank correlation, over subspaces, of norm share above chance with accuracy above a random subspace's; null: noise.

    The subspaces are nested, so they are no independent draws: the interval is that over the images.
    """
    for network, rows in run.by_network():
        rows = deciding(run, network, rows)
        if rows.empty or f"right/{network}" not in run.arrays:  # a run of before has no flags image by image
            continue
        null = mirrored(run, network, rows, RANDOM)
        for attack in dict.fromkeys(rows["attack"]):
            if attack != RANDOM:
                found = mirrored(run, network, rows, attack)
                yield claim("mirrors_accuracy", f"{network} ({attack})", found, ">", 0.5, null=null)


def mirrored(run: Run, network: str, rows: pd.DataFrame, attack: str, n_boot: int = 500) -> Interval:
    """Spearman's rho, over the curvature subspaces, of norm share above chance and accuracy above a random subspace's.

    Its interval is the percentile bootstrap over the images, drawn for shares and accuracies together; all of [-1, 1] for
    fewer than eight subspaces.
    """
    part = lab.rows_of(rows, attack=attack).reset_index(drop=True)
    share, seen, image = (
        run.flags(*path) for path in (("share", network, attack), ("right", network), ("image", network, attack))
    )
    curved = np.flatnonzero(part["kind"].isin(KINDS))
    random = {row.m: row.Index for row in part[part["kind"] == RANDOM].itertuples()}
    beside = np.array([random[m] for m in part["m"].iloc[curved]])
    chance, n = part["chance"].to_numpy()[curved], seen.shape[1]

    def rho(counts: np.ndarray) -> float:
        weights = counts[image] if image[0] >= 0 else np.ones(1)
        above = share[curved] @ weights / weights.sum() - chance
        accuracy = seen @ counts / counts.sum()
        return float(spearmanr(above, accuracy[curved] - accuracy[beside]).statistic)

    rng = np.random.default_rng(child_seed(0, "bootstrap over images"))
    draws = [rho(np.bincount(rng.integers(0, n, n), minlength=n).astype(float)) for _ in range(n_boot)]
    low, high = np.nanpercentile(draws, [2.5, 97.5]) if len(curved) >= RANKED else (-1.0, 1.0)
    return Interval(rho(np.ones(n)), n, float(low), float(high))


@of_a_run
def figure(run: Run, network: str) -> Figure:
    """Share of each attack's norm in the subspaces against their dimension, a panel an attack."""
    rows = run.where(model=network)
    names = list(dict.fromkeys(rows["attack"]))
    with style():
        drawn, axes = panels(names, 2, 2.5)
        for ax, name in zip(axes, names, strict=False):
            for kind, label in SUBSPACES.items():
                shown, part = look(kind), lab.rows_of(rows, attack=name, kind=kind).sort_values("m")
                line: dict[str, Any] = {
                    "color": shown.colour,
                    "linestyle": shown.line,
                    "marker": shown.marker,
                    "markersize": 4,
                }
                ax.plot(part["m"], part["norm_share"], label=label, **line)
            title = f"{name}, {short(network)}"
            ax.set(title=title, xscale="log", ylim=(0, 1.02), xlabel="dimension", ylabel="share of the norm")
        legend(drawn, axes, 2)
    return drawn
