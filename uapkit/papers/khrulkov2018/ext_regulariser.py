"""The defence that [khrulkov2018] only proposes: training with the singular values of layers in the loss; ours."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from uapkit import attacks, evaluate, lab
from uapkit import data as sets
from uapkit.data.images import Images
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.style import Look, look, short, style
from uapkit.lab import Claim, Run, claim
from uapkit.models import Model
from uapkit.norms import dual_exponent, lp_norm, psi
from uapkit.papers.khrulkov2018.drawing import places
from uapkit.papers.khrulkov2018.setting import Setting, value_of
from uapkit.progress import Bar
from uapkit.seeds import child_seed, generator


def run(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    layers: Sequence[str] | None = None,
    strengths: Sequence[float] = (0.0, 0.01),
    seeds: Sequence[int] = (0, 1),
    data: str = "digits",
    n_train: int | None = 400,
    epochs: int = 8,
    lr: float = 0.002,
    batch_size: int = 64,
    n_fit: int = 16,
    n_select: int = 100,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 10,
    max_passes: int = 2,
    device: str = "cpu",
) -> pd.DataFrame:
    """Training with the singular-value term that [khrulkov2018] proposes as a defence and does not run; ours.

    One row a (model, strength, seed): accuracy on scored images and held_in_accuracy; singular_value, the sum over
    ``layers`` (None: all activations and the logits) on ``n_fit`` test images; fooling_rate (low, high, n) of the
    singular vector at the layer that is best on held-in images (attacked_layer), made against this very network;
    uap_rate of UAP on the same images, which knows nothing of singular values; random_rate, the null of random signs.
    """
    untrained = lab.Bench(data, n_fit, n_select, n_eval, device=device)

    def one(model: str, strength: float, seed: int) -> list[dict]:
        net = untrained.untrained(model, seed)
        names = list(layers or [*net.layers(kind="activation"), "logits"])
        images = sets.load(data, split="train", n=n_train, seed=seed, size=None).to(device)
        weights, seconds = lab.keep(
            trained_weights,
            net,
            images,
            strength=strength,
            layers=tuple(names),
            p=p,
            q=q,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            seed=child_seed(seed, "training"),
        )
        net.load_state_dict(weights)
        bench = lab.Bench(data, n_fit, n_select, n_eval, seed, device)
        (name,) = bench.names([net])  # from here on the name stands for the network just trained
        return [{"seconds": seconds, **_attacked(Setting(bench, p, q, eps, max_iter, seed), name, names, max_passes)}]

    points = [
        {"model": m, "strength": float(s), "seed": k} for m in untrained.names(models) for k in seeds for s in strengths
    ]
    return untrained.told(lab.sweep(points, one, desc="trainings")).assign(weights="trained here")


def _attacked(setting: Setting, network: str, layers: Sequence[str], max_passes: int) -> dict[str, Any]:
    """The columns of a network just trained: accuracies, singular values, and the rates of three perturbations."""
    bench = setting.bench
    net, split = bench.network(network), bench.split(network)
    setting.record(network, layers)
    made = {layer: setting.vector(network, layer) for layer in layers}
    signed = {layer: setting.better_sign(network, found.v) for layer, found in made.items()}
    best = max(signed, key=lambda layer: signed[layer][1])
    other = lab.keep(attacks.uap, net, split.fit.x, eps=setting.eps, max_passes=max_passes, seed=setting.seed)
    error = {part: lab.keep(evaluate.error_rate, net, getattr(split, part)) for part in ("scored", "held_in")}
    return {
        "accuracy": 1 - error["scored"].value,
        "held_in_accuracy": 1 - error["held_in"].value,
        "singular_value": sum(map(value_of, made.values())),
        "attacked_layer": best,
        "uap_rate": lab.rate(bench.fooled(network, other.v))["fooling_rate"],
        "random_rate": lab.rate(bench.fooled(network, setting.random(network)))["fooling_rate"],
        **lab.rate(bench.fooled(network, signed[best][0])),
    }


def penalty(model: Model, layer: str, x: Tensor, v: Tensor, p: float, q: float) -> tuple[Tensor, Tensor]:
    """(||J v'||_q over the q-th root of the number of images, v'), v' being v after one power iteration.

    v' counts as constant: at a singular vector the derivative of the singular value is that of ||J v'||_q (Danskin), so
    one warm-started iteration a step follows the singular vector while the weights move. v: (c, h, w), unit p-norm.
    """
    respond = model.until(layer)
    pixels = x.detach().requires_grad_()

    def along(w: Tensor) -> Tensor:
        return torch.func.jvp(respond, (x,), (w.expand_as(x),))[1]

    with torch.no_grad():
        z = psi(along(v).flatten(), q, scaled=True)
    answer = respond(pixels)
    (g,) = torch.autograd.grad(answer, pixels, z.view_as(answer))
    new = psi(g.sum(0), dual_exponent(p), scaled=True)
    new = torch.where(new == 0, v, new) if p == math.inf else new / lp_norm(new.flatten(), p)
    return lp_norm(along(new).flatten(), q) / len(x) ** (1 / q), new


def train(
    model: Model,
    images: Images,
    *,
    strength: float,
    layers: Sequence[str],
    p: float,
    q: float,
    epochs: int,
    lr: float,
    batch_size: int,
    seed: int,
) -> Model:
    """Train ``model`` in place by Adam (cosine schedule) on cross entropy + strength * sum of the layers' penalties.

    Source: [khrulkov2018], which proposes the sum of sigma_{p,q}(J(X)) as a term and trains nothing. Departures: the
    batch is the training batch, the term is divided by the q-th root of its size, and its vectors take one power
    iteration a step from where they were. No dropout. Deterministic by ``seed`` on one thread.
    """
    assert images.y is not None
    model.requires_grad_(True)
    steps = torch.optim.Adam(model.parameters(), lr)
    draws = generator(seed, "start_vector")
    v = {name: (torch.rand(images.shape, generator=draws) - 0.5).sign().to(images.x) for name in layers}
    v = {name: w / lp_norm(w.flatten(), p) for name, w in v.items()}
    for epoch in Bar(range(epochs), desc=f"training, strength {strength:g}"):
        for group in steps.param_groups:
            group["lr"] = lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
        order = torch.randperm(len(images), generator=generator(seed, f"order of epoch {epoch}"))
        for index in order.to(images.x.device).split(batch_size):
            x = images.x[index]
            loss = cross_entropy(model(x), images.y[index])
            for name in layers if strength else ():
                term, v[name] = penalty(model, name, x, v[name], p, q)
                loss = loss + strength * term
            steps.zero_grad()
            loss.backward()
            steps.step()
    return model.eval().requires_grad_(False)


def trained_weights(model: Model, images: Images, **given: Any) -> tuple[dict[str, Tensor], float]:
    """The weights that :func:`train` gives a copy of ``model``, and its seconds."""
    net = copy.deepcopy(model)
    started = time.perf_counter()
    train(net, images, **given)
    return dict(net.state_dict()), time.perf_counter() - started


def claims(run: Run) -> Iterator[Claim]:
    """Fooling rate without the term minus with it, over seeds.

    The term is the strongest one that costs at most 2 points of accuracy on held-in images.
    """
    for network, rows in run.by_network():
        mean = rows.groupby("strength")["held_in_accuracy"].mean()
        kept = [s for s in mean.index if s > 0 and mean[s] >= mean[0.0] - 0.02] if 0.0 in mean.index else []
        if not kept:
            continue
        by_strength, best = rows.pivot(index="seed", columns="strength"), max(kept)
        for column, attack in (("fooling_rate", "the singular vector"), ("uap_rate", "UAP")):
            gain = lab.mean_of(by_strength[column][0.0] - by_strength[column][best])
            yield claim("regulariser_defends", f"{network} against {attack} (strength {best:g})", gain, ">", 0.0)


@of_a_run
def figure(run: Run) -> Figure:
    """Accuracy, rates and singular value against the strength of the term: a point a seed, lines through the means."""
    rates = {
        "accuracy": ("accuracy", look("clean")),
        "fooling_rate": ("fooled by the singular vector", look("singular vector")),
        "uap_rate": ("fooled by UAP", look("UAP")),
        "random_rate": ("fooled by random signs", look("random signs")),
    }
    values = {"singular_value": ("sum of singular values", look("singular vector"))}
    with style():
        drawn, axes = panels([name for m in models_of(run.rows) for name in (m, f"{m} values")], height=3.2)
        for left, right, (network, rows) in zip(axes[::2], axes[1::2], run.by_network(), strict=False):
            rows = rows.sort_values("strength")
            ticks = sorted(set(rows["strength"]))
            for ax, lines in ((left, rates), (right, values)):
                for column, (label, shown) in lines.items():
                    _points(ax, rows, column, ticks, shown, label)
                ax.set_xticks(range(len(ticks)), [f"{t:g}" for t in ticks])
                ax.set(title=short(network), xlabel="strength of the term")
            left.set_ylim(0, 1)
            right.set_ylim(0, None)
            right.set_ylabel("sum of singular values")
        legend(drawn, axes[::2], columns=2)
    return drawn


def _points(ax: Any, rows: pd.DataFrame, column: str, ticks: Sequence[float], shown: Look, label: str) -> None:
    ax.plot(places(rows["strength"], ticks), rows[column], ".", color=shown.colour, alpha=0.5)
    mean = rows.groupby("strength")[column].mean()
    ax.plot(range(len(ticks)), mean, marker=shown.marker, linestyle=shown.line, color=shown.colour, label=label)
