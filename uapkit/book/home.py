"""The home page's first screen: a photograph, the same with a stored vector and with random signs, and the stored labels.

Nothing is computed: the pictures are free ones of the package, vectors, labels and rates those of a stored run. What no run
has stored is left out.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from uapkit import data
from uapkit.figures.style import short
from uapkit.files import write_whole
from uapkit.runner import results

EXAMPLES = "khrulkov2018/fig_examples"
NETWORK, SHOWN = "squeezenet1_0[deepcompressed]", (0, 1, 2)  # pictures by their place in data.pictures()
LEVELS = 10  # of 255: the size at which the labels were stored
KINDS = {"vector": "singular vector", "signs": "random signs"}


def stage(staging: Path) -> None:
    """Write the home page's pictures, their script's data and the fragment ``home.md`` into the staging tree."""
    table = results.stored(EXAMPLES)
    shown = [] if table is None else _shown(table)
    words = [_LABORATORY]
    if table is not None and shown:
        signs = {name: table.attrs["arrays"][f"v/{NETWORK}/{kind}"] > 0 for name, kind in KINDS.items()}
        photographs = (data.load("pictures").x.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
        _write_pictures(staging / "book" / "assets" / "vendor" / "home", shown, photographs, signs)
        words = [_row(shown[0], data.pictures().iloc[list(SHOWN)], _rates(table)), *words]
    write_whole(staging / "book" / "_generated" / "home.md", ("\n\n".join(words) + "\n").encode())


_LABORATORY = "**{ref}`Compute one yourself <laboratory>`** in your browser; nothing is sent anywhere."


def _shown(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The pictures with their stored labels: before, with the vector, with random signs."""
    rows = table[(table.model == NETWORK) & (table.kind == "picture")]
    found = []
    for picture in SHOWN:
        by = {name: rows[(rows.picture == picture) & (rows.direction == kind)] for name, kind in KINDS.items()}
        if any(own.empty for own in by.values()):
            continue
        first = by["vector"].iloc[0]
        one = {"picture": picture, "name": data.pictures().name[picture]}
        one["before"] = [first.label, float(first.confidence)]
        for name, own in by.items():
            one[name] = [own.iloc[0].perturbed_label, float(own.iloc[0].perturbed_confidence)]
        found.append(one)
    return found


def _rates(table: pd.DataFrame) -> dict[str, Any]:
    """What both do to many photographs: {"vector": share, "signs": share, "n": how many}."""
    rows = table[(table.model == NETWORK) & (table.kind == "scored images")].set_index("direction")
    return {name: float(rows.fooling_rate[kind]) for name, kind in KINDS.items()} | {
        "n": int(rows.n["singular vector"])
    }


def _write_pictures(
    folder: Path, shown: list[dict[str, Any]], photographs: np.ndarray, signs: dict[str, np.ndarray]
) -> None:
    given = {
        "pictures": [
            one | {"photo": "data:image/jpeg;base64," + base64.b64encode(_jpeg(photographs[one["picture"]])).decode()}
            for one in shown
        ],
        "signs": {name: base64.b64encode(np.packbits(s.reshape(-1)).tobytes()).decode() for name, s in signs.items()},
    }
    write_whole(folder / "home.js", f"window.uapkitHome = {json.dumps(given)};\n".encode())
    first = photographs[shown[0]["picture"]]
    plus = {name: np.where(s, 1, -1).transpose(1, 2, 0) for name, s in signs.items()}
    pictures = {"photograph": first}
    pictures |= {f"with_{name}": first.astype(int) + LEVELS * v for name, v in plus.items()}
    pictures |= {f"{name}_{times}": 127.5 + times * LEVELS * v for name, v in plus.items() for times in (1, 10)}
    for name, picture in pictures.items():
        write_whole(folder / f"{name}.jpg", _jpeg(np.clip(picture, 0, 255).astype(np.uint8)))


def _jpeg(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="JPEG", quality=90)
    return out.getvalue()


def _figure(name: str, alt: str, caption: str) -> str:
    return (
        f'<figure data-shows="{name}"><img src="../_static/vendor/home/{name}.jpg" alt="{alt}" width="224" height="224">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _row(one: dict[str, Any], credits: pd.DataFrame, rates: dict[str, Any]) -> str:
    said = {when: "<b>{} ({:.0%})</b>".format(*one[when]) for when in ("before", "vector", "signs")}
    results_row = "".join(
        [
            _figure("photograph", f"photograph: {one['name']}", f"the photograph:<br>{said['before']}"),
            _figure("with_vector", "the photograph with the vector added", f"with the vector:<br>{said['vector']}"),
            _figure("with_signs", "the photograph with random signs added", f"with random signs:<br>{said['signs']}"),
        ]
    )
    vectors = "".join(
        [
            _figure("vector_1", "the vector as it is added, hardly visible on grey", "the vector, ×&nbsp;1"),
            _figure("vector_10", "the vector ten times as strong: coloured stripes", "the vector, ×&nbsp;10"),
            _figure("signs_10", "random signs ten times as strong: coloured noise", "random signs, ×&nbsp;10"),
        ]
    )
    whose = "; ".join(
        f"{c.name_}: {c.author}, {c.licence}" for c in credits.rename(columns={"name": "name_"}).itertuples()
    )
    return (
        f'```{{raw}} html\n<link rel="stylesheet" href="../_static/home.css">\n<div id="uapkit-home" data-levels="{LEVELS}">'
        f'<div class="row">{results_row}</div><p class="controls" hidden></p><div class="row small">{vectors}</div>'
        f"<p>One vector for all pictures, {LEVELS} of 255 grey levels a pixel. It changes the label of "
        f"<b>{rates['vector']:.0%}</b> of {rates['n']} other photographs, random signs of the same size that of "
        f"<b>{rates['signs']:.0%}</b>.</p>"
        f'<p class="credits">Network: {short(NETWORK)}; the vector is a singular vector of its first layer. '
        f"Photographs: {whose}.</p></div>\n"
        '<script defer src="../_static/vendor/home/home.js"></script>\n<script defer src="../_static/home.js"></script>\n```'
    )
