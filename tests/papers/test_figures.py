"""Every figure of every page, drawn from the stored runs: letters that can be read, colours that mean what style.py says.

The code cells of an item's notebook are run with the stored run in the place of the quick one; what they display is looked at.
"""

import ast
import json
import math

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.container import Container
from matplotlib.figure import Figure

from uapkit import runner
from uapkit.book import page as pages
from uapkit.figures import style
from uapkit.figures.output import smallest_lettering

ROOT = runner.project_root()
STORED = [name for name in runner.items() if runner.item(name).path("json").is_file()]
COLUMN, PHONE = (
    688,
    640,
)  # pixels: the text's width in a window of 1280; a figure's in its scrolling box on a phone (uapkit.css)
NEUTRAL = ("#000000", "#ffffff")


@pytest.fixture(scope="module", autouse=True)
def stored_runs_only():
    """Pages whose quick run is the stored one; none is made anew."""
    patch = pytest.MonkeyPatch()
    patch.setattr(pages.Page, "__init__", opened)
    matplotlib.use("agg")
    yield
    patch.undo()


def opened(self, name):
    self.name, self.full = name, runner.stored_run(name)
    self.quick = self.full


def figures(name):
    """What the cells of an item's notebook display that is a figure; cells of the quick run alone are left out."""
    shown = []
    space = {"display": lambda *some: shown.extend(some), "__name__": "notebook"}
    for cell in json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] != "code" or ("quick" in text and "full" not in text):
            continue
        tree = ast.parse(text)
        if tree.body and isinstance(last := tree.body[-1], ast.Expr):
            tree.body[-1] = ast.Expr(ast.Call(ast.Name("display", ast.Load()), [last.value], []))
        exec(compile(ast.fix_missing_locations(tree), name, "exec"), space)
    return [one for one in shown if isinstance(one, Figure)]


def series(ax):
    """(label, colour, mark) of what a legend of these axes would name; the mark is marker, line, fill and thickness."""
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
        one = handle
        if isinstance(handle, Container):
            one = next((part for part in handle if part is not None), None)
            one = one[0] if isinstance(one, tuple) else one
        if hasattr(one, "get_markerfacecolor"):
            open_mark = to_hex(one.get_markerfacecolor()) == "#ffffff"
            yield (
                label,
                to_hex(one.get_color()),
                (str(one.get_marker()), one.get_linestyle(), open_mark, one.get_linewidth()),
            )
        elif hasattr(one, "get_facecolor"):
            face = one.get_facecolor()
            yield label, to_hex(face[0] if getattr(face, "ndim", 1) > 1 else face), ("area",)


def palette():
    """Every colour that style.py gives a meaning, a network, a place or an order."""
    known = {to_hex(one.colour) for one in style.MEANINGS.values()} | {to_hex(one) for one in style._MUTED} | {*NEUTRAL}
    return known | {to_hex(one.colour) for count in range(1, 40) for one in style.in_order(count)}


def is_tint(colour, known):
    """Whether a colour is one of ``known`` mixed with white, as style allows for strength."""
    rgb = matplotlib.colors.to_rgb(colour)
    for one in map(matplotlib.colors.to_rgb, known):
        shares = [(1 - c) / (1 - k) for c, k in zip(rgb, one, strict=True) if k < 0.999]
        same = all(abs(c - 1) < 0.01 for c, k in zip(rgb, one, strict=True) if k >= 0.999)
        if shares and same and min(shares) > 0 and max(shares) <= 1.01 and max(shares) - min(shares) < 0.04:
            return True
    return False


@pytest.fixture(scope="module", params=STORED)
def drawn(request):
    made = figures(request.param)
    for figure in made:
        on_canvas(figure)
    yield request.param, made
    plt.close("all")


def on_canvas(figure):
    """Lay a figure out, coarsely: inches and points are the same at any resolution."""
    FigureCanvasAgg(figure)
    figure.set_dpi(40)
    figure.canvas.draw()
    return figure


def unreadable(figure):
    """Sizes in pixels, of the smallest letters on a desktop and on a phone, that are under 8."""
    width, points = figure.get_tightbbox(figure.canvas.get_renderer()).width, smallest_lettering(figure)
    sizes = [points * min(96 / 72, column / (72 * width)) if points else math.inf for column in (COLUMN, PHONE)]
    return [f"{size:.1f} pixels: {points} points in a figure of {width:.1f} inches" for size in sizes if size < 8]


def covering(figure):
    """Legends that stand on a plot."""
    renderer, found = figure.canvas.get_renderer(), []
    for legend in filter(None, [*figure.legends, *(ax.get_legend() for ax in figure.axes)]):
        box = legend.get_window_extent(renderer)
        for ax in figure.axes:
            plot = ax.get_window_extent(renderer)
            across, down = min(box.x1, plot.x1) - max(box.x0, plot.x0), min(box.y1, plot.y1) - max(box.y0, plot.y0)
            if across > 2 and down > 2:
                found.append(f"over {ax.get_title()!r}: {[text.get_text() for text in legend.get_texts()]}")
    return found


def alike(figure):
    """Series of one plot that have one colour and mark."""
    found = []
    for ax in figure.axes:
        seen = {}
        for label, colour, mark in series(ax):
            other = seen.setdefault((colour, mark), label)
            found += [f"{other!r} and {label!r} are both {colour} {mark}"] if other != label else []
    return found


def of_other_colour(figure, known):
    """Series whose colour is not that of their meaning, or is in no palette."""
    found = []
    for ax in figure.axes:
        for label, colour, _ in series(ax):
            wanted = {to_hex(style.look(label).colour)} if label in style.MEANINGS else known
            if colour not in wanted and not is_tint(colour, wanted):
                found.append(
                    f"{label!r} is {colour}, not {min(wanted) if len(wanted) == 1 else 'a colour of style.py'}"
                )
    return found


@pytest.mark.slow
def test_a_page_s_figures(drawn):
    name, made = drawn
    known = palette()
    for figure in made:
        assert unreadable(figure) == []
        assert covering(figure) == [], "a legend stands beside the curves"
        assert alike(figure) == []
        assert of_other_colour(figure, known) == []
    assert made or "figure" not in (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"), (
        "nothing was drawn"
    )


def test_a_bad_figure_is_seen():
    with style.style():
        figure, ax = plt.subplots(figsize=(14, 3))
        ax.plot([0, 1], [0, 1], color=style.look("UAP").colour, label="random signs")
        ax.plot([0, 1], [1, 0], color=style.look("UAP").colour, label="mine")
        ax.plot([0, 1], [1, 1], color="#ff00ff", label="yours")
        ax.legend(loc="center")
        ax.set_title("small", fontsize=6)
    on_canvas(figure)
    assert len(unreadable(figure)) == 2
    assert len(covering(figure)) == 1
    assert alike(figure) == ["'random signs' and 'mine' are both #d55e00 ('None', '-', False, 1.5)"]
    assert of_other_colour(figure, palette()) == [
        "'random signs' is #d55e00, not #808080",
        "'yours' is #ff00ff, not a colour of style.py",
    ]
