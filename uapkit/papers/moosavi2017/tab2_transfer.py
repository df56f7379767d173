"""Table 2 of [moosavi2017]: every perturbation on every network that takes images of its size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor

from uapkit import lab
from uapkit.attacks import Perturbation
from uapkit.figures.panels import models_of, of_a_run, panels
from uapkit.figures.style import style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.moosavi2017.drawing import matrix, published
from uapkit.papers.moosavi2017.ext_stall import amplified
from uapkit.papers.moosavi2017.setting import PHASES, Setting, bench_of, facts, rephased
from uapkit.papers.moosavi2017.stronger import LABELS, Nulls
from uapkit.seeds import child_seed

OWN, FOREIGN, OTHERS, ON_OTHERS = "own", "foreign", "all others", "its own, on all others"
EQUAL, LIKE_OTHERS = "equal length", "noise with their spectra"
FULL, FULL_OWN = "foreign, full length", "own, full length"
OWN_PHASES, LIKE_OWN = "random phase", "noise with its own spectrum"
DRAWS = 3  # of noise with the spectrum of one perturbation


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
    kinds "own, full length" and "foreign, full length", ours: the same direction filling its ball (signs of size eps in the
    infinity norm), so that all sources are as long as random signs.
    kind "row mean": the mean over all other networks of the perturbation of ``model``, "column mean": the mean over all
    others' perturbations on ``model``, with intervals over the images. Nulls: source
    "random signs" or "random direction", one row a draw; kind "equal length", noise as long in the 2-norm as a foreign
    perturbation, which may not fill its ball; kinds "random phases" and "random phase", three draws of a foreign and of the
    network's own one with new phases (:func:`uapkit.papers.moosavi2017.setting.rephased`) that fill the ball, too. Networks on
    other images (``data`` by network) make a table of their own. Flags as ``fooled/<model>/<source>``, with the kind before the
    source for all but plain ones and the draw after it for phases, perturbations as ``v/<source>`` in ``attrs["arrays"]``.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps, target_rate, max_passes)
    names = bench.names(models)

    fits: dict[str, Perturbation] = {}

    def perturbation(model: str) -> list[dict]:
        fits[model] = setting.fit(model, norm=norm)
        return [facts(fits[model])]

    lab.sweep([{"model": name} for name in names], perturbation, desc="UAP")

    def attacked(model: str) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        bench.network(model)  # NotHere before anything else

        def score(v: Tensor, source: str, kind: str, place: str, **about: Any) -> None:
            flags = bench.fooled(model, v.to(device))
            rows.append({"source": source, "kind": kind, **about, **lab.rate(flags)})
            arrays[f"fooled/{model}/{place}"] = flags.cpu().numpy()

        for source, made in fits.items():
            if not setting.same_images(source, model) or tuple(made.v.shape) != bench.shape(model):
                continue
            own = source == model
            score(made.v, source, OWN if own else FOREIGN, source)
            full = FULL_OWN if own else FULL
            score(amplified(made, math.inf), source, full, f"{full}/{source}")
            kind = OWN_PHASES if own else PHASES
            for draw in range(DRAWS):
                phases = rephased(made.v, child_seed(seed, f"phases of {source}") + draw)
                noise = amplified(replace(made, v=phases), math.inf)
                score(noise, f"noise like {source}", kind, f"{kind}/{source}/{draw}", draw=draw)
            if own:
                continue
            noise = setting.random(model, 0, norm)
            noise = noise * (made.v.to(noise).norm() / noise.norm())
            score(noise, f"noise as long as {source}", EQUAL, f"{EQUAL}/{source}")
        for k in range(n_random):
            score(setting.random(model, k, norm), nulls.kind_of(norm), "null", f"null/{k}", draw=k)
        return rows, arrays

    cells = lab.sweep([{"model": name} for name in names], attacked, desc="attacked")
    means = pd.DataFrame(means_over_others(cells))
    table = setting.table([cells, means] if len(means) else [cells])
    table["norm"] = norm
    table.attrs["arrays"] |= {f"v/{name}": made.v.cpu().numpy() for name, made in fits.items()}
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
    own length. "transfers_at_full_length": the foreign ones filling their ball against random signs, which fill it, too.
    "transfers_beyond_spectrum": the same against noise with their spectra; "own_beyond_spectrum": the network's own
    against noise with its spectrum. Null of these: the draw of the noise that fools most, against the others. A run that did not
    score noise of equal length has random signs only: where every foreign perturbation is shorter than they
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
        gain = lab.paired(mean, np.mean(equal, axis=0) if equal else draws)
        lengths = source_lengths(run)
        if not equal and max(lengths[source] for source in foreign) < 0.9 * null_length(run, model):
            gain = replace(gain, high=1.0)
        yield claim(
            "transfers", f"{model}, over random", gain, ">", 0.0, null=lab.paired(draws[0], np.mean(draws[1:], axis=0))
        )
        full, own = (run.all_flags("fooled", model, kind) for kind in (FULL, FULL_OWN))
        compared = [
            ("transfers_at_full_length", "random", full, draws),
            ("transfers_beyond_spectrum", "its spectrum", full, by_draw(run, model, PHASES, foreign)),
            ("own_beyond_spectrum", "its spectrum", own, by_draw(run, model, OWN_PHASES, [model])),
        ]
        for name, words, ours, noise in compared:
            if ours and noise:
                beyond = lab.paired(np.mean(ours, axis=0), noise)
                yield claim(name, f"{model}, over {words}", beyond, ">", 0.0, null=best_draw(noise), absence=True)


def by_draw(run: Run, model: str, kind: str, sources: Sequence[str]) -> list[np.ndarray]:
    """Of each draw of noise like the sources the (n,) share of the sources with which it fools an image."""
    drawn = [run.all_flags("fooled", model, kind, source) for source in sources]
    return [np.mean(one, axis=0) for one in zip(*drawn, strict=True)]


def best_draw(draws: Sequence[np.ndarray]) -> Interval:
    """What the draw that fools most has over the mean of the others: these draws, so the interval is over the images alone."""
    gains = [lab.paired(one, np.mean([*draws[:k], *draws[k + 1 :]], axis=0)) for k, one in enumerate(draws)]
    return max(gains, key=lambda gain: gain.value)


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
    grids = {}
    for name in dict.fromkeys(run.rows["data"]):
        part = run.where(data=name)
        own, grid = models_of(part), rates_of(part, [OWN, FOREIGN, "column mean", "null"])
        for kind, label in LABELS.items():
            rates = {m: n.rate.value for m in own for n in (beside or {}).get((m, math.inf), []) if n.kind == kind}
            if rates:
                grid.loc[label] = pd.Series(rates)
        means = lab.rows_of(part, kind="row mean").set_index("model")["fooling_rate"]
        grid[OTHERS] = means.reindex(grid.index)
        grids[f"fooling rate, {name}"] = grid
    return matrices(grids, means=True)


def matrices(grids: Mapping[str, pd.DataFrame], *, means: bool = False) -> Figure:
    """A matrix for each title, the lowest rows set apart. With ``means`` the last column is set apart, too."""
    most = max(len(grid.columns) for grid in grids.values())
    with style(grid=False):
        drawn, axes = panels(list(grids), columns=1, height=0.5 * most + 2.5)
        drawn.set_figwidth(min(7.6, max(5.0, most + 1.6)))
        for ax, (title, grid) in zip(axes, grids.items(), strict=True):
            matrix(ax, grid, low=0, high=1, means=means)
            ax.axhline(len(grid.columns) - means - 0.5, color="white", linewidth=3)
            ax.set(title=title, xlabel="network attacked", ylabel="computed for")
    return drawn


@of_a_run
def at_full_length(run: Run) -> Figure:
    """As :func:`figure`, with every perturbation at full length. Lowest rows: noise as long, with their spectra and white."""
    grids = {}
    for name in dict.fromkeys(lab.rows_of(run.rows, kind=FULL)["data"]):
        part = run.where(data=name)
        grid = rates_of(part, [FULL_OWN, FULL, "null"], lowest=[LIKE_OWN, OTHERS, LIKE_OTHERS])
        for row, kind in ((LIKE_OWN, OWN_PHASES), (OTHERS, FULL), (LIKE_OTHERS, PHASES)):
            grid.loc[row] = lab.rows_of(part, kind=kind).groupby("model")["fooling_rate"].mean()
        grids[f"fooling rate at full length, {name}"] = grid
    return matrices(grids)


def rates_of(rows: pd.DataFrame, kinds: Sequence[str], lowest: Sequence[str] = (OTHERS,)) -> pd.DataFrame:
    """Mean fooling rates of the rows of these kinds, networks attacked across; sources down, then ``lowest``, then the nulls."""
    rates = lab.rows_of(rows, kind=kinds).groupby(["source", "model"])["fooling_rate"].mean().unstack()
    own, random = models_of(rows), dict.fromkeys(lab.rows_of(rows, kind="null")["source"])
    return rates.reindex(index=[*own, *lowest, *random], columns=own)


def published_matrix(reported: pd.DataFrame) -> pd.DataFrame:
    """The published table: rows the network that a perturbation was computed for, columns the one attacked."""
    cells = [
        {"computed for": place["source"], "model": place["model"], "rate": float(value)}
        for _, place, value in published(reported)
    ]
    table = pd.DataFrame(cells)
    names = list(dict.fromkeys(table["computed for"]))
    return table.pivot(index="computed for", columns="model", values="rate").loc[names, names].reset_index()
