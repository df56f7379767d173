"""The home page's first screen: a photograph, a perturbation and their sum with the stored labels, and three findings drawn.

Nothing is computed: pictures are free ones of the package, vectors, labels and rates those of stored runs. What no run has
stored is left out.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from uapkit import data
from uapkit.figures.style import look, short, style, with_intervals
from uapkit.files import write_whole
from uapkit.runner import results

EXAMPLES = "khrulkov2018/fig_examples"
ENERGY = "equivariant2019/fig1_energy"
CONFINED = "jetley2018/fig4_deepfool_svd"
NETWORK, SHOWN = "squeezenet1_0[deepcompressed]", (0, 1, 2)  # pictures by their place in data.pictures()
LEVELS = 10  # of 255: the size at which the labels were stored


def stage(staging: Path) -> None:
    """Write the home page's pictures, their script's data and the fragment ``home.md`` into the staging tree."""
    assets, generated = staging / "book" / "assets" / "vendor" / "home", staging / "book" / "_generated"
    parts = []
    table = results.stored(EXAMPLES)
    if table is not None and (shown := _shown(table)):
        signs = table.attrs["arrays"][f"v/{NETWORK}/singular vector"] > 0
        photographs = (data.load("pictures").x.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
        for one in shown:
            one["photo"] = "data:image/jpeg;base64," + base64.b64encode(_jpeg(photographs[one["picture"]])).decode()
        given = {"pictures": shown, "signs": base64.b64encode(np.packbits(signs.reshape(-1)).tobytes()).decode()}
        write_whole(assets / "home.js", f"window.uapkitHome = {json.dumps(given)};\n".encode())
        v = np.where(signs, 1, -1).transpose(1, 2, 0)
        first = photographs[shown[0]["picture"]]
        for name, picture in {
            "photograph": first,
            "perturbation": (127.5 + 127.5 * v).astype(np.uint8),
            "sum": np.clip(first.astype(int) + LEVELS * v, 0, 255).astype(np.uint8),
        }.items():
            write_whole(assets / f"{name}.jpg", _jpeg(picture))
        parts.append(_pictures(shown[0], data.pictures().iloc[list(SHOWN)]))
    drawn = findings()
    if drawn is not None:
        write_whole(assets / "findings.svg", drawn)
        parts.append(_FINDINGS)
    parts.append(
        "**{ref}`Compute one yourself <laboratory>`**, on this page's neighbour: in your browser, nothing is sent anywhere."
    )
    write_whole(generated / "home.md", ("\n\n".join(parts) + "\n").encode())


def _shown(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table[(table.model == NETWORK) & (table.direction == "singular vector") & (table.kind == "picture")]
    return [
        {
            "picture": int(row.picture),
            "name": data.pictures().name[int(row.picture)],
            "before": [row.label, float(row.confidence)],
            "after": [row.perturbed_label, float(row.perturbed_confidence)],
        }
        for row in rows.itertuples()
        if int(row.picture) in SHOWN
    ]


def _jpeg(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="JPEG", quality=90)
    return out.getvalue()


def _pictures(one: dict[str, Any], credits: pd.DataFrame) -> str:
    def figure(name: str, alt: str, caption: str) -> str:
        src = f"../_static/vendor/home/{name}.jpg"
        return (
            f'<figure><img src="{src}" alt="{alt}" width="224" height="224"><figcaption>{caption}</figcaption></figure>'
        )

    said = ["{} ({:.0%})".format(*one[when]) for when in ("before", "after")]
    whose = "; ".join(
        f"{c.name_}: {c.author}, {c.licence}" for c in credits.rename(columns={"name": "name_"}).itertuples()
    )
    body = "".join(
        [
            figure("photograph", f"photograph: {one['name']}", f"the network says<br><b>{said[0]}</b>"),
            figure(
                "perturbation",
                "the perturbation, strongly magnified",
                "one vector for all pictures,<br>strongly magnified",
            ),
            figure(
                "sum",
                "the photograph with the perturbation added",
                f"with it, {LEVELS} of 255 grey levels:<br><b>{said[1]}</b>",
            ),
        ]
    )
    return (
        f'```{{raw}} html\n<link rel="stylesheet" href="../_static/home.css">\n<div id="uapkit-home" data-levels="{LEVELS}">'
        f'<div class="row">{body}</div><p class="controls" hidden></p>'
        f'<p class="credits">Network: {short(NETWORK)}, a singular vector of its layer features.1. '
        f"Photographs: {whose}.</p></div>\n"
        '<script defer src="../_static/vendor/home/home.js"></script>\n<script defer src="../_static/home.js"></script>\n```'
    )


_FINDINGS = f"""```{{image}} /book/assets/vendor/home/findings.svg
:alt: Fooling rates of singular vectors and random signs; what gradients share; LeNet's accuracy on parts of the images
:width: 100%
```

Three findings, drawn from stored runs: singular vectors against random signs of the same size
({{ref}}`page <{EXAMPLES}>`); how much a few directions hold of all loss gradients ({{ref}}`page <{ENERGY}>`); and how
much of LeNet's accuracy the leading directions of the attacks carry ({{ref}}`page <{CONFINED}>`)."""


def findings() -> bytes | None:
    """Three small charts of stored runs as SVG; None where one of the runs is missing."""
    tables = [results.stored(name) for name in (EXAMPLES, ENERGY, CONFINED)]
    if any(t is None for t in tables):
        return None
    draw: list[Callable[[plt.Axes, pd.DataFrame], None]] = [_against_random, _shared, _carried]
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.1), layout="constrained")
        for ax, table, one in zip(axes, tables, draw, strict=True):
            assert table is not None
            one(ax, table)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _dots(ax: plt.Axes, rows: pd.DataFrame, by: str, value: str, kinds: tuple[str, ...]) -> None:
    names = list(dict.fromkeys(rows.model))
    for k, kind in enumerate(kinds):
        own = rows[rows[by] == kind].drop_duplicates("model").set_index("model").reindex(names).reset_index()
        with_intervals(ax, list(np.arange(len(names)) + 0.12 * (k - 1)), own, value, look(kind), kind, line=False)
    labels = [short(name.partition("[")[0]) for name in names]
    ax.set_xticks(range(len(names)), labels, fontsize=7, rotation=20, ha="right")
    ax.legend(fontsize=7)


def _against_random(ax: plt.Axes, table: pd.DataFrame) -> None:
    rows = table[(table.status == "run") & (table.kind == "scored images")]
    _dots(ax, rows, "direction", "fooling_rate", ("singular vector", "random signs"))
    ax.set_ylabel("fooling rate")
    ax.set_ylim(0, 1)
    ax.set_title("K: singular vectors, random signs", fontsize=9)


def _shared(ax: plt.Axes, table: pd.DataFrame) -> None:
    rows = table[(table.status == "run") & (table.attack == "gradient")]
    _dots(ax, rows, "kind", "top_share", ("trained", "untrained network", "random"))
    ax.set_ylabel(f"share of the first {int(rows.k.iloc[0])} directions")
    ax.set_ylim(bottom=0)
    ax.set_title("E: what loss gradients share", fontsize=9)


def _carried(ax: plt.Axes, table: pd.DataFrame) -> None:
    rows = table[(table.status == "run") & (table.model == "lenet_mnist")]
    names = {"S_hi": "leading directions", "S_lo": "last directions", "random": "random directions"}
    for kind, name in names.items():
        own = rows[rows.kind == kind].sort_values("share").drop_duplicates("share")
        with_intervals(ax, own.share, own, "accuracy", look(kind), name)
    ax.set_xscale("log")
    ax.set_xlabel("share of the directions kept")
    ax.set_ylabel("accuracy")
    ax.set_ylim(0, 1)
    ax.legend(fontsize=7)
    ax.set_title("J: LeNet on part of the picture", fontsize=9)
