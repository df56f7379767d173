"""Why Algorithm 1 of [moosavi2017] stops short with few images, and what takes it further; ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import attacks, lab
from uapkit.attacks import Perturbation
from uapkit.data.images import Images
from uapkit.data.views import crops
from uapkit.figures.levels import level
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Rate
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.norms import project
from uapkit.papers.moosavi2017.setting import PHASES, RELEASED, UAP, Setting, bench_of, rephased
from uapkit.seeds import child_seed

OVERSHOOT, SPHERE, VIEWS = "UAP, overshoot 1", "UAP, sphere", "UAP, new views"
OTHERS, OTHERS_VIEWS = "UAP, other photographs", "UAP, other photographs, new views"
RECIPES = (UAP, OVERSHOOT, SPHERE, VIEWS, OTHERS, OTHERS_VIEWS)
EQUAL = "equal length"
END, COURSE, AMPLIFIED = "end", "pass", "amplified"  # what a row is


def run(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    recipes: PerNetwork = RECIPES,
    norms: PerNetwork = (math.inf,),
    sizes: PerNetwork = (6, 18),
    data: PerNetwork = "digits",
    other_data: PerNetwork = "digits",
    n_other: PerNetwork = 36,
    n_fit: PerNetwork = 18,
    n_eval: PerNetwork = 200,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: int = 3,
    max_visits: PerNetwork = 54,
    factors: Sequence[float] = (2.0, math.inf),
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Where Algorithm 1 of [moosavi2017] stands after each pass, by the number of images in X and by recipe; ours.

    kind "UAP": as printed, on the first images of each of ``sizes``; the others on the largest of them: "UAP, overshoot 1"
    (DeepFool's overshoot is 1 instead of 0.02), "UAP, sphere" (v is scaled to the radius, as the paper's code did with the
    2-norm in 2016), "UAP, new views" (each pass meets each image in a random crop, flipped half of the time), "UAP, other
    photographs" (X is ``n_other`` images of ``other_data``, whose labels nobody needs), "UAP, other photographs, new views".

    row "pass": after each pass, with visits (images come to so far), mean_step (of that pass, 2-norm), l2_norm, saturated
    (share of the entries within a tenth of the radius), rate_on_fit, and fooling_rate, low, high, n on the scored images.
    row "end": the same of the last pass, with how the run ended. row "amplified": that v times ``factor``, brought back
    into the ball by clipping or scaling. l2_norm and mean_step are as the paper gives them, 0 to 255. Nulls of norm eps,
    one row a draw; "equal length", as long in the 2-norm as the largest X's "UAP"; and "random phases", noise with the
    spectrum of that vector (:func:`uapkit.papers.moosavi2017.setting.rephased`), at full length like ``factor`` = inf.

    Images are fitted on in the paper's order. A run has as many passes as ``max_visits`` (for all or by network) has
    room for, one at least, ``max_passes`` at most. Scored are ``n_eval`` images of ``data`` that are in no X. Flags as
    ``fooled/<model>/<norm>/<kind>/<n_images>``, with ``/<factor>`` of amplified ones; ends as ``v/...`` (float32).
    """
    bench = bench_of(data, n_fit, n_eval, seed, device)
    setting = Setting(bench, None, eps, target_rate, max_passes)

    others: dict[str, Images] = {}  # those of the network under way: photographs take long to decode
    largest: dict[tuple[str, float], Perturbation] = {}  # "UAP" on the largest X

    def x_of(model: str, kind: str, n: int) -> Images:
        if kind not in (OTHERS, OTHERS_VIEWS):
            return setting.x(model, n)
        if model not in others:
            others.clear()
            other = bench_of(for_network(other_data, model), n, 1, seed, device)
            other.names([own] if (own := bench.own(model)) else [model])
            others[model] = other.split(model).fit
        return others[model]

    def ended(model: str, norm: float, kind: str, n_images: int) -> tuple[list[dict], dict]:
        x = x_of(model, kind, n_images)
        passes = min(max_passes, max(1, for_network(max_visits, model, "max_visits") // len(x)))
        made = fitted(
            bench, model, x, kind, norm=norm, eps=setting.radius(model, norm), passes=passes, target=target_rate
        )
        course = courses(made, bench.split(model).scored)
        about = {"eps": 255 * made.eps, "end": made.made_by["end"], "x": for_network(data, model)}
        if kind in (OTHERS, OTHERS_VIEWS):
            about["x"] = for_network(other_data, model)
        rows = [{"row": COURSE, "visits": len(x) * c["pass"], **about, **c} for c in course]
        name = f"{model}/{norm:g}/{kind}/{len(x)}"
        if kind == UAP:
            largest[model, norm] = made
        flags = bench.fooled(model, made.v)
        rows.append({**rows[-1], "row": END, **lab.rate(flags)})
        arrays = {f"fooled/{name}": flags.cpu().numpy(), f"v/{name}": made.v.float().cpu().numpy()}
        for factor in factors if kind == UAP else ():
            v = amplified(made, factor)
            flags = bench.fooled(model, v)
            arrays[f"fooled/{name}/{factor:g}"] = flags.cpu().numpy()
            length = 255 * float(v.double().norm())
            rows.append({"row": AMPLIFIED, "factor": factor, "l2_norm": length, **about, **lab.rate(flags)})
        return rows, arrays

    def null(model: str, norm: float) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        for draw in range(n_random):
            v = setting.random(model, draw, norm)
            noise = [(nulls.kind_of(norm), v)]
            if made := largest.get((model, norm)):
                noise.append((EQUAL, v * (made.size(2) / v.double().norm()).to(v)))
                same = rephased(made.v, child_seed(seed, f"phases {draw}"))
                noise.append((PHASES, amplified(replace(made, v=same), math.inf)))
            for kind, w in noise:
                flags = bench.fooled(model, w)
                rows.append({"kind": kind, "row": END, "draw": draw, "l2_norm": 255 * float(w.double().norm())})
                rows[-1] |= lab.rate(flags)
                arrays[f"fooled/{model}/{norm:g}/{kind}/{draw}"] = flags.cpu().numpy()
        return rows, arrays

    parts = []
    for model in bench.names(models):
        chosen, counts = for_network(recipes, model, "recipes"), sorted(for_network(sizes, model, "sizes"))
        many = for_network(n_other, model, "n_other")
        for norm in for_network(norms, model, "norms"):
            about = {"model": model, "norm": norm}
            points = [{**about, "kind": UAP, "n_images": n} for n in counts if UAP in chosen]
            for kind in [kind for kind in chosen if kind != UAP]:
                points.append(
                    {**about, "kind": kind, "n_images": many if kind in (OTHERS, OTHERS_VIEWS) else counts[-1]}
                )
            parts.append(lab.sweep(points, ended, desc=f"{model}, norm {norm:g}"))
            parts.append(lab.sweep([about], null, desc=f"{model}, norm {norm:g}: null"))
    return bench.told(lab.joined(parts))


def fitted(
    bench: lab.Bench, model: str, x: Images, kind: str, *, norm: float, eps: float, passes: int, target: float
) -> Perturbation:
    """Algorithm 1 in one of the recipes, the last pass's v; rates of the scored images after each pass decide nothing."""
    options: dict[str, Any] = dict(RELEASED)
    if kind == OVERSHOOT:
        options["overshoot"] = 1.0
    if kind == SPHERE:
        options["projection"] = "sphere"
    if kind in (VIEWS, OTHERS_VIEWS):
        options["views"] = crops(x.shape[-1])
    return lab.keep(
        attacks.uap,
        bench.network(model),
        x,
        norm=norm,
        eps=eps,
        target_rate=target,
        max_passes=passes,
        seed=bench.seed,
        held_out=bench.split(model).scored,
        **options,
    )


def courses(made: Perturbation, scored: Images) -> list[dict[str, Any]]:
    """What v was after each pass, as cells; see :func:`run`."""
    rows = []
    before = {"steps": 0, "way": 0.0}
    for k, stand in enumerate(made.made_by["course"]):
        steps = stand["steps"] - before["steps"]
        held = Rate.of(round(made.made_by["held_out_rates"][k] * len(scored)), len(scored))
        rows.append(
            {
                "pass": k + 1,
                "steps": stand["steps"],
                "mean_step": 255 * (stand["way"] - before["way"]) / steps if steps else 0.0,
                "l2_norm": 255 * stand["l2_norm"],
                "saturated": stand.get("saturated", math.nan),
                "rate_on_fit": made.history[k],
                **held.columns("fooling_rate"),
            }
        )
        before = stand
    return rows


def amplified(made: Perturbation, factor: float) -> Tensor:
    """``v`` times ``factor`` brought back to the ball; an infinite factor gives signs, or v scaled to the sphere."""
    if factor < math.inf:
        return project(made.v * factor, made.norm, made.eps)
    return made.eps * made.v.sign() if made.norm == math.inf else project(made.v, 2, made.eps, "sphere")


def claims(run: Run) -> Iterator[Claim]:
    """What each recipe adds to Algorithm 1 as printed, on the same images; the null is random noise of the full radius.

    "length_is_missing": the same direction at full length against itself as it came out. The null of all is what random
    noise of the full radius, the mean of its draws, has over v. "direction_beats_its_spectrum": the direction at full length
    against noise with its spectrum, the mean of the draws.
    """
    for (model, norm), rows in run.rows.groupby(["model", "norm"], sort=False):
        printed = lab.rows_of(rows, kind=UAP, row=END)
        if printed.empty:
            continue
        n = int(printed["n_images"].max())
        about, start = f"{model}, norm {norm:g}", run.flags("fooled", model, f"{norm:g}", UAP, n)
        kind = nulls.kind_of(float(norm))
        draws = lab.rows_of(rows, kind=kind)["draw"].astype(int)
        chance = lab.paired([run.flags("fooled", model, f"{norm:g}", kind, k) for k in draws], start)
        if f"fooled/{model}/{norm:g}/{UAP}/{n}/inf" in run.arrays:
            longer = run.flags("fooled", model, f"{norm:g}", UAP, n, "inf")
            yield claim("length_is_missing", about, lab.paired(longer, start), ">", 0.0, null=chance)
            if same := run.all_flags("fooled", model, f"{norm:g}", PHASES):
                yield claim("direction_beats_its_spectrum", about, lab.paired(longer, same), ">", 0.0)
        for kind, name in (
            (OVERSHOOT, "overshoot_goes_further"),
            (SPHERE, "sphere_goes_further"),
            (VIEWS, "views_go_further"),
            (OTHERS, "other_photographs_go_further"),
        ):
            if kind == SPHERE and norm != 2:
                continue  # the code of 2016 scaled to the sphere in the 2-norm alone; the other sphere is ours, shown
            for row in lab.rows_of(rows, kind=kind, row=END).itertuples():
                flags = run.flags("fooled", model, f"{norm:g}", kind, int(row.n_images))
                yield claim(name, about, lab.paired(flags, start), ">", 0.0, null=chance)


@of_a_run
def figure(run: Run) -> Figure:
    """Fooling rate of other images against visits, a panel a network and norm; random noise of the full radius as a band.

    Noise with the spectrum of "UAP" at full length, the mean of its draws, is a line across.
    """
    keys = list(dict.fromkeys(zip(run.rows["model"], run.rows["norm"], strict=True)))
    with style():
        drawn, axes = panels(keys, height=3.2)
        for ax, (model, norm) in zip(axes, keys, strict=False):
            rows = run.where(model=model, norm=norm)
            for (kind, n), part in lab.rows_of(rows, row=COURSE).groupby(["kind", "n_images"], sort=False):
                most = lab.rows_of(rows, row=COURSE, kind=kind)["n_images"].max()
                if n < most:
                    continue  # smaller X are in the other figure
                shown = look(str(kind))
                ax.plot(
                    part["visits"], part["fooling_rate"], color=shown.colour, marker=shown.marker, linestyle=shown.line,
                    label=str(kind),
                )  # fmt: skip
            random = lab.rows_of(rows, kind=nulls.kind_of(float(norm)))
            if len(random):
                band = look(nulls.kind_of(float(norm)))
                ax.axhspan(
                    random["low"].min(), random["high"].max(), color=band.colour, alpha=0.3, label="random noise"
                )
            if len(same := lab.rows_of(rows, kind=PHASES)):
                level(ax, lab.hull(same), PHASES, "noise with UAP's spectrum")
            ax.set(title=f"{short(model)}, norm {norm:g}", ylim=(0, 1), xlabel="visits", ylabel="fooling rate")
        legend(drawn, axes, columns=2)
    return drawn


@of_a_run
def lengths(run: Run) -> Figure:
    """2-norm of v pass by pass against visits: as printed by size of X (dark to light), and the other recipes."""
    models = models_of(run.rows)
    with style():
        drawn, axes = panels(models, height=3.2)
        for ax, model in zip(axes, models, strict=False):
            rows = lab.rows_of(run.where(model=model), row=COURSE)
            norm = math.inf if math.inf in set(rows["norm"]) else float(rows["norm"].iloc[0])
            for (kind, n), part in lab.rows_of(rows, norm=norm).groupby(["kind", "n_images"], sort=False):
                shown = look(str(kind))
                ax.plot(
                    part["visits"], part["l2_norm"], color=shown.colour, marker=shown.marker, linestyle=shown.line,
                    alpha=1.0 if n == lab.rows_of(rows, kind=kind)["n_images"].max() else 0.5, label=str(kind),
                )  # fmt: skip
                if kind == UAP:
                    last = part.iloc[-1]
                    ax.annotate(f"{int(n)} images", (last["visits"], last["l2_norm"]), fontsize=8)
            ax.set(xscale="log", yscale="log", xlabel="visits", ylabel="2-norm of v, pixels 0 to 255")
            ax.set_title(f"{short(model)}, norm {norm:g}")
        legend(drawn, axes, columns=2)
    return drawn


def ends(run: Run) -> pd.DataFrame:
    """The end of each run beside its amplified copies and the nulls, most important columns first."""
    rows = run.rows[run.rows["row"] != COURSE]
    columns = ["model", "norm", "kind", "n_images", "factor", "fooling_rate", "low", "high", "n", "rate_on_fit", "end"]
    more = ["pass", "l2_norm", "saturated"]
    return rows[[c for c in [*columns, *more] if c in rows]].reset_index(drop=True)
