"""A consequence that [jetley2018] draws: what robustness the suppression of directions gains, and what accuracy it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor, nn

from uapkit import evaluate, lab
from uapkit import models as networks
from uapkit.attacks import DeepFoolResult
from uapkit.data.images import Images
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim
from uapkit.models import Model
from uapkit.papers.jetley2018.drawing import plain_log
from uapkit.papers.jetley2018.resampling import Resampled
from uapkit.papers.jetley2018.setting import (
    FEW,
    Count,
    Data,
    Projected,
    accuracy,
    bootstrap_median,
    deepfool,
    lengths,
    mean_image,
    right,
    told,
)
from uapkit.papers.jetley2018.spans import LARGEST, spans_of
from uapkit.papers.jetley2018.subspaces import curved_at

SPANS = {"S_hi": "attack directions", "principal components": "principal components", "random": "random directions"}
TRAINED = "adversarial training"


def run(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = (0.02, 0.1),
    sides: Sequence[float] = (0.5, 0.3),
    robust: Mapping[str, str] | None = None,
    n_curvature: int | Mapping[str, int] = {"mlp_digits": 5, "other": 0},
    n_train: int = 500,
    k: int | Mapping[str, int | None] | None = None,
    max_products: int = 300,
    n_fit: Count = 100,
    n_eval: Count | None = 150,
    n_attack: int = 12,
    max_iter: int = 25,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Accuracy lost against robustness gained when directions are suppressed, a consequence that [jetley2018] draws; ours.

    One row a (model, defence, level). Defences put before the network: "without attack directions" (the images' part in
    S_hi is replaced by that of the mean image), "only attack directions" (the rest is), the same two for "principal
    components" and "random directions" (level: share of all dimensions, from ``shares``), with ``n_curvature`` boundary
    points a class also for "curvature directions" (both ends; ``n_train``, ``k`` and ``max_products`` as in
    ``sec_uap_energy``), and "down-sampling" (level: share of the side, from ``sides``). Defence "adversarial training" is
    the network that ``robust`` names. accuracy, low, high, n: on the scored images; loss: accuracy lost, with its paired
    interval (loss_low, loss_high). gain: norm of DeepFool on the defended network, through the defence, over that on the
    network as it is, median over ``n_attack`` images with bootstrap interval (gain_low, gain_high); where it fools nobody
    the norm is infinite. transferred: share fooled by twice the DeepFool of the network as it is.
    """
    bench = lab.Bench(data, n_fit, 0, n_eval, seed, device, from_training=True)
    twins = dict(robust or {})

    def defences(network: str, net: Model) -> Iterator[tuple[str, float, nn.Module]]:
        mean, (_, side, _) = mean_image(bench, network), bench.shape(network)
        d = mean.numel()
        if d * d <= LARGEST:
            spans = spans_of(bench, network, max_iter)
            for kind, name in SPANS.items():
                for share, m in zip(shares, spans.dimensions(shares), strict=True):
                    span = spans.span(kind, m)
                    yield f"without {name}", share, Projected(net, span, mean, remove=True)
                    yield f"only {name}", share, Projected(net, span, mean)
        spaces = curved_at(bench, network, n_curvature, n_train, k=k, max_products=max_products)
        for share in shares:
            if spaces is None:
                break
            each = max(1, round(share * d / len(spaces.classes) / 2))
            span = spaces.basis("both", min(each, spaces.most("both")))
            yield "without curvature directions", share, Projected(net, span, mean, remove=True)
            yield "only curvature directions", share, Projected(net, span, mean)
        for share in sides:
            yield "down-sampling", share, Resampled(net, max(1, round(share * side)))
        if network in twins:
            yield "adversarial training", 1.0, bench.network(twins[network])

    def compared(model: str) -> tuple[list[dict], dict]:
        net, images = bench.network(model), bench.split(model).scored
        attacked = images[:n_attack]
        plain = Undefended(images, right(net, images), attacked, deepfool(net, attacked, max_iter=max_iter))
        rows, arrays = [plain.row()], {f"right/{model}/none/1": plain.right.numpy()}
        for name, level, module in defences(model, net):
            row, flags = plain.against(module, max_iter)
            rows.append({"defence": name, "level": level, **row})
            arrays[f"right/{model}/{name}/{level:g}"] = flags.numpy()
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    return told(bench, lab.sweep(points, compared, desc="trade-off"))


@dataclass(frozen=True)
class Undefended:
    """The network as it is: which of the images it gets right, and DeepFool on those of them that are attacked."""

    images: Images
    right: Tensor
    attacked: Images
    found: DeepFoolResult

    def row(self) -> dict[str, Any]:
        """The row that all defences are compared with."""
        none = {"defence": "none", "level": 1.0, "loss": 0.0, "loss_low": 0.0, "loss_high": 0.0}
        return {**none, "gain": 1.0, "gain_low": 1.0, "gain_high": 1.0, **accuracy(self.right)}

    def against(self, module: nn.Module, max_iter: int) -> tuple[dict[str, Any], Tensor]:
        """The row of a defended network, and flags of the images that it gets right."""
        defended = module if isinstance(module, Model) else networks.wrap(module, name="defended")
        flags, found = right(defended, self.images), deepfool(defended, self.attacked, max_iter=max_iter)
        ratio = (lengths(found) / lengths(self.found)).nan_to_num(1.0)  # both infinite: no gain
        gain, loss = bootstrap_median(ratio), lab.paired(self.right, flags)
        transferred = lab.keep(evaluate.fooled, defended, self.attacked, 2 * self.found.r)
        row = {
            "loss": loss.value,
            "loss_low": loss.low,
            "loss_high": loss.high,
            "gain": gain.value,
            "gain_low": gain.low,
            "gain_high": gain.high,
            "n_attack": len(self.attacked),
            "transferred": float(transferred.float().mean()),
        }
        return {**row, **accuracy(flags)}, flags


def claims(run: Run) -> Iterator[Claim]:
    """Of each suppression the level that gains robustness at the least loss: is there a loss? And which directions cost most?

    Every suppression counts whose gain at some level is above 1, however little; one that gains nothing has no row. A
    network trained against attacks suppresses nothing by hand and has a claim of its own.
    """
    for network, rows in run.by_network():
        gaining = rows[(rows["gain_low"] > 1) & (rows["defence"] != "none")]
        for defence, levels in gaining.groupby("defence", sort=False):
            best = levels.loc[levels["loss"].idxmin()]
            name = f"{network}, {defence} at {best['level']:g} (gain {best['gain']:.2g})"
            claimed = "trained_robustness_costs_accuracy" if defence == TRAINED else "gain_costs_accuracy"
            yield claim(claimed, name, lab.from_row(best, "loss", "loss_low", "loss_high"), ">", 0.0)
        mine = lab.rows_of(rows, defence="without attack directions")
        if len(mine):
            level = mine.loc[(mine["level"] - FEW).abs().idxmin(), "level"]
            for other in ("random directions", "principal components"):
                flags = [
                    run.flags("right", network, f"without {kind}", f"{level:g}") for kind in (other, SPANS["S_hi"])
                ]
                name = f"{network}, against {other}, {level:g} of all dimensions"
                yield claim("attack_directions_cost_most", name, lab.paired(*flags), ">", 0.0)


@of_a_run
def figure(run: Run) -> Figure:
    """Accuracy lost against robustness gained, a panel a network; open markers keep only the directions of the defence."""
    found, colour = list(run.by_network()), look("none").colour
    with style():
        drawn, axes = panels([network for network, _ in found], height=3.4)
        for ax, (network, rows) in zip(axes, found, strict=False):
            for defence, some in rows[rows["defence"] != "none"].groupby("defence", sort=False):
                shown = look(str(defence).removeprefix("without ").removeprefix("only "))
                some = some[np.isfinite(some["gain_high"])]
                errors = [
                    [(some[value] - some[f"{value}_low"]).clip(0), (some[f"{value}_high"] - some[value]).clip(0)]
                    for value in ("gain", "loss")
                ]
                ax.errorbar(
                    some["gain"],
                    some["loss"],
                    xerr=errors[0],
                    yerr=errors[1],
                    color=shown.colour,
                    marker=shown.marker,
                    markersize=5,
                    markerfacecolor="white" if str(defence).startswith("only") else None,
                    linestyle="none",
                    elinewidth=0.8,
                    label=str(defence),
                )
            ax.axvline(1, color=colour, linewidth=0.8)
            ax.axhline(0, color=colour, linewidth=0.8)
            ax.set(title=short(network), xscale="log", xlabel="robustness gained (norm ratio)", ylabel="accuracy lost")
            plain_log(ax.xaxis)
        legend(drawn, axes)
    return drawn
