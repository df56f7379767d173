"""Figure 4 of [jetley2018]: what the network recognises on spans of first-order attack directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from uapkit import lab
from uapkit.figures.panels import of_a_run
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim
from uapkit.lab.claims import Sense
from uapkit.papers.jetley2018.drawing import accuracy_on_spans
from uapkit.papers.jetley2018.setting import FEW, Count, Data, accuracy, at, right, told
from uapkit.papers.jetley2018.spans import SPANS, projected_rows, spans_of

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
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
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 4 of [jetley2018]: accuracy on images projected on S_hi or S_lo against the number d of directions.

    The directions are DeepFool's at ``n_fit`` images. One row a (model, kind, share, draw): kind "S_hi", "S_lo", or what
    they are compared with: "random" subspaces and the images' own "principal components"; kind "images" are the images
    themselves. share: of all dimensions, d / D. image_norm: mean norm of the projected images, their mean subtracted, as
    a share of the whole. Singular values as ``s/<model>``, flags of the correctly classified as ``right/...``, in
    ``attrs["arrays"]``. Departure: d is the same share of D on every network, not a number.
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
        return rows, arrays

    points = [{"model": model} for model in bench.names(models)]
    return told(bench, lab.sweep(points, on_spans, desc="accuracy on spans"))


def claims(run: Run) -> Iterator[Claim]:
    """More than half of the accuracy on a tenth of all directions, S_hi; less on half of them, S_lo; null: random spans.

    And, ours: more accuracy on S_hi than on as many principal components of the images, paired.
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


def _accuracy(rows: pd.DataFrame, kind: str, share: float) -> Interval:
    return lab.from_row(at(rows, kind, share), "accuracy")


@of_a_run
def figure(run: Run) -> Figure:
    """Accuracy on projected images against the number of directions, a panel a network, a line a kind of span."""
    return accuracy_on_spans(run, SPANS)
