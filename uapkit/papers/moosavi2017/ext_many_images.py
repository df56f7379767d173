"""How far Algorithm 1 of [moosavi2017] gets with many photographs of another kind, whose labels nobody needs; ours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.attacks import Perturbation
from uapkit.data.images import Images
from uapkit.figures.levels import level
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style, with_intervals
from uapkit.lab import Claim, Run, beside, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.papers.moosavi2017.ext_stall import AMPLIFIED, COURSE, END, EQUAL, VIEWS, amplified, courses, fitted
from uapkit.papers.moosavi2017.setting import PASS_LIMIT, PHASES, UAP, Setting, bench_of, mean_of_draws, rephased
from uapkit.papers.moosavi2017.stronger import LABELS, Nulls, stronger
from uapkit.seeds import child_seed

RECIPES = (UAP, VIEWS)


def run(
    *,
    models: Sequence[Any] = ("lenet_digits",),
    recipes: PerNetwork = (UAP,),
    norms: PerNetwork = (math.inf,),
    sizes: PerNetwork = (6, 24, 96),
    x_data: PerNetwork = None,
    data: PerNetwork = "digits",
    n_eval: PerNetwork = 200,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 3,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Algorithm 1 of [moosavi2017] on the first images of each of ``sizes`` from a set that is not scored; ours.

    x_data: the set that X comes from (for all or by network), whose labels play no part; None or the scored set itself: images of
    ``data`` that are not scored. Every larger X holds the smaller ones. kind "UAP": as printed; "UAP, new views", on the largest
    X alone: each pass meets each image in a random crop, flipped half of the time.

    One row a (model, norm, kind, n_images, row): row "pass" after each pass, "end" the last of them, "amplified" that v at full
    length (signs of size eps, or scaled to the radius); fooling_rate, low, high, n on the ``n_eval`` scored ones (None: the rest),
    rate_on_fit, visits, mean_step and l2_norm as in :func:`uapkit.papers.moosavi2017.ext_stall.run`. Nulls, one row a draw:
    random signs or directions of the full radius, "equal length", as long as the largest X's "UAP", and "random phases",
    noise with the spectrum of that vector at full length. Flags as ``fooled/<model>/<norm>/<kind>/<n_images>``, with
    ``/full`` of amplified ones; ends as ``v/...``.
    """
    apart: dict[str, bool] = {}  # does X come from another set than the scored images?
    for model in models:
        name = getattr(model, "name", model)
        apart[name] = for_network(x_data, name, "x_data") not in (None, for_network(data, name, "data"))
    most = {name: max(for_network(sizes, name, "sizes")) for name in apart}
    n_fit = {name: 1 if other else most[name] for name, other in apart.items()}  # a bench sets one image apart at least
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, None, eps, target_rate)
    bench.names(models)

    found: dict[str, Images] = {}  # X of the network under way: photographs take long to decode
    largest: dict[tuple[str, float], Perturbation] = {}  # "UAP" on the largest X

    def x_of(model: str, n: int) -> Images:
        if not apart[model]:
            return bench.split(model).fit[:n]
        if model not in found:
            found.clear()
            other = bench_of(for_network(x_data, model, "x_data"), most[model], 1, seed, device)
            other.names([own] if (own := bench.own(model)) else [model])
            found[model] = other.split(model).fit
        return found[model][:n]

    def ended(model: str, norm: float, kind: str, n_images: int) -> tuple[list[dict], dict]:
        x, passes = x_of(model, n_images), for_network(max_passes, model, "max_passes")
        radius = setting.radius(model, norm)
        made = fitted(bench, model, x, kind, norm=norm, eps=radius, passes=passes, target=target_rate)
        about = {"eps": 255 * made.eps, "end": made.made_by["end"]}
        rows = [
            {"row": COURSE, "visits": len(x) * c["pass"], **about, **c}
            for c in courses(made, bench.split(model).scored)
        ]
        name, full = f"{model}/{norm:g}/{kind}/{n_images}", amplified(made, math.inf)
        if kind == UAP and n_images == most[model]:
            largest[model, norm] = made
        flags, longer = bench.fooled(model, made.v), bench.fooled(model, full)
        rows.append({**rows[-1], "row": END, **lab.rate(flags)})
        length = 255 * float(full.double().norm())
        rows.append({"row": AMPLIFIED, "l2_norm": length, **about, **lab.rate(longer)})
        fooled = {f"fooled/{name}": flags.cpu().numpy(), f"fooled/{name}/full": longer.cpu().numpy()}
        return rows, {**fooled, f"v/{name}": made.v.float().cpu().numpy()}

    def null(model: str, norm: float) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        for draw in range(n_random):
            v = setting.random(model, draw, norm)
            noise = [(nulls.kind_of(norm), v)]
            if made := largest.get((model, norm)):
                same = rephased(made.v, child_seed(seed, f"phases {draw}"))
                noise.append((EQUAL, v * (made.size(2) / v.double().norm()).to(v)))
                noise.append((PHASES, amplified(replace(made, v=same), math.inf)))
            for kind, w in noise:
                flags = bench.fooled(model, w)
                length = 255 * float(w.double().norm())
                rows.append({"kind": kind, "row": END, "draw": draw, "l2_norm": length, **lab.rate(flags)})
                arrays[f"fooled/{model}/{norm:g}/{kind}/{draw}"] = flags.cpu().numpy()
        return rows, arrays

    parts = []
    for model in most:
        for norm in for_network(norms, model, "norms"):
            about = {"model": model, "norm": norm}
            counts = sorted(for_network(sizes, model, "sizes"))
            points = [{**about, "kind": UAP, "n_images": n} for n in counts]
            if VIEWS in for_network(recipes, model, "recipes"):
                points.append({**about, "kind": VIEWS, "n_images": counts[-1]})
            parts.append(lab.sweep(points, ended, desc=f"{model}, norm {norm:g}"))
            parts.append(lab.sweep([about], null, desc=f"{model}, norm {norm:g}: null"))
    table = bench.told(lab.joined(parts))
    table["x"] = [
        for_network(x_data, model, "x_data") or on for model, on in zip(table["model"], table["data"], strict=True)
    ]
    return table


def claims(run: Run, patterns: Run | None = None) -> Iterator[Claim]:
    """Of the largest X: does it fool more than the smallest, and than each null?

    "more_images_fool_more": largest against smallest X, paired. "fools_more_than_noise": the vector as it came out against random
    noise of the full radius. "direction_beats_its_spectrum": at full length against noise with its spectrum. The nulls are means
    over their draws. "beats_every_null": its rate at full length beside the strongest null that needs no gradient, the best pattern
    of ``patterns`` among them, whose photographs are not cropped. A run that ended at its limit of passes bounds its rate from
    below only: against noise and every null its interval reaches up to 1.
    """
    for (model, norm), rows in run.rows.groupby(["model", "norm"], sort=False):
        sizes = sorted(lab.rows_of(rows, kind=UAP, row=END)["n_images"].astype(int))
        if not sizes:
            continue
        at, kind = f"{norm:g}", nulls.kind_of(float(norm))
        about = f"{model}, norm {norm:g}, {sizes[-1]} images"
        v = run.flags("fooled", model, at, UAP, sizes[-1])
        full = run.flags("fooled", model, at, UAP, sizes[-1], "full")
        random, phases = (run.all_flags("fooled", model, at, one) for one in (kind, PHASES))
        if len(sizes) > 1:
            more = lab.paired(v, run.flags("fooled", model, at, UAP, sizes[0]))
            yield claim("more_images_fool_more", f"{about} against {sizes[0]}", more, ">", 0.0)
        last = lab.rows_of(rows, kind=UAP, row=AMPLIFIED, n_images=sizes[-1]).iloc[0]
        gain, rate = lab.paired(v, random), lab.from_row(last)
        if last["end"] == PASS_LIMIT:
            gain, rate = replace(gain, high=1.0), replace(rate, high=1.0)
        yield claim("fools_more_than_noise", about, gain, ">", 0.0)
        yield claim("direction_beats_its_spectrum", about, lab.paired(full, phases), ">", 0.0)
        others = stronger(run, None, patterns, norms=[float(norm)]).get((model, float(norm)), [])
        noise = ((one, mean_of_draws(lab.rows_of(rows, kind=one))) for one in (kind, PHASES))
        strongest = beside.strongest(*noise, *((null.name, null.rate) for null in others))
        yield claim("beats_every_null", f"{about}, full length", rate, ">", 0.0, null=strongest)


@of_a_run
def figure(run: Run, published: Mapping[tuple[str, float], float] | None = None, beside: Nulls | None = None) -> Figure:
    """Fooling rate of scored images against the number of images in X, a panel a network and norm.

    Full line: v after its last pass; dashed: at full length. Bands and lines across: the nulls. published: by network and
    norm, marked by a star at 10,000 images. beside: the nulls that other items measured.
    """
    keys = list(dict.fromkeys(zip(run.rows["model"], run.rows["norm"], strict=True)))
    star = look("published")
    with style():
        drawn, axes = panels(keys, height=3.2 if len(keys) > 1 else 4.2)  # the legend takes its part
        for ax, (model, norm) in zip(axes, keys, strict=False):
            rows = run.where(model=model, norm=norm)
            for kind in RECIPES:
                for row, how, words in ((END, "-", kind), (AMPLIFIED, "--", f"{kind}, at full length")):
                    part = lab.rows_of(rows, kind=kind, row=row).sort_values("n_images")
                    if len(part):
                        shown = look(kind)._replace(line=how)
                        with_intervals(ax, list(part["n_images"]), part, "fooling_rate", shown, words)
            if len(random := lab.rows_of(rows, kind=nulls.kind_of(float(norm)))):
                band = look(nulls.kind_of(float(norm)))
                ax.axhspan(
                    random["low"].min(), random["high"].max(), color=band.colour, alpha=0.3, label="random noise"
                )
            if len(same := lab.rows_of(rows, kind=PHASES)):
                level(ax, lab.hull(same), PHASES, LABELS[PHASES])
            for null in (beside or {}).get((model, float(norm)), []):
                level(ax, null.rate, null.kind, LABELS[null.kind])
            ticks = sorted(set(lab.rows_of(rows, row=END)["n_images"].dropna().astype(int)))
            if (model, float(norm)) in (published or {}):
                ticks.append(10_000)
                ax.plot(
                    10_000, (published or {})[model, float(norm)], star.marker, color=star.colour, markersize=9,
                    label="published, 10,000 images",
                )  # fmt: skip
            ax.set(title=f"{short(model)}, norm {norm:g}", xscale="log", ylim=(0, 1))
            ax.set(xlabel="images in X", ylabel="fooling rate")
            ax.set_xticks(ticks, [f"{t:,}" for t in ticks])
            ax.minorticks_off()
        legend(drawn, axes, columns=2)
    return drawn


def growth(run: Run) -> pd.DataFrame:
    """What more images are worth, from each size of X to the next: a row a (model, norm, step).

    exponent: of the number of images that the length of v grows with (0.5: with its root); gained: fooling rate.
    """
    rows = []
    for (model, norm), part in run.where(kind=UAP, row=END).groupby(["model", "norm"], sort=False):
        ordered = part.sort_values("n_images").to_dict("records")
        for a, b in itertools.pairwise(ordered):
            exponent = math.log(b["l2_norm"] / a["l2_norm"]) / math.log(b["n_images"] / a["n_images"])
            ends = {"from_images": int(a["n_images"]), "to_images": int(b["n_images"])}
            lengths = {"from_length": a["l2_norm"], "to_length": b["l2_norm"], "exponent": exponent}
            rows.append(
                {"model": model, "norm": norm, **ends, **lengths, "gained": b["fooling_rate"] - a["fooling_rate"]}
            )
    return pd.DataFrame(rows)
