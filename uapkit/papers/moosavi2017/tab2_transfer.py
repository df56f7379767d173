"""Table 2 of [moosavi2017]: every perturbation on every network that takes images of its size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from uapkit import lab
from uapkit.figures.panels import models_of, of_a_run, panels
from uapkit.figures.style import style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.moosavi2017.drawing import matrix, published
from uapkit.papers.moosavi2017.setting import Setting, bench_of, facts
from uapkit.papers.moosavi2017.stronger import LABELS, Nulls

OWN, FOREIGN, OTHERS, ON_OTHERS = "own", "foreign", "all others", "its own, on all others"
EQUAL = "equal length"


def run(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits", "vgg_digits"),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 2 of [moosavi2017]: each network attacked by the perturbations of all networks on the same images.

    One row a (source, model): ``source`` is the network that the perturbation was computed for (a row of the paper's
    table), ``model`` the one attacked (a column); kind "own" or "foreign"; fooling_rate, low, high, n on scored images.
    kind "row mean": the mean over all other networks of the perturbation of ``model``, "column mean": the mean over all
    others' perturbations on ``model``, with intervals over the images. Nulls: source
    "random signs" or "random direction", one row a draw; kind "equal length", noise as long in the 2-norm as a foreign
    perturbation, which may not fill its ball. Networks on other images (``data`` by network) make a table of
    their own. Flags as ``fooled/<model>/<source>``, perturbations as ``v/<source>`` in ``attrs["arrays"]``.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps, target_rate, max_passes)
    names = bench.names(models)

    def perturbation(model: str) -> tuple[list[dict], dict]:
        made = setting.fit(model, norm=norm)
        return [facts(made)], {model: made.v.cpu().numpy()}

    made = lab.sweep([{"model": name} for name in names], perturbation, desc="UAP")
    vectors = {name: torch.from_numpy(v) for name, v in made.attrs["arrays"].items()}

    def attacked(model: str) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        bench.network(model)  # NotHere before anything else
        for source, v in vectors.items():
            if setting.same_images(source, model) and tuple(v.shape) == bench.shape(model):
                flags = bench.fooled(model, v.to(device))
                rows.append({"source": source, "kind": OWN if source == model else FOREIGN, **lab.rate(flags)})
                arrays[f"fooled/{model}/{source}"] = flags.cpu().numpy()
                if source != model:
                    noise = setting.random(model, 0, norm)
                    flags = bench.fooled(model, noise * (v.to(noise).norm() / noise.norm()))
                    rows.append({"source": f"noise as long as {source}", "kind": EQUAL, **lab.rate(flags)})
                    arrays[f"fooled/{model}/{EQUAL}/{source}"] = flags.cpu().numpy()
        for k in range(n_random):
            flags = bench.fooled(model, setting.random(model, k, norm))
            rows.append({"source": nulls.kind_of(norm), "kind": "null", "draw": k, **lab.rate(flags)})
            arrays[f"fooled/{model}/null/{k}"] = flags.cpu().numpy()
        return rows, arrays

    cells = lab.sweep([{"model": name} for name in names], attacked, desc="attacked")
    means = pd.DataFrame(means_over_others(cells))
    table = setting.table([cells, means] if len(means) else [cells])
    table["norm"] = norm
    table.attrs["arrays"] |= {f"v/{name}": v.numpy() for name, v in vectors.items()}
    return table


def means_over_others(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the means over the other networks, with Student's interval over the images."""
    arrays, rows = cells.attrs["arrays"], []
    if "kind" not in cells:
        return []
    foreign = lab.rows_of(cells, kind=FOREIGN)
    for kind, column in (("row mean", "source"), ("column mean", "model")):
        for name, part in foreign.groupby(column, sort=False):
            flags = [arrays[f"fooled/{row.model}/{row.source}"] for row in part.itertuples()]
            mean = lab.mean_of(torch.from_numpy(np.mean(flags, axis=0)))
            about = {"model": name, "source": ON_OTHERS if kind == "row mean" else OTHERS, "kind": kind}
            rows.append({**about, "status": "run", **mean.columns("fooling_rate")})
    return rows


def claims(run: Run) -> Iterator[Claim]:
    """Foreign perturbations against random ones on each network, paired; null: one random draw against the others.

    Random signs fill the ball; a perturbation that was stopped early does not. So each foreign one is compared with noise of its
    own length. A run that did not score such noise has random signs only: where every foreign perturbation is shorter than they
    are in the 2-norm by more than a tenth, losing against them refutes nothing, and the interval reaches up to 1.
    """
    if "kind" not in run.table:
        return
    for model, rows in run.by_network():
        foreign = lab.rows_of(rows, kind=FOREIGN)["source"]
        draws = run.all_flags("fooled", model, "null")
        if not len(foreign) or len(draws) < 2:
            continue
        mean = np.mean([run.flags("fooled", model, source) for source in foreign], axis=0)
        equal = run.all_flags("fooled", model, EQUAL)
        gain = lab.paired(mean, np.mean(equal or draws, axis=0))
        lengths = source_lengths(run)
        if not equal and max(lengths[source] for source in foreign) < 0.9 * null_length(run, model):
            gain = replace(gain, high=1.0)
        yield claim(
            "transfers", f"{model}, over random", gain, ">", 0.0, null=lab.paired(draws[0], np.mean(draws[1:], axis=0))
        )


def source_lengths(run: Run) -> dict[str, float]:
    """The 2-norm of each source's perturbation, 0 to 255."""
    vectors = {name.removeprefix("v/"): v for name, v in run.arrays.items() if name.startswith("v/")}
    return {name: 255 * float(np.linalg.norm(v.astype(float))) for name, v in vectors.items()}


def null_length(run: Run, model: str) -> float:
    """The 2-norm of the null on a network, 0 to 255: of random signs, or of a direction, of the sources' radius.

    The radius is the largest entry (norm inf) or the longest (norm 2) of the sources that fit the network, whose projection
    none of them exceeds.
    """
    vectors = [run.flags("v", source) for source in lab.rows_of(run.rows, model=model, kind=[OWN, FOREIGN])["source"]]
    if math.inf in set(run.rows["norm"].astype(float)):
        return 255 * max(float(np.abs(v).max()) for v in vectors) * math.sqrt(vectors[0].size)
    return 255 * max(float(np.linalg.norm(v.astype(float))) for v in vectors)


def by_length(run: Run) -> pd.DataFrame:
    """How far the length of a perturbation alone orders the rates: a row a network attacked.

    sources: foreign perturbations; shortest, longest: their 2-norms, 0 to 255; null: that of the null; rank_correlation: Spearman's
    rho of a foreign perturbation's length with its rate there, NaN for fewer than three.
    """
    lengths, rows = source_lengths(run), []
    for model, part in lab.rows_of(run.rows, kind=FOREIGN).groupby("model", sort=False):
        known = [lengths[source] for source in part["source"]]
        rho = float(spearmanr(known, part["fooling_rate"]).statistic) if len(known) > 2 else math.nan
        about = {"model": model, "sources": len(known), "shortest": min(known), "longest": max(known)}
        rows.append({**about, "null": null_length(run, str(model)), "rank_correlation": rho})
    return pd.DataFrame(rows)


@of_a_run
def figure(run: Run, beside: Nulls | None = None) -> Figure:
    """Rows: the network that a perturbation was computed for; columns: the network attacked; one matrix a set of images.

    The nulls are the lowest rows; the last row and column before them are the means over the other networks. beside: the nulls
    that other items measured in the infinity norm, a row a kind.
    """
    sets = list(dict.fromkeys(run.rows["data"]))
    most = max(len(models_of(run.where(data=name))) for name in sets)
    with style(grid=False):
        drawn, axes = panels(sets, columns=1, height=0.5 * most + 3.0)
        drawn.set_figwidth(min(7.6, max(5.0, most + 2.6)))
        for ax, name in zip(axes, sets, strict=True):
            part = run.where(data=name)
            own = models_of(part)
            random = list(dict.fromkeys(lab.rows_of(part, kind="null")["source"]))
            means = lab.rows_of(part, kind="row mean").set_index("model")["fooling_rate"]
            grid = part[part["kind"] != "row mean"].groupby(["source", "model"])["fooling_rate"].mean().unstack()
            grid = grid.reindex(index=[*own, OTHERS, *random], columns=own)
            for kind, label in LABELS.items():
                rates = {m: n.rate.value for m in own for n in (beside or {}).get((m, math.inf), []) if n.kind == kind}
                if rates:
                    grid.loc[label] = pd.Series(rates)
            grid[OTHERS] = means.reindex(grid.index)
            matrix(ax, grid, low=0, high=1, means=True)
            ax.axhline(len(own) - 0.5, color="white", linewidth=3)
            ax.set(title=f"fooling rate, {name}", xlabel="network attacked", ylabel="computed for")
    return drawn


def published_matrix(reported: pd.DataFrame) -> pd.DataFrame:
    """The published table: rows the network that a perturbation was computed for, columns the one attacked."""
    cells = [
        {"computed for": place["source"], "model": place["model"], "rate": float(value)}
        for _, place, value in published(reported)
    ]
    table = pd.DataFrame(cells)
    names = list(dict.fromkeys(table["computed for"]))
    return table.pivot(index="computed for", columns="model", values="rate").loc[names, names].reset_index()
