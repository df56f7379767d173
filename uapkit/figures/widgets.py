"""Sliders and pickers over computed states: in the rendered book without a server, in Jupyter live.

``frames`` shows states that exist already; ``slider`` calls a function for each setting: beforehand for a page of the
book, live in a notebook. What a state shows is a :class:`State`: pictures, a sentence, named facts, bars.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

MAX_BYTES = 500_000  # of one widget in a page
PIXELS = 64  # pictures up to this width are shown with hard pixels
KINDS = {b"\x89PNG": "png", b"<svg": "svg+xml", b"<?xm": "svg+xml", b"\xff\xd8\xff": "jpeg"}


@dataclass(frozen=True)
class Bar:
    """One bar. value, interval [low, high] and the band of a null in the unit of ``bar_range``."""

    value: float
    low: float | None = None
    high: float | None = None
    null: tuple[float, float] | None = None


@dataclass(frozen=True)
class State:
    """What is shown at one setting of the controls.

    at: control -> value; numbers make a slider, text a picker. pictures: one, or name -> picture; each is an array or
    tensor (c, h, w), (h, w, 3) or (h, w) with pixels in [0, 1] (clipped for display only), a matplotlib Figure, or the
    bytes of a PNG, JPEG or SVG. caption: a sentence. facts: name -> value, such as the label. bars: name -> number or
    :class:`Bar`; ``marked`` is the name of the bar that stands out. alt: what the pictures show, for who cannot see them.
    """

    at: Mapping[str, Any] = field(default_factory=dict)
    pictures: Any = None
    caption: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    bars: Mapping[str, float | Bar] = field(default_factory=dict)
    marked: str | None = None
    alt: str = ""


@dataclass(frozen=True)
class Frames:
    """A widget that Jupyter and the book display; ``html`` is self-contained."""

    html: str
    states: int

    def _repr_html_(self) -> str:
        return self.html


def frames(
    states: Sequence[State],
    *,
    title: str,
    bars: str = "class scores",
    bar_range: tuple[float, float] = (0.0, 1.0),
    width: int = 200,
    note: str = "",
    start: int = 0,
) -> Frames:
    """Controls over ``states``, one slider or picker for each name in ``State.at``.

    title: also the widget's name for screen readers. bars: what they are, with unit. bar_range: value at their left
    and right ends. width: of a picture in CSS pixels; wider arrays are stored at twice that. note: shown below. start:
    the state shown first, the only one that is shown without JavaScript. Not every combination need exist: a control
    offers what exists with the controls before it.

    Raises ValueError if states differ in their controls or pictures, two stand at one setting, or the widget would
    weigh more than 500 kB in the page.
    """
    if not states:
        raise ValueError("states is empty, at least one state is needed")
    names, pictures = list(states[0].at), list(_named(states[0].pictures))
    for state in states:
        if list(state.at) != names or list(_named(state.pictures)) != pictures:
            raise ValueError(
                f"every state must have the controls {names} and the pictures {pictures}, got {list(state.at)} and "
                f"{list(_named(state.pictures))}"
            )
    values = {name: _ordered([state.at[name] for state in states]) for name in names}
    places = [[values[name].index(state.at[name]) for name in names] for state in states]
    if len({tuple(p) for p in places}) < len(states):
        raise ValueError(f"two states stand at the same setting of {names}; each setting may occur once")
    store: dict[str, int] = {}
    rows = []
    for state, place in zip(states, places, strict=True):
        shown = [_data_uri(picture, 2 * width) for picture in _named(state.pictures).values()]
        rows.append(
            {
                "at": place,
                "pictures": [store.setdefault(uri, len(store)) for uri in shown],
                "alts": _alts(state),
                "words": _words(state),
                "bars": _bars(state, bars, bar_range),
            }
        )
    rows.insert(0, rows.pop(start))
    controls = [{"name": n, "values": [_name(v) for v in values[n]]} for n in names]
    data = {"controls": controls, "pictures": list(store), "states": rows}
    kinds = ["range" if all(_is_number(v) for v in values[n]) else "select" for n in names]
    page = _page(title, kinds, data, pictures, states[start], width, note)
    if len(page) > MAX_BYTES:
        raise ValueError(
            f"the widget {title!r} weighs {len(page) // 1000} kB, allowed are {MAX_BYTES // 1000}; show fewer states or "
            "smaller pictures (width)"
        )
    return Frames(page, len(states))


def slider(
    draw: Callable[..., State], *, title: str, choices: Mapping[str, Sequence[Any]], **looks: Any
) -> Frames | Any:
    """A widget over all settings of ``choices``: ``draw(**setting)`` gives the state (its ``at`` is filled in here).

    In Jupyter ``draw`` is called live, when a control moves. While the book is built (``UAPKIT_STATIC`` set), and where
    ipywidgets is missing, all states are drawn beforehand and shown by :func:`frames`, which takes ``looks``.
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        widgets = None
    if widgets is None or os.environ.get("UAPKIT_STATIC"):
        settings = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
        return frames([replace(draw(**s), at=s) for s in settings], title=title, **looks)

    def control(name: str, values: Sequence[Any]) -> Any:
        options = [(_name(v), v) for v in values]
        if all(_is_number(v) for v in values):
            return widgets.SelectionSlider(options=options, description=name, continuous_update=False)
        return widgets.Dropdown(options=options, description=name)

    def show(**setting: Any) -> None:
        from IPython.display import display

        display(frames([replace(draw(**setting), at={})], title=title, **looks))

    inputs = {name: control(name, values) for name, values in choices.items()}
    return widgets.VBox([*inputs.values(), widgets.interactive_output(show, inputs)])


def _page(
    title: str, kinds: list[str], data: dict[str, Any], pictures: list[str], first: State, width: int, note: str
) -> str:
    here = Path(__file__).with_suffix
    state = data["states"][0]
    controls = "".join(
        f'<label>{html.escape(c["name"])} <input type="range" min="0" max="{len(c["values"]) - 1}" value="0"><span></span></label>'
        if kind == "range"
        else f"<label>{html.escape(c['name'])} <select></select></label>"
        for kind, c in zip(kinds, data["controls"], strict=True)
    )
    shown = "".join(
        f'<div><img class="{_pixels(picture)}" src="{data["pictures"][index]}" alt="{html.escape(alt)}">{html.escape(name)}</div>'
        for (name, picture), index, alt in zip(
            _named(first.pictures).items(), state["pictures"], state["alts"], strict=True
        )
    )
    setting = ", ".join(f"{n} {_name(v)}" for n, v in first.at.items())
    without = (
        f"<noscript><p>Without JavaScript one state is shown: {html.escape(setting)}.</p></noscript>" if setting else ""
    )
    script = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    below = f'<p class="uapkit-frames-note">{html.escape(note)}</p>' if note else ""
    return (
        f'<figure class="uapkit-frames" role="group" aria-label="{html.escape(title)}" style="--width:{width}px">'
        f"<style>{here('.css').read_text(encoding='utf-8')}</style><figcaption>{html.escape(title)}</figcaption>"
        f'<div class="uapkit-frames-controls" hidden>{controls}</div>{without}'
        f'<div class="uapkit-frames-pictures">{shown}</div>'
        f'<div class="uapkit-frames-words" aria-live="polite">{state["words"]}</div>'
        f'<div class="uapkit-frames-bars">{state["bars"]}</div>{below}'
        f'<script type="application/json">{script}</script>'
        f"<script>{here('.js').read_text(encoding='utf-8')}</script></figure>"
    )


def _named(pictures: Any) -> Mapping[str, Any]:
    return pictures if isinstance(pictures, Mapping) else {} if pictures is None else {"": pictures}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _ordered(values: list[Any]) -> list[Any]:
    """Each value once: numbers in their order, text as it comes."""
    once = list(dict.fromkeys(values))
    return sorted(once) if all(_is_number(v) for v in once) else once


def _name(value: Any) -> str:
    if not _is_number(value):
        return str(value)
    return ("−" if value < 0 else "") + ("∞" if math.isinf(value) else f"{abs(value):.4g}")


def _alts(state: State) -> list[str]:
    names = list(_named(state.pictures))
    what = state.alt or state.caption or ", ".join(f"{n} {_name(v)}" for n, v in state.at.items())
    return [f"{name}: {what}" if name else what for name in names]


def _words(state: State) -> str:
    facts = "; ".join(f"{html.escape(n)}: <strong>{html.escape(_name(v))}</strong>" for n, v in state.facts.items())
    return " ".join(part for part in (html.escape(state.caption), facts) if part)


def _bars(state: State, label: str, bar_range: tuple[float, float]) -> str:
    if not state.bars:
        return ""
    low, high = bar_range

    def at(value: float) -> float:
        return 100 * min(max((value - low) / (high - low), 0.0), 1.0)

    def piece(name: str, start: float, end: float) -> str:
        return f'<i class="{name}" style="left:{at(start):.1f}%;width:{at(end) - at(start):.1f}%"></i>'

    lines = []
    for name, given in state.bars.items():
        bar = given if isinstance(given, Bar) else Bar(float(given))
        text, track = _name(round(bar.value, 3)), piece("value", low, bar.value)
        if bar.low is not None and bar.high is not None:
            text += f" [{_name(round(bar.low, 3))}, {_name(round(bar.high, 3))}]"
            track += piece("whisker", bar.low, bar.high)
        if bar.null is not None:
            text += f"; null {_name(round(bar.null[0], 3))} to {_name(round(bar.null[1], 3))}"
            track += piece("null", *bar.null)
        mark = ' class="marked"' if name == state.marked else ""
        lines.append(
            f'<tr{mark}><th scope="row">{html.escape(name)}</th><td><span class="track" aria-hidden="true">{track}</span></td>'
            f"<td>{text}</td></tr>"
        )
    return f"<table><caption>{html.escape(label)}</caption>{''.join(lines)}</table>"


def _pixels(picture: Any) -> str:
    array = _as_array(picture)
    return "uapkit-pixels" if array is not None and array.shape[1] <= PIXELS else ""


def _as_array(picture: Any) -> np.ndarray | None:
    """(h, w) or (h, w, 3) array of bytes, or None where ``picture`` is no array."""
    if isinstance(picture, (bytes, Figure)):
        return None
    array = np.asarray(picture.detach().cpu() if hasattr(picture, "detach") else picture, dtype=float)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        raise ValueError(f"a picture must have the shape (c, h, w), (h, w, 3) or (h, w), got {array.shape}")
    array = (array.clip(0, 1) * 255).round().astype(np.uint8)
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _data_uri(picture: Any, most: int) -> str:
    """``picture`` for an img tag: small ones as PNG and those of few colours as WebP without loss, photographs as WebP."""
    if isinstance(picture, bytes):
        kind = next((k for start, k in KINDS.items() if picture.lstrip().startswith(start)), None)
        if kind is None:
            raise ValueError(f"a picture's bytes must be PNG, JPEG or SVG, got {picture[:8]!r}")
        return _inline(kind, picture)
    if isinstance(picture, Figure):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", dpi=110)
        image = Image.open(buffer).convert("RGB")
    else:
        array = _as_array(picture)
        assert array is not None
        image = Image.fromarray(array)
    few = image.mode == "L" or image.getcolors(256) is not None
    if image.width > most and not few:
        image = image.resize((most, round(image.height * most / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if image.width <= PIXELS:
        image.save(buffer, format="PNG", optimize=True)
        return _inline("png", buffer.getvalue())
    image.convert("RGB").save(buffer, format="WEBP", lossless=few, quality=85, method=4)
    return _inline("webp", buffer.getvalue())


def _inline(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
