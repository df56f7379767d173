"""Table 1 of [moosavi2017]: fooling rates in the 2-norm and the infinity norm, on X and on other images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.levels import look_of_null
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, beside, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.papers.moosavi2017.drawing import published, published_rates
from uapkit.papers.moosavi2017.ext_stall import END, SPHERE
from uapkit.papers.moosavi2017.setting import (
    BLOCKED,
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

EQUAL = "equal length"
SERIES = (  # kind, images it is scored on, how the figure calls it
    (UAP, "held out", "UAP, other images"),
    (UAP, "X", "UAP, on X"),
    (BLOCKED, "held out", "UAP, blocked, other images"),
    (BLOCKED, "X", "UAP, blocked, on X"),
    (nulls.RANDOM_SIGNS, "held out", "random, of norm eps"),
    (EQUAL, "held out", "random, same 2-norm as UAP"),
)


def run(
    *,
    models: Sequence[Any] = ("lenet_digits", "vgg_digits"),
    norms: PerNetwork = (2.0, math.inf),
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 48,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    block: int = 8,
    blocked: Sequence[str] = ("lenet_digits",),
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 1 of [moosavi2017]: fooling rates in the 2-norm and the infinity norm, on X and on other images.

    One row a (model, norm, kind, scored_on): kind "UAP" (Algorithm 1 in the paper's order), on the networks in
    ``blocked`` also "UAP, blocked" (``block`` images a step, norm inf only), and the null of norm eps, one row a draw;
    "equal length" is a null as long in the 2-norm as the perturbation itself, which may not fill its ball. scored_on "X"
    (data then reads "X (n train)") or "held out": fooling_rate, low, high, n. eps: radius, 0 to 255; l2_norm and
    linf_norm what the perturbation has of it. end: "reached" (``target_rate`` on X), "stalled" or "pass limit", after
    ``passes``; steps: images that moved v; failures: those where DeepFool reached no other label. Flags of the scored
    images as ``fooled/<model>/<norm>/<kind>`` in ``attrs["arrays"]``, rates pass by pass (on X, on the first scored
    images) as ``passes/<model>/<norm>/<kind>``. data, n_fit (images set apart), n_images (those of them in X),
    n_eval, max_passes: for all networks or by network.
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, n_images, eps, target_rate, max_passes)

    def attacked(model: str, norm: float, kind: str) -> tuple[list[dict], dict]:
        made = setting.fit(model, norm=norm, block=1 if kind == UAP else block)
        about = {"eps": 255 * made.eps, **facts(made)}
        on_x, flags = setting.fooled_x(model, made.v), bench.fooled(model, made.v)
        rows = [
            {"scored_on": "X", "data": f"X ({len(on_x)} train)", **about, **lab.rate(on_x)},
            {"scored_on": "held out", **about, **lab.rate(flags)},
        ]
        if kind == UAP:
            noise = setting.random(model, 0, norm)
            noise = noise * (made.v.double().norm() / noise.double().norm()).to(noise)
            sizes = {"l2_norm": about["l2_norm"], "linf_norm": 255 * float(noise.abs().max())}
            rows.append({"kind": EQUAL, "scored_on": "held out", **sizes, **lab.rate(bench.fooled(model, noise))})
        name = f"{model}/{norm:g}/{kind}"
        return rows, {f"fooled/{name}": flags.cpu().numpy(), f"passes/{name}": curve(made)}

    def null(model: str, norm: float) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        for k in range(n_random):
            flags = bench.fooled(model, setting.random(model, k, norm))
            about = {"kind": nulls.kind_of(norm), "scored_on": "held out", "draw": k}
            rows.append({**about, "eps": 255 * setting.radius(model, norm), **lab.rate(flags)})
            arrays[f"fooled/{model}/{norm:g}/null/{k}"] = flags.cpu().numpy()
        return rows, arrays

    parts = []
    for model in bench.names(models):
        own = for_network(norms, model, "norms")
        kinds = [(norm, UAP) for norm in own] + ([(math.inf, BLOCKED)] if model in blocked else [])
        attacks = [{"model": model, "norm": norm, "kind": kind} for norm, kind in kinds]
        parts.append(lab.sweep(attacks, attacked, desc=f"{model}: UAP"))
        parts.append(lab.sweep([{"model": model, "norm": norm} for norm in own], null, desc=f"{model}: null"))
    return setting.table(parts)


def claims(run: Run, stall: Run | None = None, patterns: Run | None = None) -> Iterator[Claim]:
    """Rates against 77 %, the gap between X and other images, and the blocked variant against the paper's order.

    The paper's X has 10,000 images. A smaller X gives a lower rate on other images (Figure 6), so where X is smaller, the
    rate here bounds the paper's from below only; so does that of a run that ended at its limit of passes. The interval of
    such a rate reaches up to 1, and can confirm but not refute. In
    the same way a smaller X is fitted more closely: there the gap bounds the paper's from above only, and its interval reaches down
    to -1. "Nearly equal" is less than 5 points (the paper's largest gap is 2.4); of a vector that fools no more than its
    null the gap says nothing. The null is noise of the norm, or one of
    :func:`uapkit.papers.moosavi2017.stronger.stronger` that fools more.
    """
    more = stronger(run, stall, patterns)
    for model, rows in run.by_network():
        attacks = lab.rows_of(rows, kind=[UAP, BLOCKED])
        for (norm, kind), part in attacks.groupby(["norm", "kind"], sort=False):
            on_x, held = (lab.from_row(lab.rows_of(part, scored_on=where).iloc[0]) for where in ("X", "held out"))
            about = f"{model}, norm {norm:g}, {kind}, {on_x.n} images in X"
            if kind == UAP:
                ended = on_x.n >= 10_000 and (part["end"] != PASS_LIMIT).all()
                bounded = Interval(held.value, held.n, held.low, held.high if ended else 1.0)
                noise = nulls.kind_of(norm)
                random = noise, mean_of_draws(lab.rows_of(rows, norm=norm, kind=noise))
                strongest = beside.strongest(random, *((one.name, one.rate) for one in more.get((model, norm), ())))
                yield claim("above_77_percent", about, bounded, ">", 0.77, null=strongest)
                between = gap(on_x, held)
                if held.low <= strongest.high:
                    between = replace(between, low=math.nan, high=math.nan)
                elif on_x.n < 10_000:
                    between = replace(between, low=-1.0)
                yield claim("no_overfitting", about, between, "<", 0.05)
            else:
                fooled = [run.flags("fooled", model, f"{norm:g}", k) for k in (BLOCKED, UAP)]
                yield claim("blocked_fools_more", about, lab.paired(*fooled), ">", 0.0)


def gap(a: Interval, b: Interval) -> Interval:
    """Difference of two rates on different images; Newcombe's interval from the two Wilson intervals."""
    difference = a.value - b.value
    down = math.hypot(a.value - a.low, b.high - b.value)
    up = math.hypot(a.high - a.value, b.value - b.low)
    return Interval(difference, b.n, difference - down, difference + up)


def beyond(run: Run, stall: Run | None) -> pd.DataFrame:
    """Each vector's rate on other images beside noise with its spectrum, see :func:`uapkit.lab.beside.compared`."""
    rated = []
    for r in run.where(kind=[UAP, BLOCKED], scored_on="held out").to_dict("records"):
        about = {"model": r["model"], "norm": r["norm"], "kind": r["kind"]}
        rated.append((about, run.flags("fooled", r["model"], f"{r['norm']:g}", r["kind"])))
    return against_noise(run, stall, rated)


@of_a_run
def figure(run: Run, reported: pd.DataFrame | None = None, beside: Nulls | None = None) -> Figure:
    """Fooling rates of each network with 95 % intervals, a panel a norm: on X, on other images, blocked, and the null.

    reported: rows of the published table; where the network is the same a star marks its rate on other images. beside: the
    nulls that other items measured.
    """
    norms = sorted(set(run.rows["norm"]))
    theirs = {} if reported is None else published_rates(reported)
    with style():
        drawn, axes = panels(norms, columns=1, height=(0.6 if beside else 0.45) * run.rows["model"].nunique() + 1.6)
        drawn.set_figwidth(7)
        for ax, norm in zip(axes, norms, strict=True):
            part = run.where(norm=norm)
            models = models_of(part)
            others = [] if beside is None else list(LABELS.items())
            step, middle_place = 0.98 / (len(SERIES) + len(others) + 1), (len(SERIES) + len(others) - 1) / 2
            for place, (kind, where, label) in enumerate(SERIES):
                drawn_kind = random_rows(part) if kind == nulls.RANDOM_SIGNS else lab.rows_of(part, kind=kind)
                rows = lab.rows_of(drawn_kind, scored_on=where)
                if rows.empty:
                    continue
                middle, shown = rows["fooling_rate"], look(kind)
                ax.errorbar(
                    middle,
                    [models.index(m) + step * (place - middle_place) for m in rows["model"]],
                    xerr=[(middle - rows["low"]).clip(lower=0), (rows["high"] - middle).clip(lower=0)],
                    linestyle="none",
                    capsize=2,
                    color=shown.colour,
                    marker=shown.marker,
                    markersize=4,
                    markerfacecolor="white" if where == "X" else shown.colour,
                    label=label,
                )
            for place, (kind, label) in enumerate(others, len(SERIES)):
                for model in models:
                    for null in [n for n in (beside or {}).get((model, norm), []) if n.kind == kind]:
                        rate, shown = null.rate, look_of_null(kind)
                        ax.errorbar(
                            [rate.value],
                            [models.index(model) + step * (place - middle_place)],
                            xerr=[[rate.value - rate.low], [rate.high - rate.value]],
                            linestyle="none",
                            capsize=2,
                            color=shown.colour,
                            marker=shown.marker,
                            markersize=4,
                            label=label,
                        )
            for model in [m for m in models if (m, norm) in theirs]:
                shown = look("published")
                at = theirs[model, norm], models.index(model)
                ax.plot(*at, shown.marker, color=shown.colour, markersize=9, label="published, other images")
            ax.set(xlim=(0, 1), xlabel="fooling rate", title=f"norm {norm:g}")
            ax.set_yticks(range(len(models)), [short(m) for m in models])
            ax.invert_yaxis()
        legend(drawn, axes, columns=2)
    return drawn


def ball_and_sphere(stall: Run) -> pd.DataFrame:
    """The ball and the sphere side by side, on the same images: each network and norm that a run of ``ext_stall`` has both of.

    Both are fitted on the same X. ``gain``: what the sphere adds, paired; ``ball_visits``, ``sphere_visits``: what each cost.
    """
    rows = []
    for r in stall.where(kind=SPHERE, row=END).to_dict("records"):
        model, norm, n = r["model"], float(r["norm"]), int(r["n_images"])
        ball = stall.where(model=model, norm=norm, kind=UAP, row=END, n_images=n)
        if ball.empty:
            continue
        flags = [stall.flags("fooled", model, f"{norm:g}", kind, n) for kind in (SPHERE, UAP)]
        rates = {"ball": lab.from_row(ball.iloc[0]), "sphere": lab.from_row(r), "gain": lab.paired(*flags)}
        about: dict[str, Any] = {"model": model, "norm": norm}
        for name, one in rates.items():
            about |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
        about |= {"n_images": n, "ball_visits": ball.iloc[0]["visits"], "sphere_visits": r["visits"], "n": int(r["n"])}
        rows.append(about)
    return pd.DataFrame(rows)


def beside_published(run: Run, reported: pd.DataFrame, model: str = "bvlc_googlenet") -> pd.DataFrame:
    """Our rates on other images beside the published ones of the same network."""
    ours = run.where(model=model, kind=UAP, scored_on="held out")
    theirs = published_rates(reported)
    rows = ours[["model", "norm", "n_fit", "fooling_rate", "low", "high", "n"]].copy()
    rows.insert(2, "published", [theirs.get((model, norm), math.nan) for norm in rows["norm"]])
    return rows


def published_table(reported: pd.DataFrame) -> pd.DataFrame:
    """The published fooling rates as they are printed: a row a norm and set of images, a column a network."""
    cells = [
        {
            "norm": place["norm"],
            "scored on": "validation set" if place["data"] == "imagenet" else "X",
            "model": place["model"],
            "rate": float(value),
        }
        for metric, place, value in published(reported)
        if metric == "fooling_rate"
    ]
    table = pd.DataFrame(cells)
    wide = table.pivot(index=["norm", "scored on"], columns="model", values="rate")
    return wide[list(dict.fromkeys(table["model"]))].sort_index(ascending=[True, False]).reset_index()
