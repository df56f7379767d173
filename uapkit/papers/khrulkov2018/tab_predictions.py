"""The table of predicted labels of [khrulkov2018], and how sure the network is of the new label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from uapkit import lab
from uapkit.intervals import Interval, Rate
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.papers.khrulkov2018.pictures import example_pictures, picture_rows, surest
from uapkit.papers.khrulkov2018.setting import Layer, Setting

CLEAN = "none"  # the direction of the null: the images as they are


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    data: str = "digits",
    pictures: str = "digits",
    n_pictures: int = 4,
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The table of predicted labels of [khrulkov2018], and how sure the network is of the new label.

    Rows of kind "picture", one a (model, direction, picture), as in fig_examples. Rows of kind "scored images",
    one a (model, direction): fooling_rate (low, high, n), and over the n_fooled images whose label changes the median
    confidence before and after, and unsure_share, the share whose new label has a confidence below 0.5 (unsure_low,
    unsure_high: Wilson). Direction "none": the same share for the labels of all clean images.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, layer)

    def predicted(model: str, layer: str) -> list[dict]:
        net, scored = bench.network(model), bench.split(model).scored
        examples = example_pictures(pictures, n_pictures, seed, net.input_size[-1] if net.input_size else None)
        label, confidence = lab.keep(surest, net, scored)
        rows: list[dict[str, Any]] = [
            {
                "kind": "scored images",
                "direction": CLEAN,
                "confidence": float(confidence.median()),
                **_unsure(confidence),
                "n": len(scored),
            }
        ]
        for direction, v in setting.directions(model, layer).items():
            new_label, new_confidence = lab.keep(surest, net, scored, v)
            changed = new_label != label
            row = {
                "kind": "scored images",
                "direction": direction,
                **lab.rate(changed),
                "n_fooled": int(changed.sum()),
            }
            if changed.any():
                row |= {
                    "confidence": float(confidence[changed].median()),
                    "perturbed_confidence": float(new_confidence[changed].median()),
                    **_unsure(new_confidence[changed]),
                }
            rows.append(row)
            found = picture_rows(net, examples.to(device), v)
            rows += [{"kind": "picture", "direction": direction, **row} for row in found]
        return rows

    parts = []
    for network in bench.names(models):
        points = [{"model": network, "layer": setting.choose(network)}]
        parts.append(lab.sweep(points, predicted, desc=f"{network}: labels"))
    table = bench.told(lab.joined(parts))
    if "direction" in table:
        table["is_null"] = table["direction"].isin([CLEAN, nulls.RANDOM_SIGNS, nulls.UNTRAINED])
    return table


def _unsure(confidence: Tensor) -> dict[str, float]:
    share = Rate.mean(confidence < 0.5)
    return {"unsure_share": share.value, "unsure_low": share.low, "unsure_high": share.high}


def claims(run: Run) -> Iterator[Claim]:
    """Share of the changed labels with a confidence below 0.5; the null is that share of the labels that random signs change.

    Any label that has just changed lies near a boundary. Clean images, most of which lie far from one, are no null for it.
    """
    for network, rows in run.by_network():
        own, null = (_unsure_share(rows, direction) for direction in ("singular vector", nulls.RANDOM_SIGNS))
        yield claim("new_label_has_low_confidence", network, own, ">", 0.5, null=null)


def _unsure_share(rows: pd.DataFrame, direction: str) -> Interval:
    (row,) = lab.rows_of(rows, kind="scored images", direction=direction).to_dict("records")
    return lab.from_row(row, "unsure_share", "unsure_low", "unsure_high", "n_fooled")
