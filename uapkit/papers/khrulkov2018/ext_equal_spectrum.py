"""What a singular vector does that noise of its own spectrum does not: transfer, edges, confidence, stored pictures; ours."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from uapkit import checks, evaluate, lab
from uapkit.data import Images
from uapkit.figures.panels import legend, of_a_run, panels
from uapkit.figures.style import look, short, style, with_intervals
from uapkit.intervals import Rate
from uapkit.lab import Claim, Run, claim, nulls, patterns
from uapkit.models import Model
from uapkit.papers.khrulkov2018.fig_examples import edge_density
from uapkit.papers.khrulkov2018.setting import Layer, Setting
from uapkit.seeds import child_seed

OWN, PHASE, RADIAL, SIGNS = "singular vector", "random phase", "random phase, radial", nulls.RANDOM_SIGNS
NOISES = (PHASE, RADIAL)
KINDS = (OWN, *NOISES, SIGNS)
PLAIN, RIGHT, CLIPPED, JPEG, FOREIGN = "as it is", "right labels only", "clipped", "JPEG", "foreign vectors"
CONDITIONS = (PLAIN, RIGHT, CLIPPED, JPEG, FOREIGN)
OTHERS = "all others"


def run(
    *,
    models: Sequence[Any] = ("vgg_digits", "lenet_digits"),
    layer: Layer = None,
    data: str = "digits",
    n_fit: int = 16,
    n_select: int = 64,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 10,
    quality: int = 75,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The singular vector of [khrulkov2018] beside noise with its own spectrum and random signs, in five conditions; ours.

    One row a (model, kind, condition): fooling_rate, low, high in [0, 1] on n images that were neither fitted nor chosen on.
    kind: "singular vector"; "random phase", noise with its two-dimensional spectrum; "random phase, radial", noise with its
    spectrum averaged over directions; "random signs". condition: "as it is"; "right labels only", the images whose clean
    label is the true one; "clipped" to [0, 1]; "JPEG", images and
    perturbed images stored with this ``quality`` (1 to 100), the labels of both stored ones compared; "foreign vectors", one row
    a source ``built_on`` and their mean, "all others". Rows "as it is" also have: n_kept images that keep their label, the
    mean of their best probability before and after (top1_before, top1_after); unsure_share of the changed labels with a
    confidence below 0.5; edges_more, as in fig_examples. Vector and noise take their better sign on the held-in images.
    """
    checks.in_range(quality, 1, 100, "quality")
    bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
    setting = Setting(bench, p, q, eps, max_iter, seed, layer)
    networks = bench.names(models)

    def build(model: str, layer: str) -> tuple[list[dict], dict]:
        own = setting.vector(model, layer).v
        found = {OWN: own}
        for kind in NOISES:
            one = child_seed(seed, f"{kind} of {layer}")
            found[kind] = patterns.random_phase(own, eps=eps, seed=one, radial=kind == RADIAL).to(device)
        found[SIGNS] = setting.random(model)
        return [{}], {kind: setting.better_sign(model, v)[0].cpu().numpy() for kind, v in found.items()}

    layers: dict[str, str] = {}
    built: dict[str, dict[str, Tensor]] = {}
    for network in networks:
        layers[network] = setting.choose(network)
        made = lab.sweep([{"model": network, "layer": layers[network]}], build, desc=f"{network}: vector")
        if made.attrs["arrays"]:
            built[network] = {kind: torch.from_numpy(v) for kind, v in made.attrs["arrays"].items()}

    def scored(model: str) -> tuple[list[dict], dict]:
        net, images = bench.network(model), bench.split(model).scored
        before = lab.keep(surest_of, net, images)
        right = None if images.y is None else before[0] == images.y.cpu()
        stored = lab.keep(labels_of_jpeg, net, images, None, quality=quality)
        plain = lab.keep(edge_density, images.x, eps / 2)
        rows: list[dict[str, Any]] = []
        arrays: dict[str, Any] = {"right": right}

        def note(kind: str, condition: str, flags: Tensor, **more: Any) -> None:
            rows.append({"kind": kind, "condition": condition, "layer": layers[model], **lab.rate(flags), **more})

        for kind, v in ((kind, v.to(device)) for kind, v in built[model].items()):
            after = lab.keep(surest_of, net, images, v)
            fooled = after[0] != before[0]
            edges = lab.keep(edge_density, images.x + v, eps / 2)
            note(
                kind,
                PLAIN,
                fooled,
                edges_more=float((edges - plain).mean()),
                **_confidence(before[1], after[1], fooled),
            )
            if right is not None and right.any():
                note(kind, RIGHT, fooled[right])
            clipped = lab.keep(evaluate.fooled, net, images, v, clean=before[0], clip=True)
            note(kind, CLIPPED, clipped)
            jpeg = lab.keep(labels_of_jpeg, net, images, v, quality=quality) != stored
            note(kind, JPEG, jpeg)
            arrays |= {f"{kind}/fooled": fooled, f"{kind}/{CLIPPED}": clipped, f"{kind}/{JPEG}": jpeg}
            arrays |= {f"{kind}/edges": edges, f"{kind}/top1": after[1]}
            if kind == SIGNS:
                continue
            foreign = {
                name: bench.fooled(model, vectors[kind].to(device))
                for name, vectors in built.items()
                if name != model and vectors[kind].shape == v.shape
            }
            for name, flags in foreign.items():
                note(kind, FOREIGN, flags, built_on=name)
            if foreign:
                mean = torch.stack([f.double() for f in foreign.values()]).mean(0).cpu()
                over = lab.mean_of(mean).columns("fooling_rate")
                rows.append({"kind": kind, "condition": FOREIGN, "built_on": OTHERS, "layer": layers[model], **over})
                arrays[f"{kind}/{FOREIGN}"] = mean
        arrays |= {"edges": plain, "top1": before[1]}
        return rows, {f"{model}/{name}": np.asarray(a.cpu()) for name, a in arrays.items() if a is not None}

    table = lab.joined([lab.sweep([{"model": n}], scored, desc=f"{n} attacked") for n in networks])
    return bench.told(table)


def _confidence(before: Tensor, after: Tensor, fooled: Tensor) -> dict[str, float]:
    """Of the images that keep their label the mean best probability, clean and perturbed; how unsure the changed labels are."""
    kept = ~fooled
    found: dict[str, float] = {"n_kept": int(kept.sum())}
    if kept.any():
        found |= {"top1_before": float(before[kept].mean()), "top1_after": float(after[kept].mean())}
    return found | ({"unsure_share": Rate.mean(after[fooled] < 0.5).value} if fooled.any() else {})


def surest_of(model: Model, x: Images, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(n,) predicted labels of x, or of x + v, not clipped, and (n,) their probabilities."""
    found = evaluate.probabilities(model, x, v).max(1)
    return found.indices, found.values


def labels_of_jpeg(model: Model, x: Images, v: Tensor | None, *, quality: int) -> Tensor:
    """(n,) predicted labels of x, or of x + v, after each picture was clipped, rounded to 8 bits and stored as JPEG."""
    found = []
    for part in x.x.split(64):
        moved = part if v is None else part + v.to(part)
        found.append(evaluate.labels(model, torch.stack([as_jpeg(one, quality) for one in moved]).to(part)))
    return torch.cat(found)


def as_jpeg(picture: Tensor, quality: int) -> Tensor:
    """A picture (c, h, w) as it comes back from a JPEG file of this quality: clipped, (c, h, w) in [0, 1], on the CPU."""
    pixels = (picture.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0]).save(file, format="JPEG", quality=quality)
    back = torch.from_numpy(np.array(Image.open(file))).float() / 255
    return back.view(*pixels.shape).permute(2, 0, 1)


def claims(run: Run) -> Iterator[Claim]:
    """Differences on the same scored images in each condition: own vector minus noise of its spectrum, and minus random signs.

    Each difference is told for either noise; the vector has to be ahead of both.
    """
    for network, rows in run.by_network():

        def of(kind: str, what: str, network: str = network) -> np.ndarray:
            return run.flags(network, kind, what).astype(float)

        for noise in NOISES:
            if "built_on" in rows and OTHERS in set(rows["built_on"]):  # one network alone has no others
                foreign = lab.paired(of(OWN, FOREIGN), of(noise, FOREIGN))
                yield claim("transfers_beyond_spectrum", network, foreign, ">", 0.0)
            edges = lab.paired(of(OWN, "edges"), of(noise, "edges"))
            yield claim("more_edges_than_its_spectrum", network, edges, ">", 0.0)
        lost = {kind: _lost(run, network, kind) for kind in (OWN, *NOISES)}
        if all(len(before) > 1 for before, _ in lost.values()):
            own, *others = (lab.paired(*lost[kind]) for kind in lost)
            strongest = max(others, key=lambda one: one.value)
            yield claim("survivors_lose_confidence", network, own, ">", 0.0, null=strongest)
        for what in (CLIPPED, JPEG):
            for null in (SIGNS, *NOISES):
                gain = lab.paired(of(OWN, what), of(null, what))
                yield claim("stands_when_stored", f"{network}, {what}", gain, ">", 0.0)
        if f"{network}/right" in run.arrays:
            right = run.flags(network, "right").astype(bool)
            if right.sum() > 1:
                for null in (SIGNS, *NOISES):
                    gain = lab.paired(of(OWN, "fooled")[right], of(null, "fooled")[right])
                    yield claim("stands_on_right_labels", network, gain, ">", 0.0)


def _lost(run: Run, network: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The best probability, clean and perturbed, of the images that keep their label under a kind of vector."""
    kept = ~run.flags(network, kind, "fooled").astype(bool)
    return run.flags(network, "top1")[kept], run.flags(network, kind, "top1")[kept]


@of_a_run
def figure(run: Run) -> Figure:
    """Fooling rate of the vector, of either noise with its spectrum and of random signs in each condition, a panel a network."""
    networks = list(run.by_network())
    with style():
        drawn, axes = panels([name for name, _ in networks], columns=2, height=3.0)
        for ax, (network, rows) in zip(axes, networks, strict=False):
            foreign = rows["built_on"].isin([OTHERS]) if "built_on" in rows else False
            whole = rows[foreign | (rows["condition"] != FOREIGN)]
            for shift, kind in zip((-0.21, -0.07, 0.07, 0.21), KINDS, strict=True):
                part = lab.rows_of(whole, kind=kind)
                at = [CONDITIONS.index(c) + shift for c in part["condition"]]
                with_intervals(ax, at, part, "fooling_rate", look(kind), kind, line=False)
            ax.set(title=f"{short(network)}, {rows['layer'].iloc[0]}", ylabel="fooling rate", ylim=(0, 1))
            ax.set_xticks(range(len(CONDITIONS)), [c.replace(" ", "\n") for c in CONDITIONS], fontsize=8)
        legend(drawn, axes, columns=4)
    return drawn
