"""Section 4 of [jetley2018]: DeepFool on the resampling network itself, through the resampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from uapkit import evaluate, lab
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.jetley2018.drawing import drawn_if_run
from uapkit.papers.jetley2018.resampling import PAPERS_SIDE, attacked, defended, random_directions, side_of
from uapkit.papers.jetley2018.setting import Data, bootstrap_median, deepfool, lengths, norms, told

KINDS = ("direct", "transferred", nulls.RANDOM_DIRECTION)


def run(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    d_lows: Sequence[int] = (227, 120, 100),
    n_eval: int | Mapping[str, int] = 50,
    max_iter: int = 50,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Section 4 of [jetley2018]: DeepFool on the resampling network itself, through the resampling.

    One row a (model, d_low, kind). kind "direct": DeepFool on the network of Table 1 that sees its images at ``d_low``;
    "transferred": DeepFool made on the network as it is, scaled for each image to the direct attack's norm; the null
    "random direction", of that norm too. fooling_rate, low, high, n: of the resampling network. norm_ratio: norm of the
    direct attack over that of DeepFool on the network as it is, median over images (ratio_low, ratio_high: bootstrap
    interval); an image that the attack does not fool counts as infinite. norm: median 2-norm, for pixels in [0, 1].
    """
    bench = lab.Bench(data, 1, 0, n_eval, seed, device)

    def direct(model: str) -> tuple[list[dict], dict]:
        plain = attacked(bench, model, max_iter)
        others = {"transferred": plain.r, nulls.RANDOM_DIRECTION: random_directions(plain.r, seed)}
        rows, arrays = [], {}
        for d_low in d_lows:
            side = side_of(d_low, plain.images)
            net = defended(bench.network(model), side)
            found = deepfool(net, plain.images, max_iter=max_iter)
            ratio = bootstrap_median(lengths(found) / norms(plain.r))
            about = {
                "side": side,
                "norm_ratio": ratio.value,
                "ratio_low": ratio.low,
                "ratio_high": ratio.high,
                "norm": float(lengths(found).median()),
                "original_norm": float(norms(plain.r).median()),
            }
            clean, scale = (
                lab.keep(evaluate.labels, net, plain.images),
                (norms(found.r) / norms(plain.r))[:, None, None, None],
            )
            flags = {"direct": found.success}
            for kind, v in others.items():
                flags[kind] = lab.keep(evaluate.fooled, net, plain.images, scale * v, clean)
            rows += [{"d_low": d_low, "kind": kind, **about, **lab.rate(fooled)} for kind, fooled in flags.items()]
            arrays.update({f"fooled/{model}/{kind}/{d_low}": fooled.numpy() for kind, fooled in flags.items()})
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    table = lab.sweep(points, direct, desc="direct attack")
    return told(bench, table, ("model", "weights", "data", "d_low", "status"))


def claims(run: Run) -> Iterator[Claim]:
    """The direct attack needs less than one and a half times the norm; it fools more than the transferred one at its norm."""
    for network, rows in run.by_network():
        for _, row in rows[(rows["kind"] == "direct") & (rows["d_low"] < PAPERS_SIDE)].iterrows():
            name = f"{network}, d_low = {row['d_low']:g}"
            yield claim("as_effective", name, lab.from_row(row, "norm_ratio", "ratio_low", "ratio_high"), "<", 1.5)
            gain = lab.paired(*(run.flags("fooled", network, kind, f"{row['d_low']:.0f}") for kind in KINDS[:2]))
            yield claim("direct_beats_transferred", name, gain, ">", 0.0)


@drawn_if_run
def figure(run: Run) -> Figure:
    """Fooling rate of the direct attack and of others at its norm, a group a (network, d_low)."""
    rows = run.rows[run.rows["d_low"] < PAPERS_SIDE]  # at full size there is no resampling
    points = list(dict.fromkeys(zip(rows["model"], rows["d_low"], strict=True)))
    with style():
        drawn, axes = panels(["all"], height=3.6)
        ax = axes[0]
        for place, kind in enumerate(KINDS):
            shown, some = look(kind), lab.rows_of(rows, kind=kind).set_index(["model", "d_low"]).loc[points]
            error = [(some["fooling_rate"] - some["low"]).clip(0), (some["high"] - some["fooling_rate"]).clip(0)]
            x = np.arange(len(points)) + 0.18 * (place - 1)
            line: dict[str, Any] = {"color": shown.colour, "marker": shown.marker, "linestyle": "none", "capsize": 3}
            ax.errorbar(x, some["fooling_rate"], yerr=error, label=kind, **line)
        ratios = lab.rows_of(rows, kind="direct").set_index(["model", "d_low"]).loc[points, "norm_ratio"]
        names = [f"{short(m)}\n{d:g}: norm × {ratio:.2f}" for (m, d), ratio in zip(points, ratios, strict=True)]
        ax.set(ylim=(-0.04, 1.04), ylabel="fooling rate", xticks=range(len(points)))
        ax.set_xticklabels(names, fontsize=7, rotation=40, ha="right")
        legend(drawn, [ax])
    return drawn
