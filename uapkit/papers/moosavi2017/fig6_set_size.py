"""Figure 6 of [moosavi2017]: fooling rate on other images against the number of images in X."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from uapkit import lab
from uapkit.figures.levels import level
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.style import look, look_of_place, short, style, with_intervals
from uapkit.lab import Claim, Run, beside, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.papers.moosavi2017.setting import (
    PASS_LIMIT,
    UAP,
    Setting,
    bench_of,
    curve,
    facts,
    mean_of_draws,
    random_rows,
)
from uapkit.papers.moosavi2017.stronger import LABELS, Nulls, against_noise, stronger

START = 500  # images in the smallest X of the paper's figure


def run(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    sizes: PerNetwork = (8, 32, 128),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    more_data: str = "imagenet",
    n_fit: PerNetwork = 128,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: int = 5,
    max_visits: PerNetwork = 128,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 6 of [moosavi2017]: fooling rate on other images against the number of images in X.

    One row a (model, kind, n_images): kind "UAP", X the first n_images of those set apart; fooling_rate, low, high, n on
    the scored images, rate_on_fit, end, passes, steps. max_visits (for all or by network): an image counts each time that
    a pass comes to it; a run has as many passes as keep to it, one at least, ``max_passes`` at most, and fewer if
    ``target_rate`` is reached. So equal ``max_visits`` compares sizes at about equal cost. sizes: for all or by network;
    those above n_fit are taken from the training split of ``more_data`` and scored on its other split, and are "not run
    here" where that set is missing. Null: random signs or directions, one row a draw. Flags as ``fooled/<model>/<n_images>``,
    rates pass by pass (on X, on the first scored images) as ``passes/<model>/<n_images>``.
    """
    usual = Setting(bench_of(data, n_fit, n_eval, seed, device), None, eps, target_rate, max_passes)
    names = usual.bench.names(models)

    def size(model: str, n_images: int) -> tuple[list[dict], dict]:
        setting = usual
        if n_images > for_network(n_fit, model, "n_fit"):
            setting = Setting(bench_of(more_data, n_images, n_eval, seed, device), None, eps, target_rate, max_passes)
            setting.bench.names(models)
        passes = min(max_passes, max(1, for_network(max_visits, model, "max_visits") // n_images))
        made = setting.fit(model, norm=norm, n=n_images, max_passes=passes)
        flags = setting.bench.fooled(model, made.v)
        row = {
            "kind": UAP,
            "data": setting.bench.setting(model, "data"),
            "eps": 255 * made.eps,
            **facts(made),
            "rate_on_fit": float(setting.fooled_x(model, made.v, n_images).float().mean()),
            **lab.rate(flags),
        }
        return [row], {f"fooled/{model}/{n_images}": flags.cpu().numpy(), f"passes/{model}/{n_images}": curve(made)}

    def null(model: str) -> tuple[list[dict], dict]:
        flags = [usual.bench.fooled(model, usual.random(model, k, norm)) for k in range(n_random)]
        rows = [{"kind": nulls.kind_of(norm), "draw": k, **lab.rate(f)} for k, f in enumerate(flags)]
        return rows, {f"fooled/{model}/null/{k}": f.cpu().numpy() for k, f in enumerate(flags)}

    parts = []
    for model in names:
        points = [{"model": model, "n_images": n} for n in for_network(sizes, model, "sizes")]
        parts.append(lab.sweep(points, size, desc=f"{model}: sizes"))
        parts.append(lab.sweep([{"model": model}], null, desc=f"{model}: null"))
    return usual.table(parts)


def claims(run: Run, stall: Run | None = None, patterns: Run | None = None) -> Iterator[Claim]:
    """500 images against 30 %, beside the strongest null; and the largest X against the smallest, same images.

    The null is noise of the run's norm, or one of :func:`uapkit.papers.moosavi2017.stronger.stronger` that fools more.
    Only sizes from 500 on are compared, where the paper's figure starts; smaller ones are shown, and
    compared only in a run that has no other.
    A run that ended at its limit of passes bounds its rate from below only: its interval reaches up to 1.
    """
    norm = norm_of(run)
    more = stronger(run, stall, patterns, norms=[norm])
    for model, rows in run.by_network():
        attack = lab.rows_of(rows, kind=UAP).set_index("n_images")
        random = nulls.kind_of(norm), mean_of_draws(random_rows(rows))
        if 500 in attack.index:
            found = lab.from_row(attack.loc[500])
            if attack.loc[500, "end"] == PASS_LIMIT:
                found = replace(found, high=1.0)
            strongest = beside.strongest(random, *((one.name, one.rate) for one in more.get((model, norm), ())))
            yield claim("500_images_fool_30_percent", model, found, ">", 0.3, null=strongest)
        same = attack[attack["data"] == attack["data"].iloc[0]] if len(attack) else attack
        if len(same) and same.index.max() >= START:
            same = same[same.index >= START]
        if len(same) > 1:
            most, least = int(same.index.max()), int(same.index.min())
            change = lab.paired(run.flags("fooled", model, most), run.flags("fooled", model, least))
            yield claim("rises_with_size", f"{model}, {most} against {least} images", change, ">", 0.0)


def norm_of(run: Run) -> float:
    """The norm of the run's vectors; a run says so in its parameters."""
    return float(run.provenance.get("params", {}).get("norm", math.inf))


def beyond(run: Run, stall: Run | None) -> pd.DataFrame:
    """The vector of each size of X beside noise with the spectrum of one, see :func:`uapkit.lab.beside.compared`."""
    rated = []
    for r in run.where(kind=UAP).to_dict("records"):
        about = {"model": r["model"], "n_images": int(r["n_images"])}
        rated.append((about, run.flags("fooled", r["model"], about["n_images"])))
    return against_noise(run, stall, rated, norm_of(run))


@of_a_run
def figure(run: Run, published: Mapping[str, float] | None = None, beside: Nulls | None = None) -> Figure:
    """Fooling rate against the number of images in X, a panel a network; the null as a band.

    published: rates at 10,000 images by network, marked by a star. beside: the nulls that other items measured, lines across.
    """
    theirs, models = published or {}, models_of(run.rows)
    shown, star = look(UAP), look("published")
    with style():
        drawn, axes = panels(models, height=3.0)
        for ax, model in zip(axes, models, strict=False):
            rows = run.where(model=model)
            attack, random = lab.rows_of(rows, kind=UAP).sort_values("n_images"), random_rows(rows)
            with_intervals(ax, list(attack["n_images"]), attack, "fooling_rate", shown, "other images")
            ax.plot(
                attack["n_images"],
                attack["rate_on_fit"],
                "--",
                color=shown.colour,
                marker=shown.marker,
                markerfacecolor="white",
                label="on X",
            )
            if len(random):
                colour = look(nulls.RANDOM_SIGNS).colour
                ax.axhspan(
                    random["low"].min(), random["high"].max(), color=colour, alpha=0.35, label="random, same norm"
                )
            for null in (beside or {}).get((model, norm_of(run)), []):
                level(ax, null.rate, null.kind, LABELS[null.kind])
            ticks = list(attack["n_images"])
            if model in theirs:
                at = 10_000, theirs[model]
                ax.plot(*at, star.marker, color=star.colour, markersize=9, label="published, 10,000 images")
                ticks.append(10_000)
            ax.set(xscale="log", ylim=(0, 1), title=short(model), xlabel="images in X", ylabel="fooling rate")
            ax.set_xticks(ticks, [f"{t:g}" for t in ticks], rotation=45)
            ax.minorticks_off()
        legend(drawn, axes, columns=2)
    return drawn


def passes(run: Run) -> Figure | None:
    """Fooling rate pass by pass, on X (dashed) and on other images, a panel a network, a colour a size of X.

    Runs of a single pass are no curve; None where there are no others.
    """
    curves: dict[str, dict[str, Any]] = {}
    for name, rates in run.arrays.items():
        if name.startswith("passes/") and rates.shape[1] > 1:
            _, model, n = name.split("/")
            curves.setdefault(model, {})[n] = rates
    if not curves:
        return None
    with style():
        drawn, axes = panels(list(curves), height=3.0)
        for ax, (model, by_size) in zip(axes, curves.items(), strict=False):
            for place, (n, rates) in enumerate(by_size.items()):
                number, shown = range(1, rates.shape[1] + 1), look_of_place(place)
                about: dict[str, Any] = {"color": shown.colour, "marker": shown.marker}
                ax.plot(number, rates[1], label=f"{n} images in X, other images", **about)
                ax.plot(number, rates[0], "--", markerfacecolor="white", label=f"{n} images in X, on X", **about)
            ax.set(title=short(model), ylim=(0, 1), xlabel="pass", ylabel="fooling rate")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(drawn, axes, columns=2)
    return drawn
