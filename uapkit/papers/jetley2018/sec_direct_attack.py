"""Section 4 of [jetley2018]: DeepFool on the resampling network itself, through the resampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor, nn

from uapkit import checks, evaluate, lab, subspace
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.jetley2018.drawing import plain_log
from uapkit.papers.jetley2018.resampling import (
    PAPERS_SIDE,
    Resampled,
    attacked_and_spare,
    defended,
    random_directions,
    side_of,
)
from uapkit.papers.jetley2018.setting import Data, bootstrap_median, deepfool, lengths, norms, told

DIRECT, IN_SPAN, RANDOM_SPAN = "direct", "in the span", "random"
KINDS = (DIRECT, "transferred", nulls.RANDOM_DIRECTION, IN_SPAN, RANDOM_SPAN)
NAMES = {RANDOM_SPAN: "in a random span", IN_SPAN: "in the span of DeepFool"}
LONGER = 1.5  # how many times DeepFool's norm still counts as as effective


def run(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    d_lows: Sequence[int] = (227, 120, 100),
    n_eval: int | Mapping[str, int] = 50,
    n_span: int | Mapping[str, int] = 50,
    n_null: int | Mapping[str, int] = 20,
    max_iter: int = 50,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Section 4 of [jetley2018]: DeepFool on the resampling network itself, through the resampling.

    One row a (model, d_low, kind). kind "direct": DeepFool on the network of Table 1 that sees its images at ``d_low``,
    ours; "in the span": the same confined to the span of down-sampled DeepFool directions, the paper's, here of
    ``n_span`` other images on the network as it is; its null "random": confined to the span of as many down-sampled
    random directions, on the first ``n_null`` images. "transferred": DeepFool made on the network as it is, scaled for
    each image to the direct attack's norm; the null "random direction", of that norm too. d: dimension of the span, of all
    pixels without one. fooling_rate, low, high, n: of the resampling network. norm_ratio: norm of the attack over that of
    DeepFool on the network as it is, median over images (ratio_low, ratio_high: bootstrap interval); an image that the
    attack does not fool counts as infinite. norm and original_norm: median 2-norms, for pixels in [0, 1]. Arrays:
    ``fooled/...``, and image by image 1 / ratio as ``reciprocal/...`` for the three attacks, 0 where nobody is fooled.
    """
    bench = lab.Bench(data, 1, 0, n_eval, seed, device)

    def attacks_on(model: str) -> tuple[list[dict], dict]:
        plain, spare = attacked_and_spare(bench, model, max_iter, lab.for_network(n_span, model, "n_span"))
        few = min(checks.count(lab.for_network(n_null, model, "n_null"), "n_null"), len(plain.images))
        others = {"transferred": plain.r, nulls.RANDOM_DIRECTION: random_directions(plain.r, seed)}
        rows, arrays = [], {}
        for d_low in d_lows:
            side = side_of(d_low, plain.images)
            net = defended(bench.network(model), side)
            clean = lab.keep(evaluate.labels, net, plain.images)
            bases = {
                DIRECT: None,
                IN_SPAN: lab.keep(sampled_span, spare, side),
                RANDOM_SPAN: lab.keep(sampled_span, random_directions(spare, seed), side),
            }
            found = {}
            for kind, basis in bases.items():
                images = plain.images[:few] if kind == RANDOM_SPAN else plain.images
                found[kind] = deepfool(net, images, max_iter=max_iter, **({} if basis is None else {"basis": basis}))
            scale = (norms(found[DIRECT].r) / norms(plain.r))[:, None, None, None]
            for kind in KINDS:
                attack = found.get(kind, found[DIRECT])
                one = ratios(lengths(attack), norms(plain.r)[: len(attack.r)])
                basis = bases.get(kind)
                one["d"] = plain.r[0].numel() if basis is None else basis.shape[1]
                fooled = (
                    attack.success
                    if kind in found
                    else lab.keep(evaluate.fooled, net, plain.images, scale * others[kind], clean)
                )
                rows.append({"d_low": d_low, "kind": kind, "side": side, **one, **lab.rate(fooled)})
                arrays[f"fooled/{model}/{kind}/{d_low}"] = fooled.numpy()
                if kind in found:
                    arrays[f"reciprocal/{model}/{kind}/{d_low}"] = (
                        norms(plain.r)[: len(fooled)] / lengths(attack)
                    ).numpy()
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    table = lab.sweep(points, attacks_on, desc="direct attack")
    return told(bench, table, ("model", "weights", "data", "d_low", "status"))


def ratios(attack: Tensor, plain: Tensor) -> dict[str, float]:
    """Median ratio of (n,) norms with its interval, and both medians, as columns."""
    ratio = bootstrap_median(attack / plain)
    return {
        "norm_ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "norm": float(attack.median()),
        "original_norm": float(plain.median()),
    }


def sampled_span(r: Tensor, side: int) -> Tensor:
    """(d, k) orthonormal basis of what is left of r (n, c, h, w) after sampling down to ``side`` and up again, k <= n."""
    rows = Resampled(nn.Identity(), side).resampled(r).flatten(1)
    return subspace.orthonormal((rows / rows.norm(dim=1, keepdim=True)).T, rtol=1e-4).float()  # of float32


def claims(run: Run) -> Iterator[Claim]:
    """Each direct attack needs less than one and a half times the norm; ours fools more than the transferred one at its norm.

    The attack in the span has a null, as many random directions; without confinement there is none, since DeepFool goes
    on until it fools.
    """
    for network, rows in run.by_network():
        for d_low in sorted(set(rows.loc[rows["d_low"] < PAPERS_SIDE, "d_low"])):
            name = f"{network}, d_low = {d_low:g}"
            ratio = {
                row["kind"]: lab.from_row(row, "norm_ratio", "ratio_low", "ratio_high")
                for _, row in lab.rows_of(rows, d_low=d_low).iterrows()
            }
            yield claim("as_effective", name, ratio[DIRECT], "<", LONGER)
            if IN_SPAN in ratio:  # a run of before has no such attack
                yield claim("as_effective_in_span", name, ratio[IN_SPAN], "<", LONGER, null=ratio[RANDOM_SPAN])
            gain = lab.paired(*(run.flags("fooled", network, kind, f"{d_low:.0f}") for kind in KINDS[:2]))
            yield claim("direct_beats_transferred", name, gain, ">", 0.0)


@of_a_run
def figure(run: Run) -> Figure:
    """Norm that a direct attack needs over that without the resampling, a group a (network, d_low); the bound of the claim.

    The transferred attack and a random direction were made at the direct attack's norm, so they have no ratio of their own.
    """
    rows = run.rows[run.rows["d_low"] < PAPERS_SIDE]  # at full size there is no resampling
    points = list(dict.fromkeys(zip(rows["model"], rows["d_low"], strict=True)))
    with style():
        drawn, axes = panels(["all"], height=4.0, width=7.0)
        ax = axes[0]
        for place, kind in enumerate((DIRECT, IN_SPAN, RANDOM_SPAN)):
            shown = look("equal length" if kind == RANDOM_SPAN else kind)
            some = lab.rows_of(rows, kind=kind).set_index(["model", "d_low"]).loc[points]
            ratio = some["norm_ratio"]
            error = [(ratio - some["ratio_low"]).clip(0), (some["ratio_high"] - ratio).clip(0)]
            x = np.arange(len(points)) + 0.2 * (place - 1)
            line: dict[str, Any] = {"color": shown.colour, "marker": shown.marker, "linestyle": "none", "capsize": 3}
            ax.errorbar(x, ratio, yerr=error, label=NAMES.get(kind, kind), **line)
        ax.axhline(LONGER, color=look("none").colour, linewidth=0.8, linestyle=":", label="as effective, at most")
        ax.set(yscale="log", ylabel="norm needed, over DeepFool's", xticks=range(len(points)))
        ax.set_xticklabels([f"{short(m)}\nd_low {d:g}" for m, d in points])
        plain_log(ax.yaxis)
        legend(drawn, [ax])
    return drawn
