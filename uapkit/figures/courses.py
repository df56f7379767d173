"""Figures of universal directions as attacks: rates against norm, index and range of rotation; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from uapkit.figures.directions import first_seed, legend, names_in, panels, run_rows
from uapkit.figures.style import COLOURS, MARKERS, short, style

BASELINES = (("--", "black"), (":", "black"), ("-.", "black"), ("-", "0.55"))


def _other_seeds(run: pd.DataFrame, model: str, attack: str) -> list[pd.DataFrame]:
    """The cross-fitted curves of ``model``'s network trained from other seeds, one each."""
    if "training_seed" not in run:
        return []
    network = run.loc[run["model"] == model, "network"].iloc[0]
    keep = (run["network"] == network) & (run["model"] != model) & (run["attack"] == attack)
    rows = run[keep & (run["fit"] == "other half") & (run["chosen"] == True)]  # noqa: E712
    return [one.sort_values("relative_norm") for _, one in rows.groupby("model", sort=False)]


def curves(table: pd.DataFrame, value: str = "error_rate") -> Figure:
    """Rate against the norm, a panel a (network, attack): each sample at its chosen sign, the other sign thin, baselines.

    Networks from other training seeds are dotted, for the largest sample scored with the vector of the other half.
    """
    everything, run = run_rows(table), first_seed(run_rows(table))
    bounds = ("error_low", "error_high") if value == "error_rate" else ("low", "high")
    vectors = run[run["kind"] == "singular vector"]
    pairs = list(dict.fromkeys(zip(vectors["model"], vectors["attack"], strict=True)))
    with style():
        figure, axes = panels(len(pairs), 3)
        for ax, (model, attack) in zip(axes, pairs, strict=True):
            rows = vectors[(vectors["model"] == model) & (vectors["attack"] == attack)]
            for j, ((fit, n), here) in enumerate(rows.groupby(["fit", "n_fit"], sort=False)):
                for chosen, one in here.groupby("chosen"):
                    one = one.sort_values("relative_norm")
                    good = bool(chosen)
                    ax.plot(
                        one["relative_norm"],
                        one[value],
                        color=COLOURS[j],
                        marker=MARKERS[j] if good else None,
                        markersize=4,
                        linewidth=1.5 if good else 0.6,
                        label=f"{n:.0f} images, {fit}" if good else None,
                    )
                    if good:
                        ax.fill_between(
                            one["relative_norm"], one[bounds[0]], one[bounds[1]], color=COLOURS[j], alpha=0.15
                        )
            for k, one in enumerate(_other_seeds(everything, model, attack)):
                label = "other training seeds" if k == 0 else None
                ax.plot(one["relative_norm"], one[value], color=COLOURS[4], linestyle=":", label=label)
            others = run[(run["model"] == model) & ~run["kind"].isin(["singular vector", "difference"])]
            for (line, colour), (kind, here) in zip(BASELINES, others.groupby("kind", sort=False), strict=False):
                worst = here.groupby("relative_norm")[value].max()
                ax.plot(worst.index, worst, color=colour, linewidth=1, linestyle=line, label=kind)
            ax.set(title=f"{short(model)}\n{attack}", ylim=(0, 1), xlabel="norm / mean image norm")
            ax.title.set_fontsize(9)
        axes[0].set_ylabel(value.replace("_", " "))
        legend(figure, axes[0])
    return figure


def by_index(table: pd.DataFrame) -> Figure:
    """Error under vectors 1 to k at the largest norm, both signs, with the band of random directions, a panel a network."""
    run = run_rows(table)
    names, size = names_in(run, "model"), run["relative_norm"].max()
    run = run[run["relative_norm"] == size]
    with style():
        figure, axes = panels(len(names), min(3, len(names)), 3.6, 3.2)
        for ax, model in zip(axes, names, strict=True):
            here = run[run["model"] == model]
            for j, attack in enumerate(names_in(here, "attack")):
                rows = here[(here["attack"] == attack) & (here["chosen"] == True)].sort_values("index")  # noqa: E712
                error = [
                    (rows["error_rate"] - rows["error_low"]).clip(lower=0),
                    (rows["error_high"] - rows["error_rate"]).clip(lower=0),
                ]
                ax.errorbar(
                    rows["index"],
                    rows["error_rate"],
                    yerr=error,
                    color=COLOURS[j],
                    marker=MARKERS[j],
                    capsize=3,
                    label=attack,
                )
            for kind, colour in (
                ("random direction", COLOURS[6]),
                ("random direction in the data's subspace", COLOURS[2]),
            ):
                null = here[here["kind"] == kind]
                if len(null):
                    ax.axhspan(null["error_low"].min(), null["error_high"].max(), color=colour, alpha=0.2, label=kind)
            ax.set(title=short(model), xlabel="vector", ylim=(0, 1), ylabel=f"error at {size:g} mean norms")
        legend(figure, axes[0])
    return figure


def ranges(
    table: pd.DataFrame, values: Sequence[str] = ("accuracy", "invariance", "top_share", "error_rate")
) -> Figure:
    """How accuracy, invariance, concentration and error at the largest norm depend on the range trained with."""
    run = run_rows(table)
    size = run["relative_norm"].max()
    chosen = run[(run["relative_norm"] == size) & (run["chosen"] == True)]  # noqa: E712
    with style():
        figure, axes = panels(len(values), 2, 3.6, 2.9)
        for ax, value in zip(axes, values, strict=True):
            for j, model in enumerate(names_in(chosen, "model")):
                rows = chosen[(chosen["model"] == model) & (chosen["kind"] == "singular vector")].sort_values(
                    "trained_range"
                )
                ax.plot(rows["trained_range"], rows[value], color=COLOURS[j], marker=MARKERS[j], label=short(model))
                if value == "error_rate":
                    ax.fill_between(
                        rows["trained_range"], rows["error_low"], rows["error_high"], color=COLOURS[j], alpha=0.2
                    )
                    null = chosen[(chosen["model"] == model) & (chosen["kind"] == "random direction")]
                    worst = null.groupby("trained_range")["error_rate"].max()
                    ax.plot(
                        worst.index, worst, color=COLOURS[j], linestyle="--", label=f"{short(model)}, random direction"
                    )
            ax.set(xlabel="trained range in degrees", ylabel=value.replace("_", " "), ylim=(0, 1))
        legend(figure, axes[-1])
    return figure
