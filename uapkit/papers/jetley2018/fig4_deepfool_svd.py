"""Figure 4 of [jetley2018]: what the network recognises on spans of first-order attack directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.lab.claims import Sense
from uapkit.papers.jetley2018.drawing import accuracy_on_spans, draws
from uapkit.papers.jetley2018.sampled import CHANCE, DOWN, FIRST, IMAGES, rows_sampled_down
from uapkit.papers.jetley2018.setting import FEW, Count, Data, accuracy, at, right, told
from uapkit.papers.jetley2018.spans import SPANS, projected_rows, spans_of

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
HALF = 0.5  # of the small images' dimensions: from here on the curve is called flat
ENOUGH: tuple[tuple[str, str, Sense, float], ...] = (  # few of the first suffice, not even half of the last do
    ("replicates_with_first_order", "S_hi", ">", FEW),
    ("last_directions_useless", "S_lo", "<", 0.5),
)


def run(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    shares: Sequence[float] = SHARES,
    n_fit: Count = 200,
    n_eval: Count | None = 200,
    max_iter: int = 50,
    n_random: int = 2,
    d_lows: Sequence[int] = (100,),
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 4 of [jetley2018]: accuracy on images projected on S_hi or S_lo against the number d of directions.

    The directions are DeepFool's at ``n_fit`` images. One row a (model, kind, share, draw): kind "S_hi", "S_lo", or what
    they are compared with: "random" subspaces and the images' own "principal components"; kind "images" are the images
    themselves. share: of all dimensions, d / D. image_norm: mean norm of the projected images, their mean subtracted, as
    a share of the whole. Singular values as ``s/<model>``, flags of the correctly classified as ``right/...``, in
    ``attrs["arrays"]``. Departure: d is the same share of D on every network, not a number.

    d_lows: the paper's curves for ImageNet, on our images: kinds that end in "sampled down" are spans of DeepFool's
    directions sampled down to ``d_low`` of 227 pixels (side: of these images), on images sampled down equally; share: of
    the small images' dimensions. "images, sampled down" are these images whole, which the curve cannot pass by much.
    """
    bench = lab.Bench(data, n_fit, 0, n_eval, seed, device, from_training=True)

    def on_spans(model: str) -> tuple[list[dict], dict]:
        spans = spans_of(bench, model, max_iter, n_random=n_random)
        flags = right(bench.network(model), bench.split(model).scored)
        rows = [{"kind": "images", "share": 1.0, "d": spans.d, "image_norm": 1.0, **accuracy(flags)}]
        arrays = {f"right/{model}/images": flags.numpy(), f"s/{model}": spans.values.numpy()}
        for kind in SPANS:
            for draw in range(n_random if kind == "random" else 1):
                some = [spans.span(kind, d, draw) for d in spans.dimensions(shares)]
                found, projected = projected_rows(bench, model, kind, shares, some)
                rows += [{**row, "draw": draw} for row in found]
                arrays.update(projected if draw == 0 else {})
        small, flags_of_small = rows_sampled_down(bench, model, max_iter, shares, d_lows, n_random)
        return rows + small, arrays | flags_of_small

    points = [{"model": model} for model in bench.names(models)]
    return told(bench, lab.sweep(points, on_spans, desc="accuracy on spans"))


def claims(run: Run) -> Iterator[Claim]:
    """More than half of the accuracy on a tenth of all directions, S_hi; less on half of them, S_lo; null: random spans.

    And, ours: more accuracy on S_hi than on as many principal components of the images, paired. Sampled down: the curve
    saturates at the accuracy on equally small images.
    """
    for network, rows in run.by_network():
        half = float(lab.rows_of(rows, kind="images")["accuracy"].iloc[0]) / 2
        hi = at(rows, "S_hi")
        for claimed, kind, sense, share in ENOUGH:
            mine, null = (_accuracy(rows, what, share) for what in (kind, "random"))
            name = f"{network}, {kind}, d = {at(rows, kind, share)['d']:g}"
            yield claim(claimed, name, mine, sense, half, null=null)
        kinds = ("S_hi", "principal components")
        gain = lab.paired(*(run.flags("right", network, kind, f"{hi['share']:g}") for kind in kinds))
        yield claim("beyond_principal_components", f"{network}, d = {hi['d']:g}", gain, ">", 0.0)
        yield from _saturation(run, network, rows)


def _saturation(run: Run, network: str, rows: pd.DataFrame) -> Iterator[Claim]:
    """On half of the small images' dimensions S_hi is within five points of the whole small images, random spans are not."""
    some = lab.rows_of(rows, kind=FIRST)
    for d_low, part in some.groupby("d_low") if len(some) else ():
        share = part.loc[(part["share"] - HALF).abs().idxmin(), "share"]
        whole = run.flags("right", network, IMAGES, f"{d_low:.0f}")
        found, null = (
            lab.paired(run.flags("right", network, kind, f"{d_low:.0f}", f"{share:g}"), whole)
            for kind in (FIRST, CHANCE)
        )
        yield claim("saturates_at_small_images", f"{network}, d_low = {d_low:g}", found, ">", -0.05, null=null)


def _accuracy(rows: pd.DataFrame, kind: str, share: float) -> Interval:
    return lab.from_row(at(rows, kind, share), "accuracy")


@of_a_run
def figure(run: Run) -> Figure:
    """Accuracy on projected images against the number of directions, a panel a network, a line a kind of span."""
    return accuracy_on_spans(run, SPANS)


@of_a_run
def saturation(run: Run) -> Figure:
    """Accuracy on images sampled down and projected, a panel a (network, d_low); dashed: on the small images whole."""
    rows = run.where(kind=[FIRST, CHANCE, IMAGES])
    pairs, clean = list(dict.fromkeys(zip(rows["model"], rows["d_low"], strict=True))), look("clean")
    with style():
        drawn, axes = panels(pairs, height=3.0)
        for ax, (network, d_low) in zip(axes, pairs, strict=False):
            part = lab.rows_of(rows, model=network, d_low=d_low)
            for kind in (FIRST, CHANCE):
                some, shown = lab.rows_of(part, kind=kind), look(kind.removesuffix(DOWN))
                draws(ax, some, "share", ("accuracy", "low", "high"), shown, kind)
            whole = lab.rows_of(part, kind=IMAGES)["accuracy"].iloc[0]
            ax.axhline(whole, color=clean.colour, linestyle=clean.line, label=IMAGES)
            ax.set(title=f"{short(network)}, {d_low:g}", ylim=(0, 1.02), xlabel="share of their dimensions")
        axes[0].set_ylabel("accuracy")
        legend(drawn, axes)
    return drawn
