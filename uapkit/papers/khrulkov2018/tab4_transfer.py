"""Table 4 of [khrulkov2018]: each network attacked by the perturbations built on all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor, from_numpy

from uapkit import lab
from uapkit.figures.panels import of_a_run
from uapkit.figures.style import short, style
from uapkit.lab import Claim, Run, beside, claim, nulls
from uapkit.papers.khrulkov2018.setting import Layer, Setting

FRESH = "untrained "  # stands before a network's name where the vector was built on a copy with fresh weights


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits", "mlp_digits"),
    layer: Layer = None,
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 15,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 4 of [khrulkov2018]: each network attacked by the perturbations built on all of them.

    One row a (model, built_on): ``model`` is the network attacked (a row of the paper's table), ``built_on`` the one that
    the perturbation was built on (a column), at the layer built_at: ``layer``, or the best there on held-in images. The
    sign, too, is chosen there. fooling_rate (low, high, n) on scored images, held_in_rate on held-in ones. Nulls:
    built_on "random signs", one row a draw, and "untrained <network>". Raises ValueError for networks that take images
    of different sizes.
    """
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, layer, n_random=n_random)

    def build(model: str, layer: str) -> tuple[list[dict], dict]:
        arrays = {}
        for name, fresh in ((model, False), (f"{FRESH}{model}", True)):
            v, _ = setting.better_sign(model, setting.vector(model, layer, untrained=fresh).v)
            arrays[name] = v.cpu().numpy()
        return [{}], arrays

    networks = bench.names(models)
    layers: dict[str, str] = {}
    built: dict[str, Tensor] = {}
    for network in networks:
        layers[network] = setting.choose(network)
        made = lab.sweep([{"model": network, "layer": layers[network]}], build, desc=f"{network}: vector")
        built |= {name: from_numpy(v) for name, v in made.attrs["arrays"].items()}
    if len({tuple(v.shape) for v in built.values()}) > 1:
        shapes = {name: tuple(v.shape) for name, v in built.items()}
        raise ValueError(f"a perturbation only fits networks of its own size, got {shapes}; run them apart")

    def attacked(model: str) -> tuple[list[dict], dict]:
        rows, arrays = [], {}
        for name, v in built.items():
            held_in, flags = (bench.fooled(model, v.to(device), part) for part in ("held_in", "scored"))
            row = {
                "built_on": name,
                "kind": nulls.UNTRAINED if name.startswith(FRESH) else "singular vector",
                "built_at": layers[name.removeprefix(FRESH)],
                "held_in_rate": float(held_in.float().mean()),
                **lab.rate(flags),
            }
            rows.append(row)
            arrays[f"fooled/{model}/{name}"] = flags.cpu().numpy()
        random_rows, random_flags = setting.random_rows(model)
        rows += [{"built_on": nulls.RANDOM_SIGNS, **row} for row in random_rows]
        return rows, arrays | random_flags

    table = lab.joined([lab.sweep([{"model": n}], attacked, desc=f"{n} attacked") for n in networks])
    table.attrs["arrays"] |= {f"v/{name}": v.numpy() for name, v in built.items()}
    return bench.told(table)


def claims(run: Run, patterns: Run | None = None) -> Iterator[Claim]:
    """Foreign vectors against random signs on each network; the most promising foreign one against the network's own.

    The null of the first is what vectors of untrained networks have over random signs, or what the strongest pattern of
    ``patterns`` (a run of ``ext_patterns``) has over them, whichever is more.
    """
    leads: dict[tuple[str, str], float] = {}
    drawn = beside.strongest_patterns(run, patterns)
    for network, rows in run.by_network():
        vectors = lab.rows_of(rows, kind="singular vector").set_index("built_on")["held_in_rate"]
        foreign = vectors.drop(network)
        if not len(foreign):
            continue
        fresh = lab.rows_of(rows, kind=nulls.UNTRAINED)["built_on"]
        random = np.stack(run.all_flags("fooled", network, nulls.RANDOM_SIGNS))
        gain, null = (lab.paired(_mean_flags(run, network, names), random) for names in (foreign.index, fresh))
        strongest = beside.strongest((f"{nulls.UNTRAINED}s", null), beside.lead(drawn.get(network), random))
        yield claim("transfers", f"{network}, over random signs", gain, ">", 0.0, null=strongest)
        source = str(foreign.idxmax())
        leads[source, network] = float(foreign[source] - vectors[network])
    if leads:
        source, network = max(leads, key=lambda pair: leads[pair])
        difference = lab.paired(run.flags("fooled", network, source), run.flags("fooled", network, network))
        yield claim("foreign_can_beat_own", f"{source} on {network}", difference, ">", 0.0)


def _mean_flags(run: Run, network: str, names: Sequence[str]) -> np.ndarray:
    return np.mean([run.flags("fooled", network, name) for name in names], axis=0)


def against_patterns(run: Run, patterns: Run | None) -> pd.DataFrame:
    """Each vector on each network beside the strongest pattern that needs no gradient, see :func:`uapkit.lab.beside.compared`."""
    rows = lab.rows_of(run.rows, kind="singular vector").to_dict("records")
    named = ({"model": r["model"], "built_on": r["built_on"]} for r in rows)
    return beside.against_patterns(
        run, patterns, ((about, run.flags("fooled", about["model"], about["built_on"])) for about in named)
    )


@of_a_run
def figure(run: Run, patterns: Run | None = None) -> Figure:
    """Networks attacked (rows) by the vectors built on others (columns), and by the nulls, with the numbers.

    patterns: a run of ``ext_patterns``, whose strongest pattern is one more column where networks and images are the same.
    """
    rates = run.rows.groupby(["model", "built_on"])["fooling_rate"].mean().unstack()
    columns = sorted(dict.fromkeys(run.rows["built_on"]), key=lambda s: (s.startswith(FRESH), s == nulls.RANDOM_SIGNS))
    grid = rates.reindex(index=list(dict.fromkeys(run.rows["model"])), columns=columns)
    if strongest := beside.strongest_patterns(run, patterns):
        grid[beside.BEST_PATTERN] = [strongest[n].rate.value if n in strongest else np.nan for n in grid.index]
    with style(grid=False):
        size = (min(7.6, 1.0 * grid.shape[1] + 2.2), 0.6 * len(grid) + 2.4)
        drawn, ax = plt.subplots(figsize=size, layout="constrained")
        shown = ax.imshow(grid, vmin=0, vmax=1, cmap="cividis", aspect="auto")
        for (i, j), rate in np.ndenumerate(grid.to_numpy()):
            if rate == rate:
                ax.text(j, i, f"{rate:.2f}", ha="center", va="center", color="white" if rate < 0.6 else "black")
        ax.set_xticks(range(grid.shape[1]), [short(c) for c in grid.columns], rotation=45, ha="right", fontsize=8)
        ax.set_yticks(range(len(grid)), [short(r) for r in grid.index], fontsize=8)
        ax.set(xlabel="vector built on", ylabel="network attacked")
        drawn.colorbar(shown, label="fooling rate")
    return drawn
